//! Naming one version of a record.

use std::fmt;

use caretrail_model::ids::RecordId;

/// One version of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// The record.
    pub record: RecordId,
    /// The version, from 1.
    pub version: u64,
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.record, self.version)
    }
}
