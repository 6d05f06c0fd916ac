use caretrail_model::calls::{GetDecision, GetDisclosure};
use caretrail_model::ids::{PatientId, RecordId, TxId};
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "With a record, the disclosure of that record under the decision: what was really released.\n\n\
                        Examples:\n  caretrail access show 8c… --patient 5d… --identity north/auditor\n  \
                        caretrail access show 8c… --patient 5d… --disclosure-of 41… --identity north/auditor"
)]
pub(crate) struct Show {
    /// The transaction that decided.
    decision: TxId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Shows the disclosure of this record under the decision.
    #[arg(long, value_name = "RECORD")]
    disclosure_of: Option<RecordId>,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let (patient, decision) = (self.patient, self.decision);
        match self.disclosure_of {
            Some(record) => {
                let call = GetDisclosure { patient, decision, record };
                app.printer.data(&session.records.disclosure(&call).await?)?;
            }
            None => {
                let call = GetDecision { patient, decision };
                app.printer.data(&session.records.decision(&call).await?)?;
            }
        }
        Ok(Exit::Done)
    }
}
