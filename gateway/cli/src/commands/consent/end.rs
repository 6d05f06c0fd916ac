use std::path::PathBuf;

use caretrail_model::calls::EndConsent;
use caretrail_model::ids::{PatientId, StatementId};
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Ending a consent stops what is not yet released; what was read stays read.\n\n\
                        Example:\n  caretrail consent end 9a… --patient 5d… --key patient.pem --identity north/service")]
pub(crate) struct End {
    /// The consent.
    consent: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl End {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let signed = key.end(session.records.ledger(), self.patient, self.consent, submit_by)?;
        app.committed(&session.records.end_consent(&EndConsent { signed }).await?)
    }
}
