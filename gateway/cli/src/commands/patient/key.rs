use std::path::PathBuf;

use caretrail_model::statement::PublicKey;
use caretrail_records::patient_key::PatientKey;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Whoever holds the file decides for the patient: keep it with the patient, not with the hospital. A file \
                        that is there is never overwritten.\n\nExample:\n  caretrail patient key patient.pem"
)]
pub(crate) struct Key {
    /// The new file: PKCS#8 PEM, readable by its owner only.
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Made {
    file: PathBuf,
    key: String,
    public_key: PublicKey,
}

impl Key {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::generate(&self.file)?;
        let public_key = key.public_key().clone();
        app.printer.data(&Made { key: public_key.id().to_string(), public_key, file: self.file })?;
        Ok(Exit::Done)
    }
}
