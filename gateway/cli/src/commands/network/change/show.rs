use std::path::PathBuf;

use clap::Args;
use hlf_network::network::Network;

use super::{Shown, read};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network change show faster.json")]
pub(crate) struct Show {
    /// The proposal; of several copies the signatures are put together.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let proposal = read(&self.files)?;
        let network = Network::existing(&app.network_folder())?;
        let present = network.channel_config().await?;
        app.printer.data(&Shown::of(&proposal, &present)?)?;
        Ok(Exit::Done)
    }
}
