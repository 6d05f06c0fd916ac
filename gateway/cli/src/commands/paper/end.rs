use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use caretrail_model::paper::PaperAct;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The end of a permit works at once; the end of a denial opens, and waits for another hospital.\n\nExample:\n  caretrail paper end 9a… --patient 5d… --identity north/service"
)]
pub(crate) struct End {
    /// The live consent.
    consent: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl End {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let act = PaperAct::End { consent: self.consent };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
