use caretrail_model::calls::GetCorrection;
use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail record correction 41… --number 1 --identity north/service")]
pub(crate) struct Correction {
    /// The record.
    record: RecordId,
    /// The request's number: 1 for the record's first, one more for each that follows.
    #[arg(long, default_value_t = 1)]
    number: u64,
}

impl Correction {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer.data(
            &session.records.correction(&GetCorrection { record: self.record, number: self.number }).await?,
        )?;
        Ok(Exit::Done)
    }
}
