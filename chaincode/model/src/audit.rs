//! The entry that is written in the same write set as the act it tells of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Action;
use crate::decision::{Decision, Facts};
use crate::ids::{Actor, Digest, KeyId, MspId, PatientId, RecordId, RequestId, StatementId, Subject, TxId};
use crate::purpose::Purpose;
use crate::role::Role;
use crate::time::UnixMs;

/// One act on a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Semantic engine that was in force.
    pub epoch: u32,
    /// The transaction.
    pub tx_id: TxId,
    /// Whose record or decision it is about.
    pub patient: PatientId,
    /// Who acted: the transaction's creator.
    pub actor: Actor,
    /// In which role.
    pub role: Role,
    /// SHA-256 of the creator's DER certificate: a release is asked for with the same one.
    pub certificate_digest: Digest,
    /// Effective time.
    pub at: UnixMs,
    /// What was done.
    pub act: Act,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// The patient was registered by a statement.
    PatientRegistered {
        /// The statement.
        statement: StatementId,
    },
    /// A record was added.
    RecordRegistered {
        /// The record.
        record: RecordId,
    },
    /// A version was added to a record.
    RecordAmended {
        /// The record.
        record: RecordId,
        /// The version added.
        version: u64,
    },
    /// A consent was granted by a statement.
    ConsentGranted {
        /// The consent.
        consent: StatementId,
        /// The consent that it replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        supersedes: Option<StatementId>,
    },
    /// A consent was ended by a statement.
    ConsentEnded {
        /// The consent.
        consent: StatementId,
        /// The statement.
        statement: StatementId,
    },
    /// Access was decided.
    AccessDecided(AccessDecided),
    /// A version was released to the one who asked.
    Disclosed(Disclosed),
    /// A patient was registered without a key.
    PaperPatientRegistered {},
    /// A patient's first key was bound, after a time on paper.
    KeyBound {
        /// The key.
        key: KeyId,
    },
    /// A patient's key was replaced by its holder.
    KeyRotated {
        /// The new key.
        key: KeyId,
    },
    /// The home hospital opened a recovery.
    RecoveryOpened {
        /// The statement of the new key.
        recovery: StatementId,
    },
    /// Another hospital confirmed it.
    RecoveryConfirmed {
        /// The statement of the new key.
        recovery: StatementId,
    },
    /// The new key is in force.
    RecoveryCompleted {
        /// The statement of the new key.
        recovery: StatementId,
        /// The new key.
        key: KeyId,
    },
    /// The old key cancelled it.
    RecoveryCancelled {
        /// The statement of the new key.
        recovery: StatementId,
    },
    /// Every permit was stopped, or the stop was lifted.
    StopSwitched {
        /// Whether everything is stopped.
        stopped: bool,
    },
    /// The patient refused emergency access, or allowed it again.
    EmergencySwitched {
        /// Whether it is refused.
        refused: bool,
    },
    /// A guardian was appointed, or the term renewed.
    GuardianAdded {
        /// The guardian's key.
        guardian: KeyId,
    },
    /// A guardian's term was ended.
    GuardianEnded {
        /// The guardian's key.
        guardian: KeyId,
    },
    /// Something on paper waits for a second hospital.
    PaperProposed {
        /// Its id.
        id: StatementId,
    },
    /// Something on paper is in force.
    PaperDone {
        /// Its id.
        id: StatementId,
    },
    /// A care relationship was opened or prolonged.
    RelationshipOpened {
        /// The clinician; every clinician of the hospital when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
        /// First instant at which it no longer holds.
        until: UnixMs,
    },
    /// A care relationship was closed.
    RelationshipClosed {
        /// The clinician; every clinician of the hospital when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
    },
    /// A batch of records was added.
    RecordsRegistered {
        /// The records, strictly ascending.
        records: Vec<RecordId>,
    },
    /// The patient added a record.
    OwnRecordRegistered {
        /// The record.
        record: RecordId,
        /// The statement.
        statement: StatementId,
    },
    /// A record was withdrawn.
    RecordWithdrawn {
        /// The record.
        record: RecordId,
    },
    /// Custody of a record was offered, or the offer taken back.
    CustodyOffered {
        /// The record.
        record: RecordId,
        /// To whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<MspId>,
    },
    /// Custody of a record was taken over.
    CustodyAccepted {
        /// The record.
        record: RecordId,
        /// From whom.
        from: MspId,
    },
    /// A correction was asked for.
    CorrectionRequested {
        /// The record.
        record: RecordId,
        /// The request's number.
        number: u64,
    },
    /// A correction request was answered.
    CorrectionAnswered {
        /// The record.
        record: RecordId,
        /// The request's number.
        number: u64,
        /// Whether the record is amended.
        accepted: bool,
    },
    /// A permit was passed on.
    ConsentDelegated {
        /// The new grant.
        consent: StatementId,
        /// The one that it was passed on from.
        parent: StatementId,
    },
    /// A permit that was passed on was ended by the one who did so.
    DelegationEnded {
        /// The grant.
        consent: StatementId,
    },
    /// A clinician broke the glass.
    GlassBroken {
        /// First instant at which it no longer opens anything.
        until: UnixMs,
        /// SHA-256 of the reason.
        reason_digest: Digest,
    },
    /// An auditor of another hospital reviewed it.
    GlassReviewed {
        /// Who broke it.
        clinician: Actor,
        /// Whether it was justified.
        justified: bool,
    },
}

