use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use caretrail_model::role::Role;
use caretrail_records::index::{BlockIndex, IndexError, SyncError};
use caretrail_records::workflows::{AccessLogError, LoggedEntry};

use crate::consortium::{Consortium, ledger};

fn open(folder: &Path) -> Arc<BlockIndex> {
    Arc::new(BlockIndex::open(&folder.join("index.sqlite"), &ledger()).unwrap())
}

#[tokio::test]
async fn a_ledger_that_differs_behind_its_configuration_is_found_out() {
    let consortium = Consortium::new().await;
    consortium.record(b"flu").await;
    let auditor = consortium.actor("NorthMSP", Role::Auditor).await;
    let index = open(consortium.folder.path());
    consortium.gateway.configure();
    consortium.gateway.configure();
    let log = auditor.access_log(&index, consortium.patient).await.unwrap();
    let newest = index.checkpoint().unwrap().unwrap();
    assert_eq!(auditor.access_log(&index, consortium.patient).await.unwrap(), log);

    consortium.gateway.fork();
    consortium.record(b"measles").await;
    let outcome = auditor.access_log(&index, consortium.patient).await;
    assert!(
        matches!(
            outcome,
            Err(AccessLogError::Sync(SyncError::Index(IndexError::OtherLedger { block }))) if block == newest - 2
        ),
        "{outcome:?}"
    );
    assert_eq!(index.checkpoint().unwrap(), Some(newest), "nothing of it is taken in");
}

#[tokio::test]
async fn a_peer_without_the_first_blocks_gives_no_index_unless_one_is_to_begin_late() {
    let consortium = Consortium::new().await;
    consortium.record(b"flu").await;
    let auditor = consortium.actor("NorthMSP", Role::Auditor).await;
    let folder = consortium.folder.path();
    let whole = auditor.access_log(&open(folder), consortium.patient).await.unwrap();
    std::fs::remove_file(folder.join("index.sqlite")).unwrap();

    // A snapshot, and no block after it yet.
    let first_block = consortium.gateway.join_by_a_snapshot();
    let outcome = auditor.access_log(&open(folder), consortium.patient).await;
    assert!(matches!(outcome, Err(AccessLogError::Sync(SyncError::NoBlock { .. }))), "{outcome:?}");

    for content in [b"mumps".as_slice(), b"measles", b"rubella"] {
        consortium.record(content).await;
        let outcome = auditor.access_log(&open(folder), consortium.patient).await;
        let Err(AccessLogError::Sync(error @ SyncError::Missing { .. })) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            matches!(error, SyncError::Missing { needed: 0, first_block: found } if found == first_block)
        );
        assert!(error.to_string().contains("snapshot"), "{error}");
        assert_eq!(open(folder).first_block().unwrap(), None, "nothing was taken in");
    }

    let begin = |block| {
        let index = BlockIndex::open(&folder.join("index.sqlite"), &ledger()).unwrap();
        index.beginning_at(block).map(Arc::new)
    };
    for (block, newest) in [(first_block - 1, None), (first_block + 9, Some(first_block + 2))] {
        let outcome = auditor.access_log(&begin(block).unwrap(), consortium.patient).await;
        match (outcome, newest) {
            (Err(AccessLogError::Sync(SyncError::Missing { needed, .. })), None) => assert_eq!(needed, block),
            (Err(AccessLogError::Sync(SyncError::Behind { newest: found, .. })), Some(newest)) => {
                assert_eq!(found, newest);
            }
            (other, _) => panic!("{other:?}"),
        }
    }
    let late = auditor.access_log(&begin(first_block).unwrap(), consortium.patient).await.unwrap();
    assert_eq!(late.first_block, first_block);
    // No act is left out: only the places of those before are.
    let (before, since) = late.entries.split_at(whole.entries.len());
    assert!(before.iter().all(|logged| logged.position.is_none()));
    assert_eq!(since.len(), 3);
    assert!(since.iter().all(|logged| logged.position.unwrap().block >= first_block));
    assert!(since.is_sorted_by_key(|logged| logged.position));
    let acts = |entries: &[LoggedEntry]| {
        let acts = entries.iter().map(|logged| logged.entry.tx_id);
        acts.collect::<BTreeSet<_>>()
    };
    assert_eq!(acts(before), acts(&whole.entries));

    // It is never taken for a whole one, and goes on from its first block too.
    assert_eq!(auditor.access_log(&open(folder), consortium.patient).await.unwrap(), late);
    assert!(matches!(begin(0), Err(IndexError::BeginsElsewhere { .. })));
}
