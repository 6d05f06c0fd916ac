use std::path::PathBuf;

use caretrail_model::calls::PreviewConsent;
use caretrail_model::ids::{KeyId, PatientId, RecordId, StatementId};
use caretrail_model::statement::{Grant, Operation, Statement};
use caretrail_model::time::UnixMs;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};
use crate::provision::{FLAGS, ProvisionArgs, in_order};

#[derive(Debug, Args)]
#[command(
    after_help = "Says whose decisions the draft would change, before it is signed: a prepared statement, the same flags as \
                        for `consent grant`, or the consent that would be ended. For every action and purpose it tells the rule \
                        before and after, and until when consents permit it.\n\n\
                        Examples:\n  caretrail consent preview grant.json --on 41… --actor south/ben --identity north/service\n  \
                        caretrail consent preview --patient 5d… --to SouthMSP --except purpose=HRESCH --on 41… \\\n    \
                        --actor south/ben --identity north/service\n  \
                        caretrail consent preview --patient 5d… --signer 4b… --to south/ben --for 90d --on 41… \\\n    \
                        --actor south/ben --identity north/service\n  \
                        caretrail consent preview --patient 5d… --ends 9a… --on 41… --actor south/ben --identity north/service"
)]
pub(crate) struct Preview {
    /// The prepared statement of a grant or an ending, or a signed one; as of the key that it names.
    #[arg(conflicts_with_all = FLAGS, conflicts_with_all = ["patient", "supersedes", "ends", "signer"])]
    file: Option<PathBuf>,
    /// The patient, of a draft in flags.
    #[arg(long, required_unless_present = "file")]
    patient: Option<PatientId>,
    /// The live consent that a draft in flags replaces.
    #[arg(long, value_name = "CONSENT")]
    supersedes: Option<StatementId>,
    /// In place of a draft, the live consent that would be ended.
    #[arg(long, value_name = "CONSENT", conflicts_with_all = FLAGS, conflicts_with = "supersedes")]
    ends: Option<StatementId>,
    /// Id of the key that would sign, such as a guardian's; the patient's when absent.
    #[arg(long, value_name = "KEY")]
    signer: Option<KeyId>,
    /// At this instant; now when absent. A draft that begins later changes nothing before.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    at: Option<UnixMs>,
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
        let (patient, signer, draft, ends) = match (prepared, self.patient) {
            (Some(Statement { patient, key, operation, .. }), _) => match operation {
                Operation::GrantConsent(draft) => (patient, Some(key), Some(draft), None),
                Operation::EndConsent(ending) => (patient, Some(key), None, Some(ending.consent)),
                _ => {
                    let problem =
                        "the statement neither grants nor ends a consent: nothing of it can be previewed";
                    return Err(Invalid(problem.to_owned()).into());
                }
            },
            (None, Some(patient)) if self.ends.is_some() => (patient, self.signer, None, self.ends),
            (None, Some(patient)) => {
                let provision = self.provision.read(app, &session, &patient).await?;
                (patient, self.signer, Some(Grant { provision, supersedes: self.supersedes }), None)
            }
            (None, None) => return Err(Invalid("name a prepared statement or a patient".to_owned()).into()),
        };
        let records = in_order(self.records_decided);
        let call = PreviewConsent { patient, draft, ends, signer, at: self.at, actors, records };
        app.printer.data(&session.records.preview_consent(&call).await?)?;
        Ok(Exit::Done)
    }
}
