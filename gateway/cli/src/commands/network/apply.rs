use std::path::PathBuf;

use clap::Args;
use hlf_network::network::{Change, Network};

use super::plan::read;
use super::up::{Programs, options};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It takes the steps that `caretrail network plan` shows. After an interruption the same command goes on, \
                        without --spec too.\n\nExample:\n  caretrail network apply --spec consortium.toml"
)]
pub(crate) struct Apply {
    /// The consortium as it shall be, TOML.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// A snapshot by which the peers that come join, instead of by the channel's first block.
    #[arg(long, value_name = "DIR", requires = "spec")]
    snapshot: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Apply {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let target = self.spec.as_deref().map(read).transpose()?;
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        if let (Some(snapshot), Some(target)) = (&self.snapshot, &target) {
            for planned in network.plan(Some(target))?.changes {
                if let Change::AddPeer { organization, peer } = planned.change
                    && let Some(organization) = target.organization(&organization)
                {
                    network.join_by_snapshot(&organization.host(&peer), snapshot, &progress).await?;
                }
            }
        }
        let network = network.apply(target.as_ref(), &options, &progress).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }
}
