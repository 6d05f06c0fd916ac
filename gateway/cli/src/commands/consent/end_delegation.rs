use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail consent end-delegation 9a… --patient 5d… --identity south/ben")]
pub(crate) struct EndDelegation {
    /// The permit that was passed on.
    consent: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl EndDelegation {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .end_delegation(&calls::EndDelegation { patient: self.patient, consent: self.consent })
                .await?,
        )
    }
}
