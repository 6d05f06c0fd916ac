use std::path::PathBuf;

use clap::Args;
use hlf_network::network::Network;

use super::doctor::explained;
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
    #[command(flatten)]
    programs: Programs,
}

impl Apply {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let target = self.spec.as_deref().map(read).transpose()?;
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        let applied = network.apply(target.as_ref(), &options, &progress).await;
        let network = explained(app, applied.map_err(Into::into)).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }
}
