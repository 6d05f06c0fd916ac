//! Lost submissions, transactions that are kept, retries and idempotency keys, against a peer with a ledger.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hlf_gateway::protos::common::Status as Told;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    Code, Contract, Deadlines, Endpoint, Gateway, KeptInFolder, KeptInMemory, Retry, RetryError,
    SignedTransaction, Stage, StoreError, TransactionError, TransactionStore,
};
use tonic::Status;

use crate::ledger::{Fate, Ledger, Transaction};
use crate::scripted::{chain, counted_credentials, credentials, refusal};

const CONFLICTS: [TxValidationCode; 2] =
    [TxValidationCode::MvccReadConflict, TxValidationCode::PhantomReadConflict];

fn deadlines() -> Deadlines {
    Deadlines { lost_submit: Duration::from_millis(100), ..Deadlines::default() }
}

async fn contract_with(ledger: &Ledger, deadlines: Deadlines) -> Contract {
    let endpoint = Endpoint::plaintext(ledger.address.to_string());
    Gateway::connect(&endpoint, credentials(), deadlines).await.unwrap().contract("main", "assets")
}

async fn contract(ledger: &Ledger) -> Contract {
    contract_with(ledger, deadlines()).await
}

fn soon() -> Retry {
    Retry {
        first_pause: Duration::from_millis(20),
        last_pause: Duration::from_millis(50),
        ..Retry::default()
    }
}

/// What a BFT network's gateway says of a transaction that two orderers had ordered before their copy came.
fn ordered_already() -> Status {
    let said = "received unsuccessful response from orderer: status=SERVICE_UNAVAILABLE, info=failed to submit \
                request: request already processed";
    let message = "insufficient number of orderers could successfully process transaction to satisfy quorum \
                   requirement";
    refusal(
        Code::Unavailable,
        message,
        &[("orderer1:7050", "OrdererMSP", said), ("orderer3:7050", "OrdererMSP", said)],
    )
}

#[tokio::test]
async fn what_orderers_have_ordered_already_is_awaited_like_any_other() {
    let ledger = Ledger::start();
    // With no time for lost submissions, only one that counts as ordered is awaited.
    let deadlines = Deadlines { lost_submit: Duration::ZERO, ..Deadlines::default() };
    let contract = contract_with(&ledger, deadlines).await;
    ledger.change(|state| state.fates.push_back(Fate::CommitAndFail(ordered_already())));
    let committed = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    assert_eq!(committed.block_number, 1);

    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();
    ledger.change(|state| state.fates.push_back(Fate::CommitAndFail(ordered_already())));
    let error = endorsed.submit().await.unwrap_err();
    assert!(error.failure().unwrap().says_ordered(), "{}", chain(&error));

    ledger.change(|state| state.fates.push_back(Fate::LoseAndFail(Status::unavailable("none took it"))));
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown { stage: Stage::Submit, .. }), "{error}");
}

#[tokio::test]
async fn a_lost_transaction_is_sent_again_identical_and_never_replaced() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| {
        state.fates.extend([
            Fate::LoseAndFail(Status::unavailable("no orderers could successfully process transaction")),
            Fate::LoseAndFail(Status::aborted(
                "received unsuccessful response from orderer: status=FORBIDDEN",
            )),
            Fate::LoseAndFail(Status::unknown("too many requests, exceeding concurrency limit (500)")),
            Fate::Commit,
        ]);
    });

    let done = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();

    assert_eq!((done.attempts, done.committed.block_number, done.committed.result), (1, 1, b"done".to_vec()));
    let state = ledger.state();
    assert_eq!((state.count("endorse"), state.submitted.len()), (1, 4));
    assert!(state.submitted.iter().all(|submitted| *submitted == state.submitted[0]));
}

#[tokio::test]
async fn what_stays_unknown_is_told_with_the_transaction_and_no_other_is_made() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| state.usual_fate = Some(Fate::LoseAndSucceed));
    let retry = Retry { deadline: Duration::from_millis(300), ..soon() };

    let error = contract.submit_retrying(contract.proposal("Do"), &retry).await.unwrap_err();

    let RetryError::Failed { attempts: 1, source } = error else { panic!("{error}") };
    let TransactionError::Unknown { transaction, .. } = source else { panic!("{source}") };
    assert_eq!(ledger.state().count("endorse"), 1);

    // Another process, another identity: the same transaction.
    let kept = SignedTransaction::from_bytes(&transaction.to_bytes()).unwrap();
    assert_eq!(kept, *transaction);
    ledger.change(|state| state.usual_fate = None);
    let gateway = self::contract(&ledger).await.gateway().clone();
    let committed = gateway.settle(&kept, &soon()).await.unwrap();
    assert_eq!((committed.tx_id.as_str(), committed.result.as_slice()), (kept.tx_id(), &b"done"[..]));
    let submitted = ledger.state().submitted.len();
    // Once it's known it is not sent again, however late that is told.
    let gateway = gateway.with_deadlines(Deadlines::default());
    assert_eq!(gateway.settle(&kept, &soon()).await.unwrap(), committed);
    assert_eq!(ledger.state().submitted.len(), submitted);
    assert_eq!(ledger.state().valid(), 1);
}

