use caretrail_model::calls::GetBreakGlass;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail emergency show --patient 5d… --clinician south/ben --identity south/auditor"
)]
pub(crate) struct Show {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Who broke the glass: `MSP/SUBJECT`, or `ORGANISATION/NAME`.
    #[arg(long)]
    clinician: String,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let clinician = arguments::actor(app, &self.clinician)?;
        let session = app.session().await?;
        app.printer.data(
            &session.records.broken_glass(&GetBreakGlass { patient: self.patient, clinician }).await?,
        )?;
        Ok(Exit::Done)
    }
}
