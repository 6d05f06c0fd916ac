use clap::Args;
use hlf_network::network::{Network, Renewal, RenewedKeys};
use serde::Serialize;

use super::super::up::{Programs, options};
use super::days;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Of an ordering node the channel learns the new certificates first. A new key is of the same kind as the old one.\n\n\
                        Examples:\n  caretrail network certificates renew peer0.north.example.com\n  caretrail network certificates renew --all-within 30d\n  \
                        caretrail network certificates renew peer0.north.example.com --new-key"
)]
pub(crate) struct Renew {
    /// A node by its host name, or a user as `NAME@DOMAIN`.
    #[arg(required_unless_present = "all_within")]
    name: Option<String>,
    /// Renews whatever ends within so many days instead.
    #[arg(long, value_name = "DAYS", value_parser = days, conflicts_with = "name")]
    all_within: Option<i64>,
    /// Makes a new key too, instead of keeping the one that there is.
    #[arg(long)]
    new_key: bool,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Serialize)]
struct Renewed {
    renewed: Vec<String>,
}

impl Renew {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let what = match (self.name, self.all_within) {
            (Some(name), _) => Renewal::Named(name),
            (None, within) => Renewal::Within(within.unwrap_or_default()),
        };
        let keys = if self.new_key { RenewedKeys::New } else { RenewedKeys::Same };
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        let renewed = network.renew_certificates(&what, keys, &options, &progress).await?;
        app.printer.data(&Renewed { renewed })?;
        Ok(Exit::Done)
    }
}
