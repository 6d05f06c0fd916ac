use std::path::PathBuf;

use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::statement::EmergencyChoice;
use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Nobody breaks the glass for a patient who refuses it.\n\nExample:\n  caretrail patient refuse-emergency --patient 5d… --key patient.pem --identity south/service"
)]
pub(crate) struct RefuseEmergency {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Allows emergency access again.
    #[arg(long)]
    allow: bool,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl RefuseEmergency {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let operation = Operation::RefuseEmergency(EmergencyChoice { refused: !self.allow });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.refuse_emergency(&calls::RefuseEmergency { signed }).await?)
    }
}
