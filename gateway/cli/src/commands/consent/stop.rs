use std::path::PathBuf;

use caretrail_model::calls::StopAll;
use caretrail_model::ids::PatientId;
use caretrail_model::statement;
use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Every permit stops at once, whatever it says, until the stop is lifted.\n\nExample:\n  caretrail consent stop --patient 5d… --key patient.pem --identity south/service"
)]
pub(crate) struct Stop {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The key file of the patient, or of a guardian.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Lifts the stop.
    #[arg(long)]
    lift: bool,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl Stop {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let operation = Operation::StopAll(statement::Stop { stopped: !self.lift });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.stop_all(&StopAll { signed }).await?)
    }
}
