use clap::Args;
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with 1 when something is not ready.\n\nExample:\n  caretrail network status --format json"
)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let status = Network::existing(&app.network_folder())?.status().await?;
        app.printer.data(&status)?;
        Ok(if status.ready { Exit::Done } else { Exit::Failed })
    }
}
