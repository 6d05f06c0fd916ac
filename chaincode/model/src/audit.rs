//! The entry that is written in the same write set as the act it tells of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Action;
use crate::decision::{Decision, Facts};
use crate::ids::{Actor, Digest, PatientId, RecordId, RequestId, StatementId, TxId};
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
