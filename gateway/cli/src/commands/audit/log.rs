use caretrail_model::audit::Act;
use caretrail_model::decision::Decision;
use caretrail_model::ids::{PatientId, RecordId};
use caretrail_records::workflows::LoggedEntry;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::page::{PageArgs, Placed};
use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "For the auditor of the patient's home hospital. As JSON it is one entry a line.\n\n\
                        Examples:\n  caretrail audit log --patient 5d… --only access --identity north/auditor\n  \
                        caretrail audit log --patient 5d… --limit 500 --after 17.0 --format json --identity north/auditor\n  \
                        caretrail audit log --patient 5d… --first-block 1204 --identity north/auditor   # its peer joined by a snapshot")]
pub(crate) struct Log {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Which acts.
    #[arg(long, value_enum, default_value = "all")]
    only: Only,
    /// This record only.
    #[arg(long)]
    record: Option<RecordId>,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Every act.
    All,
    /// Access decisions and disclosures.
    Access,
    /// Denied access only.
    Denied,
}

/// One act on one record: who, when, what, why, and where that is committed.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) block: Option<u64>,
    pub(crate) position: Option<u32>,
    pub(crate) at: String,
    pub(crate) actor: String,
    pub(crate) role: String,
    pub(crate) act: String,
    pub(crate) record: Option<String>,
    pub(crate) version: Option<u64>,
    pub(crate) purpose: Option<String>,
    pub(crate) effect: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) recipient: Option<String>,
    pub(crate) tx_id: String,
}

impl Log {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let index = self.page.index(&session)?;
        let log = session.records.access_log(&index, self.patient).await?;
        let told = |row: &Row| match self.only {
            Only::All => true,
            Only::Access => matches!(row.act.as_str(), "access_decided" | "disclosed"),
            Only::Denied => row.effect.as_deref() == Some("deny"),
        };
        let rows = log
            .entries
            .iter()
            .flat_map(|logged| Row::of(logged).into_iter().map(move |row| (logged, row)))
            .filter(|(_, row)| told(row))
            .map(|(logged, row)| {
                let record = row.record.as_deref().and_then(|record| record.parse().ok());
                Placed::of(logged, record, row)
            })
            .collect();
        self.page.page(app, &session, &log, self.record.as_ref(), rows).await?.print(app.printer)?;
        Ok(Exit::Done)
    }
}

