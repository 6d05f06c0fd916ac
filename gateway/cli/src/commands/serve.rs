use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::network::Network;
use hlf_network::spec::Organization;

use crate::app::App;
use crate::failure::Exit;

/// Name of the daemon among an organisation's services.
pub(crate) const SERVICE: &str = "caretrail";

#[derive(Debug, Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) async fn run(self, _app: &App) -> anyhow::Result<Exit> {
        Ok(Exit::Done)
    }
}

/// The port on which an organisation's daemon listens by default.
pub(crate) fn port(network: &Network, organization: &Organization) -> anyhow::Result<u16> {
    Ok(network.service_port(&name(organization))?)
}

/// The daemon's name in the network.
pub(crate) fn name(organization: &Organization) -> String {
    format!("{SERVICE}.{}", organization.domain)
}

/// The TLS CA certificates of every organisation in the state folder, PEM.
pub(crate) fn authorities(app: &App) -> anyhow::Result<String> {
    let network = Network::existing(&app.network_folder())?;
    let mut authorities = String::new();
    for organization in &network.spec().organizations {
        let file: PathBuf = network.profile(organization)?.tls_ca;
        authorities += &std::fs::read_to_string(&file)
            .with_context(|| format!("`{}` cannot be read", file.display()))?;
    }
    Ok(authorities)
}
