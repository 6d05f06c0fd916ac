use std::path::Path;

use anyhow::Context as _;
use caretrail_model::ids::{KeyId, PatientId};
use caretrail_model::statement::{Operation, SignedStatement, Statement};
use caretrail_model::time::DurationMs;
use caretrail_records::statements;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "The exact text goes to stdout: whoever signs it signs these bytes. Operations and their bodies are those of \
                        FORMATS.md.\n\nExample:\n  caretrail consent prepare --patient 5d… --signer 4b… --operation end_consent \\\n    \
                        --body '{\"consent\":\"9a…\"}' --identity south/service > statement.json"
)]
pub(crate) struct Prepare {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Id of the key that will sign.
    #[arg(long, value_name = "KEY")]
    signer: KeyId,
    /// What is decided, such as `grant_consent` or `end_consent`.
    #[arg(long)]
    operation: String,
    /// Its body, JSON; `-` reads it from stdin.
    #[arg(long, value_name = "JSON")]
    body: String,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1d")]
    submit_within: DurationMs,
}

impl Prepare {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let body = if self.body == "-" {
            std::io::read_to_string(std::io::stdin()).context("the body cannot be read from stdin")?
        } else {
            self.body
        };
        let operation = Operation::from_body(&self.operation, &body).ok_or_else(|| {
            Invalid(format!("`{}` with this body is no operation: see FORMATS.md", self.operation))
        })?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let ledger = session.records.ledger();
        let text = statements::prepare(ledger, self.patient, self.signer, submit_by, operation)?;
        app.printer.text(&text)?;
        Ok(Exit::Done)
    }
}

/// The exact text in a file: a prepared statement, or the one in a signed statement.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let content =
        std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    Ok(match serde_json::from_str::<SignedStatement>(&content) {
        Ok(signed) => signed.statement,
        Err(_) => content,
    })
}

/// What the text in a file says.
pub(super) fn read_statement(file: &Path) -> anyhow::Result<Statement> {
    let text = read_text(file)?;
    Ok(statements::read(&text).map_err(|error| Invalid(format!("`{}`: {error}", file.display())))?)
}
