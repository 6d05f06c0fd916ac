use caretrail_model::calls::GetDecision;
use caretrail_model::ids::{PatientId, TxId};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail access show 8c… --patient 5d… --identity north/auditor")]
pub(crate) struct Show {
    /// The transaction that decided.
    decision: TxId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let call = GetDecision { patient: self.patient, decision: self.decision };
        app.printer.data(&session.records.evaluate(&call).await?)?;
        Ok(Exit::Done)
    }
}
