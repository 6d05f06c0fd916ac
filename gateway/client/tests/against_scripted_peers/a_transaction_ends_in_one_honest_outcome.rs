//! Every way that a transaction can end, against a scripted gateway.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::scripted::{
    Answer, Script, ScriptedPeer, chain, counted_credentials, credentials, endorsed, refusal,
};
use hlf_gateway::protos::common::{ChannelHeader, Header, Payload, SignatureHeader};
use hlf_gateway::protos::gateway::{
    CommitStatusRequest, CommitStatusResponse, EndorseResponse, EvaluateResponse, SubmitResponse,
};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::{
    ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal, Response,
    TxValidationCode,
};
use hlf_gateway::{
    Code, Contract, Credentials, Deadlines, EndorseError, Endpoint, Gateway, Identity, Stage, SubmitError,
    TransactionError, UnknownCause,
};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use x509_parser::prelude::FromDer as _;

/// For what is waited for in vain.
const SOON: Duration = Duration::from_millis(300);

async fn contract(peer: &ScriptedPeer, credentials: Credentials) -> Contract {
    contract_by(peer, credentials, Deadlines::default()).await
}

async fn contract_by(peer: &ScriptedPeer, credentials: Credentials, deadlines: Deadlines) -> Contract {
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    Gateway::connect(&endpoint, credentials, deadlines).await.unwrap().contract("main", "assets")
}

/// A gateway on which everything succeeds.
fn honest() -> Script {
    Script {
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"done"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        commit_status: Box::new(|_| Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })),
        ..Script::default()
    }
}

fn verdict(code: TxValidationCode) -> Answer<CommitStatusResponse> {
    Answer::Reply(CommitStatusResponse { result: code.into(), block_number: 7 })
}

#[tokio::test]
async fn a_valid_transaction_takes_three_signatures_and_says_its_block() {
    let peer = ScriptedPeer::start(honest()).await;
    let (credentials, signatures) = counted_credentials();
    let contract = contract(&peer, credentials).await;
    let proposal = contract.proposal("Transfer").args(["asset1", "south"]).build().unwrap();
    let tx_id = proposal.tx_id().to_owned();

    let committed = contract.submit(proposal).await.unwrap();

    assert_eq!((committed.tx_id, committed.block_number, committed.result), (tx_id, 7, b"done".to_vec()));
    assert_eq!(signatures.load(Ordering::Relaxed), 3, "proposal, transaction, commit status request");
}

