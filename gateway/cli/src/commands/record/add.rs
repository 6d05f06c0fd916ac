use std::path::PathBuf;

use caretrail_model::ids::{PatientId, RecordId};
use caretrail_records::document::{Document, MediaType};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::labels::LabelArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The document is sealed with a fresh secret and stays in the hospital's vault; the channel gets commitments.\n\n\
                        Examples:\n  caretrail record add bundle.json --patient 5d… --no-labels --identity north/ada\n  \
                        caretrail record add result.pdf --patient 5d… --label HIV --derived-from 41… --identity north/ada"
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
    /// A record of the same patient that it was made from; may be given up to eight times.
    #[arg(long, value_name = "RECORD")]
    derived_from: Vec<RecordId>,
    #[command(flatten)]
    labels: LabelArgs,
}

impl Add {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let document = Document::open(&self.file, self.media_type)?.derived_from(self.derived_from);
        let document = self.labels.on(document)?;
        let session = app.session().await?;
        let custody = session.custody()?;
        app.committed(&session.records.add_record(&custody, self.patient, document).await?)
    }
}
