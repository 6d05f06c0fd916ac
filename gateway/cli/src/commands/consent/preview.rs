use std::path::PathBuf;

use caretrail_model::calls::PreviewConsent;
use caretrail_model::ids::{PatientId, RecordId, StatementId};
use caretrail_model::statement::{Grant, Operation};
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};
use crate::provision::{FLAGS, ProvisionArgs, in_order};

#[derive(Debug, Args)]
#[command(
    after_help = "Says whose decisions the draft would change, before it is signed: a prepared statement, or the same flags as \
                        for `consent grant`.\n\n\
                        Examples:\n  caretrail consent preview grant.json --on 41… --actor south/ben --identity north/service\n  \
                        caretrail consent preview --patient 5d… --to SouthMSP --except purpose=HRESCH --on 41… \\\n    \
                        --actor south/ben --identity north/service"
)]
pub(crate) struct Preview {
    /// The prepared statement of a grant, or a signed one.
    #[arg(conflicts_with_all = FLAGS, conflicts_with_all = ["patient", "supersedes"])]
    file: Option<PathBuf>,
    /// The patient, of a draft in flags.
    #[arg(long, required_unless_present = "file")]
    patient: Option<PatientId>,
    /// The live consent that a draft in flags replaces.
    #[arg(long, value_name = "CONSENT")]
    supersedes: Option<StatementId>,
    /// Whom to decide for: `MSP/SUBJECT`, or `ORGANISATION/NAME`; may be given up to 20 times.
    #[arg(long = "actor", value_name = "ACTOR", required = true)]
    actors: Vec<String>,
    /// On which record; may be given up to 20 times.
    #[arg(long = "on", value_name = "RECORD", required = true)]
    records_decided: Vec<RecordId>,
    #[command(flatten)]
    provision: ProvisionArgs,
}

impl Preview {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let mut actors = Vec::with_capacity(self.actors.len());
        for actor in &self.actors {
            actors.push(arguments::actor(app, actor)?);
        }
        let prepared = self.file.as_deref().map(super::prepare::read_statement).transpose()?;
        let session = app.session().await?;
        let (patient, draft) = match (prepared, self.patient) {
            (Some(statement), _) => match statement.operation {
                Operation::GrantConsent(draft) => (statement.patient, draft),
                _ => {
                    let problem = "the statement grants nothing that could be previewed";
                    return Err(Invalid(problem.to_owned()).into());
                }
            },
            (None, Some(patient)) => {
                let provision = self.provision.read(app, &session, &patient).await?;
                (patient, Grant { provision, supersedes: self.supersedes })
            }
            (None, None) => return Err(Invalid("name a prepared statement or a patient".to_owned()).into()),
        };
        let call = PreviewConsent { patient, draft, actors, records: in_order(self.records_decided) };
        app.printer.data(&session.records.preview_consent(&call).await?)?;
        Ok(Exit::Done)
    }
}
