use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::network::{CertificatesError, Network};

use super::super::up::{Programs, options};
use super::request::of;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Key, name, role, names of a server, time and authority must fit; the authority must be the hospital's on the channel.\n\n\
                        Example:\n  caretrail network certificates import peer0.north.example.com --tls peer0-tls.pem"
)]
pub(crate) struct Import {
    /// A node by its host name, or a user as `NAME@DOMAIN`.
    name: String,
    /// The certificate, PEM; those of its authorities may follow it.
    file: PathBuf,
    /// It is the TLS certificate, not the one that signs.
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    programs: Programs,
}

impl Import {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let pem = std::fs::read_to_string(&self.file)
            .with_context(|| format!("`{}` cannot be read", self.file.display()))?;
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        match network.import_certificate(&self.name, of(self.tls), &pem, &options, &progress).await {
            Err(CertificatesError::Import(error)) => Err(Invalid(format!(
                "`{}` is not taken, and nothing was changed: {error}",
                self.file.display()
            ))
            .into()),
            imported => {
                app.printer.data(&imported?)?;
                Ok(Exit::Done)
            }
        }
    }
}
