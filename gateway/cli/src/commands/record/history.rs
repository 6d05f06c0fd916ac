use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail record history 41… --identity north/ada")]
pub(crate) struct History {
    /// The record.
    record: RecordId,
}

impl History {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.rows(&session.records.record_history(self.record).await?)?;
        Ok(Exit::Done)
    }
}
