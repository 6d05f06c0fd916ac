//! Each way in which a peer may misbehave, and that the shim frees what it holds.

use std::time::Duration;

use futures_util::future::join_all;
use hlf_chaincode::{Config, Limits};
use hlf_testpeer::{Fault, InvokeError, Outcome, Proposal, TestPeer};

use crate::support::{Running, clerk, gate, shop, within};

fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::for_tests("shop:1");
    change(&mut config.limits);
    config
}

fn get() -> Proposal {
    Proposal::new(clerk(), "GetAll").arg(r#"["a","b","c"]"#)
}

fn code(outcome: &Outcome) -> (i32, &str) {
    (outcome.status, outcome.message.as_str())
}

#[tokio::test]
async fn a_dropped_stream_cancels_what_runs_and_counts_it() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::DropStream));
    assert!(matches!(within(peer.invoke(&get())).await, Err(InvokeError::StreamLost)));
    service.told("chaincode_streams 0").await;
    service.told(r#"chaincode_transactions_total{function="GetAll",outcome="cancelled"} 1"#).await;
    service.idle().await;
}

#[tokio::test]
async fn late_answers_are_waited_for_and_those_that_come_too_late_are_not_mixed_up() {
    let service = Running::with(config(|limits| limits.reply = Duration::from_secs(2)), shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let put = Proposal::new(clerk(), "PutAll").arg(r#"[{"key":"a","value":"1"}]"#);
    assert!(peer.submit(&put).await.unwrap().is_valid());
    peer.inject(Some(Fault::Delay(Duration::from_millis(2))));
    assert!(peer.invoke(&get()).await.unwrap().is_ok());
    peer.inject(Some(Fault::Delay(Duration::from_secs(4))));
    assert_eq!(code(&peer.invoke(&get()).await.unwrap()), (503, "LEDGER_UNAVAILABLE"));
    service.idle().await;
    peer.inject(None);
    let after = peer.invoke(&get()).await.unwrap();
    assert_eq!(after.json::<Vec<Option<String>>>().unwrap(), [Some("1".into()), None, None]);
}

#[tokio::test]
async fn answers_out_of_order_reach_those_who_asked() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let all: Vec<_> = (0..8).map(|n| format!(r#"{{"key":"k{n}","value":"{n}"}}"#)).collect();
    let put = Proposal::new(clerk(), "PutAll").arg(format!("[{}]", all.join(",")));
    assert!(peer.submit(&put).await.unwrap().is_valid());
    peer.inject(Some(Fault::Reorder(4)));
    let asked: Vec<_> =
        (0..8).map(|n| Proposal::new(clerk(), "GetAll").arg(format!(r#"["k{n}"]"#))).collect();
    let outcomes = within(join_all(asked.iter().map(|proposal| peer.invoke(proposal)))).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().json::<Vec<String>>().unwrap(), [n.to_string()]);
    }
    // Two are too few: they wait until the fault is over.
    let two = join_all(asked.iter().take(2).map(|proposal| peer.invoke(proposal)));
    let end = async {
        service.told("chaincode_round_trips_total 9").await;
        service.told("chaincode_transactions_in_flight 2").await;
        within(peer.keepalive()).await.unwrap();
        peer.inject(None);
    };
    let (two, ()) = tokio::join!(within(two), end);
    assert!(two.into_iter().all(|outcome| outcome.unwrap().is_ok()));
    service.idle().await;
}

#[tokio::test]
async fn a_transaction_that_its_peer_gave_up_on_ends_and_frees_what_it_holds() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::ExecuteTimeout));
    // Whoever asked is told by the peer; the chaincode hears of it when it asks next, and only then.
    assert!(matches!(within(peer.invoke(&get())).await, Err(InvokeError::TimedOut(_))));
    service.told(r#"chaincode_transactions_total{function="GetAll",outcome="500"} 1"#).await;
    service.idle().await;
    peer.inject(None);
    assert!(peer.invoke(&get()).await.unwrap().is_ok(), "the stream goes on");
}

#[tokio::test]
async fn a_transaction_that_runs_on_after_its_peer_gave_up_is_refused_its_next_request() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let short = TestPeer::builder().execute_timeout(Duration::from_millis(30));
    let peer = short.connect(service.address).await.unwrap();
    let late = within(peer.invoke(&Proposal::new(clerk(), "WaitThenGet"))).await;
    assert!(matches!(late, Err(InvokeError::TimedOut(_))), "{late:?}");
    service.told("chaincode_transactions_in_flight 1").await;
    keeper.go.add_permits(1);
    service.idle().await;
    let words = within(keeper.refused.recv()).await.unwrap();
    assert!(
        words.starts_with("GET_STATE failed: transaction ID: ") && words.ends_with(": no ledger context")
    );
}

#[tokio::test]
async fn a_transaction_that_outlives_the_services_own_limit_counts_as_timed_out() {
    let (contract, mut keeper) = gate();
    let service =
        Running::with(config(|limits| limits.transaction = Duration::from_millis(30)), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let outcome = within(peer.invoke(&Proposal::new(clerk(), "Wait"))).await.unwrap();
    assert_eq!(code(&outcome), (504, "TRANSACTION_TIMED_OUT"));
    within(keeper.dropped.recv()).await.unwrap();
    service.told(r#"chaincode_transactions_total{function="other",outcome="timed_out"} 1"#).await;
    service.idle().await;
}

#[tokio::test]
async fn a_multi_get_with_fewer_values_than_keys_is_an_error_however_many_are_missing() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    for fault in [Fault::FewerValues(1), Fault::FewerValues(2), Fault::FewerValues(7), Fault::ShortMultiGet] {
        peer.inject(Some(fault.clone()));
        assert_eq!(code(&peer.invoke(&get()).await.unwrap()), (500, "LEDGER_REPLY_INVALID"), "{fault:?}");
    }
    service.idle().await;
}

#[tokio::test]
async fn an_oversized_answer_ends_its_stream_and_nothing_else() {
    let service = Running::with(config(|limits| limits.message_bytes = 64 * 1024), shop()).await;
    let staying = TestPeer::builder().connect(service.address).await.unwrap();
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::Oversized(1 << 20)));
    assert!(matches!(within(peer.invoke(&get())).await, Err(InvokeError::StreamLost)));
    service.told("chaincode_streams 1").await;
    service.idle().await;
    assert!(staying.invoke(&get()).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_silent_peer_is_waited_for_once_and_scans_are_left_to_it() {
    let service = Running::with(config(|limits| limits.reply = Duration::from_millis(30)), shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::Silence));
    let outcome = within(peer.invoke(&Proposal::new(clerk(), "Scan").arg(r#"["",""]"#))).await.unwrap();
    assert_eq!(
        (code(&outcome), outcome.requests.as_slice()),
        ((503, "LEDGER_UNAVAILABLE"), &["GET_STATE_BY_RANGE"][..])
    );
    service.idle().await;
}
