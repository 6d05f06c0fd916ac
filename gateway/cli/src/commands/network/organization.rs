use clap::Args;
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network organization north > north-definition.json")]
pub(crate) struct Organization {
    /// The hospital: its name, in any case, or its MSP id.
    name: String,
}

impl Organization {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let spec = network.spec();
        let lower = self.name.to_ascii_lowercase();
        let Some(organization) = spec.organization(&self.name).or_else(|| spec.organization(&lower)) else {
            let names: Vec<&str> = spec.organizations.iter().map(|member| member.name.as_str()).collect();
            return Err(Invalid(format!("`{}` is not one of {}", self.name, names.join(", "))).into());
        };
        app.printer.text(&network.organization_definition(organization)?.to_text()?)?;
        Ok(Exit::Done)
    }
}
