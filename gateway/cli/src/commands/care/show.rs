use caretrail_model::calls::GetRelationship;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail care show --patient 5d… --clinician south/ben --identity south/service"
)]
pub(crate) struct Show {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The clinician: a subject, or `ORGANISATION/NAME`; every clinician of the hospital when absent.
    #[arg(long, value_name = "CLINICIAN")]
    clinician: Option<String>,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let subject = match &self.clinician {
            Some(clinician) => {
                Some(crate::commands::practitioner::subject(app, clinician, &session.records.actor().msp_id)?)
            }
            None => None,
        };
        let msp_id = session.records.actor().msp_id.clone();
        let call = GetRelationship { patient: self.patient, msp_id, subject };
        app.printer.data(&session.records.relationship(&call).await?)?;
        Ok(Exit::Done)
    }
}
