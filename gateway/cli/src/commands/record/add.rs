use std::path::PathBuf;

use caretrail_model::ids::PatientId;
use caretrail_records::document::{Document, MediaType};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The document is sealed with a fresh secret and stays in the hospital's vault; the channel gets commitments.\n\n\
                        Example:\n  caretrail record add bundle.json --patient 5d… --identity north/ada"
)]
pub(crate) struct Add {
    /// The document, 1 byte to 64 MiB.
    file: PathBuf,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Its media type, which is sealed with it [default: by the file's extension].
    #[arg(long, value_name = "TYPE")]
    media_type: Option<MediaType>,
}

impl Add {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let document = Document::open(&self.file, self.media_type)?;
        let session = app.session().await?;
        let custody = session.custody()?;
        app.committed(&session.records.add_record(&custody, self.patient, document).await?)
    }
}
