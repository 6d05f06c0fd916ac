use clap::Args;
use hlf_network::network::Network;
use hlf_network::spec::Consortium;

use super::up::CONSORTIUM;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "It finds exactly what `up` started from this state folder, also after a crash.\n\n\
                        Example:\n  caretrail network down")]
pub(crate) struct Down {}

impl Down {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let folder = app.network_folder();
        // What an interrupted first `up` left has no spec yet; which processes are its own does not depend on one.
        let network = match Network::existing(&folder) {
            Ok(network) => network,
            Err(_) => Network::new(&folder, Consortium::parse(CONSORTIUM)?)?,
        };
        network.down(&app.progress()).await?;
        Ok(Exit::Done)
    }
}
