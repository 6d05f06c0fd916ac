use clap::Args;
use hlf_network::network::Network;

use super::member;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network organization north > north-definition.json")]
pub(crate) struct Organization {
    /// The hospital: its name, in any case, or its MSP id.
    name: String,
}

impl Organization {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let organization = member(&network, &self.name)?;
        app.printer.text(&network.organization_definition(organization)?.to_text()?)?;
        Ok(Exit::Done)
    }
}
