use std::path::PathBuf;

use clap::Args;
use hlf_network::network::Network;

use super::{Shown, admin, read, write};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Read what you sign: `caretrail network change show FILE`.\n\n\
                        Example:\n  caretrail network change sign faster.json --as orderer")]
pub(crate) struct Sign {
    /// The proposal; the signature is added to it.
    file: PathBuf,
    /// The hospital whose admin signs, by name or MSP id, or `orderer`.
    #[arg(long = "as", value_name = "NAME")]
    signer: String,
}

impl Sign {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let mut proposal = read(std::slice::from_ref(&self.file))?;
        let network = Network::existing(&app.network_folder())?;
        let signer = admin(&network, &self.signer)?;
        let present = network.channel_config().await?;
        if let Some(warning) = network.look_at_orderers(&proposal, &present)? {
            app.printer.say(warning);
        }
        proposal.sign(&present, &signer).await?;
        write(&self.file, &proposal)?;
        app.printer.data(&Shown::of(&proposal, &present)?)?;
        Ok(Exit::Done)
    }
}
