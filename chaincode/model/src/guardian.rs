//! Who decides for a patient who cannot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, StatementId};
use crate::statement::PublicKey;
use crate::tag::TagSet;
use crate::time::{Period, UnixMs};

/// A guardian's term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guardian {
    /// Id of the guardian's key.
    pub key: KeyId,
    /// The guardian's key.
    pub public_key: PublicKey,
    /// When the guardian decides. A term ends with a calendar quarter and is renewed.
    pub term: Period,
    /// Records that the guardian's permits never hold for: a minor's own matters. What cannot be compared
    /// with these tags counts as protected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<TagSet>,
    /// What first appointed the guardian; a renewal before the term is over keeps it.
    pub appointment: StatementId,
}

/// The guardian that a provision was signed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByGuardian {
    /// The guardian's key.
    pub key: KeyId,
    /// The appointment under which it signed: a later one, after the term was over, revives nothing.
    pub appointment: StatementId,
}

/// A patient's guardians, one document; a term that is over stays until its place is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guardians {
    /// 0 when none was ever appointed, one more for each change.
    pub sequence: u64,
    /// At most eight, ascending by key.
    pub guardians: Vec<Guardian>,
    /// Effective time of the change.
    pub at: UnixMs,
}

impl Guardians {
    /// The guardians of a patient who never had one.
    pub const NONE: Self = Self { sequence: 0, guardians: Vec::new(), at: UnixMs::EPOCH };

    /// The guardian whose key it is, if the term holds `instant`.
    pub fn in_term(&self, key: &KeyId, instant: UnixMs) -> Option<&Guardian> {
        self.guardians.iter().find(|guardian| &guardian.key == key && guardian.term.contains(instant))
    }

    /// The guardian that signed, if the same appointment holds `instant`.
    pub fn still_in_term(&self, by: &ByGuardian, instant: UnixMs) -> Option<&Guardian> {
        self.in_term(&by.key, instant).filter(|guardian| guardian.appointment == by.appointment)
    }
}
