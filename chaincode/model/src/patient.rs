//! A patient on the channel: a home hospital and a key, nothing that names a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, KeyId, MspId, StatementId};
use crate::statement::PublicKey;
use crate::time::UnixMs;

/// A registered patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patient {
    /// 1 at registration, one more for each change.
    pub sequence: u64,
    /// The hospital that registered the patient; the first binding of the key is trust in it.
    pub home: MspId,
    /// Id of the key in force; absent for a patient who has none yet and decides on paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The key in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// Whether the patient refuses emergency access.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_emergency: bool,
    /// Effective time of the change.
    pub at: UnixMs,
}

/// A key that speaks or spoke for a patient: kept for ever, so that what it signed can be verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// The key.
    pub public_key: PublicKey,
    /// Whether it is a guardian's.
    pub guardian: bool,
    /// Effective time at which it was bound.
    pub at: UnixMs,
}

/// The switch that stops every permit of a patient at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopSwitch {
    /// 1 for the first, one more for each change.
    pub sequence: u64,
    /// Whether everything is stopped.
    pub stopped: bool,
    /// The key that switched; absent when it was done on paper, or by a guardian while somebody else's stop stood:
    /// no guardian lifts what is nobody's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KeyId>,
    /// Effective time of the change.
    pub at: UnixMs,
}

/// A recovery of a patient's key that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The statement that the new key signed.
    pub statement: StatementId,
    /// The new key.
    pub public_key: PublicKey,
    /// Who opened it at the home hospital.
    pub opened_by: Actor,
    /// Who confirmed it at another hospital.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<Actor>,
    /// First instant at which it can be completed, once it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<UnixMs>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<RecoveryEnd>,
    /// Effective time of the change.
    pub at: UnixMs,
}

/// How a recovery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryEnd {
    /// The new key is in force.
    Completed,
    /// The old key cancelled it.
    Cancelled,
}
