use std::path::PathBuf;

use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::{PatientKey, SignedRegistration};
use clap::Args;

use crate::app::{App, Session};
use crate::arguments;
use crate::commands::consent::passkey::{prove_with, read_signed_or};
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "The hospital number stays in the hospital's own store: the channel gets a random-looking id that is bound to \
                        the key.\n\n\
                        Examples:\n  caretrail patient register --key patient.pem --number 4711 --identity north/service\n  \
                        caretrail patient register --statement ask.json --assertion assertion.json --number 4711 --identity north/service"
)]
pub(crate) struct Register {
    /// The patient's key file; with --statement, what signs that.
    #[arg(long, value_name = "FILE", required_unless_present = "statement")]
    key: Option<PathBuf>,
    /// The registration as `caretrail patient prepare` printed it, or signed.
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// What the browser gave for a passkey, JSON, which signs the statement.
    #[arg(long, value_name = "FILE", requires = "statement", conflicts_with = "key")]
    assertion: Option<PathBuf>,
    /// The hospital's own number of the patient.
    #[arg(long)]
    number: String,
    /// How long a statement that is signed now may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl Register {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let registration = self.registration(&session)?;
        let custody = session.custody()?;
        let committed = session.records.register_patient(&custody, &self.number, &registration).await?;
        app.committed(&committed)
    }

    fn registration(&self, session: &Session) -> anyhow::Result<SignedRegistration> {
        if let Some(file) = &self.statement {
            let proven = prove_with(file, self.key.as_deref(), self.assertion.as_deref())?;
            let signed = read_signed_or(file, proven)?;
            let statement = signed.parse().map_err(|error| Invalid(error.to_string()))?;
            if !matches!(statement.operation, Operation::RegisterPatient(_)) {
                return Err(Invalid(
                    "the statement is no registration: see `caretrail patient prepare`".to_owned(),
                )
                .into());
            }
            return Ok(SignedRegistration { patient: statement.patient, signed });
        }
        let Some(key) = &self.key else {
            return Err(Invalid("name a key file, or a --statement that was signed".to_owned()).into());
        };
        let key = PatientKey::load(key)?;
        let home = &session.records.actor().msp_id;
        let submit_by = arguments::now()?.plus(self.submit_within);
        Ok(key.register(session.records.ledger(), home, submit_by)?)
    }
}
