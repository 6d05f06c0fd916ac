//! How long each stage waits: as its gateway says, or as the call itself says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hlf_gateway::protos::gateway::{
    ChaincodeEventsResponse, CommitStatusResponse, EvaluateResponse, SubmitResponse,
};
use hlf_gateway::protos::protos::Response;
use hlf_gateway::{
    After, CallFailure, ChaincodeEventsError, Code, Credentials, Deadlines, DeliverError, Endpoint,
    EventsFrom, Gateway, Identity, KeySigner, SignError, Signer, Submitted, TransactionError,
};

use crate::scripted::{Answer, Script, ScriptedPeer, chain, credentials, endorsed, enrolment};

const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(600);

/// As long as a test may take, for the stages that are not looked at.
const PATIENT: Deadlines = Deadlines {
    connect: LATER,
    evaluate: LATER,
    endorse: LATER,
    gossip: LATER,
    submit: LATER,
    commit_status: LATER,
    lost_submit: LATER,
    open_stream: Some(LATER),
};

/// A stage, and the deadlines that make it alone a short one.
const STAGES: [(&str, Deadlines); 7] = [
    ("evaluate", Deadlines { evaluate: SOON, ..PATIENT }),
    ("endorse", Deadlines { endorse: SOON, ..PATIENT }),
    ("submit", Deadlines { submit: SOON, ..PATIENT }),
    ("commit status", Deadlines { commit_status: SOON, ..PATIENT }),
    ("chaincode events", Deadlines { open_stream: Some(SOON), ..PATIENT }),
    ("blocks", Deadlines { open_stream: Some(SOON), ..PATIENT }),
    ("endorser", Deadlines { endorse: SOON, ..PATIENT }),
];

/// Endorses, so that there is something to submit, and leaves everything else without an answer; endorsements too,
/// if it is to.
async fn silent_peer(endorses: bool) -> ScriptedPeer {
    let script = Script {
        evaluate: Box::new(|_| Answer::Stall),
        endorse: Box::new(move |request| match endorses {
            true => Answer::Reply(endorsed(&request, b"done")),
            false => Answer::Stall,
        }),
        submit: Box::new(|_| Answer::Stall),
        commit_status: Box::new(|_| Answer::Stall),
        events: Box::new(|_| Answer::Stall),
        deliver: Box::new(|_| Answer::Stall),
        process: Box::new(|_| Answer::Stall),
    };
    ScriptedPeer::start(script).await
}

async fn connected(peer: &ScriptedPeer, deadlines: Deadlines) -> Gateway {
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    Gateway::connect(&endpoint, credentials(), deadlines).await.unwrap()
}

fn code(failure: Option<&CallFailure>) -> Option<Code> {
    failure.map(CallFailure::code)
}

