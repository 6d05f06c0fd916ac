//! The block index: where in the chain each transaction lies, and how it was validated.
//!
//! Fed from filtered blocks; a block's rows and the checkpoint that says it is in are one SQLite
//! transaction, so that a crash between blocks neither loses nor repeats one. An index begins at block 0, unless it is told
//! to begin later; then it remembers that, and knows no place of anything before.

mod feed;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caretrail_model::ids::TxId;
use rusqlite::{Connection, OptionalExtension as _, params};

pub use feed::SyncError;

use crate::database::{Bytes, Database, DatabaseError, Schema, ledger_row};
use crate::ledger_name::LedgerName;

/// Fabric's verdict `VALID`.
const VALID: i32 = 0;

const SCHEMA: Schema = Schema {
    application_id: 0x4354_4249,
    steps: &[
        "
        CREATE TABLE ledgers (
            ledger INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            chaincode TEXT NOT NULL,
            UNIQUE (channel, chaincode)
        ) STRICT;
        CREATE TABLE checkpoints (
            ledger INTEGER PRIMARY KEY REFERENCES ledgers,
            block INTEGER NOT NULL,
            block_digest BLOB NOT NULL
        ) STRICT;
        CREATE TABLE transactions (
            ledger INTEGER NOT NULL REFERENCES ledgers,
            block INTEGER NOT NULL,
            position INTEGER NOT NULL,
            tx_id BLOB,
            code INTEGER NOT NULL,
            event TEXT,
            PRIMARY KEY (ledger, block, position)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX transactions_by_id ON transactions (ledger, tx_id);
        ",
        // Blocks are compared with the rows themselves.
        "ALTER TABLE checkpoints DROP COLUMN block_digest;",
        "ALTER TABLE checkpoints ADD COLUMN first_block INTEGER NOT NULL DEFAULT 0;",
    ],
};

/// The index of one ledger.
#[derive(Debug)]
pub struct BlockIndex {
    database: Mutex<Database>,
    ledger: i64,
    name: LedgerName,
    /// Where it begins if nothing is in it yet.
    beginning: u64,
}

/// The blocks that are in an index, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    first: u64,
    newest: u64,
}

/// A block as it is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedBlock {
    /// Its number.
    pub number: u64,
    /// Its transactions, in their order.
    pub transactions: Vec<IndexedTransaction>,
}

/// A transaction as it is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedTransaction {
    /// Its id; configuration transactions may have none.
    pub tx_id: Option<TxId>,
    /// Fabric's validation code; 0 is VALID.
    pub code: i32,
    /// The name of the event that this ledger's chaincode set.
    pub event: Option<String>,
}

/// Where a transaction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The block's number.
    pub block: u64,
    /// The transaction's place in it, from 0.
    pub position: u32,
}

/// A block that cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The database fails.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The index begins at another block than it is told to.
    #[error(
        "the index begins at block {first_block} and not at block {asked}: leave out where it begins, or remove its file to have \
         it built anew"
    )]
    BeginsElsewhere {
        /// The first block that is in the index.
        first_block: u64,
        /// Where it is told to begin.
        asked: u64,
    },
    /// It is not the block that follows the checkpoint.
    #[error("block {found} does not follow the index, which expects block {expected}")]
    Gap {
        /// The block that follows the checkpoint.
        expected: u64,
        /// The block that came.
        found: u64,
    },
    /// A block is not the one that was indexed.
    #[error(
        "block {block} is not the one that was indexed: the index is of another ledger of the same name, so remove its file"
    )]
    OtherLedger {
        /// The block.
        block: u64,
    },
}

