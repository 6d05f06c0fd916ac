use std::path::Path;

use anyhow::Context as _;
use caretrail_model::ids::{KeyId, PatientId, StatementId};
use caretrail_model::statement::{Grant, Operation, SignedStatement, Statement};
use caretrail_model::time::DurationMs;
use caretrail_records::statements::{self, PasskeyRequest};
use clap::Args;

use super::passkey::PasskeyArgs;
use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};
use crate::provision::{FLAGS, ProvisionArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "The exact text goes to stdout: whoever signs it signs these bytes. With --webauthn it is what a browser passes to \
                        navigator.credentials.get, with the text beside it. A grant is said in flags; other operations \
                        and their bodies are those of FORMATS.md.\n\n\
                        Examples:\n  caretrail consent prepare --patient 5d… --signer 4b… --to SouthMSP/clinician --except label=PSY \\\n    \
                        --identity north/service > statement.json\n  \
                        caretrail consent prepare --patient 5d… --signer 4b… --operation end_consent \\\n    \
                        --body '{\"consent\":\"9a…\"}' --identity south/service > statement.json\n  \
                        caretrail consent prepare --patient 5d… --signer 4b… --to SouthMSP --webauthn --identity south/service > ask.json"
)]
pub(crate) struct Prepare {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Id of the key that will sign.
    #[arg(long, value_name = "KEY")]
    signer: KeyId,
    /// What is decided, such as `end_consent` or `stop_all`; a grant when absent.
    #[arg(long, requires = "body", conflicts_with_all = FLAGS, conflicts_with = "supersedes")]
    operation: Option<String>,
    /// Its body, JSON; `-` reads it from stdin.
    #[arg(long, value_name = "JSON", requires = "operation")]
    body: Option<String>,
    /// The live consent that a grant replaces.
    #[arg(long, value_name = "CONSENT")]
    supersedes: Option<StatementId>,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1d")]
    submit_within: DurationMs,
    #[command(flatten)]
    passkey: PasskeyArgs,
    #[command(flatten)]
    pub(super) provision: ProvisionArgs,
}

impl Prepare {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let said = match (&self.operation, self.body) {
            (Some(operation), Some(body)) => Some(read_operation(operation, body)?),
            _ => None,
        };
        let session = app.session().await?;
        let operation = match said {
            Some(operation) => operation,
            None => {
                let provision = self.provision.read(app, &session, &self.patient).await?;
                Operation::GrantConsent(Grant { provision, supersedes: self.supersedes })
            }
        };
        let submit_by = arguments::now()?.plus(self.submit_within);
        let ledger = session.records.ledger();
        let text = statements::prepare(ledger, self.patient, self.signer, submit_by, operation)?;
        self.passkey.print(app, &session, text).await
    }
}

fn read_operation(operation: &str, body: String) -> anyhow::Result<Operation> {
    let body = if body == "-" {
        std::io::read_to_string(std::io::stdin()).context("the body cannot be read from stdin")?
    } else {
        body
    };
    Operation::from_body(operation, &body).ok_or_else(|| {
        Invalid(format!("`{operation}` with this body is no operation: see FORMATS.md")).into()
    })
}

/// The exact text in a file: a prepared statement, the one that a passkey is asked for, or the one in a signed statement.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let content =
        std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    if let Ok(signed) = serde_json::from_str::<SignedStatement>(&content) {
        return Ok(signed.statement);
    }
    Ok(serde_json::from_str::<PasskeyRequest>(&content).map_or(content, |request| request.statement))
}

/// What the text in a file says.
pub(super) fn read_statement(file: &Path) -> anyhow::Result<Statement> {
    let text = read_text(file)?;
    Ok(statements::read(&text).map_err(|error| Invalid(format!("`{}`: {error}", file.display())))?)
}
