//! Lost streams, messages out of order, short and missing answers.

use std::time::Duration;

use hlf_chaincode::{Config, Limits};
use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeAdditionalParams, ChaincodeInput, ChaincodeMessage, GetState, Response};
use hlf_testpeer::{Fault, InvokeError, Proposal, TestPeer, Wire};
use proptest::prelude::*;
use prost::Message;
use tonic::Code;

use crate::support::{Running, clerk, gate, shop, within};

fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::for_tests("shop:1");
    change(&mut config.limits);
    config
}

/// A transaction's message with everything a peer would put into it.
pub(crate) fn transaction(tx_id: &str, function: &str) -> ChaincodeMessage {
    use hlf_protos::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
    use hlf_protos::protos::{
        ChaincodeHeaderExtension, ChaincodeId, ChaincodeInvocationSpec, ChaincodeProposalPayload,
        ChaincodeSpec, Proposal, SignedProposal,
    };
    let chaincode = ChaincodeId { name: "shop".into(), ..Default::default() };
    let input = ChaincodeInput { args: vec![function.into()], ..Default::default() };
    let spec = ChaincodeSpec { input: Some(input.clone()), ..Default::default() };
    let header = Header {
        channel_header: ChannelHeader {
            r#type: HeaderType::EndorserTransaction.into(),
            timestamp: Some(prost_types::Timestamp::default()),
            channel_id: "c".into(),
            extension: ChaincodeHeaderExtension { chaincode_id: Some(chaincode) }.encode_to_vec(),
            ..Default::default()
        }
        .encode_to_vec(),
        signature_header: SignatureHeader { creator: clerk(), nonce: Vec::new() }.encode_to_vec(),
    };
    let payload = ChaincodeProposalPayload {
        input: ChaincodeInvocationSpec { chaincode_spec: Some(spec) }.encode_to_vec(),
        ..Default::default()
    };
    let proposal =
        Proposal { header: header.encode_to_vec(), payload: payload.encode_to_vec(), extension: Vec::new() };
    ChaincodeMessage {
        r#type: Type::Transaction.into(),
        payload: input.encode_to_vec(),
        txid: tx_id.into(),
        channel_id: "c".into(),
        proposal: Some(SignedProposal { proposal_bytes: proposal.encode_to_vec(), signature: Vec::new() }),
        ..Default::default()
    }
}

pub(crate) async fn registered(service: &Running) -> Wire {
    let mut wire = Wire::connect(service.address).await.unwrap();
    assert_eq!(wire.register(&ChaincodeAdditionalParams::default()).await.unwrap(), "shop:1");
    wire
}

pub(crate) async fn next(wire: &mut Wire) -> ChaincodeMessage {
    within(wire.next()).await.unwrap().expect("the stream goes on")
}

