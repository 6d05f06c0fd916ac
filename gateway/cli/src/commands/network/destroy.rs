use clap::Args;
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Vaults, stores and indexes of the hospitals are not the network's and stay: they cannot be used with another \
                        network of the same name.\n\nExample:\n  caretrail network destroy --channel records"
)]
pub(crate) struct Destroy {
    /// The channel's name, typed to confirm.
    #[arg(long)]
    channel: String,
}

impl Destroy {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let name = &network.spec().channel.name;
        if &self.channel != name {
            let problem =
                format!("this network's channel is `{name}`, not `{}`: nothing was removed", self.channel);
            return Err(Invalid(problem).into());
        }
        network.destroy(&app.progress()).await?;
        Ok(Exit::Done)
    }
}
