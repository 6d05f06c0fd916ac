use std::path::PathBuf;

use caretrail_model::ids::PatientId;
use caretrail_records::document::Document;
use caretrail_records::document::MediaType;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::labels::LabelArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "All of them are added in one transaction, or none; all with the same labels.\n\nExample:\n  caretrail record add-all a.json b.json --patient 5d… --identity north/ada"
)]
pub(crate) struct AddAll {
    /// The documents, up to 100, each 1 byte to 64 MiB.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Their media type [default: by each file's extension].
    #[arg(long, value_name = "TYPE")]
    media_type: Option<MediaType>,
    #[command(flatten)]
    labels: LabelArgs,
}

impl AddAll {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let mut documents = Vec::with_capacity(self.files.len());
        for file in &self.files {
            documents.push(self.labels.on(Document::open(file, self.media_type.clone())?)?);
        }
        let session = app.session().await?;
        let custody = session.custody()?;
        app.committed(&session.records.add_records(&custody, self.patient, documents).await?)
    }
}
