//! `caretrail network certificates`: when certificates end, renewal, revocation.

use clap::{Args, Subcommand};
use hlf_network::network::Network;
use serde::Serialize;

use crate::app::App;
use crate::failure::{Exit, Invalid};

mod import;
mod renew;
mod renew_authority;
mod request;
mod revoke;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Those of other hospitals are read from the channel's configuration.\n\nExamples:\n  caretrail network certificates\n  \
                        caretrail network certificates --within 30d\n  caretrail network certificates renew --all-within 30d\n  \
                        caretrail network certificates revoke auditor --org north"
)]
pub(crate) struct Certificates {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Shows those alone that end within so many days, and ends with 1 when there is one.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    within: Option<i64>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Renews certificates, for the same keys or new ones, and restarts nodes one by one.
    Renew(renew::Renew),
    /// Prints a request for a certificate (PKCS #10), for an authority elsewhere.
    Request(request::Request),
    /// Takes a certificate that an authority elsewhere made of a request, when it fits.
    Import(import::Import),
    /// Gives a hospital, or the ordering organisation, new authorities beside the old, then instead of them.
    RenewAuthority(renew_authority::RenewAuthority),
    /// Revokes a user's certificate, and waits until every peer refuses it.
    Revoke(revoke::Revoke),
}

#[derive(Serialize)]
struct Shown<'a> {
    channel_unread: &'a Option<String>,
    certificates: Vec<&'a hlf_network::network::CertificateStatus>,
}

impl Certificates {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        match self.verb {
            Some(Verb::Renew(renew)) => renew.run(&network, app).await,
            Some(Verb::Request(request)) => request.run(&network, app),
            Some(Verb::Import(import)) => import.run(&network, app).await,
            Some(Verb::RenewAuthority(renew)) => renew.run(&network, app).await,
            Some(Verb::Revoke(revoke)) => revoke.run(&network, app).await,
            None => {
                let found = network.certificates().await?;
                let certificates: Vec<_> = match self.within {
                    Some(days) => found.ending_within(days).collect(),
                    None => found.certificates.iter().collect(),
                };
                let ending = self.within.is_some() && !certificates.is_empty();
                app.printer.data(&Shown { channel_unread: &found.channel_unread, certificates })?;
                Ok(if ending { Exit::Failed } else { Exit::Done })
            }
        }
    }
}

/// Days as `30d` or `30`.
fn days(text: &str) -> Result<i64, Invalid> {
    let number = text.strip_suffix('d').unwrap_or(text);
    let days = number
        .parse::<u16>()
        .map_err(|_| Invalid(format!("`{text}` is no number of days, such as `30d`")))?;
    Ok(i64::from(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_with_or_without_their_letter() {
        assert_eq!(days("30d").unwrap(), 30);
        assert_eq!(days("7").unwrap(), 7);
        for wrong in ["", "d", "-1d", "30h", "70000"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
