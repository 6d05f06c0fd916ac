use caretrail_model::calls::GetRecovery;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail patient recovery 5d… --identity north/service")]
pub(crate) struct Recovery {
    /// The patient.
    patient: PatientId,
}

impl Recovery {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.recovery(&GetRecovery { patient: self.patient }).await?)?;
        Ok(Exit::Done)
    }
}
