use caretrail_model::calls::GetSigner;
use caretrail_model::ids::KeyId;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "A key that speaks or spoke for the patient: what it signed can be verified with it.\n\nExample:\n  caretrail patient signer 5d… 4b… --identity south/service"
)]
pub(crate) struct Signer {
    /// The patient.
    patient: PatientId,
    /// The key.
    key: KeyId,
}

impl Signer {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        app.printer
            .data(&session.records.signer(&GetSigner { patient: self.patient, key: self.key }).await?)?;
        Ok(Exit::Done)
    }
}
