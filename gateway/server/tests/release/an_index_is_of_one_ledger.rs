use std::path::Path;
use std::sync::Arc;

use caretrail_model::role::Role;
use caretrail_records::index::{BlockIndex, IndexError, SyncError};
use caretrail_records::workflows::AccessLogError;

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
