//! A peer that runs few calls at once, and many callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hlf_gateway::protos::gateway::EvaluateResponse;
use hlf_gateway::protos::protos::Response;
use hlf_gateway::{
    ChaincodeEventsError, Code, Concurrency, Deadlines, Endpoint, EventsFrom, Gateway, Metrics, Observation,
    Operation, Outcome,
};
use tonic::Status;

use crate::scripted::{Answer, Script, ScriptedPeer, credentials};

/// What a peer says that runs as many calls as it takes.
fn full(limit: usize) -> Status {
    Status::unknown(format!("too many requests for /gateway.Gateway, exceeding concurrency limit ({limit})"))
}

async fn connect(peer: &ScriptedPeer, deadlines: Deadlines) -> Gateway {
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    Gateway::connect(&endpoint, credentials(), deadlines).await.unwrap()
}

async fn evaluate(gateway: &Gateway) -> Result<Vec<u8>, Code> {
    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    proposal.evaluate().await.map_err(|error| error.failure().unwrap().code())
}

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    busy: AtomicUsize,
    other: AtomicUsize,
}

impl Metrics for Counts {
    fn observed(&self, observation: &Observation<'_>) {
        assert_eq!(observation.operation, Operation::Evaluate);
        match observation.outcome {
            Outcome::Answered => &self.answered,
            Outcome::Busy => &self.busy,
            _ => &self.other,
        }
        .fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn calls_that_a_full_peer_refuses_are_made_again_and_the_limit_is_kept_to() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&refusals);
    let mut calls = 0;
    let script = Script {
        evaluate: Box::new(move |_| {
            calls += 1;
            // The first of many calls find the peer full of somebody else's.
            if calls <= 40 {
                refused.fetch_add(1, Ordering::Relaxed);
                return Answer::Refuse(full(7));
            }
            let response = Response { status: 200, ..Response::default() };
            Answer::Reply(EvaluateResponse { result: Some(response) })
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let counts = Arc::new(Counts::default());
    let gateway = connect(&peer, Deadlines::default()).await.with_metrics(counts.clone());

    let results = join_all((0..200).map(|_| evaluate(&gateway))).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(refusals.load(Ordering::Relaxed), 40);
    assert_eq!(counts.busy.load(Ordering::Relaxed), 40);
    assert_eq!(counts.answered.load(Ordering::Relaxed), 200);
    assert_eq!(counts.other.load(Ordering::Relaxed), 0);
    let load = gateway.peers()[0].gateway;
    assert!((1..=7).contains(&load.limit), "{load:?}");
    assert_eq!((load.under_way, load.waiting), (0, 0));
}

#[tokio::test]
async fn what_waits_in_vain_fails_clearly_within_its_deadline() {
    let script = Script { evaluate: Box::new(|_| Answer::Stall), ..Script::default() };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { evaluate: Duration::from_millis(300), ..Deadlines::default() };
    let bounds = Concurrency { calls_max: 2, waiting_max: 3, ..Concurrency::default() };
    let gateway = connect(&peer, deadlines).await.with_concurrency(bounds);

    let results = join_all((0..10).map(|_| evaluate(&gateway))).await;

    let count = |code| results.iter().filter(|result| **result == Err(code)).count();
    assert_eq!(count(Code::DeadlineExceeded), 5, "two under way, three waiting");
    assert_eq!(count(Code::ResourceExhausted), 5);
}

#[tokio::test]
async fn a_peer_that_stays_full_is_said_to_be_by_the_deadline() {
    let script = Script { evaluate: Box::new(|_| Answer::Refuse(full(1))), ..Script::default() };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { evaluate: Duration::from_secs(2), ..Deadlines::default() };
    let gateway = connect(&peer, deadlines).await;

    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert!(error.failure().unwrap().message().contains("exceeding concurrency limit"), "{error}");
}

#[tokio::test]
async fn streams_leave_room_for_calls_and_say_so() {
    let script = Script { events: Box::new(|_| Answer::Stall), ..Script::default() };
    let peer = ScriptedPeer::start(script).await;
    let bounds = Concurrency { calls_max: 2, ..Concurrency::default() };
    let gateway = connect(&peer, Deadlines::default()).await.with_concurrency(bounds);
    let contract = gateway.contract("main", "assets");

    let first = contract.events(EventsFrom::NextCommit).await.unwrap();
    let opened = async {
        while gateway.peers()[0].gateway.streams != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.unwrap();
    let mut second = contract.events(EventsFrom::NextCommit).await.unwrap();
    let ChaincodeEventsError::Failed { source, .. } = second.next().await.unwrap_err() else { panic!() };
    assert_eq!(source.code(), Code::ResourceExhausted);
    assert!(source.message().contains("share one"), "{source}");
    drop(first);
}

#[tokio::test]
async fn a_stream_does_not_lock_calls_out_of_a_peer_that_was_full_for_a_while() {
    let mut calls = 0;
    let script = Script {
        events: Box::new(|_| Answer::Stall),
        evaluate: Box::new(move |_| {
            calls += 1;
            if calls <= 12 {
                return Answer::Refuse(full(1));
            }
            let response = Response { status: 200, ..Response::default() };
            Answer::Reply(EvaluateResponse { result: Some(response) })
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let bounds = Concurrency { calls_max: 4, ..Concurrency::default() };
    let gateway = connect(&peer, Deadlines::default()).await.with_concurrency(bounds);
    let stream = gateway.contract("main", "assets").events(EventsFrom::NextCommit).await.unwrap();
    let opened = async {
        while gateway.peers()[0].gateway.streams != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.unwrap();

    assert_eq!(evaluate(&gateway).await, Ok(Vec::new()));
    assert_eq!(gateway.peers()[0].gateway.limit, 2, "the stream and one call");
    assert_eq!(evaluate(&gateway).await, Ok(Vec::new()));
    drop(stream);
}

#[tokio::test]
async fn a_chaincode_that_says_what_a_full_peer_says_is_told_at_once_and_teaches_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let script = Script {
        evaluate: Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            let words = full(1).message().to_owned();
            Answer::Refuse(Status::unknown(format!(
                "evaluate call to endorser returned error: chaincode response 500, {words}"
            )))
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let gateway = connect(&peer, Deadlines::default()).await;

    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert_eq!(error.chaincode_response().unwrap().status, 500);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(gateway.peers()[0].gateway.limit, Concurrency::default().calls_max);
}