#[tokio::test]
async fn a_copy_in_a_block_is_not_the_outcome() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();
    let transaction = endorsed.signed().await.unwrap();
    for _ in 0..3 {
        endorsed.submit().await.unwrap();
    }
    let committed = contract.gateway().settle(&transaction, &soon()).await.unwrap();
    assert_eq!(committed.block_number, 1);
    let state = ledger.state();
    assert_eq!(state.blocks[3][0].code, TxValidationCode::DuplicateTxid);
}

#[tokio::test]
async fn bytes_that_are_no_signed_transaction_are_refused() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let endorsed = contract.proposal("Do").arg("argument").build().unwrap().endorse().await.unwrap();
    let transaction = endorsed.signed().await.unwrap();
    let bytes = transaction.to_bytes();
    for end in 0..bytes.len() {
        // Cut between two fields, it can be read but is not whole.
        assert!(SignedTransaction::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    let mut other = bytes.clone();
    let at = bytes.windows(64).position(|window| window == transaction.tx_id().as_bytes()).unwrap();
    other[at] ^= 1;
    let error = SignedTransaction::from_bytes(&other).unwrap_err();
    assert!(error.to_string().contains("under the id of another"), "{error}");
    assert!(!format!("{transaction:?}").contains("argument"));
}

#[tokio::test]
async fn a_conflict_is_tried_again_only_after_its_verdict() {
    for code in CONFLICTS {
        let ledger = Ledger::start();
        let contract = contract(&ledger).await;
        ledger.change(|state| state.codes.extend([code, code]));

        let done = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();

        assert_eq!((done.attempts, done.committed.block_number), (3, 3));
        let state = ledger.state();
        let once = ["endorse", "submit", "commit status"];
        assert_eq!(state.calls, [once, once, once].concat());
        assert_eq!((state.valid(), state.verdicts.len()), (1, 3));
    }
}

#[tokio::test]
async fn endorsers_that_differ_are_asked_again_and_nothing_was_submitted() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let differ = || Status::aborted("failed to assemble transaction: ProposalResponsePayloads do not match");
    ledger.change(|state| state.endorse_refusals.extend([differ(), differ()]));
    let done = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();
    assert_eq!(done.attempts, 3);
    assert_eq!(ledger.state().calls, ["endorse", "endorse", "endorse", "submit", "commit status"]);
}

#[tokio::test]
async fn what_is_final_is_not_tried_again() {
    let peers = [("peer0.north:7051", "NorthMSP", "chaincode response 409, exists")];
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| {
        state.endorse_refusals.push_back(refusal(Code::Aborted, "failed to endorse transaction", &peers));
    });
    let error = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap_err();
    let Some(TransactionError::Endorse(endorse)) = error.transaction() else { panic!("{error}") };
    assert_eq!(endorse.chaincode_response().unwrap().status, 409);
    assert_eq!(ledger.state().count("endorse"), 1);

    ledger.change(|state| state.codes.push_back(TxValidationCode::EndorsementPolicyFailure));
    let error = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap_err();
    assert!(matches!(error, RetryError::Failed { attempts: 1, .. }), "{error}");

    ledger.change(|state| state.codes.extend([CONFLICTS[0]; 3]));
    let retry = Retry { attempts: 3, ..soon() };
    let error = contract.submit_retrying(contract.proposal("Do"), &retry).await.unwrap_err();
    let RetryError::Failed { attempts: 3, source } = error else { panic!("{error}") };
    assert!(matches!(source, TransactionError::Invalid { .. }), "{source}");
    assert_eq!(ledger.state().valid(), 0);
}

#[tokio::test]
async fn a_key_stands_for_one_transaction() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let store = Arc::new(KeptInMemory::default());
    let retry = soon().idempotent("order 17", store);
    let call = || contract.proposal("Pay").arg("17");
    let first = contract.submit_retrying(call(), &retry).await.unwrap();
    let second = contract.submit_retrying(call(), &retry).await.unwrap();
    assert_eq!((first.attempts, second.attempts), (1, 0));
    assert_eq!(first.committed, second.committed);
    assert_eq!(ledger.state().calls, ["endorse", "submit", "commit status"]);

    let other = contract.proposal("Pay").arg("18");
    let error = contract.submit_retrying(other, &retry).await.unwrap_err();
    assert!(matches!(&error, RetryError::KeyReused { key, .. } if key == "order 17"), "{error}");
}

