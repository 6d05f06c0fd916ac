use clap::Args;
use hlf_network::connection::ConnectionProfile;
use hlf_network::network::Network;

use super::member;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It holds no key and no user's certificate: a program needs those too, from the `msp` folder of its user,\n\
                        or from `caretrail identity issue`.\n\n\
                        Example:\n  caretrail network profile north > north.connection.json"
)]
pub(crate) struct Show {
    /// The hospital: its name, in any case, or its MSP id.
    organization: String,
}

impl Show {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let organization = member(&network, &self.organization)?;
        let profile = ConnectionProfile::of(&network.profile(organization)?)?;
        app.printer.text(&format!("{}\n", serde_json::to_string_pretty(&profile)?))?;
        Ok(Exit::Done)
    }
}
