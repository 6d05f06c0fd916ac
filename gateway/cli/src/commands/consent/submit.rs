use std::path::PathBuf;

use caretrail_records::workflows::CarryError;
use clap::Args;

use super::passkey::{ProofArgs, read_signed_or};
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Any enrolled actor carries a statement: nobody but its signer could have made it. A prepared one is signed on the \
                        way, with a key file or with what a browser gave for a passkey.\n\n\
                        Examples:\n  caretrail consent submit signed.json --identity south/service\n  \
                        caretrail consent submit ask.json --assertion assertion.json --identity south/service"
)]
pub(crate) struct Submit {
    /// The signed statement, or a prepared one with --key or --assertion.
    file: PathBuf,
    /// Of a correction request: its number.
    #[arg(long)]
    number: Option<u64>,
    #[command(flatten)]
    proof: ProofArgs,
}

impl Submit {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let signed = read_signed_or(&self.file, self.proof.prove(&self.file)?)?;
        let session = app.session().await?;
        match session.records.carry(signed, self.number).await {
            Ok(committed) => app.committed(&committed),
            Err(CarryError::Call(error)) => Err(error.into()),
            Err(error) => Err(Invalid(error.to_string()).into()),
        }
    }
}
