//! `caretrail network ca`: a hospital's Fabric CA, asked directly.

use clap::{Args, Subcommand};
use hlf_network::network::Network;
use hlf_network::spec::Organization;

use crate::app::App;
use crate::failure::{Exit, Invalid};

mod enroll;
mod register;
mod revoke;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the CAs of identities and of TLS certificates, and their release.
    Info(show::Info),
    /// Shows every registered identity.
    Identities(show::Identities),
    /// Prints the certificates that were made, PEM.
    Certificates(show::Certificates),
    /// Registers an identity, and prints the secret that it enrols with.
    Register(register::Register),
    /// Enrols a registered identity by its secret; its key is made here and stays.
    Enroll(enroll::Enroll),
    /// Enrols an identity again by the certificate that it has.
    Reenroll(enroll::Reenroll),
    /// Revokes an identity, and brings the list of all revoked onto the channel.
    Revoke(revoke::Revoke),
}

/// Whose Fabric CA it is.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Name of the hospital.
    #[arg(long, value_name = "NAME")]
    org: String,
}

impl Of {
    fn find<'a>(&self, network: &'a Network) -> anyhow::Result<&'a Organization> {
        network.spec().organization(&self.org).ok_or_else(|| {
            let known: Vec<&str> =
                network.spec().organizations.iter().map(|member| member.name.as_str()).collect();
            Invalid(format!("`{}` is not one of {}", self.org, known.join(", "))).into()
        })
    }
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    let network = Network::existing(&app.network_folder())?;
    match verb {
        Verb::Info(info) => info.run(&network, app).await,
        Verb::Identities(identities) => identities.run(&network, app).await,
        Verb::Certificates(certificates) => certificates.run(&network, app).await,
        Verb::Register(register) => register.run(&network, app).await,
        Verb::Enroll(enroll) => enroll.run(&network, app).await,
        Verb::Reenroll(reenroll) => reenroll.run(&network, app).await,
        Verb::Revoke(revoke) => revoke.run(&network, app).await,
    }
}
