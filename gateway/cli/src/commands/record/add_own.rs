use std::path::PathBuf;

use caretrail_model::ids::PatientId;
use caretrail_model::time::DurationMs;
use caretrail_records::document::Document;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The patient signs it; the hospital of the identity keeps it.\n\nExample:\n  caretrail record add-own diary.pdf --patient 5d… --key patient.pem --identity north/service"
)]
pub(crate) struct AddOwn {
    /// The document, 1 byte to 64 MiB.
    file: PathBuf,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl AddOwn {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let document = Document::open(&self.file, None)?;
        let session = app.session().await?;
        let custody = session.custody()?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let added = session.records.add_own_record(&custody, &key, self.patient, document, submit_by).await?;
        app.committed(&added)
    }
}
