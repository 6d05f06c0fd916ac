use std::path::PathBuf;

use caretrail_model::calls::EndGuardian;
use caretrail_model::ids::KeyId;
use caretrail_model::ids::PatientId;
use caretrail_model::statement::GuardianEnd;
use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail guardian end 4b… --patient 5d… --key patient.pem --identity south/service"
)]
pub(crate) struct End {
    /// The guardian's key id.
    guardian: KeyId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The key file of the patient, or of that guardian.
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
        let operation = Operation::EndGuardian(GuardianEnd { guardian: self.guardian });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.end_guardian(&EndGuardian { signed }).await?)
    }
}
