use std::path::PathBuf;

use caretrail_model::calls::ReviewBreakGlass;
use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For an auditor of another hospital than the clinician's.\n\nExample:\n  caretrail emergency review --patient 5d… --clinician SouthMSP/7c… --finding finding.txt --identity north/auditor"
)]
pub(crate) struct Review {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Who broke the glass: `MSP/SUBJECT`, or `ORGANISATION/NAME`.
    #[arg(long)]
    clinician: String,
    /// Finds it unjustified, which ends it at once.
    #[arg(long)]
    unjustified: bool,
    /// A file with the finding: its digest goes to the channel, the file stays here.
    #[arg(long, value_name = "FILE")]
    finding: PathBuf,
}

impl Review {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let finding_digest = arguments::digest_of_file(&self.finding)?;
        let clinician = arguments::actor(app, &self.clinician)?;
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .review_break_glass(&ReviewBreakGlass {
                    patient: self.patient,
                    clinician,
                    justified: !self.unjustified,
                    finding_digest,
                })
                .await?,
        )
    }
}