impl BlockIndex {
    /// Opens the index in a file, made with mode 0600 when there is none, for one ledger.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open(path: &Path, name: &LedgerName) -> Result<Self, IndexError> {
        let mut database = Database::open(path, &SCHEMA)?;
        let ledger = database.write(|connection| ledger_row(connection, name))?;
        Ok(Self { database: Mutex::new(database), ledger, name: name.clone(), beginning: 0 })
    }

    /// The same index, to begin at this block if nothing is in it yet: for a peer that joined by a snapshot, which has no
    /// block from before. Such an index knows no place of anything before it, ever.
    ///
    /// # Errors
    /// When the database fails, or the index begins elsewhere already.
    pub fn beginning_at(self, block: u64) -> Result<Self, IndexError> {
        match self.first_block()? {
            Some(first_block) if first_block != block => {
                Err(IndexError::BeginsElsewhere { first_block, asked: block })
            }
            _ => Ok(Self { beginning: block, ..self }),
        }
    }

    /// The ledger that is indexed.
    pub fn ledger(&self) -> &LedgerName {
        &self.name
    }

    /// The first block that is in the index, if one is: 0, or where the index was told to begin.
    ///
    /// # Errors
    /// When the database fails.
    pub fn first_block(&self) -> Result<Option<u64>, IndexError> {
        Ok(self.database().read(|connection| self.extent(connection))?.map(|extent| extent.first))
    }

    /// The newest block that is in the index.
    ///
    /// # Errors
    /// When the database fails.
    pub fn checkpoint(&self) -> Result<Option<u64>, IndexError> {
        Ok(self.database().read(|connection| self.extent(connection))?.map(|extent| extent.newest))
    }

    /// Where a peer is to be read on from whose newest block is `newest`: the last block up to there that can be told from
    /// the one of the same number on another ledger, or where the index begins.
    ///
    /// Transaction ids are random, and a block of configuration has none: all of them look alike. Those that follow the
    /// block of the last id are read again with it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resumes_at(&self, newest: u64) -> Result<u64, IndexError> {
        Ok(self.database().read(|connection| {
            let told_apart = connection
                .query_row(
                    "SELECT block FROM transactions WHERE ledger = ?1 AND block <= ?2 AND tx_id IS NOT NULL
                     ORDER BY block DESC LIMIT 1",
                    params![self.ledger, newest],
                    |row| row.get(0),
                )
                .optional()?;
            match told_apart {
                Some(block) => Ok(block),
                None => Ok(self.extent(connection)?.map_or(self.beginning, |extent| extent.first)),
            }
        })?)
    }

    /// Takes in consecutive blocks, all or none. Those up to the checkpoint, which another process may have moved
    /// meanwhile, are not taken in twice: each is compared with what was indexed.
    ///
    /// # Errors
    /// When a block does not follow, or the ledger is another one.
    pub fn take_in(&self, blocks: &[IndexedBlock]) -> Result<(), IndexError> {
        enum Outcome {
            Done,
            Gap { expected: u64, found: u64 },
            OtherLedger { block: u64 },
        }
        let outcome = self.database().write(|connection| {
            let extent = self.extent(connection)?;
            let first = extent.map_or(self.beginning, |extent| extent.first);
            // Everything is checked before anything is written: what is written here is committed.
            let next = extent.map_or(first, |extent| extent.newest + 1);
            let (known, new) = blocks.split_at(blocks.partition_point(|block| block.number < next));
            for block in known.iter().filter(|block| block.number >= first) {
                if !self.holds(connection, block)? {
                    return Ok(Outcome::OtherLedger { block: block.number });
                }
            }
            for (expected, block) in (next..).zip(new) {
                if block.number != expected {
                    return Ok(Outcome::Gap { expected, found: block.number });
                }
            }
            let Some(newest) = new.last() else { return Ok(Outcome::Done) };

            let mut insert = connection.prepare_cached(
                "INSERT INTO transactions (ledger, block, position, tx_id, code, event)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for block in new {
                for (position, transaction) in block.transactions.iter().enumerate() {
                    insert.execute(params![
                        self.ledger,
                        block.number,
                        position,
                        transaction.tx_id.as_ref().map(TxId::as_bytes),
                        transaction.code,
                        transaction.event,
                    ])?;
                }
            }
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints (ledger, block, first_block) VALUES (?1, ?2, ?3)",
                params![self.ledger, newest.number, first],
            )?;
            Ok(Outcome::Done)
        })?;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Gap { expected, found } => Err(IndexError::Gap { expected, found }),
            Outcome::OtherLedger { block } => Err(IndexError::OtherLedger { block }),
        }
    }

    /// Where each VALID transaction lies, in the order asked; `None` for one that is in no indexed block.
    ///
    /// # Errors
    /// When the database fails.
    pub fn positions(&self, tx_ids: &[TxId]) -> Result<Vec<Option<Position>>, IndexError> {
        Ok(self.database().read(|connection| {
            let mut find = connection.prepare_cached(
                "SELECT block, position FROM transactions WHERE ledger = ?1 AND tx_id = ?2 AND code = ?3",
            )?;
            tx_ids
                .iter()
                .map(|tx_id| {
                    find.query_row(params![self.ledger, tx_id.as_bytes(), VALID], |row| {
                        Ok(Position { block: row.get(0)?, position: row.get(1)? })
                    })
                    .optional()
                })
                .collect()
        })?)
    }

    fn extent(&self, connection: &Connection) -> rusqlite::Result<Option<Extent>> {
        connection
            .query_row("SELECT first_block, block FROM checkpoints WHERE ledger = ?1", [self.ledger], |row| {
                Ok(Extent { first: row.get(0)?, newest: row.get(1)? })
            })
            .optional()
    }

    /// Whether what is indexed of a block's number is this block: the same transactions with the same verdicts.
    fn holds(&self, connection: &Connection, block: &IndexedBlock) -> rusqlite::Result<bool> {
        let mut find = connection.prepare_cached(
            "SELECT tx_id, code FROM transactions WHERE ledger = ?1 AND block = ?2 ORDER BY position",
        )?;
        let rows = find.query_map(params![self.ledger, block.number], |row| {
            Ok((row.get::<_, Option<Bytes<32>>>(0)?.map(|tx_id| TxId::from_bytes(tx_id.0)), row.get(1)?))
        })?;
        let indexed = rows.collect::<rusqlite::Result<Vec<(Option<TxId>, i32)>>>()?;
        Ok(block.transactions.iter().map(|transaction| (transaction.tx_id, transaction.code)).eq(indexed))
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use caretrail_model::hash::sha256;
    use tempfile::TempDir;

    use super::*;

    fn open(folder: &TempDir, channel: &str) -> BlockIndex {
        let name = LedgerName { channel: channel.parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        BlockIndex::open(&folder.path().join("index.sqlite"), &name).unwrap()
    }

    fn tx_id(block: u64, position: u64) -> TxId {
        sha256_of(block * 1_000 + position)
    }

    fn sha256_of(number: u64) -> TxId {
        TxId::from_bytes(*sha256(&number.to_be_bytes()).as_bytes())
    }

    fn block(number: u64, codes: &[i32]) -> IndexedBlock {
        let transactions = codes.iter().zip(0..).map(|(code, position)| IndexedTransaction {
            tx_id: Some(tx_id(number, position)),
            code: *code,
            event: Some("access_decided".to_owned()),
        });
        IndexedBlock { number, transactions: transactions.collect() }
    }

    /// A block that changes the channel's configuration: its transaction has no id.
    fn configuration(number: u64) -> IndexedBlock {
        let transactions = vec![IndexedTransaction { tx_id: None, code: VALID, event: None }];
        IndexedBlock { number, transactions }
    }

    #[test]
    fn an_index_resumes_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        assert_eq!(index.checkpoint().unwrap(), None);
        index.take_in(&[block(0, &[0]), block(1, &[0, 11])]).unwrap();
        drop(index);

        let index = open(&folder, "records");
        assert_eq!(index.checkpoint().unwrap(), Some(1));
        index.take_in(&[block(1, &[0, 11]), block(2, &[0, 0])]).unwrap();
        assert_eq!(index.checkpoint().unwrap(), Some(2));
        assert_eq!(
            index.positions(&[tx_id(2, 1), tx_id(1, 1), tx_id(9, 9)]).unwrap(),
            [Some(Position { block: 2, position: 1 }), None, None],
            "an invalid transaction has no position"
        );
        assert_eq!(open(&folder, "other").checkpoint().unwrap(), None);
    }

    #[test]
    fn an_index_of_an_older_build_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let older = Schema { steps: &SCHEMA.steps[..1], ..SCHEMA };
        let mut database = Database::open(&folder.path().join("index.sqlite"), &older).unwrap();
        let rows = "INSERT INTO ledgers VALUES (1, 'records', 'caretrail');
                    INSERT INTO checkpoints VALUES (1, 1, zeroblob(32));";
        database.write(|connection| connection.execute_batch(rows)).unwrap();
        let insert = "INSERT INTO transactions VALUES (1, ?1, 0, ?2, 0, NULL)";
        for number in [0, 1] {
            let tx_id = tx_id(number, 0);
            database.write(|db| db.execute(insert, params![number, tx_id.as_bytes()])).unwrap();
        }
        drop(database);

        let index = open(&folder, "records");
        assert_eq!((index.checkpoint().unwrap(), index.resumes_at(9).unwrap()), (Some(1), 1));
        assert_eq!(index.first_block().unwrap(), Some(0));
        index.take_in(&[block(1, &[0]), block(2, &[0])]).unwrap();
        let positions = [0, 1, 2].map(|block| Some(Position { block, position: 0 }));
        assert_eq!(index.positions(&[tx_id(0, 0), tx_id(1, 0), tx_id(2, 0)]).unwrap(), positions);
    }

    #[test]
    fn an_index_that_begins_late_says_so_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records").beginning_at(7).unwrap();
        assert_eq!((index.first_block().unwrap(), index.resumes_at(9).unwrap()), (None, 7));
        assert!(matches!(index.take_in(&[block(8, &[0])]), Err(IndexError::Gap { expected: 7, found: 8 })));
        // Nothing is in it yet, so it may still begin elsewhere.
        let index = index.beginning_at(6).unwrap();
        index.take_in(&[configuration(6), configuration(7)]).unwrap();
        assert_eq!(index.resumes_at(9).unwrap(), 6);
        index.take_in(&[block(5, &[0]), configuration(6), configuration(7), block(8, &[0])]).unwrap();
        drop(index);

        let index = open(&folder, "records");
        assert_eq!((index.first_block().unwrap(), index.checkpoint().unwrap()), (Some(6), Some(8)));
        assert_eq!((index.resumes_at(9).unwrap(), index.resumes_at(7).unwrap()), (8, 6));
        let found = index.positions(&[tx_id(5, 0), tx_id(8, 0)]).unwrap();
        assert_eq!(found, [None, Some(Position { block: 8, position: 0 })]);
        for asked in [0, 5, 7] {
            let refused = open(&folder, "records").beginning_at(asked).unwrap_err();
            assert!(matches!(refused, IndexError::BeginsElsewhere { first_block: 6, .. }), "{refused:?}");
        }
        assert_eq!(index.beginning_at(6).unwrap().first_block().unwrap(), Some(6));
        assert_eq!(open(&folder, "other").first_block().unwrap(), None);
    }

    #[test]
    fn a_gap_takes_in_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        let outcome = index.take_in(&[block(0, &[0]), block(2, &[0])]);
        assert!(matches!(outcome, Err(IndexError::Gap { expected: 1, found: 2 })));
        // Nothing but the read set is left of the blocks before the gap either.
        assert!(matches!(index.take_in(&[block(1, &[0])]), Err(IndexError::Gap { expected: 0, found: 1 })));
    }

    #[test]
    fn another_ledger_of_the_same_name_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        index.take_in(&[block(0, &[0])]).unwrap();
        let mut other = block(0, &[0]);
        other.transactions[0].tx_id = Some(tx_id(7, 7));
        let outcome = index.take_in(&[other, block(1, &[0])]);
        assert!(matches!(outcome, Err(IndexError::OtherLedger { block: 0 })));
        assert_eq!(index.checkpoint().unwrap(), Some(0));
    }

    #[test]
    fn another_ledger_is_found_out_behind_blocks_of_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        assert_eq!(index.resumes_at(9).unwrap(), 0);
        index.take_in(&[block(0, &[0]), block(1, &[0]), configuration(2), configuration(3)]).unwrap();
        assert_eq!(index.checkpoint().unwrap(), Some(3));
        // They look alike on all ledgers: the last block that does not is read again.
        assert_eq!(index.resumes_at(9).unwrap(), 1);
        assert_eq!(index.resumes_at(0).unwrap(), 0, "of a peer that is behind, what it has");

        let mut other = block(1, &[0]);
        other.transactions[0].tx_id = Some(tx_id(7, 7));
        let rest = [configuration(2), configuration(3), block(4, &[0])];
        let outcome = index.take_in(&[&[other], rest.as_slice()].concat());
        assert!(matches!(outcome, Err(IndexError::OtherLedger { block: 1 })), "{outcome:?}");
        assert_eq!(index.checkpoint().unwrap(), Some(3));
        // A transaction where there was configuration, another number of them, another verdict.
        for other in [block(2, &[0]), IndexedBlock { number: 2, transactions: vec![] }, block(1, &[11])] {
            let outcome = index.take_in(std::slice::from_ref(&other));
            assert!(matches!(outcome, Err(IndexError::OtherLedger { .. })), "{other:?}");
        }
        index.take_in(&[&[block(1, &[0])], rest.as_slice()].concat()).unwrap();
        assert_eq!(index.resumes_at(9).unwrap(), 4);
    }

    #[test]
    fn a_second_copy_of_a_transaction_does_not_move_it() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        let mut copy = block(1, &[0]);
        copy.transactions[0] = IndexedTransaction { tx_id: Some(tx_id(0, 0)), code: 8, event: None };
        index.take_in(&[block(0, &[0]), copy]).unwrap();
        assert_eq!(index.positions(&[tx_id(0, 0)]).unwrap(), [Some(Position { block: 0, position: 0 })]);
    }

    #[test]
    fn what_a_crash_leaves_between_any_two_blocks_resumes() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        for newest in 0..6 {
            index.take_in(&[block(newest, &[0, 11, 0])]).unwrap();
            // The files as they lie on disk while the index is open: what a crash now would leave.
            let crashed = tempfile::tempdir().unwrap();
            for file in std::fs::read_dir(folder.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), crashed.path().join(file.file_name())).unwrap();
            }
            let resumed = open(&crashed, "records");
            assert_eq!(resumed.checkpoint().unwrap(), Some(newest));
            let rest: Vec<_> = (newest..9).map(|number| block(number, &[0, 11, 0])).collect();
            resumed.take_in(&rest).unwrap();
            let ids: Vec<_> = (0..9).map(|number| tx_id(number, 2)).collect();
            let positions = resumed.positions(&ids).unwrap();
            let expected = (0..9).map(|block| Some(Position { block, position: 2 }));
            assert_eq!(positions, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn ten_thousand_transactions_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder, "records");
        let blocks: Vec<_> = (0..100).map(|number| block(number, &[0; 100])).collect();
        index.take_in(&blocks).unwrap();
        let ids: Vec<_> = (0..10_000).rev().map(|n| tx_id(n / 100, n % 100)).collect();
        let positions = index.positions(&ids).unwrap();
        assert_eq!(positions[0], Some(Position { block: 99, position: 99 }));
        assert!(positions.iter().all(Option::is_some));
    }
}
