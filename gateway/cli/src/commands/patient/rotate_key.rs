use std::path::PathBuf;

use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::statement::NewKey;
use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The old key signs; from then on it says nothing any more. What it signed stands.\n\nExample:\n  caretrail patient rotate-key --patient 5d… --key old.pem --new-key new.pem --identity south/service"
)]
pub(crate) struct RotateKey {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The new key's file.
    #[arg(long, value_name = "FILE")]
    new_key: PathBuf,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl RotateKey {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let new = PatientKey::load(&self.new_key)?;
        let operation = Operation::RotateKey(NewKey { public_key: new.public_key().clone() });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.rotate_key(&calls::RotateKey { signed }).await?)
    }
}
