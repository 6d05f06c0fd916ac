use clap::Args;
use hlf_network::fabric::Version;
use hlf_network::network::Network;

use super::up::{Programs, options};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Nodes are brought to the release one by one, ordering nodes first; the channel's capabilities are raised when all \
                        run it. After an interruption the same command goes on. There is no way back but a backup made before.\n\n\
                        Example:\n  caretrail network backup create --all --to before-3.1.1\n  caretrail network upgrade --to 3.1.1"
)]
pub(crate) struct Upgrade {
    /// The release of Fabric, such as 3.1.1.
    #[arg(long, value_name = "VERSION")]
    to: Version,
    #[command(flatten)]
    programs: Programs,
}

impl Upgrade {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let mut options = options(&self.programs, network.spec())?;
        options.binaries.version = self.to;
        let progress = app.progress();
        let network = network.upgrade(self.to, &options, &progress).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }
}
