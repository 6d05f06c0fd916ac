use std::path::PathBuf;

use caretrail_model::ids::RecordId;
use caretrail_records::document::{Document, MediaType};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::labels::LabelArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Earlier versions stay, and can be verified. Without labels the record keeps those that it has.\n\n\
                        Example:\n  caretrail record amend 41… bundle-2.json --identity north/ada"
)]
pub(crate) struct Amend {
    /// The record.
    record: RecordId,
    /// The document, 1 byte to 64 MiB.
    file: PathBuf,
    /// Its media type, which is sealed with it [default: by the file's extension].
    #[arg(long, value_name = "TYPE")]
    media_type: Option<MediaType>,
    /// A record of the same patient that it was made from; may be given up to eight times.
    #[arg(long, value_name = "RECORD")]
    derived_from: Vec<RecordId>,
    #[command(flatten)]
    labels: LabelArgs,
}

impl Amend {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let document = Document::open(&self.file, self.media_type)?.derived_from(self.derived_from);
        let document = self.labels.on(document)?;
        let session = app.session().await?;
        let custody = session.custody()?;
        app.committed(&session.records.amend_record(&custody, self.record, document).await?)
    }
}