#[tokio::test]
async fn calls_under_one_key_at_once_make_one_effect() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| {
        state.codes.extend([CONFLICTS[0], CONFLICTS[1], CONFLICTS[0]]);
        state
            .fates
            .extend([Fate::CommitAndFail(ordered_already()), Fate::LoseAndFail(Status::unavailable("x"))]);
    });
    let retry = soon().idempotent("order 17", Arc::new(KeptInMemory::default()));
    let calls = (0..8).map(|_| {
        let (contract, retry) = (contract.clone(), retry.clone());
        tokio::spawn(async move { contract.submit_retrying(contract.proposal("Pay"), &retry).await.unwrap() })
    });
    let mut effects = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        effects.push(call.await.unwrap().committed);
    }
    assert!(effects.iter().all(|committed| *committed == effects[0]), "{effects:?}");
    assert_eq!(ledger.state().valid(), 1);
}

/// Polls a future so many times, then drops it; says whether it had ended.
async fn cut<F: Future>(mut future: Pin<Box<F>>, polls: usize) -> Option<F::Output> {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_call_that_is_cut_anywhere_is_taken_up_under_its_key_with_one_effect() {
    let folder = tempfile::tempdir().unwrap();
    type Fates = fn() -> Vec<Fate>;
    let fates: [(&str, Fates); 6] = [
        ("all well", Vec::new),
        ("never answered", || vec![Fate::CommitAndStall]),
        ("ordered already", || vec![Fate::CommitAndFail(ordered_already())]),
        ("lost", || vec![Fate::LoseAndFail(Status::unavailable("none")), Fate::LoseAndSucceed]),
        ("lost, then all well", || vec![Fate::LoseAndFail(Status::unavailable("none"))]),
        ("conflicts", Vec::new),
    ];
    for (following, (what, fates)) in [false, true]
        .into_iter()
        .zip([(); 2])
        .flat_map(|(following, ())| fates.into_iter().map(move |fate| (following, fate)))
    {
        let mut cut_short = 0;
        for polls in 1.. {
            assert!(polls < 200, "{what}: it ends");
            let ledger = Ledger::start();
            ledger.change(|state| {
                state.fates.extend(fates());
                if what == "conflicts" {
                    state.codes.extend([CONFLICTS[0], CONFLICTS[1]]);
                }
            });
            let store = Arc::new(
                KeptInFolder::open(folder.path().join(format!("{what}{following}{polls}"))).unwrap(),
            );
            let short = Duration::from_millis(50);
            let deadlines =
                Deadlines { submit: short, commit_status: short, lost_submit: short, ..deadlines() };
            let mut contract = contract_with(&ledger, deadlines).await;
            if following {
                let gateway = contract.gateway().clone().following_commits(hlf_gateway::Following::default());
                contract = gateway.contract("main", "assets");
            }
            let retry = soon().idempotent("order 17", Arc::clone(&store) as Arc<dyn TransactionStore>);

            let first =
                cut(Box::pin(contract.submit_retrying(contract.proposal("Pay"), &retry)), polls).await;
            drop(contract);

            // What was sent, and perhaps more, is in the store; what isn't there was not sent.
            let pending = store.pending().unwrap();
            if pending.is_empty() && first.is_none() && store.load("order 17").await.unwrap().is_none() {
                assert_eq!(ledger.state().submitted.len(), 0, "{what}");
            }
            let contract = contract_with(&ledger, deadlines).await;
            let again = contract.submit_retrying(contract.proposal("Pay"), &retry).await.unwrap();
            assert_eq!(ledger.state().valid(), 1, "{what}, cut after {polls} polls");
            assert_eq!(ledger.state().verdicts[&again.committed.tx_id].1, TxValidationCode::Valid);
            match first {
                None => cut_short += 1,
                Some(first) => {
                    assert_eq!(first.unwrap().committed, again.committed);
                    break;
                }
            }
        }
        assert!(cut_short >= 3, "{what}: cut {cut_short} times");
    }
}

#[tokio::test]
async fn what_is_dropped_before_it_is_sent_is_never_sent_and_after_that_it_can_be_asked_for() {
    for stalled in ["endorse", "submit", "commit status"] {
        let ledger = Ledger::start();
        let contract = contract(&ledger).await;
        ledger.change(|state| state.stalled_call = Some(stalled));
        let proposal = contract.proposal("Do").build().unwrap();
        let tx_id = proposal.tx_id().to_owned();
        let submission = tokio::spawn({
            let contract = contract.clone();
            async move { contract.submit(proposal).await }
        });
        ledger.until(|state| state.count(stalled) == 1).await;
        submission.abort();
        assert!(submission.await.unwrap_err().is_cancelled());
        ledger.change(|state| state.stalled_call = None);
        if stalled == "endorse" {
            assert_eq!(ledger.state().submitted.len(), 0);
        } else {
            let status = contract.gateway().commit_status("main", &tx_id).await.unwrap();
            assert!(status.is_valid(), "{stalled}");
        }
        assert_eq!(ledger.state().valid(), usize::from(stalled != "endorse"));
    }
}

#[tokio::test]
async fn a_retry_signs_no_more_than_it_must() {
    let ledger = Ledger::start();
    let (credentials, signatures) = counted_credentials();
    let endpoint = Endpoint::plaintext(ledger.address.to_string());
    let contract =
        Gateway::connect(&endpoint, credentials, deadlines()).await.unwrap().contract("main", "assets");
    ledger.change(|state| state.codes.push_back(CONFLICTS[0]));
    contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();
    assert_eq!(signatures.load(Ordering::Relaxed), 6, "two transactions, three each");
}

#[tokio::test]
async fn another_s_envelope_under_the_id_makes_no_transaction_void() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| state.forged = true);
    let retry = soon().idempotent("order 17", Arc::new(KeptInMemory::default()));
    let done = contract.submit_retrying(contract.proposal("Pay"), &retry).await.unwrap();
    assert_eq!((done.attempts, done.committed.block_number), (1, 1));
    let once = ["endorse", "submit", "commit status", "commit status", "filtered blocks"];
    assert_eq!(ledger.state().calls, once);

    // What the transaction itself got is told, and tried again as such.
    ledger.change(|state| state.codes.push_back(CONFLICTS[0]));
    let done = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();
    assert_eq!(done.attempts, 2);

    // Nor if the peer can't reduce the block.
    ledger.change(|state| state.spoilt = true);
    let done = contract.submit_retrying(contract.proposal("Do"), &soon()).await.unwrap();
    assert_eq!(done.attempts, 1);
    assert!(ledger.state().calls.ends_with(&["filtered blocks", "blocks"]));
    ledger.change(|state| state.spoilt = false);

    // Without the block there is no knowing.
    ledger.change(|state| state.deliver_refusal = Some(Told::Forbidden));
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    assert!(matches!(&error, TransactionError::Unknown { stage: Stage::CommitStatus, .. }), "{error}");
    assert!(chain(&error).contains("may be another's"), "{}", chain(&error));

    // With it, and nothing else in it, it is a no: the id is taken.
    ledger.change(|state| {
        state.deliver_refusal = None;
        state.append(vec![Transaction::anothers("taken")]);
    });
    let status = contract.gateway().commit_status("main", "taken").await.unwrap();
    assert_eq!(status.code, TxValidationCode::BadProposalTxid);
}