#[tokio::test]
async fn an_evaluation_takes_one_signature_and_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let evaluations = Arc::clone(&calls);
    let script = Script {
        evaluate: Box::new(move |_| {
            evaluations.fetch_add(1, Ordering::Relaxed);
            Answer::Reply(EvaluateResponse { result: Some(Response::default()) })
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let (credentials, signatures) = counted_credentials();
    let contract = contract(&peer, credentials).await;
    for _ in 0..8 {
        contract.proposal("Read").build().unwrap().evaluate().await.unwrap();
    }
    assert_eq!((signatures.load(Ordering::Relaxed), calls.load(Ordering::Relaxed)), (8, 8));
}

#[tokio::test]
async fn every_signature_is_low_s_over_what_fabric_hashes() {
    let signed = Arc::new(Mutex::new(Vec::<(Vec<u8>, Vec<u8>)>::new()));
    let script = {
        let (endorse, submit, status) = (Arc::clone(&signed), Arc::clone(&signed), Arc::clone(&signed));
        Script {
            endorse: Box::new(move |request| {
                let proposal = request.proposed_transaction.clone().unwrap();
                endorse.lock().unwrap().push((proposal.proposal_bytes, proposal.signature));
                Answer::Reply(endorsed(&request, b""))
            }),
            submit: Box::new(move |request| {
                let envelope = request.prepared_transaction.unwrap();
                submit.lock().unwrap().push((envelope.payload, envelope.signature));
                Answer::Reply(SubmitResponse {})
            }),
            commit_status: Box::new(move |request| {
                status.lock().unwrap().push((request.request, request.signature));
                verdict(TxValidationCode::Valid)
            }),
            ..Script::default()
        }
    };
    let peer = ScriptedPeer::start(script).await;
    let credentials = credentials();
    let pem = credentials.identity().certificate_pem.clone();
    let contract = contract(&peer, credentials).await;
    for _ in 0..8 {
        contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    }

    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::prelude::X509Certificate::from_der(&block.contents).unwrap();
    let key = VerifyingKey::from_public_key_der(certificate.public_key().raw).unwrap();
    let signed = signed.lock().unwrap();
    assert_eq!(signed.len(), 24);
    for (message, der) in signed.iter() {
        let signature = Signature::from_der(der).unwrap();
        key.verify(message, &signature).unwrap();
        assert_eq!(signature.normalize_s(), signature, "low S");
    }
}

#[tokio::test]
async fn a_proposal_says_what_fabric_expects_of_it() {
    let proposals = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&proposals);
    let script = Script {
        evaluate: Box::new(move |request| {
            seen.lock().unwrap().push(request);
            Answer::Reply(EvaluateResponse {
                result: Some(Response { payload: b"value".to_vec(), ..Default::default() }),
            })
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let credentials = credentials();
    let creator = credentials.identity().creator();
    let contract = contract(&peer, credentials).await;
    let three_minutes_ago = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    let proposal = contract
        .proposal("Read")
        .arg(b"\xff\x00".to_vec())
        .transient("secret", "value")
        .endorsing_organizations(["NorthMSP"])
        .timestamp(three_minutes_ago)
        .build()
        .unwrap();

    assert_eq!(proposal.evaluate().await.unwrap(), b"value");

    let request = proposals.lock().unwrap().pop().unwrap();
    assert_eq!(request.channel_id, "main");
    assert_eq!(request.transaction_id, proposal.tx_id());
    assert_eq!(request.target_organizations, ["NorthMSP"]);
    let sent = Proposal::decode(request.proposed_transaction.unwrap().proposal_bytes.as_slice()).unwrap();
    let header = Header::decode(sent.header.as_slice()).unwrap();
    let channel_header = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
    let signature_header = SignatureHeader::decode(header.signature_header.as_slice()).unwrap();
    assert_eq!(channel_header.r#type, 3);
    assert_eq!(channel_header.channel_id, "main");
    assert_eq!(channel_header.tx_id, proposal.tx_id());
    let time = channel_header.timestamp.unwrap();
    assert_eq!((time.seconds, time.nanos), (1_700_000_000, 250_000_000));
    let extension = ChaincodeHeaderExtension::decode(channel_header.extension.as_slice()).unwrap();
    assert_eq!(extension.chaincode_id.unwrap().name, "assets");
    assert_eq!(signature_header.creator, creator);
    assert_eq!(signature_header.nonce.len(), 24);
    let id = Sha256::new().chain_update(&signature_header.nonce).chain_update(&creator).finalize();
    assert_eq!(hex::encode(id), proposal.tx_id());
    let payload = ChaincodeProposalPayload::decode(sent.payload.as_slice()).unwrap();
    assert_eq!(payload.transient_map["secret"], b"value");
    let spec = ChaincodeInvocationSpec::decode(payload.input.as_slice()).unwrap().chaincode_spec.unwrap();
    assert_eq!(spec.chaincode_id.unwrap().name, "assets");
    assert_eq!(spec.input.unwrap().args, [b"Read".to_vec(), b"\xff\x00".to_vec()]);
}

#[tokio::test]
async fn a_chaincode_error_is_told_with_status_message_and_peer() {
    let peers = [("peer0.north:7051", "NorthMSP", "chaincode response 409, exists, with a comma")];
    let script = Script {
        endorse: Box::new(move |_| Answer::Refuse(refusal(Code::Aborted, "failed to endorse", &peers))),
        evaluate: Box::new(|_| {
            let message = "evaluate call to endorser returned error: chaincode response 404, missing";
            Answer::Refuse(Status::unknown(message))
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;

    let error = contract.submit(contract.proposal("Create").build().unwrap()).await.unwrap_err();
    let TransactionError::Endorse(error) = error else { panic!("{error}") };
    let response = error.chaincode_response().unwrap();
    assert_eq!((response.status, response.message.as_str()), (409, "exists, with a comma"));
    assert_eq!(error.peers()[0].address, "peer0.north:7051");
    assert_eq!(error.peers()[0].msp_id, "NorthMSP");
    assert_eq!(error.failure().unwrap().code(), Code::Aborted);
    assert!(!error.failure().unwrap().is_retryable());
    assert!(
        chain(&error).contains("ABORTED: failed to endorse; peer0.north:7051 (NorthMSP)"),
        "{}",
        chain(&error)
    );

    let error = contract.proposal("Read").build().unwrap().evaluate().await.unwrap_err();
    let response = error.chaincode_response().unwrap();
    assert_eq!((response.status, response.message.as_str()), (404, "missing"));
}

#[tokio::test]
async fn a_peer_fault_is_no_chaincode_error_and_comes_with_advice() {
    let peers = [(
        "peer0.north:7051",
        "NorthMSP",
        "error validating proposal: access denied: channel [main] creator org [X]",
    )];
    let script = Script {
        endorse: Box::new(move |_| Answer::Refuse(refusal(Code::Aborted, "failed to endorse", &peers))),
        evaluate: Box::new(|_| {
            Answer::Refuse(Status::unknown(
                "too many requests for /gateway.Gateway, exceeding concurrency limit (500)",
            ))
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    // The busy peer is asked again until there is no time left.
    let deadlines = Deadlines { evaluate: SOON, ..Deadlines::default() };
    let contract = contract_by(&peer, credentials(), deadlines).await;

    let error = contract.proposal("Do").build().unwrap().endorse().await.unwrap_err();
    assert_eq!(error.chaincode_response(), None);
    assert!(error.failure().unwrap().advice().unwrap().contains("certificate and MSP id"));
    assert!(!error.failure().unwrap().is_retryable());

    let error = contract.proposal("Do").build().unwrap().evaluate().await.unwrap_err();
    assert_eq!(error.chaincode_response(), None);
    assert!(error.failure().unwrap().is_retryable());
}

#[tokio::test]
async fn a_transaction_other_than_the_proposed_one_is_never_signed() {
    type Forge = fn(&mut Payload);
    let forgeries: [(&str, Forge); 4] = [
        ("header", |payload| payload.header.as_mut().unwrap().signature_header.push(0)),
        ("content", |payload| payload.data = b"\xff".to_vec()),
        ("action", |payload| payload.data.clear()),
        ("call", |payload| {
            let needle = payload.data.windows(6).position(|bytes| bytes == b"asset1").unwrap();
            payload.data[needle + 5] = b'2';
        }),
    ];
    for (what, forge) in forgeries {
        let script = Script {
            endorse: Box::new(move |request| {
                let mut response = endorsed(&request, b"done");
                let envelope = response.prepared_transaction.as_mut().unwrap();
                let mut payload = Payload::decode(envelope.payload.as_slice()).unwrap();
                forge(&mut payload);
                envelope.payload = payload.encode_to_vec();
                Answer::Reply(response)
            }),
            ..honest()
        };
        let peer = ScriptedPeer::start(script).await;
        let (credentials, signatures) = counted_credentials();
        let contract = contract(&peer, credentials).await;
        let proposal = contract.proposal("Transfer").arg("asset1").build().unwrap();

        let error = contract.submit(proposal).await.unwrap_err();

        let TransactionError::Endorse(EndorseError::Mismatch { reason, .. }) = error else {
            panic!("{what}: {error}")
        };
        assert!(reason.contains(what), "{what}: {reason}");
        assert_eq!(signatures.load(Ordering::Relaxed), 1, "{what}: only the proposal");
    }
}

#[tokio::test]
async fn endorsements_for_another_proposal_are_refused() {
    let earlier = Arc::new(Mutex::new(None));
    let script = Script {
        endorse: Box::new(move |request| {
            let fresh = endorsed(&request, b"done");
            let mut kept = earlier.lock().unwrap();
            Answer::Reply(kept.get_or_insert(fresh).clone())
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    contract.proposal("Do").build().unwrap().endorse().await.unwrap();

    let error = contract.proposal("Do").build().unwrap().endorse().await.unwrap_err();

    assert!(matches!(error, EndorseError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn an_empty_answer_is_a_mismatch() {
    let script = Script {
        endorse: Box::new(|_| Answer::Reply(EndorseResponse { prepared_transaction: None })),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    let error = contract.proposal("Do").build().unwrap().endorse().await.unwrap_err();
    assert!(matches!(error, EndorseError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_submission_that_committed_is_found_in_its_block() {
    let script = Script {
        submit: Box::new(|_| Answer::Refuse(Status::unavailable("insufficient number of orderers"))),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    let committed = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    assert_eq!(committed.block_number, 7);
}

#[tokio::test]
async fn a_lost_submission_without_a_block_is_unknown() {
    let script = Script {
        submit: Box::new(|_| Answer::Refuse(Status::aborted("received unsuccessful response from orderer"))),
        commit_status: Box::new(|_| Answer::Stall),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { lost_submit: SOON, ..Deadlines::default() };
    let contract = contract_by(&peer, credentials(), deadlines).await;
    let proposal = contract.proposal("Do").build().unwrap();
    let id = proposal.tx_id().to_owned();

    let error = contract.submit(proposal).await.unwrap_err();

    let TransactionError::Unknown { tx_id, stage: Stage::Submit, source, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*tx_id, id);
    let UnknownCause::Submit(submit) = source else { panic!("{source}") };
    assert_eq!(submit.tx_id(), id);
    assert_eq!(submit.failure().unwrap().code(), Code::Aborted);
    assert!(chain(&error).contains("ask for its commit status by this id"), "{}", chain(&error));
}

#[tokio::test]
async fn a_submission_that_is_not_answered_is_unknown_by_its_deadline() {
    let script = Script { submit: Box::new(|_| Answer::Stall), ..honest() };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { submit: SOON, ..Deadlines::default() };
    let contract = contract_by(&peer, credentials(), deadlines).await;
    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();

    let error = endorsed.submit().await.unwrap_err();

    let SubmitError::Unknown { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.code(), Code::DeadlineExceeded, "not the transport's CANCELLED");
}

#[tokio::test]
async fn a_peer_that_vanishes_while_submitting_leaves_the_outcome_unknown() {
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let script = Script {
        submit: Box::new(move |_| {
            sent.send(()).unwrap();
            Answer::Stall
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();
    let submission = tokio::spawn(async move { endorsed.submit().await.map(|_| ()) });
    received.recv().await.unwrap();

    peer.vanish();

    let error = submission.await.unwrap().unwrap_err();
    assert!(matches!(error, SubmitError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn a_gateway_is_reached_again_after_its_peer_came_back() {
    let evaluated = || Script {
        evaluate: Box::new(|_| Answer::Reply(EvaluateResponse { result: Some(Response::default()) })),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(evaluated()).await;
    let contract = contract(&peer, credentials()).await;
    contract.proposal("Read").build().unwrap().evaluate().await.unwrap();
    let address = peer.address;
    peer.vanish();
    let error = contract.proposal("Read").build().unwrap().evaluate().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code(), Code::Unavailable, "{}", chain(&error));
    assert!(error.failure().unwrap().is_retryable());

    let _peer = ScriptedPeer::start_at(address, evaluated()).await;

    let back = async {
        while contract.proposal("Read").build().unwrap().evaluate().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
}

#[tokio::test]
async fn an_answer_without_a_result_is_no_result() {
    let script = Script {
        evaluate: Box::new(|_| Answer::Reply(EvaluateResponse { result: None })),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    let error = contract.proposal("Read").build().unwrap().evaluate().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code(), Code::Internal);
}

#[tokio::test]
async fn what_a_failing_signer_stops_was_never_sent() {
    struct Failing(AtomicUsize);
    impl hlf_gateway::Signer for Failing {
        fn sign<'a>(
            &'a self,
            _: &'a [u8],
        ) -> futures_util::future::BoxFuture<'a, Result<Vec<u8>, hlf_gateway::SignError>> {
            let failing = self.0.fetch_sub(1, Ordering::Relaxed) == 0;
            let result =
                if failing { Err(hlf_gateway::SignError::new("token removed")) } else { Ok(vec![1]) };
            Box::pin(std::future::ready(result))
        }
    }
    let script = Script { submit: Box::new(|_| panic!("nothing may be submitted")), ..honest() };
    let peer = ScriptedPeer::start(script).await;
    // Of a certificate that can't be read, any signature is taken as it is.
    let identity = Identity { msp_id: "NorthMSP".into(), certificate_pem: String::new() };
    for (signatures, what) in [(0, "not endorsed"), (1, "endorsed but not submitted")] {
        let credentials = Credentials::new(identity.clone(), Failing(AtomicUsize::new(signatures)));
        let contract = contract(&peer, credentials).await;
        let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
        assert!(chain(&error).contains(what) && chain(&error).contains("token removed"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_missing_verdict_is_unknown_and_can_be_asked_for_again() {
    let asked = AtomicUsize::new(0);
    let script = Script {
        commit_status: Box::new(move |request| {
            let request = CommitStatusRequest::decode(request.request.as_slice()).unwrap();
            assert_eq!(request.channel_id, "main");
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Answer::Stall,
                _ => verdict(TxValidationCode::Valid),
            }
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { commit_status: SOON, ..Deadlines::default() };
    let contract = contract_by(&peer, credentials(), deadlines).await;

    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    let TransactionError::Unknown { tx_id, stage: Stage::CommitStatus, source, .. } = error else {
        panic!("{error}")
    };
    let UnknownCause::CommitStatus(cause) = source else { panic!("{source}") };
    assert_eq!(cause.failure().unwrap().code(), Code::DeadlineExceeded);

    let gateway = contract.gateway().with_deadlines(Deadlines::default());
    let status = gateway.commit_status("main", &tx_id).await.unwrap();
    assert!(status.is_valid());
    assert_eq!(status.tx_id, tx_id);
}

#[tokio::test]
async fn a_busy_or_restarting_peer_is_asked_again_for_the_verdict() {
    let refusals = Mutex::new(vec![
        Status::unavailable("going down"),
        Status::unknown("too many requests for /gateway.Gateway, exceeding concurrency limit (500)"),
    ]);
    let script = Script {
        commit_status: Box::new(move |_| match refusals.lock().unwrap().pop() {
            Some(refusal) => Answer::Refuse(refusal),
            None => verdict(TxValidationCode::Valid),
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let (credentials, signatures) = counted_credentials();
    let contract = contract(&peer, credentials).await;
    contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    assert_eq!(signatures.load(Ordering::Relaxed), 3, "asking again takes no new signature");
}

#[tokio::test]
async fn a_refused_verdict_is_not_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let script = Script {
        commit_status: Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Answer::Refuse(Status::permission_denied("no reader"))
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let contract = contract(&peer, credentials()).await;
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown { stage: Stage::CommitStatus, .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_verdict_other_than_valid_is_a_no() {
    for (number, code) in
        [(11, TxValidationCode::MvccReadConflict), (4711, TxValidationCode::InvalidOtherReason)]
    {
        let script = Script {
            commit_status: Box::new(move |_| {
                Answer::Reply(CommitStatusResponse { result: number, block_number: 9 })
            }),
            ..honest()
        };
        let peer = ScriptedPeer::start(script).await;
        let contract = contract(&peer, credentials()).await;
        let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
        let TransactionError::Invalid { code: found, block_number: 9, .. } = error else { panic!("{error}") };
        assert_eq!(found, code);
    }
}

#[tokio::test]
async fn a_second_copy_says_nothing_about_the_first() {
    let verdicts = Mutex::new(vec![TxValidationCode::Valid, TxValidationCode::DuplicateTxid]);
    let script = Script {
        commit_status: Box::new(move |_| verdict(verdicts.lock().unwrap().pop().unwrap())),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let (credentials, signatures) = counted_credentials();
    let contract = contract(&peer, credentials).await;
    contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap();
    assert_eq!(signatures.load(Ordering::Relaxed), 3, "asking again takes no new signature");

    let script = Script { commit_status: Box::new(|_| verdict(TxValidationCode::DuplicateTxid)), ..honest() };
    let peer = ScriptedPeer::start(script).await;
    let deadlines = Deadlines { commit_status: SOON, ..Deadlines::default() };
    let contract = contract_by(&peer, crate::scripted::credentials(), deadlines).await;
    let error = contract.submit(contract.proposal("Do").build().unwrap()).await.unwrap_err();
    assert!(matches!(error, TransactionError::Unknown { stage: Stage::CommitStatus, .. }), "{error}");
}

#[tokio::test]
async fn submitting_again_sends_the_identical_envelope() {
    let envelopes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&envelopes);
    let script = Script {
        submit: Box::new(move |request| {
            assert_eq!(request.transaction_id.len(), 64);
            seen.lock().unwrap().push(request.prepared_transaction.unwrap());
            Answer::Refuse(Status::unavailable("no orderers could successfully process transaction"))
        }),
        ..honest()
    };
    let peer = ScriptedPeer::start(script).await;
    let (credentials, signatures) = counted_credentials();
    let contract = contract(&peer, credentials).await;
    let endorsed = contract.proposal("Do").build().unwrap().endorse().await.unwrap();
    for _ in 0..3 {
        endorsed.submit().await.unwrap_err();
    }
    let envelopes = envelopes.lock().unwrap();
    assert_eq!(envelopes.len(), 3);
    assert!(envelopes.iter().all(|envelope| *envelope == envelopes[0]));
    assert_eq!(signatures.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_proposal_without_a_channel_or_chaincode_is_not_made() {
    let peer = ScriptedPeer::start(Script::default()).await;
    let contract = contract(&peer, credentials()).await;
    let gateway = contract.gateway();
    assert_eq!(
        gateway.contract("", "assets").proposal("Do").build().unwrap_err().to_string(),
        "proposal names no channel"
    );
    assert_eq!(
        gateway.contract("main", "").proposal("Do").build().unwrap_err().to_string(),
        "proposal names no chaincode"
    );
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let peer = ScriptedPeer::start(honest()).await;
    let contract = contract(&peer, credentials()).await;
    let proposal = contract.proposal("Do").arg("argument").transient("secret", "value").build().unwrap();
    let endorsed = proposal.endorse().await.unwrap();
    let shown = format!("{contract:?} {proposal:?} {endorsed:?}");
    assert!(shown.contains(proposal.tx_id()));
    for secret in ["argument", "secret", "CERTIFICATE", "done"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
