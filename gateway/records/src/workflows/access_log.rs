//! Every act on a patient, in the order of the chain.

use std::sync::Arc;

use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::AccessLog;
use caretrail_model::ids::{PatientId, TxId};
use caretrail_model::limits::PAGE_ENTRIES_MAX;

use crate::call_error::CallError;
use crate::custody::{Stopped, blocking};
use crate::index::{BlockIndex, IndexError, Position, SyncError};
use crate::records::Records;

/// An entry with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Where its transaction lies.
    pub position: Position,
    /// What it says.
    pub entry: AuditEntry,
}

/// A log that was not had whole.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The index could not be brought up to date.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The index fails.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The peer that answered holds a transaction that the peer that gave blocks does not hold yet.
    #[error("transaction {tx_id} is in no block that the peer gave: ask again in a moment")]
    NotIndexed {
        /// The transaction.
        tx_id: TxId,
    },
    /// The program is being stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Records {
    /// Every act on a patient, in the order of the chain: the contract's entries, placed by the index.
    ///
    /// # Errors
    /// When the contract refuses, or an entry cannot be placed.
    pub async fn access_log(
        &self,
        index: &Arc<BlockIndex>,
        patient: PatientId,
    ) -> Result<Vec<LoggedEntry>, AccessLogError> {
        let mut entries = Vec::new();
        let mut bookmark = String::new();
        loop {
            let page =
                self.evaluate(&AccessLog { patient, page_entries: PAGE_ENTRIES_MAX, bookmark }).await?;
            entries.extend(page.entries);
            bookmark = page.bookmark;
            if bookmark.is_empty() {
                break;
            }
        }
        // After reading: every entry's block is then among those that the index takes in.
        index.sync(self.gateway()).await?;
        let index = Arc::clone(index);
        blocking(move || in_order(&index, entries)).await?
    }
}

/// Places entries, and sorts them by place.
fn in_order(index: &BlockIndex, entries: Vec<AuditEntry>) -> Result<Vec<LoggedEntry>, AccessLogError> {
    let tx_ids: Vec<_> = entries.iter().map(|entry| entry.tx_id).collect();
    let mut logged = Vec::with_capacity(entries.len());
    for (entry, position) in entries.into_iter().zip(index.positions(&tx_ids)?) {
        let position = position.ok_or(AccessLogError::NotIndexed { tx_id: entry.tx_id })?;
        logged.push(LoggedEntry { position, entry });
    }
    logged.sort_by_key(|logged| logged.position);
    Ok(logged)
}
