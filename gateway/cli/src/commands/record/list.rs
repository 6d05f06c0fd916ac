use caretrail_model::calls::ListRecords;
use caretrail_model::ids::PatientId;
use caretrail_model::limits::PAGE_ENTRIES_MAX;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail record list --patient 5d… --identity north/ada")]
pub(crate) struct List {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

#[derive(Debug, Serialize)]
struct Listed {
    record: String,
}

impl List {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let (mut listed, mut bookmark) = (Vec::new(), String::new());
        loop {
            let call = ListRecords { patient: self.patient, page_entries: PAGE_ENTRIES_MAX, bookmark };
            let page = session.records.list_records(&call).await?;
            listed.extend(page.records.iter().map(|record| Listed { record: record.to_string() }));
            bookmark = page.bookmark;
            if bookmark.is_empty() {
                break;
            }
        }
        app.printer.rows(&listed)?;
        Ok(Exit::Done)
    }
}
