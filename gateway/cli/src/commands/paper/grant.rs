use caretrail_model::ids::PatientId;
use caretrail_model::paper::PaperAct;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::provision::ProvisionArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "A permit waits until another hospital confirms it: `caretrail paper confirm`. A denial works at once.\n\n\
                        Example:\n  caretrail paper grant --patient 5d… --to SouthMSP/clinician --for 30d --identity north/service"
)]
pub(crate) struct Grant {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    #[command(flatten)]
    provision: ProvisionArgs,
}

impl Grant {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let provision = self.provision.read(app, &session, &self.patient).await?;
        let act = PaperAct::Grant { provision };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