/// Keeps what another store does, and takes its time to find it.
struct Slow(KeptInMemory, Duration);

impl TransactionStore for Slow {
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            tokio::time::sleep(self.1).await;
            self.0.load(key).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.0.replace(key, expected, new)
    }
}

#[tokio::test]
async fn after_its_deadline_a_retry_begins_nothing() {
    let deadline = Duration::from_millis(100);
    let retry = Retry { deadline, ..soon() };

    // An endorsement ends by it, though its own time is longer.
    let ledger = Ledger::start();
    ledger.change(|state| state.stalled_call = Some("endorse"));
    let endorsing = contract(&ledger).await;
    let error = endorsing.submit_retrying(endorsing.proposal("Do"), &retry).await.unwrap_err();
    let RetryError::Failed { attempts: 1, source: TransactionError::Endorse(source) } = error else {
        panic!("{error}")
    };
    assert_eq!(source.failure().unwrap().code(), Code::DeadlineExceeded);
    assert_eq!(ledger.state().count("submit"), 0);

    // What is found too late under a key is not tried at all.
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let store = Arc::new(Slow(KeptInMemory::default(), deadline * 2));
    let under_key = retry.clone().idempotent("order 17", Arc::clone(&store) as Arc<dyn TransactionStore>);
    let error = contract.submit_retrying(contract.proposal("Pay"), &under_key).await.unwrap_err();
    let RetryError::Failed { attempts: 0, source: TransactionError::TooLate { .. } } = error else {
        panic!("{error}")
    };
    assert_eq!(ledger.state().calls, Vec::<&str>::new());
    assert_eq!(store.0.load("order 17").await.unwrap(), None);

    // Nor is what was kept sent or asked for.
    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();
    let transaction = endorsed.signed().await.unwrap();
    let none = Retry { deadline: Duration::ZERO, ..soon() };
    let error = contract.gateway().settle(&transaction, &none).await.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown { .. }), "{error}");
    assert_eq!(ledger.state().calls, ["endorse"]);
}
