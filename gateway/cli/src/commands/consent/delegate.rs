use caretrail_model::ids::{PatientId, StatementId};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::provision::ProvisionArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "It has to be narrower than the permit in every dimension, and ends with it. The permit has to name the \
                        identity as a person, with the action `delegate`.\n\n\
                        Example:\n  caretrail consent delegate 9a… --patient 5d… --to south/eve --for 1d --identity south/ben"
)]
pub(crate) struct Delegate {
    /// The permit that is passed on.
    parent: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    #[command(flatten)]
    provision: ProvisionArgs,
}

impl Delegate {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let provision = self.provision.read(app, &session, &self.patient).await?;
        app.committed(&session.records.delegate(self.patient, self.parent, provision).await?)
    }
}
