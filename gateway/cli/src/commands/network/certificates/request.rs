use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::network::{Network, RequestKey, Use};

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "A new key stays here and waits for its certificate; until then nothing changes.\n\nExamples:\n  \
                        caretrail network certificates request peer0.north.example.com --tls > peer0-tls.csr\n  \
                        caretrail network certificates request auditor@north.example.com > auditor.csr"
)]
pub(crate) struct Request {
    /// A node by its host name, or a user as `NAME@DOMAIN`.
    name: String,
    /// Requests the TLS certificate, instead of the one that signs.
    #[arg(long)]
    tls: bool,
    /// Keeps the key that there is, instead of making a new one.
    #[arg(long, conflicts_with = "key")]
    same_key: bool,
    /// Takes the key of this file, PKCS #8 PEM, instead of making one.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Request {
    pub(super) fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let key = match (&self.key, self.same_key) {
            (Some(file), _) => RequestKey::Given(
                std::fs::read_to_string(file)
                    .with_context(|| format!("the key `{}` cannot be read", file.display()))?,
            ),
            (None, true) => RequestKey::Same,
            (None, false) => RequestKey::New,
        };
        app.printer.text(&network.request_certificate(&self.name, of(self.tls), &key)?)?;
        Ok(Exit::Done)
    }
}

pub(super) const fn of(tls: bool) -> Use {
    if tls { Use::Tls } else { Use::Identity }
}
