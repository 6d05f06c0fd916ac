//! What a consent says, from flags or from a file: the one builder of every command that makes a provision.

use std::path::PathBuf;

use anyhow::Context as _;
use caretrail_model::calls::GetPolicy;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::ids::{MspId, PatientId, RecordId};
use caretrail_model::label::Label;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::Operation;
use caretrail_model::tag::TagSet;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use clap::Args;

use crate::app::{App, Session};
use crate::arguments;
use crate::failure::Invalid;

mod exception;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use scope::{ScopeParts, merged, read_tag_set};

/// Whom a consent names, what it lets them do or not do, with which records, what for and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is decided")]
pub(crate) struct ProvisionArgs {
    /// Whom it names: `MSP`, `MSP/ROLE`, `MSP/SUBJECT`, or `ORGANISATION/NAME` of an identity in the state folder.
    #[arg(long, value_name = "GRANTEE")]
    to: Option<String>,
    /// Denies instead of permitting; a denial beats every permit.
    #[arg(long)]
    deny: bool,
    /// For which purpose; may be given more than once.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    purposes: Vec<Purpose>,
    /// To do what: `read`, `write`, `delegate`; may be given more than once.
    #[arg(long = "action", value_name = "ACTION", value_parser = arguments::action, default_value = "read")]
    actions: Vec<Action>,
    /// For which record; may be given more than once. All records when no record, label or custodian is named.
    #[arg(long = "record", value_name = "RECORD", conflicts_with_all = ["custodian", "labels", "tags"])]
    records: Vec<RecordId>,
    /// For the records that this hospital keeps; with --label, whose labels they are.
    #[arg(long, value_name = "MSP")]
    custodian: Option<MspId>,
    /// For the records with this label, of the identity's own hospital; may be given more than once. It is blinded here.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// For the records with the labels that another hospital blinded: what its `caretrail label blind` printed. May be
    /// given once a hospital.
    #[arg(long, value_name = "FILE")]
    tags: Vec<PathBuf>,
    /// When it begins, as RFC 3339 or Unix milliseconds; now when absent.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    from: Option<UnixMs>,
    /// When it ends.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant, conflicts_with = "lasting")]
    until: Option<UnixMs>,
    /// How long it holds, from its begin.
    #[arg(long = "for", value_name = "TIME", value_parser = arguments::duration, default_value = "30d")]
    lasting: DurationMs,
    /// What it does not apply to, as `KEY=VALUE,…` of `to`, `action`, `purpose`, `record`, `custodian`, `label`, `tags`,
    /// `from`, `until`, such as `purpose=CLINTRCH` or `to=SouthMSP/clinician,label=PSY`. A key may be repeated; all that
    /// is named has to fit. May be given up to eight times.
    #[arg(long = "except", value_name = "WHAT")]
    exceptions: Vec<String>,
    /// A file with the whole provision, JSON as in FORMATS.md, in place of the other options.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "to", "deny", "purposes", "actions", "records", "custodian", "labels", "tags", "from", "until", "lasting",
            "exceptions"
        ]
    )]
    provision: Option<PathBuf>,
}

/// The flags of a provision, for commands that take something else in its place.
pub(crate) const FLAGS: [&str; 13] = [
    "to",
    "deny",
    "purposes",
    "actions",
    "records",
    "custodian",
    "labels",
    "tags",
    "from",
    "until",
    "lasting",
    "exceptions",
    "provision",
];

/// What flags are read with.
pub(crate) struct Surroundings<'a> {
    /// When it begins unless a flag says otherwise.
    pub(crate) now: UnixMs,
    /// Finds whom a text names.
    pub(crate) named: &'a dyn Fn(&str) -> anyhow::Result<Grantee>,
    /// Blinds labels of a custodian; of the own hospital when none is named.
    pub(crate) blind: &'a Blind<'a>,
}

/// Blinds labels of a custodian.
pub(crate) type Blind<'a> = dyn Fn(Option<&MspId>, &[Label]) -> anyhow::Result<TagSet> + 'a;

impl ProvisionArgs {
    /// The provision, for one patient, with the labels blinded by the hospital of the session; checked against the
    /// consortium's policy in force.
    pub(crate) async fn read(
        self,
        app: &App,
        session: &Session,
        patient: &PatientId,
    ) -> anyhow::Result<Provision> {
        let blind = |custodian: Option<&MspId>, labels: &[Label]| session.blind(custodian, patient, labels);
        let surroundings =
            Surroundings { now: arguments::now()?, named: &|text| named(app, text), blind: &blind };
        let provision = self.provision(&surroundings)?;
        let policy = session.records.policy(&GetPolicy {}).await?;
        provision.validate(policy.durations.consent_ms_max).map_err(|error| Invalid(error.to_string()))?;
        Ok(provision)
    }

    /// The provision, unchecked.
    pub(crate) fn provision(self, surroundings: &Surroundings<'_>) -> anyhow::Result<Provision> {
        if let Some(file) = self.provision {
            return read_provision(&file);
        }
        let Some(to) = &self.to else {
            return Err(Invalid("say whom it names with --to, or give a whole --provision".to_owned()).into());
        };
        let parts = ScopeParts {
            records: self.records,
            custodian: self.custodian,
            labels: self.labels,
            tags: self.tags,
        };
        let from = self.from.unwrap_or(surroundings.now);
        let period = Period { from, until: self.until.unwrap_or_else(|| from.plus(self.lasting)) };
        let mut exceptions = Vec::with_capacity(self.exceptions.len());
        for text in &self.exceptions {
            exceptions.push(exception::read(text, &period, surroundings)?);
        }
        Ok(Provision {
            effect: if self.deny { Effect::Deny } else { Effect::Permit },
            grantee: (surroundings.named)(to)?,
            actions: in_order(self.actions),
            purposes: in_order(self.purposes),
            scope: parts.scope(surroundings)?.unwrap_or(Scope::All {}),
            period,
            exceptions,
        })
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

/// Each once, ascending, as statements want their lists.
pub(crate) fn in_order<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

/// A provision in a file: by itself, or as the body of a grant.
fn read_provision(file: &std::path::Path) -> anyhow::Result<Provision> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    let read = |body: &str| match Operation::from_body("grant_consent", body) {
        Some(Operation::GrantConsent(grant)) => Some(grant.provision),
        _ => None,
    };
    read(&text).or_else(|| read(&format!("{{\"provision\":{text}}}"))).ok_or_else(|| {
        let file = file.display();
        Invalid(format!("`{file}` holds no provision: compare it with FORMATS.md, or use --to and the like"))
            .into()
    })
}
