//! Several peers' gateways as one: what goes elsewhere, what must not, and how a peer comes back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hlf_gateway::protos::common::Envelope;
use hlf_gateway::protos::gateway::{CommitStatusResponse, EndorseRequest, EvaluateResponse, SubmitResponse};
use hlf_gateway::protos::protos::deliver_response::Type;
use hlf_gateway::protos::protos::{DeliverResponse, FilteredBlock, ProposalResponse, Response};
use hlf_gateway::{
    After, BlockRange, Code, Deadlines, EndorseError, Endpoint, FailureCause, Gateway, Stage,
    TransactionError,
};
use tonic::Status;

use crate::scripted::{Answer, Script, ScriptedPeer, credentials, endorsed, refusal};

fn result(payload: &[u8]) -> Answer<EvaluateResponse> {
    let response = Response { status: 200, payload: payload.to_vec(), ..Response::default() };
    Answer::Reply(EvaluateResponse { result: Some(response) })
}

/// A peer that names itself in what it evaluates; probes, which evaluate nothing, are not counted.
fn named(name: &'static str, evaluated: &Arc<AtomicUsize>) -> Script {
    let evaluated = Arc::clone(evaluated);
    Script {
        evaluate: Box::new(move |request| {
            if request.proposed_transaction.is_none() {
                return Answer::Refuse(Status::invalid_argument("a signed proposal is required"));
            }
            evaluated.fetch_add(1, Ordering::Relaxed);
            result(name.as_bytes())
        }),
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"done"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        commit_status: Box::new(|_| Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })),
        ..Script::default()
    }
}

fn counter() -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(0))
}

async fn connect(peers: &[&ScriptedPeer], deadlines: Deadlines) -> Gateway {
    let endpoints: Vec<_> = peers.iter().map(|peer| Endpoint::plaintext(peer.address.to_string())).collect();
    Gateway::connect_any(&endpoints, credentials(), deadlines).await.unwrap()
}

async fn evaluate(gateway: &Gateway) -> Result<Vec<u8>, Code> {
    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    proposal.evaluate().await.map_err(|error| error.failure().unwrap().code())
}

