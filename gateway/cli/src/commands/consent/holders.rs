use caretrail_model::calls::WhoCanSee;
use caretrail_model::ids::RecordId;
use caretrail_model::time::UnixMs;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail consent holders 41… --at 2030-01-01T00:00:00Z --identity north/service"
)]
pub(crate) struct Holders {
    /// The record.
    record: RecordId,
    /// At this instant; now when absent.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    at: Option<UnixMs>,
}

impl Holders {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let call = WhoCanSee { record: self.record, at: self.at };
        app.printer.data(&session.records.who_can_see(&call).await?)?;
        Ok(Exit::Done)
    }
}
