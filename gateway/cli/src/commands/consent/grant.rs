use std::path::PathBuf;

use caretrail_model::calls::GrantConsent;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::ids::{MspId, PatientId, RecordId, StatementId};
use caretrail_model::purpose::Purpose;
use caretrail_model::statement;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "The identity only carries the statement: nobody but the patient's key can sign it.\n\n\
                        Example:\n  caretrail consent grant --patient 5d… --key patient.pem --to SouthMSP/7c… \\\n    \
                        --purpose TREAT --for 30d --identity south/service"
)]
pub(crate) struct Grant {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Whom it names: `MSP`, `MSP/ROLE`, `MSP/SUBJECT`, or `ORGANISATION/NAME` of an identity in the state folder.
    #[arg(long, value_name = "GRANTEE")]
    to: String,
    /// Denies instead of permitting; a denial beats every permit.
    #[arg(long)]
    deny: bool,
    /// For which purpose; may be given more than once.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    purposes: Vec<Purpose>,
    /// To do what: `read`, `write`, `delegate`; may be given more than once.
    #[arg(long = "action", value_name = "ACTION", value_parser = arguments::action, default_value = "read")]
    actions: Vec<Action>,
    /// For which record; may be given more than once. All records when absent.
    #[arg(long = "record", value_name = "RECORD", conflicts_with = "custodian")]
    records: Vec<RecordId>,
    /// For the records that this hospital keeps.
    #[arg(long, value_name = "MSP")]
    custodian: Option<MspId>,
    /// When it begins, as RFC 3339 or Unix milliseconds; now when absent.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    from: Option<UnixMs>,
    /// When it ends.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant, conflicts_with = "lasting")]
    until: Option<UnixMs>,
    /// How long it holds, from its begin.
    #[arg(long = "for", value_name = "TIME", value_parser = arguments::duration, default_value = "30d")]
    lasting: DurationMs,
    /// The live consent that it replaces.
    #[arg(long, value_name = "CONSENT")]
    supersedes: Option<StatementId>,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl Grant {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let now = arguments::now()?;
        let from = self.from.unwrap_or(now);
        let period = Period { from, until: self.until.unwrap_or_else(|| from.plus(self.lasting)) };
        let mut purposes = self.purposes;
        purposes.sort_unstable();
        purposes.dedup();
        let mut actions = self.actions;
        actions.sort_unstable();
        actions.dedup();
        let mut records = self.records;
        records.sort_unstable();
        records.dedup();
        let scope = match self.custodian {
            Some(msp_id) => Scope::Custodian { msp_id },
            None if records.is_empty() => Scope::All {},
            None => Scope::Records { records },
        };
        let provision = Provision {
            effect: if self.deny { Effect::Deny } else { Effect::Permit },
            grantee: named(app, &self.to)?,
            actions,
            purposes,
            scope,
            period,
            exceptions: Vec::new(),
        };
        let session = app.session().await?;
        let policy = session.records.evaluate(&caretrail_model::calls::GetPolicy {}).await?;
        provision.validate(policy.durations.consent_ms_max).map_err(|error| Invalid(error.to_string()))?;
        let grant = statement::Grant { provision, supersedes: self.supersedes };
        let submit_by = now.plus(self.submit_within);
        let signed = key.grant(session.records.ledger(), self.patient, grant, submit_by)?;
        app.committed(&session.records.submit(&GrantConsent { signed }).await?)
    }
}

/// Whom a text names. An identity in the state folder comes first: its organisation may be named like an MSP, and
/// its user like a role.
pub(crate) fn named(app: &App, text: &str) -> anyhow::Result<Grantee> {
    match app.actor_of(text) {
        Ok(actor) => Ok(Grantee::Person { msp_id: actor.msp_id, subject: actor.subject }),
        Err(_) => arguments::grantee(text)
            .map_err(|problem| Invalid(format!("`{text}` names nobody: {problem}")).into()),
    }
}
