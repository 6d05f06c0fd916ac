use caretrail_model::ids::PatientId;
use caretrail_model::ids::TxId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Decides again on the very facts that were read, and gives every reason. For the auditor of the patient's home.\n\nExample:\n  caretrail access replay 8c… --patient 5d… --identity north/auditor"
)]
pub(crate) struct Replay {
    /// The transaction that decided.
    decision: TxId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Replay {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.reasons(self.patient, self.decision).await?)?;
        Ok(Exit::Done)
    }
}
