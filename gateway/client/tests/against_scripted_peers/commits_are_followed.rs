//! All pending transactions over one stream of filtered blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hlf_gateway::protos::common::Status as Told;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{CommitStatusError, Contract, Deadlines, Endpoint, Following, Gateway, TransactionError};
use tonic::Status;

use crate::ledger::{End, Fate, Ledger, Transaction};
use crate::scripted::counted_credentials;

/// Waits for the stream alone.
const UNHURRIED: Following = Following { ask_after: Duration::from_secs(60), waiting_max: 1000 };

async fn following(ledger: &Ledger, following: Following) -> (Contract, Arc<AtomicUsize>) {
    let (credentials, signatures) = counted_credentials();
    let endpoint = Endpoint::plaintext(ledger.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials, Deadlines::default()).await.unwrap();
    (gateway.following_commits(following).contract("main", "assets"), signatures)
}

/// Submits so many at once.
async fn submit_at_once(contract: &Contract, count: usize) {
    let submissions: Vec<_> = (0..count)
        .map(|_| {
            let contract = contract.clone();
            tokio::spawn(async move {
                contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
            })
        })
        .collect();
    for submission in submissions {
        submission.await.unwrap();
    }
}

fn waiting(contract: &Contract) -> usize {
    contract.gateway().commits().unwrap().waiting("main")
}

#[tokio::test]
async fn three_signatures_become_two_and_no_verdict_is_asked_for() {
    let ledger = Ledger::start();
    let (contract, signatures) = following(&ledger, UNHURRIED).await;
    submit_at_once(&contract, 1).await;
    submit_at_once(&contract, 99).await;
    let state = ledger.state();
    assert_eq!(state.count("endorse"), 100);
    assert_eq!(state.count("submit"), 100);
    assert_eq!(state.count("filtered blocks"), 1);
    assert_eq!(state.count("commit status"), 0);
    assert_eq!(state.calls.len(), 201);
    assert_eq!(signatures.load(Ordering::Relaxed), 2 * 100 + 1, "two a transaction, one for the stream");
    assert_eq!(waiting(&contract), 0);
}

#[tokio::test]
async fn without_a_stream_each_transaction_takes_three_signatures_and_three_calls() {
    let ledger = Ledger::start();
    let (credentials, signatures) = counted_credentials();
    let endpoint = Endpoint::plaintext(ledger.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials, Deadlines::default()).await.unwrap();
    submit_at_once(&gateway.contract("main", "assets"), 100).await;
    let state = ledger.state();
    let counted = ["endorse", "submit", "commit status"].map(|call| state.count(call));
    assert_eq!((counted, state.calls.len()), ([100; 3], 300));
    assert_eq!(signatures.load(Ordering::Relaxed), 300);
}

#[tokio::test]
async fn a_verdict_other_than_valid_comes_over_the_stream_too() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    ledger.change(|state| state.codes.push_back(TxValidationCode::MvccReadConflict));
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    let TransactionError::Invalid { code: TxValidationCode::MvccReadConflict, block_number: 1, .. } = error
    else {
        panic!("{error}")
    };
    assert_eq!(ledger.state().count("commit status"), 0);
}

#[tokio::test]
async fn a_refused_stream_leaves_asking() {
    for refusal in [Told::Forbidden, Told::NotFound, Told::ServiceUnavailable, Told::BadRequest] {
        let ledger = Ledger::start();
        ledger.change(|state| state.deliver_refusal = Some(refusal));
        let (contract, _) = following(&ledger, UNHURRIED).await;
        submit_at_once(&contract, 10).await;
        assert_eq!(ledger.state().count("commit status"), 10, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_stream_that_never_begins_leaves_asking() {
    let ledger = Ledger::start();
    ledger.change(|state| state.stalled_call = Some("filtered blocks"));
    let (contract, _) = following(&ledger, UNHURRIED).await;
    submit_at_once(&contract, 10).await;
    assert_eq!(ledger.state().count("commit status"), 10);
}

#[tokio::test]
async fn a_stream_that_ends_is_resumed_and_no_waiter_is_lost() {
    for end in [End::Break, End::HalfClose, End::Told(Told::ServiceUnavailable), End::Told(Told::Success)] {
        let ledger = Ledger::start();
        let (contract, _) = following(&ledger, UNHURRIED).await;
        submit_at_once(&contract, 1).await;
        // Nobody can be asked: only the stream can tell, of blocks that were committed while it was down.
        ledger.change(|state| {
            state.commit_status_refusal = Some(Status::permission_denied("no reader"));
        });
        ledger.stand_still(true);
        let submissions: Vec<_> = (0..20)
            .map(|_| {
                let contract = contract.clone();
                tokio::spawn(async move { contract.submit(contract.proposal("Do").build().unwrap()).await })
            })
            .collect();
        ledger.until(|state| state.count("submit") == 21).await;
        ledger.end_streams(end.clone());
        for submission in submissions {
            submission.await.unwrap().unwrap_or_else(|error| panic!("{end:?}: {error}"));
        }
        assert_eq!(waiting(&contract), 0);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_at_every_block_misses_none() {
    let ledger = Ledger::start();
    ledger.change(|state| {
        state.commit_status_refusal = Some(Status::permission_denied("no reader"));
        state.breaks.extend(1..=12);
    });
    let (contract, _) = following(&ledger, UNHURRIED).await;
    for _ in 0..12 {
        contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    }
    assert_eq!(ledger.state().breaks.len(), 0);
}

#[tokio::test]
async fn a_stream_that_stands_still_is_noticed_and_replaced() {
    let ledger = Ledger::start();
    let following_soon = Following { ask_after: Duration::from_millis(50), ..UNHURRIED };
    let (contract, _) = following(&ledger, following_soon).await;
    submit_at_once(&contract, 1).await;
    ledger.stand_still(true);
    // Asking tells of a block that the stream should have told of.
    submit_at_once(&contract, 1).await;
    // This stream stays silent however long: it is replaced.
    ledger.until(|state| state.count("filtered blocks") >= 2).await;
    ledger.change(|state| state.commit_status_refusal = Some(Status::permission_denied("no reader")));
    submit_at_once(&contract, 5).await;
}

#[tokio::test]
async fn a_copy_on_the_stream_is_not_the_outcome() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    let commits = contract.gateway().commits().unwrap();
    ledger.append(vec![Transaction::valid("twice")]);
    // Expected only after its first copy passed.
    commits.expect("main", "other").await;
    let mut expected = commits.expect("main", "twice").await;
    ledger.append(vec![Transaction::valid("twice")]);
    let status = expected.commit_status(Duration::from_secs(10)).await.unwrap();
    assert_eq!((status.code, status.block_number), (TxValidationCode::Valid, 1));
    assert_eq!(ledger.state().count("commit status"), 1);
}

#[tokio::test]
async fn who_waits_in_vain_is_told_by_the_deadline_and_forgotten() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    let commits = contract.gateway().commits().unwrap();
    let mut expected = commits.expect("main", "never").await;
    assert_eq!(waiting(&contract), 1);
    let error = expected.commit_status(Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, CommitStatusError::Unknown { .. }), "{error}");
    // It can wait again, and be told late.
    ledger.append(vec![Transaction::valid("never")]);
    assert!(expected.commit_status(Duration::from_secs(10)).await.unwrap().is_valid());
    drop(expected);
    let cancelled = commits.expect("main", "cancelled").await;
    drop(cancelled);
    assert_eq!(waiting(&contract), 0);
}

#[tokio::test]
async fn no_more_wait_on_a_stream_than_may() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, Following { waiting_max: 1, ..UNHURRIED }).await;
    let commits = contract.gateway().commits().unwrap();
    let _waits = commits.expect("main", "never").await;
    submit_at_once(&contract, 3).await;
    assert_eq!(ledger.state().count("commit status"), 3);
    assert_eq!(waiting(&contract), 1);
}

