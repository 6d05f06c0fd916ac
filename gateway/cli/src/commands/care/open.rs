use caretrail_model::calls::OpenRelationship;
use caretrail_model::ids::PatientId;
use caretrail_model::time::DurationMs;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "States that the patient is being treated at the own hospital; it ends by itself.\n\nExample:\n  caretrail care open --patient 5d… --clinician south/ben --for 30d --identity south/service"
)]
pub(crate) struct Open {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The clinician: a subject, or `ORGANISATION/NAME`; every clinician of the hospital when absent.
    #[arg(long, value_name = "CLINICIAN")]
    clinician: Option<String>,
    /// How long it holds.
    #[arg(long = "for", value_name = "TIME", value_parser = arguments::duration, default_value = "30d")]
    lasting: DurationMs,
}

impl Open {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let subject = match &self.clinician {
            Some(clinician) => {
                Some(crate::commands::practitioner::subject(app, clinician, &session.records.actor().msp_id)?)
            }
            None => None,
        };
        let until = arguments::now()?.plus(self.lasting);
        let call = OpenRelationship { patient: self.patient, subject, until };
        app.committed(&session.records.open_relationship(&call).await?)
    }
}
