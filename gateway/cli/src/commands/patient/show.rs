use caretrail_model::calls::GetPatient;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail patient show 5d… --identity north/service")]
pub(crate) struct Show {
    /// The patient.
    patient: PatientId,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.patient(&GetPatient { patient: self.patient }).await?)?;
        Ok(Exit::Done)
    }
}