impl Row {
    /// The rows of an entry: one for each record that was decided about, else one.
    pub(crate) fn of(logged: &LoggedEntry) -> Vec<Self> {
        let entry = &logged.entry;
        let row = || Self {
            block: logged.position.map(|place| place.block),
            position: logged.position.map(|place| place.position),
            at: arguments::shown(entry.at),
            actor: entry.actor.to_string(),
            role: entry.role.to_string(),
            act: entry.act.kind().to_owned(),
            record: None,
            version: None,
            purpose: None,
            effect: None,
            why: None,
            recipient: None,
            tx_id: entry.tx_id.to_string(),
        };
        let of_record =
            |record: &RecordId, version| Self { record: Some(record.to_string()), version, ..row() };
        match &entry.act {
            Act::PatientRegistered { statement } => {
                vec![Self { why: Some(format!("statement {statement}")), ..row() }]
            }
            Act::RecordRegistered { record } => vec![of_record(record, Some(1))],
            Act::RecordAmended { record, version } => vec![of_record(record, Some(*version))],
            Act::ConsentGranted { consent, .. } => {
                vec![Self { why: Some(format!("consent {consent}")), ..row() }]
            }
            Act::ConsentEnded { consent, .. } => {
                vec![Self { why: Some(format!("consent {consent}")), ..row() }]
            }
            Act::AccessDecided(decided) => decided
                .decisions
                .iter()
                .map(|decision| Self {
                    purpose: Some(decided.purpose.to_string()),
                    effect: Some(match decision.effect {
                        caretrail_model::consent::Effect::Permit => "permit".to_owned(),
                        caretrail_model::consent::Effect::Deny => "deny".to_owned(),
                    }),
                    why: Some(why(decision)),
                    ..of_record(&decision.record, decision.version)
                })
                .collect(),
            Act::KeyBound { key } | Act::KeyRotated { key } => {
                vec![Self { why: Some(format!("key {key}")), ..row() }]
            }
            Act::RecoveryOpened { recovery }
            | Act::RecoveryConfirmed { recovery }
            | Act::RecoveryCompleted { recovery, .. }
            | Act::RecoveryCancelled { recovery } => {
                vec![Self { why: Some(format!("recovery {recovery}")), ..row() }]
            }
            Act::StopSwitched { stopped } => {
                vec![Self { why: Some(if *stopped { "stopped" } else { "lifted" }.to_owned()), ..row() }]
            }
            Act::EmergencySwitched { refused } => {
                vec![Self { why: Some(if *refused { "refused" } else { "allowed" }.to_owned()), ..row() }]
            }
            Act::GuardianAdded { guardian } | Act::GuardianEnded { guardian } => {
                vec![Self { why: Some(format!("guardian {guardian}")), ..row() }]
            }
            Act::PaperPatientRegistered {} => vec![row()],
            Act::PaperProposed { id } | Act::PaperDone { id } => {
                vec![Self { why: Some(format!("paper {id}")), ..row() }]
            }
            Act::RelationshipOpened { subject, .. } | Act::RelationshipClosed { subject } => {
                let whom =
                    subject.map_or_else(|| "every clinician".to_owned(), |subject| subject.to_string());
                vec![Self { why: Some(format!("care by {whom}")), ..row() }]
            }
            Act::RecordsRegistered { records } => {
                records.iter().map(|record| of_record(record, Some(1))).collect()
            }
            Act::OwnRecordRegistered { record, statement } => {
                vec![Self { why: Some(format!("statement {statement}")), ..of_record(record, Some(1)) }]
            }
            Act::RecordWithdrawn { record } => vec![of_record(record, None)],
            Act::CustodyOffered { record, to } => {
                let to = to.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
                vec![Self { why: Some(format!("to {to}")), ..of_record(record, None) }]
            }
            Act::CustodyAccepted { record, from } => {
                vec![Self { why: Some(format!("from {from}")), ..of_record(record, None) }]
            }
            Act::CorrectionRequested { record, number } => {
                vec![Self { why: Some(format!("request {number}")), ..of_record(record, None) }]
            }
            Act::CorrectionAnswered { record, number, accepted } => {
                let answer = if *accepted { "accepted" } else { "refused" };
                vec![Self { why: Some(format!("request {number} {answer}")), ..of_record(record, None) }]
            }
            Act::ConsentDelegated { consent, parent } => {
                vec![Self { why: Some(format!("consent {consent} from {parent}")), ..row() }]
            }
            Act::DelegationEnded { consent } => {
                vec![Self { why: Some(format!("consent {consent}")), ..row() }]
            }
            Act::GlassBroken { reason_digest, .. } => {
                vec![Self { why: Some(format!("reason {reason_digest}")), ..row() }]
            }
            Act::GlassReviewed { clinician, justified } => {
                let finding = if *justified { "justified" } else { "not justified" };
                vec![Self { why: Some(format!("{clinician} {finding}")), ..row() }]
            }
            Act::Disclosed(disclosed) => vec![Self {
                purpose: Some(disclosed.purpose.to_string()),
                why: Some(format!("decision {}", disclosed.decision)),
                recipient: Some(disclosed.recipient.to_string()),
                ..of_record(&disclosed.record, Some(disclosed.version))
            }],
        }
    }
}

/// The rule that decided, and the consent where one did.
pub(super) fn why(decision: &Decision) -> String {
    match decision.consent {
        Some(consent) => format!("{} {consent}", decision.rule),
        None => decision.rule.to_string(),
    }
}
