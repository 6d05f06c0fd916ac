use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For another hospital than the home: see the patient before you confirm.\n\nExample:\n  caretrail patient confirm-recovery 5d… 9a… --identity south/service"
)]
pub(crate) struct ConfirmRecovery {
    /// The patient.
    patient: PatientId,
    /// The recovery: the statement of the new key.
    recovery: StatementId,
}

impl ConfirmRecovery {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .confirm_recovery(&calls::ConfirmRecovery { patient: self.patient, recovery: self.recovery })
                .await?,
        )
    }
}
