use std::path::PathBuf;

use clap::Args;
use hlf_network::network::Network;
use serde::Serialize;

use super::{admin, read};
use crate::app::App;
use crate::commands::network::doctor::explained;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  caretrail network change submit faster.json --as north\n  \
                        caretrail network change submit signed-by-north.json signed-by-south.json --as north")]
pub(crate) struct Submit {
    /// The proposal; of several copies the signatures are put together.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The hospital whose admin submits, by name or MSP id, or `orderer`.
    #[arg(long = "as", value_name = "NAME")]
    submitter: String,
}

#[derive(Serialize)]
struct Submitted {
    channel: String,
    title: String,
    sequence: u64,
}

impl Submit {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let proposal = read(&self.files)?;
        let network = Network::existing(&app.network_folder())?;
        let submitter = admin(&network, &self.submitter)?;
        if let Some(warning) = network.look_at_orderers(&proposal, &network.channel_config().await?)? {
            app.printer.say(warning);
        }
        let submitted = network.submit_change(&proposal, &submitter, &app.progress()).await;
        explained(app, submitted.map_err(Into::into)).await?;
        let sequence = network.channel_config().await?.sequence();
        let (channel, title) = (proposal.channel().to_owned(), proposal.title().to_owned());
        app.printer.data(&Submitted { channel, title, sequence })?;
        Ok(Exit::Done)
    }
}