/// What a stage's error says, of a gateway with deadlines and of a call that has its own, if they are given.
async fn failed(stage: &str, gateway: &Gateway, own: Option<Deadlines>) -> Option<Code> {
    let contract = gateway.contract("main", "assets");
    let proposal = contract.proposal("Move").build().unwrap();
    match stage {
        "evaluate" | "endorse" => {
            let proposal = match own {
                Some(own) => proposal.with_deadlines(own),
                None => proposal,
            };
            match stage {
                "evaluate" => code(proposal.evaluate().await.unwrap_err().failure()),
                _ => code(proposal.endorse().await.unwrap_err().failure()),
            }
        }
        "submit" => {
            let endorsed = proposal.endorse().await.unwrap();
            let endorsed = match own {
                Some(own) => endorsed.with_deadlines(own),
                None => endorsed,
            };
            code(endorsed.submit().await.unwrap_err().failure())
        }
        "commit status" => {
            let asked = Submitted::of(gateway, "main", proposal.tx_id());
            let asked = match own {
                Some(own) => asked.with_deadlines(own),
                None => asked,
            };
            code(asked.commit_status().await.unwrap_err().failure())
        }
        "chaincode events" => {
            let request = contract.events_request(EventsFrom::NextCommit);
            let request = match own {
                Some(own) => request.with_deadlines(own),
                None => request,
            };
            match request.events().await.unwrap().next().await.unwrap_err() {
                ChaincodeEventsError::Failed { source, .. } => Some(source.code()),
                error => panic!("{error}"),
            }
        }
        "blocks" => {
            let request = gateway.block_request("main", ..);
            let request = match own {
                Some(own) => request.with_deadlines(own),
                None => request,
            };
            let filtered = request.filtered_blocks().await.unwrap().next().await.unwrap_err();
            let whole = request.blocks().await.unwrap().next().await.unwrap_err();
            let private = request.blocks_with_private_data().await.unwrap().next().await.unwrap_err();
            let codes = [filtered, whole, private].map(|error| match error {
                DeliverError::Failed { source, .. } => source.code(),
                error => panic!("{error}"),
            });
            assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
            Some(codes[0])
        }
        _ => {
            let gateway = own.map_or_else(|| gateway.clone(), |own| gateway.with_deadlines(own));
            let signed = proposal.signed().await.unwrap();
            match gateway.endorser().process(signed).await.unwrap_err() {
                hlf_gateway::EndorserError::Failed(failure) => Some(failure.code()),
                error => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn each_stage_waits_as_long_as_its_gateway_says() {
    for (stage, deadlines) in STAGES {
        let peer = silent_peer(stage == "submit").await;
        let gateway = connected(&peer, deadlines).await;
        assert_eq!(failed(stage, &gateway, None).await, Some(Code::DeadlineExceeded), "{stage}");
    }
}

#[tokio::test]
async fn each_call_may_have_deadlines_of_its_own() {
    for (stage, deadlines) in STAGES {
        let peer = silent_peer(stage == "submit").await;
        let gateway = connected(&peer, PATIENT).await;
        assert_eq!(failed(stage, &gateway, Some(deadlines)).await, Some(Code::DeadlineExceeded), "{stage}");
    }
}

#[tokio::test]
async fn one_stage_s_deadline_is_no_other_s() {
    // Each stage is answered well after the deadline of all the others.
    let answer_late = || std::thread::sleep(SOON * 2);
    let script = Script {
        evaluate: Box::new(move |_| {
            answer_late();
            let result = Response { payload: b"value".to_vec(), ..Response::default() };
            Answer::Reply(EvaluateResponse { result: Some(result) })
        }),
        endorse: Box::new(move |request| {
            answer_late();
            Answer::Reply(endorsed(&request, b"done"))
        }),
        submit: Box::new(move |_| {
            answer_late();
            Answer::Reply(SubmitResponse {})
        }),
        commit_status: Box::new(move |_| {
            answer_late();
            Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })
        }),
        events: Box::new(move |_| {
            answer_late();
            Answer::Reply(vec![ChaincodeEventsResponse { block_number: 9, ..Default::default() }])
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let all = Deadlines {
        evaluate: SOON,
        endorse: SOON,
        submit: SOON,
        commit_status: SOON,
        open_stream: Some(SOON),
        ..PATIENT
    };
    let gateway = connected(&peer, all).await;
    let of = |deadlines| gateway.with_deadlines(deadlines).contract("main", "assets");
    let proposal = || of(PATIENT).proposal("Move").build().unwrap();
    let evaluating = proposal().with_deadlines(Deadlines { evaluate: LATER, ..all });
    assert_eq!(evaluating.evaluate().await.unwrap(), b"value");
    let endorsing = proposal().with_deadlines(Deadlines { endorse: LATER, ..all });
    let endorsed = endorsing.endorse().await.unwrap();
    let submitting = endorsed.with_deadlines(Deadlines { submit: LATER, ..all });
    let asking = submitting.submit().await.unwrap().with_deadlines(Deadlines { commit_status: LATER, ..all });
    assert!(asking.commit_status().await.unwrap().is_valid());
    let opening = of(Deadlines { open_stream: Some(LATER), ..all });
    assert_eq!(opening.events(EventsFrom::NextCommit).await.unwrap().next().await.unwrap().block_number, 9);
}

#[tokio::test]
async fn the_longest_deadline_is_no_trouble() {
    let ever = Duration::MAX;
    let deadlines = Deadlines {
        connect: ever,
        evaluate: ever,
        endorse: ever,
        gossip: ever,
        submit: ever,
        commit_status: ever,
        lost_submit: ever,
        open_stream: Some(ever),
    };
    let result = || Response { payload: b"value".to_vec(), ..Response::default() };
    let script = Script {
        evaluate: Box::new(move |_| Answer::Reply(EvaluateResponse { result: Some(result()) })),
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"done"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        commit_status: Box::new(|_| Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })),
        events: Box::new(|_| {
            Answer::Reply(vec![ChaincodeEventsResponse { block_number: 9, ..Default::default() }])
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = connected(&peer, deadlines).await.contract("main", "assets");
    assert_eq!(contract.submit(contract.proposal("Move").build().unwrap()).await.unwrap().block_number, 7);
    assert_eq!(contract.proposal("Read").build().unwrap().evaluate().await.unwrap(), b"value");
    assert!(contract.events(EventsFrom::NextCommit).await.unwrap().next().await.is_ok());
}

/// Signs so many messages, and then never answers.
struct Falling(KeySigner, AtomicUsize);

impl Signer for Falling {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        match self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.0.sign(message),
            Err(_) => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn a_signer_that_never_answers_holds_no_stage_longer_than_its_deadline() {
    let script = || Script {
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"done"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script()).await;
    let (certificate_pem, key_pem) = enrolment("user1");
    let contract = async |signatures, deadlines| {
        let signer = Falling(KeySigner::from_pem(&key_pem).unwrap(), AtomicUsize::new(signatures));
        let identity = Identity { msp_id: "NorthMSP".into(), certificate_pem: certificate_pem.clone() };
        let endpoint = Endpoint::plaintext(peer.address.to_string());
        let credentials = Credentials::new(identity, signer);
        Gateway::connect(&endpoint, credentials, deadlines).await.unwrap().contract("main", "assets")
    };
    let all = async {
        let all = Deadlines {
            evaluate: SOON,
            endorse: SOON,
            commit_status: SOON,
            open_stream: Some(SOON),
            ..PATIENT
        };
        let none = contract(0, all).await;
        let proposal = || none.proposal("Do").build().unwrap();
        let mut errors = vec![
            chain(&proposal().evaluate().await.unwrap_err()),
            chain(&proposal().evaluate_after(&After::Block(1)).await.unwrap_err()),
            chain(&proposal().endorse().await.unwrap_err()),
            chain(&none.gateway().commit_status("main", "ab").await.unwrap_err()),
            chain(&none.gateway().blocks("main", ..).await.unwrap_err()),
            chain(&none.events(EventsFrom::NextCommit).await.unwrap_err()),
            chain(&none.gateway().endorser().ledger("main").info().await.unwrap_err()),
        ];
        let one = contract(1, Deadlines { submit: SOON, ..PATIENT }).await;
        let error = one.submit(one.proposal("Do").build().unwrap()).await.unwrap_err();
        assert!(matches!(error, TransactionError::NotSubmitted { .. }), "{error}");
        errors.push(chain(&error));
        let one = contract(1, Deadlines { submit: SOON, ..PATIENT }).await;
        let endorsed = one.proposal("Do").build().unwrap().endorse().await.unwrap();
        errors.push(chain(&endorsed.submit().await.unwrap_err()));
        let two = contract(2, Deadlines { commit_status: SOON, ..PATIENT }).await;
        let error = two.submit(two.proposal("Do").build().unwrap()).await.unwrap_err();
        let TransactionError::Unknown { source, .. } = error else { panic!("{error}") };
        errors.push(chain(&source));
        errors
    };
    let errors = tokio::time::timeout(Duration::from_secs(60), all).await.expect("all of them end");
    for error in errors {
        assert!(error.contains("did not answer within the time"), "{error}");
    }
}
