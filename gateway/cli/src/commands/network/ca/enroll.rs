use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::fabric_ca::Secret;
use hlf_network::network::Network;
use serde::Serialize;

use super::Of;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The secret is read from a file, or from standard input: on a command line every user of the machine sees it.\n\n\
                        Example:\n  caretrail network ca enroll ada --org north --secret-file ada.secret --out ada"
)]
pub(crate) struct Enroll {
    /// The identity's name.
    id: String,
    /// The file with its secret; standard input when absent.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The folder to make, with the MSP in its `msp`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Enrolled {
    id: String,
    msp: PathBuf,
}

impl Enroll {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let secret = match &self.secret_file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("the secret's file `{}` cannot be read", file.display()))?,
            None => {
                std::io::read_to_string(std::io::stdin()).context("no secret comes from standard input")?
            }
        };
        let secret = Secret::from(secret.trim().to_owned());
        let folder = std::path::absolute(&self.out)?;
        network.enroll(self.of.find(network)?, &self.id, &secret, &folder).await?;
        app.printer.data(&Enrolled { id: self.id, msp: folder.join("msp") })?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network ca reenroll ada/msp --org north --new-key")]
pub(crate) struct Reenroll {
    /// The identity's MSP folder.
    msp: PathBuf,
    /// Makes a new key too, instead of keeping the one that there is.
    #[arg(long)]
    new_key: bool,
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Reenrolled {
    msp: PathBuf,
    new_key: bool,
}

impl Reenroll {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        network.reenroll(self.of.find(network)?, &self.msp, !self.new_key).await?;
        app.printer.data(&Reenrolled { msp: self.msp, new_key: self.new_key })?;
        Ok(Exit::Done)
    }
}