impl Act {
    /// The kind's text in JSON, also the name of the transaction's event.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PatientRegistered { .. } => "patient_registered",
            Self::RecordRegistered { .. } => "record_registered",
            Self::RecordAmended { .. } => "record_amended",
            Self::ConsentGranted { .. } => "consent_granted",
            Self::ConsentEnded { .. } => "consent_ended",
            Self::AccessDecided(_) => "access_decided",
            Self::Disclosed(_) => "disclosed",
            Self::PaperPatientRegistered {} => "paper_patient_registered",
            Self::KeyBound { .. } => "key_bound",
            Self::KeyRotated { .. } => "key_rotated",
            Self::RecoveryOpened { .. } => "recovery_opened",
            Self::RecoveryConfirmed { .. } => "recovery_confirmed",
            Self::RecoveryCompleted { .. } => "recovery_completed",
            Self::RecoveryCancelled { .. } => "recovery_cancelled",
            Self::StopSwitched { .. } => "stop_switched",
            Self::EmergencySwitched { .. } => "emergency_switched",
            Self::GuardianAdded { .. } => "guardian_added",
            Self::GuardianEnded { .. } => "guardian_ended",
            Self::PaperProposed { .. } => "paper_proposed",
            Self::PaperDone { .. } => "paper_done",
            Self::RelationshipOpened { .. } => "relationship_opened",
            Self::RelationshipClosed { .. } => "relationship_closed",
            Self::RecordsRegistered { .. } => "records_registered",
            Self::OwnRecordRegistered { .. } => "own_record_registered",
            Self::RecordWithdrawn { .. } => "record_withdrawn",
            Self::CustodyOffered { .. } => "custody_offered",
            Self::CustodyAccepted { .. } => "custody_accepted",
            Self::CorrectionRequested { .. } => "correction_requested",
            Self::CorrectionAnswered { .. } => "correction_answered",
            Self::ConsentDelegated { .. } => "consent_delegated",
            Self::DelegationEnded { .. } => "delegation_ended",
            Self::GlassBroken { .. } => "glass_broken",
            Self::GlassReviewed { .. } => "glass_reviewed",
        }
    }
}

/// A decided request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessDecided {
    /// The caller's id of the request.
    pub request: RequestId,
    /// What was to be done.
    pub action: Action,
    /// What for.
    pub purpose: Purpose,
    /// One decision a record, in the order asked.
    pub decisions: Vec<Decision>,
    /// Which facts decided.
    pub facts: Facts,
}

impl AuditEntry {
    /// What the one who asked is told of a decision: not which records there are.
    #[must_use]
    pub fn told(mut self) -> Self {
        if let Act::AccessDecided(decided) = &mut self.act {
            decided.facts.records.clear();
        }
        self
    }
}

/// A disclosure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// The transaction that decided.
    pub decision: TxId,
    /// The record.
    pub record: RecordId,
    /// The version.
    pub version: u64,
    /// Who received it: the decision's actor.
    pub recipient: Actor,
    /// What for.
    pub purpose: Purpose,
    /// SHA-256 of the public key that the version's secret was wrapped to.
    pub kem_key_digest: Digest,
    /// Which facts decided when it was decided again.
    pub facts: Facts,
}
