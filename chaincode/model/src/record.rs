//! A record: who keeps it, and what its versions commit to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, Digest, KeyId, MspId, PatientId, RecordId};
use crate::limits::SEALED_BYTES_MAX;
use crate::tag::RecordTags;
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
    /// One more for each change; absent for what was written before changes were numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Labels, blinded; without them a record matches every denial of tags and no permit of tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<RecordTags>,
    /// Whether its custodian withdrew it: it stays on record and is released to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// The hospital that custody is offered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_to: Option<MspId>,
    /// The patient's key, of a record that the patient added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<KeyId>,
    /// Effective time of the newest change.
    pub at: UnixMs,
}

/// A patient's request to correct a record that a clinician wrote, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Whose record it is.
    pub patient: PatientId,
    /// The version that is to be corrected; it stays as it is whatever the answer.
    pub version: u64,
    /// SHA-256 of what the patient wants corrected, which stays with custodian and patient.
    pub request_digest: Digest,
    /// The custodian's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<CorrectionAnswer>,
    /// Effective time of the newest change.
    pub at: UnixMs,
}

/// What the custodian answers to a correction request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectionAnswer {
    /// Whether the record is amended.
    pub accepted: bool,
    /// SHA-256 of the reason.
    pub reason_digest: Digest,
    /// The clinician who answered.
    pub by: Actor,
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
    /// Who added it, or carried it for the patient.
    pub author: Actor,
    /// Records of the same patient that it was made from, strictly ascending, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<RecordId>,
    /// Effective time at which it was added.
    pub at: UnixMs,
}
