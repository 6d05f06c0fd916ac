//! A record: who keeps it, and what its versions commit to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, Digest, MspId, PatientId};
use crate::limits::SEALED_BYTES_MAX;
use crate::time::UnixMs;

/// Custody and status of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whose record it is.
    pub patient: PatientId,
    /// The hospital that keeps the sealed blobs and releases them.
    pub custodian: MspId,
    /// The newest version, from 1.
    pub version: u64,
    /// Effective time of the newest version.
    pub at: UnixMs,
}

/// What the channel holds of one version's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commitments {
    /// HMAC-SHA-256 that binds record, version, document and data key; see [`crate::hash::Content`].
    pub content_commitment: Digest,
    /// SHA-256 of the sealed blob.
    pub blob_digest: Digest,
    /// Bytes of the sealed blob, padded: 1 to 72 MiB.
    pub sealed_bytes: u64,
}

impl Commitments {
    /// Whether the size is within bounds.
    pub fn is_within_limits(&self) -> bool {
        (1..=SEALED_BYTES_MAX).contains(&self.sealed_bytes)
    }
}

/// An immutable version of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordVersion {
    /// From 1.
    pub version: u64,
    /// What its content is held to.
    pub commitments: Commitments,
    /// Who added it.
    pub author: Actor,
    /// Effective time at which it was added.
    pub at: UnixMs,
}
