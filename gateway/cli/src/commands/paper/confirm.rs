use caretrail_model::calls::ConfirmPaper;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For another hospital than the home: see the patient, and the paper, before you confirm.\n\nExample:\n  caretrail paper confirm 9a… --patient 5d… --identity south/service"
)]
pub(crate) struct Confirm {
    /// What waits.
    id: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Confirm {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session.records.confirm_paper(&ConfirmPaper { patient: self.patient, id: self.id }).await?,
        )
    }
}
