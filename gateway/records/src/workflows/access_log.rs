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

#[cfg(test)]
mod tests {
    use caretrail_model::audit::Act;
    use caretrail_model::ids::{Actor, Digest, RecordId, Subject};
    use caretrail_model::role::Role;
    use caretrail_model::time::UnixMs;

    use super::*;
    use crate::LedgerName;
    use crate::index::{IndexedBlock, IndexedTransaction};

    fn entry(tx_id: TxId) -> AuditEntry {
        AuditEntry {
            epoch: 1,
            tx_id,
            patient: PatientId::from_bytes([1; 16]),
            actor: Actor { msp_id: "NorthMSP".parse().unwrap(), subject: Subject::from_bytes([2; 16]) },
            role: Role::Clinician,
            certificate_digest: Digest::from_bytes([3; 32]),
            at: UnixMs::new(1).unwrap(),
            act: Act::RecordRegistered { record: RecordId::from_bytes([4; 16]) },
        }
    }

    fn tx_id(number: u32) -> TxId {
        TxId::from_bytes(*caretrail_model::hash::sha256(&number.to_be_bytes()).as_bytes())
    }

    #[test]
    fn ten_thousand_entries_come_in_the_order_of_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let name =
            LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        let index = BlockIndex::open(&folder.path().join("index.sqlite"), &name).unwrap();
        let blocks: Vec<_> = (0..1_000_u32)
            .map(|block| IndexedBlock {
                number: block.into(),
                transactions: (0..10)
                    .map(|position| IndexedTransaction {
                        tx_id: Some(tx_id(block * 10 + position)),
                        code: 0,
                        event: None,
                    })
                    .collect(),
            })
            .collect();
        index.take_in(&blocks).unwrap();

        // The contract lists them by transaction id, which says nothing about their order.
        let mut entries: Vec<_> = (0..10_000).map(|number| entry(tx_id(number))).collect();
        entries.sort_by_key(|entry| entry.tx_id);
        let logged = in_order(&index, entries).unwrap();
        let ordered: Vec<_> = logged.iter().map(|logged| logged.entry.tx_id).collect();
        assert_eq!(ordered, (0..10_000).map(tx_id).collect::<Vec<_>>());
        assert_eq!(logged[9_999].position, Position { block: 999, position: 9 });

        let missing = in_order(&index, vec![entry(tx_id(10_000))]);
        assert!(matches!(missing, Err(AccessLogError::NotIndexed { .. })));
    }
}
