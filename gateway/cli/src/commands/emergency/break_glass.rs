use std::path::PathBuf;

use caretrail_model::calls::BreakGlass;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Opens the patient's records for the purpose BTG, for a short time. It is flagged, and the next one waits for a review.\n\nExample:\n  caretrail emergency break --patient 5d… --reason reason.txt --identity south/ben"
)]
pub(crate) struct BreakGlassNow {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// A file with the reason: its digest goes to the channel, the file stays here.
    #[arg(long, value_name = "FILE")]
    reason: PathBuf,
}

impl BreakGlassNow {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let reason_digest = arguments::digest_of_file(&self.reason)?;
        let session = app.session().await?;
        app.committed(
            &session.records.break_glass(&BreakGlass { patient: self.patient, reason_digest }).await?,
        )
    }
}
