use caretrail_model::ids::PatientId;
use caretrail_model::paper::PaperAct;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail paper stop --patient 5d… --identity north/service")]
pub(crate) struct Stop {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Lifts the stop, which waits for another hospital.
    #[arg(long)]
    lift: bool,
}

impl Stop {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let act = PaperAct::StopAll { stopped: !self.lift };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
