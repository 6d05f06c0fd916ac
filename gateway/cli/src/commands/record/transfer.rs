use caretrail_model::calls::TransferCustody;
use caretrail_model::ids::MspId;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Custody passes once the other hospital accepts it, with `caretrail record accept`. The document does not go \
                        with it: have a clinician there fetch it first, by the patient's consent. Once custody has passed, \
                        this hospital releases it no more.\n\nExample:\n  caretrail record transfer 41… --patient 5d… --to SouthMSP --identity north/service"
)]
pub(crate) struct Transfer {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// To which hospital; takes the offer back when absent.
    #[arg(long, value_name = "MSP")]
    to: Option<MspId>,
}

impl Transfer {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .transfer_custody(&TransferCustody {
                    patient: self.patient,
                    record: self.record,
                    to: self.to,
                })
                .await?,
        )
    }
}