#[tokio::test]
async fn each_channel_has_its_stream_and_each_identity_its_own() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    let gateway = contract.gateway();
    submit_at_once(&contract, 2).await;
    submit_at_once(&gateway.contract("side", "assets"), 2).await;
    assert_eq!(ledger.state().count("filtered blocks"), 2);
    let other = gateway.with_credentials(crate::scripted::credentials());
    submit_at_once(&other.contract("main", "assets"), 2).await;
    assert_eq!(ledger.state().count("filtered blocks"), 3);
    assert_eq!(ledger.state().count("commit status"), 0);
}

#[tokio::test]
async fn lost_submissions_are_found_on_the_stream() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    ledger.change(|state| {
        let lost = Status::unavailable("insufficient number of orderers");
        state.usual_fate = Some(Fate::CommitAndFail(lost));
    });
    submit_at_once(&contract, 20).await;
    let state = ledger.state();
    assert_eq!((state.valid(), state.count("commit status")), (20, 0));
}

#[tokio::test]
async fn another_s_envelope_under_the_id_is_not_the_outcome() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    ledger.change(|state| state.forged = true);
    submit_at_once(&contract, 3).await;
    ledger.change(|state| state.codes.push_back(TxValidationCode::MvccReadConflict));
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    let TransactionError::Invalid { code: TxValidationCode::MvccReadConflict, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(ledger.state().count("commit status"), 0);

    // In a later block it says nothing about the transaction, which the ledger knows.
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    let commits = contract.gateway().commits().unwrap();
    ledger.append(vec![Transaction::valid("mine")]);
    // Expected only after its block passed.
    commits.expect("main", "other").await;
    let mut expected = commits.expect("main", "mine").await;
    ledger.append(vec![Transaction::anothers("mine")]);
    let status = expected.commit_status(Duration::from_secs(10)).await.unwrap();
    assert_eq!((status.code, status.block_number), (TxValidationCode::Valid, 1));
    assert_eq!(ledger.state().count("commit status"), 1);
}

#[tokio::test]
async fn a_block_that_the_peer_cannot_reduce_is_passed_by() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    submit_at_once(&contract, 1).await;
    ledger.append(vec![Transaction::malformed()]);
    // Twice before the same block, and then from the newest on.
    ledger.until(|state| state.count("filtered blocks") >= 3).await;
    ledger.change(|state| state.commit_status_refusal = Some(Status::permission_denied("no reader")));
    let told = tokio::time::timeout(Duration::from_secs(30), submit_at_once(&contract, 1));
    told.await.expect("the stream goes on");
    tokio::time::timeout(Duration::from_secs(30), submit_at_once(&contract, 5)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_endorsed_opens_no_stream_and_one_that_never_begins_ends() {
    let ledger = Ledger::start();
    let (contract, _) = following(&ledger, UNHURRIED).await;
    let commits = contract.gateway().commits().unwrap();
    ledger.change(|state| state.endorse_refusals.push_back(Status::aborted("no such channel")));
    contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    assert_eq!(ledger.state().count("filtered blocks"), 0);
    assert_eq!(commits.channels(), Vec::<String>::new());

    ledger.change(|state| state.filtered_refusal = Some(Told::NotFound));
    commits.follow("typo");
    let ended = async {
        while !commits.channels().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("nobody waits on it");
    ledger.change(|state| state.filtered_refusal = None);
    submit_at_once(&contract, 1).await;
    assert_eq!(commits.channels(), ["main"]);
    assert_eq!(ledger.state().count("commit status"), 0);
}
