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
    after_help = "The home hospital opens it, another one confirms it, and the old key may cancel it until it is due.\n\nExample:\n  caretrail patient recover-key --patient 5d… --key new.pem --identity north/service"
)]
pub(crate) struct RecoverKey {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The new key's file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl RecoverKey {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let operation = Operation::RecoverKey(NewKey { public_key: key.public_key().clone() });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.recover_key(&calls::RecoverKey { signed }).await?)
    }
}
