use caretrail_model::calls::WithdrawRecord;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It stays on record, and is released to nobody.\n\nExample:\n  caretrail record withdraw 41… --patient 5d… --identity north/ada"
)]
pub(crate) struct Withdraw {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Withdraw {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .withdraw_record(&WithdrawRecord { patient: self.patient, record: self.record })
                .await?,
        )
    }
}
