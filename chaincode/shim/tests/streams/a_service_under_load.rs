//! Many transactions at once, limits on them, and stopping.

use std::time::Duration;

use futures_util::future::join_all;
use hlf_chaincode::{Config, Drained, Limits};
use hlf_testpeer::{ConnectError, InvokeError, Proposal, TestPeer, Wire};
use tonic::Code;

use crate::support::{Running, clerk, gate, shop, within};

fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::for_tests("shop:1");
    change(&mut config.limits);
    config
}

fn call(function: &str) -> Proposal {
    Proposal::new(clerk(), function)
}

#[tokio::test]
async fn a_slow_transaction_blocks_no_other() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let (wait, get) = (call("Wait"), call("Get"));
    let slow = peer.invoke(&wait);
    let quick = async {
        within(keeper.entered.recv()).await.unwrap();
        for _ in 0..50 {
            assert!(within(peer.invoke(&get)).await.unwrap().is_ok());
        }
        within(peer.keepalive()).await.unwrap();
        keeper.go.add_permits(1);
    };
    let (slow, ()) = tokio::join!(slow, quick);
    assert_eq!(slow.unwrap().payload, b"went");
}

#[tokio::test]
async fn many_transactions_of_many_peers_run_side_by_side() {
    let service = Running::start(shop()).await;
    let patient = || TestPeer::builder().execute_timeout(Duration::from_secs(300));
    let peers = join_all((0..4).map(|_| patient().connect(service.address))).await;
    let outcomes = join_all(peers.iter().enumerate().map(|(at, peer)| async move {
        let peer = peer.as_ref().unwrap();
        let calls: Vec<_> = (0..300)
            .map(|n| call("PutAll").arg(format!(r#"[{{"key":"{at}-{n}","value":"{n}"}}]"#)))
            .collect();
        let submitted = join_all(calls.iter().map(|proposal| peer.submit(proposal))).await;
        assert!(submitted.into_iter().all(|submitted| submitted.unwrap().is_valid()));
        peer.ledger().keys("channel").len()
    }))
    .await;
    assert_eq!(outcomes, [300; 4], "what one peer wrote, no other one saw");
}

#[tokio::test]
async fn running_transactions_are_bounded_and_the_others_wait_their_turn() {
    let (contract, mut keeper) = gate();
    let service = Running::with(config(|limits| limits.transactions = 2), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let calls: Vec<_> = (0..5).map(|_| call("Wait")).collect();
    let all = join_all(calls.iter().map(|proposal| peer.invoke(proposal)));
    let watch = async {
        for _ in 0..2 {
            within(keeper.entered.recv()).await.unwrap();
        }
        // A round of the stream later, no third one has started.
        within(peer.keepalive()).await.unwrap();
        assert!(keeper.entered.try_recv().is_err());
        keeper.go.add_permits(1);
    };
    let (all, ()) = tokio::join!(within(all), watch);
    assert!(all.into_iter().all(|outcome| outcome.unwrap().is_ok()));
}

#[tokio::test]
async fn a_peer_that_sends_too_many_is_told_so() {
    let (contract, mut keeper) = gate();
    let service = Running::with(config(|limits| limits.transactions_per_stream = 1), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let (wait, get) = (call("Wait"), call("Get"));
    let first = peer.invoke(&wait);
    let second = async {
        within(keeper.entered.recv()).await.unwrap();
        let busy = peer.invoke(&get).await.unwrap();
        assert_eq!((busy.status, busy.message.as_str()), (503, "SERVICE_BUSY"));
        keeper.go.add_permits(1);
    };
    let (first, ()) = tokio::join!(first, second);
    assert!(first.unwrap().is_ok());
    assert!(peer.invoke(&get).await.unwrap().is_ok());
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_until_one_ends() {
    let service = Running::with(config(|limits| limits.streams = 1), shop()).await;
    let first = TestPeer::builder().connect(service.address).await.unwrap();
    assert!(first.invoke(&call("Facts")).await.unwrap().is_ok());
    match Wire::connect(service.address).await {
        Err(ConnectError::Refused(status)) => assert_eq!(status.code(), Code::ResourceExhausted),
        other => panic!("{other:?}"),
    }
    drop(first);
    within(async {
        while TestPeer::builder().connect(service.address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_never_ends_is_ended() {
    let (contract, mut keeper) = gate();
    let service =
        Running::with(config(|limits| limits.transaction = Duration::from_millis(30)), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    for function in ["Wait", "Spin"] {
        let ended = within(peer.invoke(&call(function))).await.unwrap();
        assert_eq!((ended.status, ended.message.as_str()), (504, "TRANSACTION_TIMED_OUT"));
        within(keeper.dropped.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn stopping_lets_running_transactions_finish_and_takes_no_new_ones() {
    let (contract, mut keeper) = gate();
    let mut service = Running::start(contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let (wait, put) = (call("Wait"), call("Put"));
    let running = peer.invoke(&wait);
    let stop = async {
        within(keeper.entered.recv()).await.unwrap();
        service.stop();
        within(async {
            loop {
                let refused = peer.invoke(&put).await.unwrap();
                if !refused.is_ok() {
                    assert_eq!((refused.status, refused.message.as_str()), (503, "SERVICE_DRAINING"));
                    break;
                }
            }
        })
        .await;
        keeper.go.add_permits(1);
    };
    let (finished, ()) = tokio::join!(running, stop);
    assert_eq!(finished.unwrap().payload, b"went");
    within(peer.ended()).await;
    assert_eq!(service.stopped().await, Drained { in_time: true });
    assert!(matches!(peer.invoke(&put).await, Err(InvokeError::StreamLost)));
}

#[tokio::test]
async fn an_idle_stream_does_not_keep_a_service_from_stopping() {
    let mut service = Running::start(shop()).await;
    let idle = TestPeer::builder().connect(service.address).await.unwrap();
    // One that has not even registered.
    let mut waiting = Wire::connect(service.address).await.unwrap();
    within(waiting.next()).await.unwrap();
    service.stop();
    assert_eq!(service.stopped().await, Drained { in_time: true });
    within(idle.ended()).await;
    assert!(matches!(within(waiting.next()).await, Ok(None) | Err(_)));
}

#[tokio::test]
async fn stopping_ends_at_its_deadline_whatever_runs() {
    let (contract, mut keeper) = gate();
    let mut service =
        Running::with(config(|limits| limits.drain = Duration::from_millis(30)), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let wait = call("Wait");
    let running = peer.invoke(&wait);
    let stop = async {
        within(keeper.entered.recv()).await.unwrap();
        service.stop();
    };
    let (lost, ()) = tokio::join!(within(running), stop);
    assert!(matches!(lost, Err(InvokeError::StreamLost)), "{lost:?}");
    assert_eq!(service.stopped().await, Drained { in_time: false });
    within(keeper.dropped.recv()).await.unwrap();
}
