use std::path::PathBuf;

use caretrail_model::calls::GetStatement;
use caretrail_model::ids::{PatientId, StatementId};
use caretrail_records::statements::{self, Naming, plain_words_naming};
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};
use crate::printer::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "Read it before you sign: it says in words what the text decides. With an identity of the hospital \
                        that blinded them, labels are named; elsewhere they are shown blinded.\n\n\
                        Examples:\n  caretrail consent show statement.json\n  \
                        caretrail consent show statement.json --identity north/service\n  \
                        caretrail consent show --carried 9a… --patient 5d… --identity north/auditor"
)]
pub(crate) struct Show {
    /// A prepared or a signed statement.
    #[arg(required_unless_present = "carried")]
    file: Option<PathBuf>,
    /// A statement that is on the channel, such as a live consent; for a service or an auditor.
    #[arg(long, value_name = "STATEMENT", conflicts_with = "file", requires = "patient")]
    carried: Option<StatementId>,
    /// Whose statement that is.
    #[arg(long, requires = "carried")]
    patient: Option<PatientId>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    patient: String,
    operation: &'static str,
    words: Vec<String>,
    /// What an authenticator signs: SHA-256 of the text, base64url.
    challenge: String,
    carrier: Option<String>,
    tx_id: Option<String>,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let (text, carrier, tx_id) = match (&self.file, self.carried, self.patient) {
            (Some(file), ..) => (super::prepare::read_text(file)?, None, None),
            (None, Some(statement), Some(patient)) => {
                let session = app.session().await?;
                let carried = session.records.statement(&GetStatement { patient, statement }).await?;
                let carrier = carried.carrier.to_string();
                (carried.signed.statement, Some(carrier), Some(carried.tx_id.to_string()))
            }
            _ => return Err(Invalid("name a file, or --carried and --patient".to_owned()).into()),
        };
        let statement = statements::read(&text).map_err(|error| Invalid(error.to_string()))?;
        let store = app.own_store()?;
        let label = |set: &caretrail_model::tag::TagSet, tag: &caretrail_model::ids::Tag| {
            let (own, store) = store.as_ref()?;
            let known = set.custodian == *own;
            // A store that cannot be read names nothing: the blinded tag is shown, which is as true.
            let label = known.then(|| store.label(&statement.patient, set.epoch, tag).ok().flatten());
            label.flatten().map(|label| label.as_str().to_owned())
        };
        let words = plain_words_naming(&statement, &Naming { instant: &arguments::shown, label: &label });
        match app.printer.format {
            Format::Table => app.printer.text(&(words.join("\n") + "\n"))?,
            Format::Json => app.printer.data(&Shown {
                id: statement.id.to_string(),
                patient: statement.patient.to_string(),
                operation: statement.operation.name(),
                words,
                challenge: statements::challenge(&text),
                carrier,
                tx_id,
            })?,
        }
        Ok(Exit::Done)
    }
}
