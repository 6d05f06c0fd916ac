use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail patient complete-recovery 5d… 9a… --identity north/service")]
pub(crate) struct CompleteRecovery {
    /// The patient.
    patient: PatientId,
    /// The recovery: the statement of the new key.
    recovery: StatementId,
}

impl CompleteRecovery {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .complete_recovery(&calls::CompleteRecovery {
                    patient: self.patient,
                    recovery: self.recovery,
                })
                .await?,
        )
    }
}