pub(crate) async fn completion(wire: &mut Wire) -> (String, Response) {
    let message = next(wire).await;
    assert_eq!(message.r#type, i32::from(Type::Completed), "{message:?}");
    (message.txid, Response::decode(message.payload.as_slice()).unwrap())
}

#[tokio::test]
async fn a_lost_stream_frees_its_transactions_at_once_and_the_next_one_is_served() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::Silence));
    let (get, wait) = (Proposal::new(clerk(), "Get"), Proposal::new(clerk(), "Wait"));
    let lose = async {
        // One waits for the peer, the other for something else: both have to end.
        for _ in 0..2 {
            within(keeper.entered.recv()).await.unwrap();
        }
    };
    {
        let (get, wait) = (peer.invoke(&get), peer.invoke(&wait));
        tokio::pin!(get, wait);
        tokio::select! {
            _ = &mut get => panic!("nobody answered it"),
            _ = &mut wait => panic!("nobody let it go"),
            () = lose => {}
        }
    }
    drop(peer);
    for _ in 0..2 {
        within(keeper.dropped.recv()).await.unwrap();
    }
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    assert!(peer.invoke(&get).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_stream_that_a_peer_drops_between_messages_is_told_to_its_callers() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    peer.inject(Some(Fault::DropStream));
    let lost = peer.invoke(&Proposal::new(clerk(), "GetAll").arg(r#"["k"]"#)).await;
    assert!(matches!(lost, Err(InvokeError::StreamLost)), "{lost:?}");
    within(peer.ended()).await;
}

#[tokio::test]
async fn one_peers_lost_stream_leaves_the_others_alone() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let staying = TestPeer::builder().connect(service.address).await.unwrap();
    let leaving = TestPeer::builder().connect(service.address).await.unwrap();
    // Both peers run the very same transaction: streams share no state.
    let wait = Proposal::new(clerk(), "Wait").nonce("same");
    let stays = staying.invoke(&wait);
    let leaves = async {
        let leaves = leaving.invoke(&wait);
        let entered = async {
            assert_eq!(within(keeper.entered.recv()).await, within(keeper.entered.recv()).await);
        };
        tokio::select! {
            _ = leaves => panic!("nobody let it go"),
            () = entered => {}
        }
        drop(leaving);
        within(keeper.dropped.recv()).await.unwrap();
        keeper.go.add_permits(1);
    };
    let (stayed, ()) = tokio::join!(within(stays), leaves);
    assert_eq!(stayed.unwrap().payload, b"went");
}

#[tokio::test]
async fn anything_but_registration_ends_a_stream_before_it_is_ready() {
    let service = Running::start(shop()).await;
    for (first, second) in [
        (Type::Ready, None),
        (Type::Transaction, None),
        (Type::Registered, Some(Type::Registered)),
        (Type::Registered, Some(Type::Response)),
    ] {
        let mut wire = Wire::connect(service.address).await.unwrap();
        assert_eq!(next(&mut wire).await.r#type, i32::from(Type::Register));
        wire.send(Type::Keepalive, b"tick".to_vec()).await;
        assert_eq!(next(&mut wire).await.payload, b"tick", "a keepalive is always in order");
        wire.send(first, Vec::new()).await;
        if let Some(second) = second {
            wire.send(second, Vec::new()).await;
        }
        let end = within(wire.next()).await.expect_err("the stream ends");
        assert_eq!(end.code(), Code::FailedPrecondition, "{end}");
        assert!(end.message().contains(if second.is_some() { "READY" } else { "REGISTERED" }), "{end}");
    }
    registered(&service).await;
}

#[tokio::test]
async fn a_peer_that_never_registers_is_let_go() {
    let service =
        Running::with(config(|limits| limits.registration = Duration::from_millis(20)), shop()).await;
    let mut wire = Wire::connect(service.address).await.unwrap();
    next(&mut wire).await;
    assert!(within(wire.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn messages_out_of_order_or_unknown_change_nothing() {
    let service = Running::start(shop()).await;
    let mut wire = registered(&service).await;
    for kind in [
        Type::Undefined,
        Type::Register,
        Type::Registered,
        Type::Ready,
        Type::Completed,
        Type::GetState,
        Type::Response,
        Type::Error,
    ] {
        wire.send(kind, vec![0xff; 3]).await;
        wire.send_message(ChaincodeMessage {
            r#type: kind.into(),
            txid: "absent".into(),
            ..Default::default()
        })
        .await;
    }
    wire.send_message(ChaincodeMessage { r#type: 12_345, ..Default::default() }).await;
    wire.send(Type::Keepalive, b"tick".to_vec()).await;
    assert_eq!(next(&mut wire).await.payload, b"tick");
    wire.send_message(transaction("t", "Facts")).await;
    let (tx_id, response) = completion(&mut wire).await;
    assert_eq!((tx_id.as_str(), response.status), ("t", 200));
}

#[tokio::test]
async fn an_answer_that_comes_before_its_request_is_not_taken() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let mut wire = registered(&service).await;
    let answer = |payload: &[u8]| ChaincodeMessage {
        r#type: Type::Response.into(),
        payload: payload.to_vec(),
        txid: "t".into(),
        channel_id: "c".into(),
        ..Default::default()
    };
    wire.send_message(answer(b"too early")).await;
    wire.send_message(transaction("t", "Get")).await;
    within(keeper.entered.recv()).await.unwrap();
    let request = next(&mut wire).await;
    assert_eq!(request.r#type, i32::from(Type::GetState));
    assert_eq!(GetState::decode(request.payload.as_slice()).unwrap().key, "k");
    wire.send_message(answer(b"in time")).await;
    wire.send_message(answer(b"too late")).await;
    assert_eq!(completion(&mut wire).await.1.payload, b"in time");
}

#[tokio::test]
async fn transactions_that_do_not_decode_complete_with_a_code() {
    let service = Running::start(shop()).await;
    let mut wire = registered(&service).await;
    let whole = transaction("t", "Facts");
    let mut broken = vec![
        ChaincodeMessage { proposal: None, ..whole.clone() },
        ChaincodeMessage { payload: vec![0xff; 5], ..whole.clone() },
    ];
    let bytes = whole.proposal.as_ref().unwrap().proposal_bytes.clone();
    broken.extend((0..bytes.len()).step_by(7).map(|cut| {
        let mut message = whole.clone();
        message.proposal.as_mut().unwrap().proposal_bytes.truncate(cut);
        message
    }));
    for message in broken {
        wire.send_message(message).await;
        let (_, response) = completion(&mut wire).await;
        assert_eq!((response.status, response.message.as_str()), (400, "PROPOSAL_INVALID"));
    }
    wire.send_message(whole).await;
    assert_eq!(completion(&mut wire).await.1.status, 200);
}

#[tokio::test]
async fn a_ready_message_that_does_not_decode_offers_nothing() {
    let service = Running::start(shop()).await;
    let mut wire = Wire::connect(service.address).await.unwrap();
    next(&mut wire).await;
    wire.send(Type::Registered, Vec::new()).await;
    wire.send(Type::Ready, vec![0xff; 4]).await;
    let mut put = transaction("t", "PutAll");
    let args = vec![b"PutAll".to_vec(), br#"[{"key":"k","value":"v"}]"#.to_vec()];
    put.payload = ChaincodeInput { args, ..Default::default() }.encode_to_vec();
    put.proposal = transaction("t", "PutAll").proposal;
    wire.send_message(put).await;
    // The timestamp 0 is refused by the contract's own check: that it ran is enough here.
    assert_eq!(completion(&mut wire).await.1.message, "TIMESTAMP_REFUSED");
}

#[tokio::test]
async fn short_refused_and_missing_answers_are_errors_with_codes() {
    let service = Running::with(config(|limits| limits.reply = Duration::from_secs(2)), shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let get = Proposal::new(clerk(), "GetAll").arg(r#"["a","b"]"#);
    let put = Proposal::new(clerk(), "PutAll").arg(r#"[{"key":"k","value":"v"}]"#);
    for (fault, proposal, status, code) in [
        (Fault::ShortMultiGet, &get, 500, "LEDGER_REPLY_INVALID"),
        (Fault::Refuse("no ledger context".into()), &get, 500, "LEDGER_REFUSED"),
        (Fault::Refuse("disk full".into()), &put, 500, "LEDGER_REFUSED"),
        (Fault::Silence, &get, 503, "LEDGER_UNAVAILABLE"),
        (Fault::Silence, &put, 503, "LEDGER_UNAVAILABLE"),
    ] {
        peer.inject(Some(fault.clone()));
        let failed = peer.invoke(proposal).await.unwrap();
        assert_eq!((failed.status, failed.message.as_str()), (status, code), "{fault:?}");
        assert!(failed.event.is_none());
        peer.inject(None);
        assert!(peer.invoke(proposal).await.unwrap().is_ok(), "it recovers");
    }
}

#[tokio::test]
async fn writes_that_were_sent_before_one_that_is_refused_stay_in_the_failed_transaction() {
    let service = Running::start(shop()).await;
    let peer = TestPeer::builder().write_batch(None).connect(service.address).await.unwrap();
    peer.inject(Some(Fault::RefuseOnly { request: "DEL_STATE".into(), words: "disk full".into() }));
    let put = Proposal::new(clerk(), "PutAll")
        .arg(r#"[{"key":"a","value":"1"},{"key":"b","value":""},{"key":"c","value":"1"}]"#);
    let failed = peer.invoke(&put).await.unwrap();
    assert_eq!((failed.status, failed.message.as_str()), (500, "LEDGER_REFUSED"));
    assert_eq!(failed.requests, ["PUT_STATE", "DEL_STATE"]);
    assert_eq!(failed.rwset.writes.keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_transaction_that_comes_again_while_it_runs_is_answered_once() {
    let (contract, mut keeper) = gate();
    let service = Running::start(contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "Wait")).await;
    within(keeper.entered.recv()).await.unwrap();
    wire.send_message(transaction("t", "Wait")).await;
    let (_, response) = completion(&mut wire).await;
    assert_eq!((response.status, response.message.as_str()), (409, "TRANSACTION_REPEATED"));
    within(keeper.dropped.recv()).await.unwrap();
    keeper.go.add_permits(1);
    wire.send_message(transaction("t", "Done")).await;
    assert_eq!(completion(&mut wire).await.1.payload, b"done", "the first one never completes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_may_follow_its_own_completion_at_once() {
    let service = Running::start(shop()).await;
    let mut wire = registered(&service).await;
    // As when one chaincode calls another twice within one transaction.
    for _ in 0..2000 {
        wire.send_message(transaction("t", "Facts")).await;
        assert_eq!(completion(&mut wire).await.1.status, 200);
    }
}

#[tokio::test]
async fn oversized_messages_end_neither_the_service_nor_hang() {
    let (contract, _keeper) = gate();
    let service = Running::with(config(|limits| limits.message_bytes = 64 * 1024), contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let large = peer.invoke(&Proposal::new(clerk(), "Large")).await.unwrap();
    assert_eq!((large.status, large.message.as_str()), (500, "REPLY_TOO_LARGE"));
    let put = peer.invoke(&Proposal::new(clerk(), "PutLarge")).await.unwrap();
    assert_eq!((put.status, put.message.as_str()), (500, "WRITE_INVALID"));

    let flood = peer.invoke(&Proposal::new(clerk(), "Done").arg(vec![0; 1 << 20])).await;
    assert!(matches!(flood, Err(InvokeError::StreamLost)), "{flood:?}");
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    assert!(peer.invoke(&Proposal::new(clerk(), "Done")).await.unwrap().is_ok());
}

#[test]
fn no_sequence_of_messages_stops_a_service() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(Running::start(shop()));
    let message = (0..30_i32, proptest::collection::vec(any::<u8>(), 0..40), "[tc]?", any::<bool>());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(messages in proptest::collection::vec(message, 0..40))| {
        runtime.block_on(async {
            let mut wire = registered(&service).await;
            for (kind, payload, txid, whole) in messages {
                let message = if whole { transaction(&txid, "Scan") } else { ChaincodeMessage::default() };
                wire.send_message(ChaincodeMessage { r#type: kind, payload, txid, ..message }).await;
            }
            wire.send(Type::Keepalive, b"last".to_vec()).await;
            while next(&mut wire).await.payload != b"last" {}
        });
    });
}
