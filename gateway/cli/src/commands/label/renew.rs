use caretrail_model::ids::{PatientId, RecordId};
use clap::Args;
use serde::Serialize;

use crate::app::{App, make_private};
use crate::failure::{Exit, Invalid};
use crate::labels::LabelArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The document stays the same; it is sealed once more as the next version, with its labels blinded by the patient's \
                        newest key. With a patient, every record whose labels are known and old.\n\n\
                        Examples:\n  caretrail label renew --patient 5d… --identity north/ada\n  \
                        caretrail label renew --record 41… --label HIV --label PSY --identity north/ada"
)]
pub(crate) struct Renew {
    /// Every record of this patient that needs it.
    #[arg(long, conflicts_with_all = ["record", "labels", "no_labels"])]
    patient: Option<PatientId>,
    /// One record, whose labels may be named anew.
    #[arg(long, required_unless_present = "patient")]
    record: Option<RecordId>,
    #[command(flatten)]
    labels: LabelArgs,
}

#[derive(Debug, Serialize)]
struct Row {
    record: String,
    version: u64,
    tx_id: String,
    block: u64,
}

impl Renew {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let labels = self.labels.named()?;
        let session = app.session().await?;
        let custody = session.custody()?;
        let records = match (self.record, self.patient) {
            (Some(record), _) => vec![record],
            (None, Some(patient)) => {
                let labelled = session.records.patient_labels(&custody, &patient).await?;
                let stale = |one: &&caretrail_records::workflows::RecordLabels| {
                    !one.comparable && one.labels.is_some()
                };
                labelled.iter().filter(stale).map(|one| one.record).collect()
            }
            (None, None) => return Err(Invalid("name a patient or a record".to_owned()).into()),
        };
        let folder = session.data.join("opened");
        make_private(&folder)?;
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let renewed = session.records.relabel_record(&custody, record, labels.clone(), &folder).await?;
            rows.push(Row {
                record: record.to_string(),
                version: renewed.reply.version,
                tx_id: renewed.tx_id.to_string(),
                block: renewed.block,
            });
        }
        app.printer.rows(&rows)?;
        Ok(Exit::Done)
    }
}
