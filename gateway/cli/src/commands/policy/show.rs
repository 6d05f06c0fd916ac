use caretrail_model::calls::GetPolicy;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail policy show --identity north/admin --format json")]
pub(crate) struct Show {}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(&session.records.policy(&GetPolicy {}).await?)?;
        Ok(Exit::Done)
    }
}
