use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For a patient who has no key: permits need a second hospital, end within the policy's limit, and are flagged.\n\nExample:\n  caretrail patient register-paper --number 4711 --identity north/service"
)]
pub(crate) struct RegisterPaper {
    /// The hospital's own number of the patient.
    #[arg(long)]
    number: String,
}

impl RegisterPaper {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let custody = session.custody()?;
        app.committed(&session.records.register_paper_patient(&custody, &self.number).await?)
    }
}
