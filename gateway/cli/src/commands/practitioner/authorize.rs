use caretrail_model::calls::AuthorizePractitioner;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail practitioner authorize north/ada --purpose TREAT --for 30d \
                        --identity north/admin")]
pub(crate) struct Authorize {
    /// The practitioner: a subject, or `ORGANISATION/NAME`.
    practitioner: String,
    /// A purpose that the practitioner may claim; may be given more than once.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    purposes: Vec<Purpose>,
    /// The role to act in.
    #[arg(long, default_value = "clinician")]
    role: Role,
    /// How long it holds.
    #[arg(long = "for", value_name = "TIME", default_value = "365d", value_parser = arguments::duration)]
    lasting: DurationMs,
}

impl Authorize {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let mut purposes = self.purposes;
        purposes.sort_unstable();
        purposes.dedup();
        let until = arguments::now()?.plus(self.lasting);
        let session = app.session().await?;
        let subject = super::subject(app, &self.practitioner, &session.records.actor().msp_id)?;
        let call = AuthorizePractitioner { subject, role: self.role, purposes, until };
        app.committed(&session.records.authorize_practitioner(&call).await?)
    }
}
