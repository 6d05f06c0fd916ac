use clap::Args;
use hlf_network::network::Network;

use super::plan::read;
use super::up::{Up, options};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It takes the steps that `caretrail network plan` shows. After an interruption the same command goes on, \
                        without --spec too.\n\nExample:\n  caretrail network apply --spec consortium.toml"
)]
pub(crate) struct Apply {
    #[command(flatten)]
    up: Up,
}

impl Apply {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let target = self.up.spec.as_deref().map(read).transpose()?;
        let options = options(&self.up, network.spec())?;
        let progress = app.progress();
        let network = network.apply(target.as_ref(), &options, &progress).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }
}
