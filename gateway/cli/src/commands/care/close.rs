use caretrail_model::calls::CloseRelationship;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail care close --patient 5d… --clinician south/ben --identity south/service"
)]
pub(crate) struct Close {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The clinician: a subject, or `ORGANISATION/NAME`; every clinician of the hospital when absent.
    #[arg(long, value_name = "CLINICIAN")]
    clinician: Option<String>,
}

impl Close {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let subject = match &self.clinician {
            Some(clinician) => {
                Some(crate::commands::practitioner::subject(app, clinician, &session.records.actor().msp_id)?)
            }
            None => None,
        };
        let call = CloseRelationship { patient: self.patient, subject };
        app.committed(&session.records.close_relationship(&call).await?)
    }
}
