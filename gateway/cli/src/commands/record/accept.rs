use caretrail_model::calls::AcceptCustody;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail record accept 41… --patient 5d… --identity south/service")]
pub(crate) struct Accept {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Accept {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .submit(&AcceptCustody { patient: self.patient, record: self.record, tags: None })
                .await?,
        )
    }
}
