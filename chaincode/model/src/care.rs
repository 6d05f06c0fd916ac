//! What a hospital states about care: that a patient is treated there, and that somebody broke the glass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, Digest, TxId};
use crate::time::UnixMs;

/// That a patient is being treated by a clinician, or by all clinicians of a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relationship {
    /// 1 for the first, one more for each change.
    pub sequence: u64,
    /// First instant at which it no longer holds; the closing's own when it was closed.
    pub until: UnixMs,
    /// Who stated it: a service or an admin of the hospital.
    pub by: Actor,
    /// Effective time of the change.
    pub at: UnixMs,
}

impl Relationship {
    /// Whether it holds at `instant`.
    pub fn holds_at(&self, instant: UnixMs) -> bool {
        instant < self.until
    }
}

/// That a clinician broke the glass for a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokenGlass {
    /// 1 for the first, one more for each change.
    pub sequence: u64,
    /// The transaction that broke it.
    pub broken_in: TxId,
    /// When it was broken.
    pub opened: UnixMs,
    /// First instant at which it no longer opens anything.
    pub until: UnixMs,
    /// SHA-256 of the reason, which stays with the hospital.
    pub reason_digest: Digest,
    /// What an auditor of another hospital found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Effective time of the change.
    pub at: UnixMs,
}

impl BrokenGlass {
    /// Whether it opens records at `instant`: a review that finds it unjustified ends it.
    pub fn holds_at(&self, instant: UnixMs) -> bool {
        instant < self.until && self.review.as_ref().is_none_or(|review| review.justified)
    }
}

/// An auditor's finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The auditor, of another hospital than the clinician's.
    pub by: Actor,
    /// Whether it was justified.
    pub justified: bool,
    /// SHA-256 of the finding's text, which stays with the auditor.
    pub finding_digest: Digest,
    /// Effective time.
    pub at: UnixMs,
}
