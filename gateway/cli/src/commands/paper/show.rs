use caretrail_model::calls::GetPaper;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail paper show 9a… --patient 5d… --identity south/service")]
pub(crate) struct Show {
    /// The act on paper.
    id: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.paper(&GetPaper { patient: self.patient, id: self.id }).await?)?;
        Ok(Exit::Done)
    }
}
