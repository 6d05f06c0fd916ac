use caretrail_model::ids::PatientId;
use caretrail_records::workflows::RecordLabels;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For staff of the hospital: nobody else can name them. A record is comparable when its labels were blinded with the \
                        patient's newest key; consents by label count any other as the more private case.\n\n\
                        Example:\n  caretrail label list --patient 5d… --identity north/ada"
)]
pub(crate) struct List {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

#[derive(Debug, Serialize)]
struct Row {
    record: String,
    /// Nothing when nobody named them, or when they were blinded with a key that this hospital does not have.
    labels: Option<Vec<String>>,
    epoch: Option<u32>,
    comparable: bool,
}

impl List {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let custody = session.custody()?;
        let labelled = session.records.patient_labels(&custody, &self.patient).await?;
        let rows: Vec<_> = labelled.iter().map(Row::of).collect();
        app.printer.rows(&rows)?;
        Ok(Exit::Done)
    }
}

impl Row {
    fn of(labelled: &RecordLabels) -> Self {
        let texts = |labels: &Vec<caretrail_model::label::Label>| {
            labels.iter().map(|label| label.as_str().to_owned()).collect()
        };
        Self {
            record: labelled.record.to_string(),
            labels: labelled.labels.as_ref().map(texts),
            epoch: labelled.epoch,
            comparable: labelled.comparable,
        }
    }
}
