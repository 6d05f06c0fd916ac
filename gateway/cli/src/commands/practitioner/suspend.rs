use caretrail_model::calls::SuspendPractitioner;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail practitioner suspend north/ada --identity north/admin")]
pub(crate) struct Suspend {
    /// The practitioner: a subject, or `ORGANISATION/NAME`.
    practitioner: String,
}

impl Suspend {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let subject = super::subject(app, &self.practitioner, &session.records.actor().msp_id)?;
        app.committed(&session.records.suspend_practitioner(&SuspendPractitioner { subject }).await?)
    }
}
