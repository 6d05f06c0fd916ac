use caretrail_model::ids::PatientId;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "What it prints as JSON is for another hospital to put into a patient's statement, with --tags FILE. It tells nobody \
                        what the labels say; whoever has it and a record's tags sees whether they meet.\n\n\
                        Example:\n  caretrail label blind --patient 5d… --label HIV --format json --identity south/service > tags.json"
)]
pub(crate) struct Blind {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The label; may be given up to 32 times.
    #[arg(long = "label", value_name = "LABEL", required = true)]
    labels: Vec<String>,
}

impl Blind {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let labels = arguments::labels(&self.labels)?;
        let session = app.session().await?;
        app.printer.data(&session.blind(None, &self.patient, &labels)?)?;
        Ok(Exit::Done)
    }
}
