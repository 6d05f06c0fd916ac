//! A patient on the channel: a home hospital and a key, nothing that names a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, MspId};
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
    /// Id of the key in force.
    pub key: KeyId,
    /// The key in force.
    pub public_key: PublicKey,
    /// Effective time of the change.
    pub at: UnixMs,
}
