//! What a custodian's daemon answers under `/v1`.

use caretrail_model::ids::{Digest, MspId, RecordId, TxId};
use caretrail_model::record::Commitments;
use serde::{Deserialize, Serialize};

use super::{ReleaseBinding, WrappedSecret};
use crate::ledger_name::LedgerName;
use crate::version::VersionId;

/// Where releases are asked for.
pub const RELEASES_PATH: &str = "/v1/releases";

/// The answer to a release request; a failure is answered with [`crate::Failure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReply {
    /// The transaction that decided.
    pub decision: TxId,
    /// The record.
    pub record: RecordId,
    /// The version that is released: the one that was decided.
    pub version: u64,
    /// The hospital that releases.
    pub custodian: MspId,
    /// The transaction that put the disclosure on record.
    pub disclosure: TxId,
    /// Semantic engine in force.
    pub epoch: u32,
    /// SHA-256 of the key that the secret is wrapped to.
    pub kem_key_digest: Digest,
    /// What the version is held to; the recipient compares it with the channel.
    pub commitments: Commitments,
    /// The version's secret.
    pub wrapped_secret: WrappedSecret,
    /// Where the sealed blob is, below the daemon's URL: always [`blob_path`] of decision and record.
    pub blob_path: String,
}

impl ReleaseReply {
    /// What the wrapped secret is bound to.
    pub fn binding(&self, ledger: &LedgerName) -> ReleaseBinding {
        ReleaseBinding {
            ledger: ledger.clone(),
            custodian: self.custodian.clone(),
            version: self.version_id(),
            kem_key_digest: self.kem_key_digest,
            decision: self.decision,
            disclosure: self.disclosure,
            epoch: self.epoch,
        }
    }

    /// The version.
    pub fn version_id(&self) -> VersionId {
        VersionId { record: self.record, version: self.version }
    }
}

/// Where the sealed blob of a release is, below the daemon's URL.
pub fn blob_path(decision: &TxId, record: &RecordId) -> String {
    format!("{RELEASES_PATH}/{decision}/{record}/blob")
}
