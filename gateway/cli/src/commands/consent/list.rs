use caretrail_model::calls::ListConsents;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail consent list --patient 5d… --identity north/service")]
pub(crate) struct List {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl List {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.list_consents(&ListConsents { patient: self.patient }).await?)?;
        Ok(Exit::Done)
    }
}
