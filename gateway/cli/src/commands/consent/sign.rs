use std::path::PathBuf;

use anyhow::Context as _;
use caretrail_records::patient_key::PatientKey;
use caretrail_records::statements::Assertion;
use clap::Args;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "With a passkey, the browser signs the SHA-256 of the text as its challenge; --assertion takes what it gives: \
                        authenticatorData, clientDataJSON and signature, base64url.\n\n\
                        Example:\n  caretrail consent sign statement.json --key patient.pem > signed.json"
)]
pub(crate) struct Sign {
    /// The prepared statement.
    file: PathBuf,
    /// The key file of the patient, or of a guardian.
    #[arg(long, value_name = "FILE", required_unless_present = "assertion")]
    key: Option<PathBuf>,
    /// A file with a passkey's assertion, JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    assertion: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let text = super::prepare::read_text(&self.file)?;
        super::prepare::read_statement(&self.file)?;
        let signed = match (&self.key, &self.assertion) {
            (Some(key), _) => {
                PatientKey::load(key)?.sign_text(&text).map_err(|error| Invalid(error.to_string()))?
            }
            (None, Some(file)) => {
                let json = std::fs::read_to_string(file)
                    .with_context(|| format!("`{}` cannot be read", file.display()))?;
                let assertion: Assertion = serde_json::from_str(&json)
                    .map_err(|error| Invalid(format!("`{}` is no assertion: {error}", file.display())))?;
                assertion.prove(text).map_err(|error| Invalid(error.to_string()))?
            }
            (None, None) => return Err(Invalid("name a key file or an assertion".to_owned()).into()),
        };
        app.printer.text(&(serde_json::to_string(&signed)? + "\n"))?;
        Ok(Exit::Done)
    }
}
