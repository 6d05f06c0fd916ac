//! Chaincode that is called back by chaincode that it calls, while no turn is free.

use hlf_chaincode::{Config, Limits};
use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeMessage, Response};
use hlf_testpeer::Wire;
use prost::Message;

use crate::a_peer_that_misbehaves::{completion, next, registered, transaction};
use crate::support::{Running, gate, within};

fn one_at_a_time() -> Config {
    let mut config = Config::for_tests("shop:1");
    config.limits = Limits { transactions: 1, ..config.limits };
    config
}

/// Answers a call with what the called chaincode ended with.
async fn reply(wire: &Wire, tx_id: &str, payload: &[u8]) {
    let response = Response { status: 200, payload: payload.to_vec(), ..Response::default() };
    let ended = ChaincodeMessage {
        r#type: Type::Completed.into(),
        payload: response.encode_to_vec(),
        ..ChaincodeMessage::default()
    };
    wire.send_message(ChaincodeMessage {
        r#type: Type::Response.into(),
        payload: ended.encode_to_vec(),
        txid: tx_id.into(),
        channel_id: "c".into(),
        ..ChaincodeMessage::default()
    })
    .await;
}

async fn calls(wire: &mut Wire) {
    assert_eq!(next(wire).await.r#type, i32::from(Type::InvokeChaincode));
}

#[tokio::test]
async fn a_call_that_comes_back_on_another_channel_runs_while_its_caller_waits() {
    let (contract, _keeper) = gate();
    let service = Running::with(one_at_a_time(), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "Call")).await;
    calls(&mut wire).await;
    wire.send_message(ChaincodeMessage { channel_id: "d".into(), ..transaction("t", "Done") }).await;
    let (tx_id, response) = completion(&mut wire).await;
    assert_eq!((tx_id.as_str(), response.payload.as_slice()), ("t", &b"done"[..]));
    reply(&wire, "t", b"called").await;
    assert_eq!(completion(&mut wire).await.1.payload, b"called");
}

#[tokio::test]
async fn services_that_call_each_other_do_not_wait_in_a_circle() {
    let ((one, _one), (other, _other)) = (gate(), gate());
    let (one, other) =
        (Running::with(one_at_a_time(), one).await, Running::with(one_at_a_time(), other).await);
    let (mut one, mut other) = (registered(&one).await, registered(&other).await);
    // Each runs a transaction that calls the other one.
    one.send_message(transaction("t", "Call")).await;
    calls(&mut one).await;
    other.send_message(transaction("u", "Call")).await;
    calls(&mut other).await;
    one.send_message(transaction("u", "Done")).await;
    assert_eq!(completion(&mut one).await.0, "u");
    other.send_message(transaction("t", "Done")).await;
    assert_eq!(completion(&mut other).await.0, "t");
    reply(&one, "t", b"called").await;
    reply(&other, "u", b"called").await;
    assert_eq!(completion(&mut one).await.1.payload, b"called");
    assert_eq!(completion(&mut other).await.1.payload, b"called");
}

#[tokio::test]
async fn a_caller_goes_on_when_there_is_a_turn_again() {
    let (contract, mut keeper) = gate();
    let service = Running::with(one_at_a_time(), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("caller", "Call")).await;
    calls(&mut wire).await;
    assert_eq!(within(keeper.entered.recv()).await.as_deref(), Some("caller"));
    wire.send_message(transaction("waits", "Wait")).await;
    assert_eq!(within(keeper.entered.recv()).await.as_deref(), Some("waits"));
    reply(&wire, "caller", b"called").await;
    // A round of the stream later the reply is there, and the caller is not through.
    wire.send(Type::Keepalive, b"tick".to_vec()).await;
    assert_eq!(next(&mut wire).await.payload, b"tick");
    assert_eq!(keeper.dropped.try_recv().ok(), None);
    keeper.go.add_permits(1);
    assert_eq!(completion(&mut wire).await.0, "waits");
    assert_eq!(completion(&mut wire).await.0, "caller");
}
