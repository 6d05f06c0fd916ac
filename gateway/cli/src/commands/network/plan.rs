use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use hlf_network::network::{Network, Plan};
use hlf_network::spec::Consortium;
use serde::Serialize;

use super::change::Shown;
use super::part;
use super::up::parse;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is done. Without --spec it shows what an interrupted `caretrail network apply` has left; where each \
                        hospital has its own part, what of the channel is not as consortium.toml says.\n\n\
                        Example:\n  caretrail network plan --spec consortium.toml"
)]
pub(crate) struct ShowPlan {
    /// The consortium as it shall be, TOML.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

/// The steps, in words and by kind.
#[derive(Serialize)]
pub(super) struct Steps {
    changes: usize,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: usize,
    what: String,
}

impl Steps {
    pub(super) fn of(plan: &Plan) -> Self {
        let steps: Vec<Step> = plan
            .changes
            .iter()
            .zip(1..)
            .map(|(planned, step)| Step { step, what: planned.change.to_string() })
            .collect();
        Self { changes: steps.len(), steps }
    }
}

impl ShowPlan {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if let Some(own) = part::own(app)? {
            part::demand_no_spec(self.spec.as_deref())?;
            match own.wanted_change().await? {
                None => app.printer.say("the channel is as consortium.toml says"),
                Some(change) => app.printer.data(&Shown::of(&change, &own.channel_config().await?)?)?,
            }
            return Ok(Exit::Done);
        }
        let network = Network::existing(&app.network_folder())?;
        let target = self.spec.as_deref().map(read).transpose()?;
        app.printer.data(&Steps::of(&network.plan(target.as_ref())?))?;
        Ok(Exit::Done)
    }
}

/// Reads a spec.
pub(super) fn read(file: &Path) -> anyhow::Result<Consortium> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("spec `{}` cannot be read", file.display()))?;
    parse(&text)
}
