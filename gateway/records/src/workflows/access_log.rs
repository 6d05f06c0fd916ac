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

/// Every act on a patient, and how far back the index of their places goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientLog {
    /// In the order of the chain; ahead of all others those without a place, by their time.
    pub entries: Vec<LoggedEntry>,
    /// The first block that the index knows. It is 0 of a whole index, which places every entry.
    pub first_block: u64,
}

/// An entry with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Where its transaction lies. Only an index that begins late has none: for what lies before it, and for what the
    /// peer that gave blocks does not hold yet.
    pub position: Option<Position>,
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
    /// Every act on a patient, in the order of the chain: the contract's entries, placed by the index. An index that
    /// begins late leaves out no entry, but places only what it knows.
    ///
    /// # Errors
    /// When the contract refuses, the index cannot be brought up to date, or a whole one places an entry nowhere.
    pub async fn access_log(
        &self,
        index: &Arc<BlockIndex>,
        patient: PatientId,
    ) -> Result<PatientLog, AccessLogError> {
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
fn in_order(index: &BlockIndex, entries: Vec<AuditEntry>) -> Result<PatientLog, AccessLogError> {
    let first_block = index.first_block()?.unwrap_or(0);
    let tx_ids: Vec<_> = entries.iter().map(|entry| entry.tx_id).collect();
    let mut logged = Vec::with_capacity(entries.len());
    for (entry, position) in entries.into_iter().zip(index.positions(&tx_ids)?) {
        if position.is_none() && first_block == 0 {
            return Err(AccessLogError::NotIndexed { tx_id: entry.tx_id });
        }
        logged.push(LoggedEntry { position, entry });
    }
    logged.sort_by_key(|logged| (logged.position, logged.entry.at, logged.entry.tx_id));
    Ok(PatientLog { entries: logged, first_block })
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
        let log = in_order(&index, entries).unwrap();
        let ordered: Vec<_> = log.entries.iter().map(|logged| logged.entry.tx_id).collect();
        assert_eq!(ordered, (0..10_000).map(tx_id).collect::<Vec<_>>());
        assert_eq!(log.entries[9_999].position, Some(Position { block: 999, position: 9 }));
        assert_eq!(log.first_block, 0);

        let missing = in_order(&index, vec![entry(tx_id(10_000))]);
        assert!(matches!(missing, Err(AccessLogError::NotIndexed { .. })));
    }

    #[test]
    fn what_lies_before_a_late_index_has_no_place_and_is_told_first() {
        let folder = tempfile::tempdir().unwrap();
        let name =
            LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        let index = BlockIndex::open(&folder.path().join("index.sqlite"), &name).unwrap();
        let index = index.beginning_at(7).unwrap();
        let transactions = vec![IndexedTransaction { tx_id: Some(tx_id(7)), code: 0, event: None }];
        index.take_in(&[IndexedBlock { number: 7, transactions }]).unwrap();

        let at = |number: u32, at| AuditEntry { at: UnixMs::new(at).unwrap(), ..entry(tx_id(number)) };
        // Clocks differ: what was committed later may be of an earlier time.
        let log = in_order(&index, vec![at(7, 1), at(3, 30), at(2, 20), at(4, 40)]).unwrap();
        let told: Vec<_> =
            log.entries.iter().map(|logged| (logged.entry.at.get(), logged.position)).collect();
        let placed = Some(Position { block: 7, position: 0 });
        assert_eq!(told, [(20, None), (30, None), (40, None), (1, placed)]);
        assert_eq!(log.first_block, 7);
    }
}
