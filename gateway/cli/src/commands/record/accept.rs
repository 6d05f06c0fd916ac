use caretrail_model::ids::{PatientId, RecordId};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;
use crate::labels::LabelArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The labels of the hospital before are void: name them anew, or every consent by label counts the record as the \
                        more private case. The document does not come with custody: `caretrail record fetch` it before, by the \
                        patient's consent, and `caretrail record amend` the record with it afterwards, so that this hospital \
                        can release it. Versions before that stay committed, and are released by nobody any more.\n\n\
                        Example:\n  caretrail record accept 41… --patient 5d… --label HIV --identity south/service"
)]
pub(crate) struct Accept {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    #[command(flatten)]
    labels: LabelArgs,
}

impl Accept {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let labels = self.labels.named()?;
        let session = app.session().await?;
        let custody = session.custody()?;
        let accepted =
            session.records.accept_custody(&custody, self.patient, self.record, labels.as_deref()).await?;
        app.printer
            .say("the document does not come with custody: `caretrail record amend` it here, to release it");
        app.committed(&accepted)
    }
}
