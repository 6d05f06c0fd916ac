use caretrail_model::ids::KeyId;
use caretrail_model::ids::PatientId;
use caretrail_model::paper::PaperAct;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail paper end-guardian 4b… --patient 5d… --identity north/service")]
pub(crate) struct EndGuardian {
    /// The guardian's key id.
    guardian: KeyId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

impl EndGuardian {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let act = PaperAct::EndGuardian { guardian: self.guardian };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
