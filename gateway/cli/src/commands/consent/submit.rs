use std::path::PathBuf;

use anyhow::Context as _;
use caretrail_model::statement::SignedStatement;
use caretrail_records::workflows::CarryError;
use clap::Args;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Any enrolled actor carries a statement: nobody but its signer could have made it.\n\n\
                        Example:\n  caretrail consent submit signed.json --identity south/service"
)]
pub(crate) struct Submit {
    /// The signed statement.
    file: PathBuf,
    /// Of a correction request: its number.
    #[arg(long)]
    number: Option<u64>,
}

impl Submit {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let json = std::fs::read_to_string(&self.file)
            .with_context(|| format!("`{}` cannot be read", self.file.display()))?;
        let signed: SignedStatement = serde_json::from_str(&json)
            .map_err(|error| Invalid(format!("`{}` is no signed statement: {error}", self.file.display())))?;
        let session = app.session().await?;
        match session.records.carry(signed, self.number).await {
            Ok(committed) => app.committed(&committed),
            Err(CarryError::Call(error)) => Err(error.into()),
            Err(error) => Err(Invalid(error.to_string()).into()),
        }
    }
}