/// Waits until the peers answer or don't, as told.
async fn until_answers(gateway: &Gateway, wanted: &[bool]) {
    let seen = async {
        while gateway.peers().iter().map(|peer| peer.answers).collect::<Vec<_>>() != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_vanishes_is_left_out_and_found_again() {
    let (north, south) = (counter(), counter());
    let first = ScriptedPeer::start(named("first", &north)).await;
    let second = ScriptedPeer::start(named("second", &south)).await;
    let gateway = connect(&[&first, &second], Deadlines::default()).await;
    assert_eq!(evaluate(&gateway).await.unwrap(), b"first", "the preferred one");

    let address = first.address;
    first.vanish();
    for _ in 0..10 {
        assert_eq!(evaluate(&gateway).await.unwrap(), b"second");
    }
    until_answers(&gateway, &[false, true]).await;

    let _first = ScriptedPeer::start_at(address, named("first", &north)).await;
    until_answers(&gateway, &[true, true]).await;
    assert_eq!(evaluate(&gateway).await.unwrap(), b"first");
    assert_eq!((north.load(Ordering::Relaxed), south.load(Ordering::Relaxed)), (2, 10));
}

#[tokio::test]
async fn a_peer_that_stands_still_leaves_time_for_another() {
    let stands_still = Script { evaluate: Box::new(|_| Answer::Stall), ..Script::default() };
    let first = ScriptedPeer::start(stands_still).await;
    let asked = counter();
    let second = ScriptedPeer::start(named("second", &asked)).await;
    let deadlines = Deadlines { evaluate: Duration::from_secs(6), ..Deadlines::default() };
    let gateway = connect(&[&first, &second], deadlines).await;

    assert_eq!(evaluate(&gateway).await.unwrap(), b"second");
    until_answers(&gateway, &[false, true]).await;
    assert_eq!(evaluate(&gateway).await.unwrap(), b"second", "at once: the first is left out");
}

#[tokio::test]
async fn what_a_chaincode_refuses_is_not_asked_elsewhere() {
    let refuses = Script {
        endorse: Box::new(|_| {
            let peers = [("peer0:7051", "NorthMSP", "chaincode response 409, TAKEN")];
            Answer::Refuse(refusal(Code::Aborted, "failed to endorse transaction", &peers))
        }),
        ..Script::default()
    };
    let first = ScriptedPeer::start(refuses).await;
    let second = ScriptedPeer::start(named("second", &counter())).await;
    let gateway = connect(&[&first, &second], Deadlines::default()).await;

    let proposal = gateway.contract("main", "assets").proposal("Create").build().unwrap();
    let error = proposal.endorse().await.unwrap_err();
    assert!(matches!(error, EndorseError::Failed { .. }));
    assert_eq!(error.chaincode_response().unwrap().message, "TAKEN");
}

#[tokio::test]
async fn a_submission_goes_elsewhere_as_the_identical_envelope() {
    let sent = Arc::new(Mutex::new(Vec::<Envelope>::new()));
    let mut scripts = ["first", "second"].map(|name| named(name, &counter()));
    for (script, serves) in scripts.iter_mut().zip([false, true]) {
        let sent = Arc::clone(&sent);
        script.submit = Box::new(move |request| {
            sent.lock().unwrap().push(request.prepared_transaction.unwrap());
            match serves {
                true => Answer::Reply(SubmitResponse {}),
                false => Answer::Refuse(Status::unavailable("no orderer nodes available")),
            }
        });
    }
    let [first, second] = scripts;
    let (first, second) = (ScriptedPeer::start(first).await, ScriptedPeer::start(second).await);
    let gateway = connect(&[&first, &second], Deadlines::default()).await;
    let contract = gateway.contract("main", "assets");

    let committed = contract.submit(contract.proposal("Transfer").build().unwrap()).await.unwrap();

    assert_eq!(committed.block_number, 7);
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test]
async fn a_submission_that_fails_everywhere_stays_unknown() {
    let fails = || Script {
        submit: Box::new(|_| Answer::Refuse(Status::unavailable("no orderer nodes available"))),
        commit_status: Box::new(|_| Answer::Stall),
        ..named("", &counter())
    };
    let (first, second) = (ScriptedPeer::start(fails()).await, ScriptedPeer::start(fails()).await);
    let deadlines = Deadlines { lost_submit: Duration::from_millis(100), ..Deadlines::default() };
    let gateway = connect(&[&first, &second], deadlines).await;
    let contract = gateway.contract("main", "assets");

    let error = contract.submit(contract.proposal("Transfer").build().unwrap()).await.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown { stage: Stage::Submit, .. }), "{error}");
}

