use std::path::PathBuf;

use clap::Args;

use super::passkey::ProofArgs;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "With a passkey, the browser signs the challenge that `consent prepare --webauthn` prints; --assertion takes what it \
                        gives. Nothing is sent.\n\n\
                        Example:\n  caretrail consent sign statement.json --key patient.pem > signed.json"
)]
pub(crate) struct Sign {
    /// The prepared statement.
    file: PathBuf,
    #[command(flatten)]
    proof: ProofArgs,
}

impl Sign {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let signed = self.proof.prove(&self.file)?;
        let signed = signed.ok_or_else(|| Invalid("name a key file or an assertion".to_owned()))?;
        app.printer.text(&(serde_json::to_string(&signed)? + "\n"))?;
        Ok(Exit::Done)
    }
}