#[tokio::test]
async fn what_orderers_have_already_is_not_sent_again() {
    let submitted = counter();
    let count = |script: Script| {
        let submitted = Arc::clone(&submitted);
        Script {
            submit: Box::new(move |_| {
                submitted.fetch_add(1, Ordering::Relaxed);
                let orderers =
                    [("orderer0:7050", "OrdererMSP", "SERVICE_UNAVAILABLE, request already processed")];
                Answer::Refuse(refusal(Code::Unavailable, "insufficient number of orderers", &orderers))
            }),
            ..script
        }
    };
    let first = ScriptedPeer::start(count(named("", &counter()))).await;
    let second = ScriptedPeer::start(count(named("", &counter()))).await;
    let gateway = connect(&[&first, &second], Deadlines::default()).await;
    let contract = gateway.contract("main", "assets");

    contract.submit(contract.proposal("Transfer").build().unwrap()).await.unwrap();
    assert_eq!(submitted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_verdict_is_asked_for_at_another_peer() {
    let first = ScriptedPeer::start(named("first", &counter())).await;
    let second = ScriptedPeer::start(named("second", &counter())).await;
    let gateway = connect(&[&first, &second], Deadlines::default()).await;
    first.vanish();
    let status = gateway.commit_status("main", "00").await.unwrap();
    assert_eq!(status.block_number, 7);
}

#[tokio::test]
async fn one_peer_is_enough_to_connect_and_none_is_said() {
    let peer = ScriptedPeer::start(named("there", &counter())).await;
    let gone = ScriptedPeer::start(Script::default()).await;
    let nowhere = Endpoint::plaintext(gone.address.to_string());
    gone.vanish();
    let deadlines = Deadlines { connect: Duration::from_secs(2), ..Deadlines::default() };

    let there = Endpoint::plaintext(peer.address.to_string());
    let endpoints = [nowhere.clone(), there];
    let gateway = Gateway::connect_any(&endpoints, credentials(), deadlines).await.unwrap();
    assert_eq!(evaluate(&gateway).await.unwrap(), b"there");

    let none =
        Gateway::connect_any(std::slice::from_ref(&nowhere), credentials(), deadlines).await.unwrap_err();
    assert_eq!(none.failures.len(), 1);
    assert!(none.to_string().contains(nowhere.address()), "{none}");
    let empty = Gateway::connect_any(&[], credentials(), deadlines).await.unwrap_err();
    assert_eq!(empty.to_string(), "no endpoint is given to connect to");
}

#[tokio::test]
async fn one_reads_at_a_peer_that_has_the_block() {
    let processed = |name: &'static str| -> Box<dyn FnMut(_) -> _ + Send> {
        Box::new(move |_| {
            let response = Response { status: 200, payload: name.into(), ..Response::default() };
            Answer::Reply(ProposalResponse { response: Some(response), ..ProposalResponse::default() })
        })
    };
    // The first peer is behind: it has no such block yet, and says nothing.
    let behind =
        Script { deliver: Box::new(|_| Answer::Stall), process: processed("behind"), ..Script::default() };
    let there = Script {
        deliver: Box::new(|(_, filtered)| {
            assert!(filtered);
            let block = FilteredBlock { number: 9, ..FilteredBlock::default() };
            Answer::Reply(vec![DeliverResponse { r#type: Some(Type::FilteredBlock(block)) }])
        }),
        process: processed("there"),
        ..Script::default()
    };
    let (first, second) = (ScriptedPeer::start(behind).await, ScriptedPeer::start(there).await);
    let deadlines = Deadlines { evaluate: Duration::from_secs(6), ..Deadlines::default() };
    let gateway = connect(&[&first, &second], deadlines).await;

    let read = || gateway.contract("main", "assets").proposal("Read").build().unwrap();
    assert_eq!(read().evaluate_after(&After::Block(9)).await.unwrap(), b"there");

    let alone = gateway.at(&first.address.to_string()).unwrap();
    let late = alone.contract("main", "assets").proposal("Read").build().unwrap();
    let error = late.evaluate_after(&After::Block(9)).await.unwrap_err();
    assert_eq!(error.failure().unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_goes_to_a_peer_that_answers_and_stays_there() {
    let first = ScriptedPeer::start(named("first", &counter())).await;
    let streams = Script { deliver: Box::new(|_| Answer::Stall), ..named("second", &counter()) };
    let second = ScriptedPeer::start(streams).await;
    let gateway = connect(&[&first, &second], Deadlines::default()).await;
    first.vanish();
    evaluate(&gateway).await.unwrap();

    let mut stream = gateway.filtered_blocks("main", BlockRange::next_commits()).await.unwrap();
    let opened = async {
        while gateway.peers()[1].deliver.streams != 1 {
            tokio::select! {
                _ = stream.next() => unreachable!("nothing is streamed"),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.unwrap();
    drop(stream);
    let closed = async {
        while gateway.peers()[1].deliver.streams != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.unwrap();
}

/// What gateways say that know too few endorsers.
const TOO_FEW: [&str; 3] = [
    "no combination of peers can be derived which satisfy the endorsement policy: no peer combination can satisfy \
     the endorsement policy",
    "failed to select a set of endorsers that satisfy the endorsement policy due to unavailability of peers: \
     [peer0.south.example.com:7051]",
    "failed to find any endorsing peers for org(s): SouthMSP",
];

/// What a gateway says that knows an endorser which is not there, or which another call has just found dead.
const UNREACHED: [&str; 2] = [
    "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
     dial tcp 127.0.0.1:7051: connect: connection refused\"",
    "rpc error: code = Canceled desc = grpc: the client connection is closing",
];

/// A peer whose gateway knows too few endorsers, so many times; proposals that it was asked to endorse are kept.
fn alone(times: usize, asked: &Arc<Mutex<Vec<Vec<u8>>>>) -> Script {
    refusing(&TOO_FEW, times, asked)
}

fn refusing(says: &'static [&'static str], times: usize, asked: &Arc<Mutex<Vec<Vec<u8>>>>) -> Script {
    let asked = Arc::clone(asked);
    let endorse = Box::new(move |request: EndorseRequest| {
        let mut asked = asked.lock().unwrap();
        let number = asked.len();
        asked.push(request.proposed_transaction.clone().unwrap().proposal_bytes);
        match number < times {
            true => Answer::Refuse(Status::failed_precondition(says[number % says.len()])),
            false => Answer::Reply(endorsed(&request, b"done")),
        }
    });
    Script { endorse, ..named("alone", &counter()) }
}

#[tokio::test]
async fn endorsers_that_a_gateway_has_not_heard_of_yet_or_cannot_reach_are_waited_for() {
    for says in [&TOO_FEW[..], &UNREACHED[..]] {
        let asked = Arc::default();
        let peer = ScriptedPeer::start(refusing(says, says.len(), &asked)).await;
        let contract = connect(&[&peer], Deadlines::default()).await.contract("main", "assets");

        let committed = contract.submit(contract.proposal("Transfer").build().unwrap()).await.unwrap();

        assert_eq!(committed.block_number, 7);
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), says.len() + 1);
        assert!(asked.iter().all(|proposal| *proposal == asked[0]), "one transaction, whatever it took");
    }
}

#[tokio::test]
async fn a_gateway_that_knows_too_few_endorsers_is_passed_over() {
    let (first, second) = (Arc::default(), Arc::default());
    let peers =
        [ScriptedPeer::start(alone(usize::MAX, &first)).await, ScriptedPeer::start(alone(0, &second)).await];
    let gateway = connect(&peers.each_ref(), Deadlines::default()).await;

    gateway.contract("main", "assets").proposal("Transfer").build().unwrap().endorse().await.unwrap();

    assert_eq!((first.lock().unwrap().len(), second.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn too_few_endorsers_are_told_once_their_time_is_up() {
    for (gossip, asks) in [(Duration::ZERO, 1..=1), (Duration::from_secs(4), 2..=7)] {
        let asked = Arc::default();
        let peer = ScriptedPeer::start(alone(usize::MAX, &asked)).await;
        let gateway = connect(&[&peer], Deadlines { gossip, ..Deadlines::default() }).await;

        let error = gateway.contract("main", "assets").proposal("Transfer").build().unwrap().endorse().await;

        let EndorseError::Failed { source, .. } = error.unwrap_err() else {
            panic!("not what the peer said")
        };
        assert_eq!(source.cause(), Some(FailureCause::TooFewEndorsers));
        assert_eq!((source.code(), source.is_retryable()), (Code::FailedPrecondition, true));
        let asked = asked.lock().unwrap().len();
        assert!(asks.contains(&asked), "{asked}");
        assert_eq!(source.message(), TOO_FEW[(asked - 1) % TOO_FEW.len()]);
    }
}
