//! Answers that come when their transaction has ended: nobody else's, also under the same id.

use std::time::Duration;

use hlf_chaincode::{Config, Limits};
use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_message::Type;
use hlf_testpeer::Wire;

use crate::a_peer_that_misbehaves::{completion, next, registered, transaction};
use crate::support::{Running, gate};

/// Without strict mode, every transaction asks at once.
fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config { strict: false, ..Config::for_tests("shop:1") };
    change(&mut config.limits);
    config
}

async fn asked(wire: &mut Wire) {
    assert_eq!(next(wire).await.r#type, i32::from(Type::GetState));
}

async fn answer(wire: &Wire, tx_id: &str, payload: &[u8]) {
    wire.send_message(ChaincodeMessage {
        r#type: Type::Response.into(),
        payload: payload.to_vec(),
        txid: tx_id.into(),
        channel_id: "c".into(),
        ..ChaincodeMessage::default()
    })
    .await;
}

async fn is_answered(wire: &mut Wire, status: i32, message: &str) {
    let (_, response) = completion(wire).await;
    assert_eq!((response.status, response.message.as_str()), (status, message));
}

/// While an answer is owed nothing of that id runs; once it has come, the next one gets its own.
async fn is_owed_and_then_settled(wire: &mut Wire) {
    wire.send_message(transaction("t", "Get")).await;
    is_answered(wire, 409, "TRANSACTION_REPEATED").await;
    wire.send_message(transaction("other", "Done")).await;
    is_answered(wire, 200, "").await;
    wire.send_message(transaction("t", "Get")).await;
    is_answered(wire, 409, "TRANSACTION_REPEATED").await;

    answer(wire, "t", b"owed").await;
    wire.send_message(transaction("t", "Get")).await;
    asked(wire).await;
    answer(wire, "t", b"own").await;
    let (_, response) = completion(wire).await;
    assert_eq!((response.status, response.payload.as_slice()), (200, &b"own"[..]));
}

#[tokio::test]
async fn what_a_cancelled_transaction_had_asked_is_no_answer_to_the_next_one() {
    let (contract, _keeper) = gate();
    let service = Running::with(config(|_| ()), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "Get")).await;
    asked(&mut wire).await;
    wire.send_message(transaction("t", "Get")).await;
    is_answered(&mut wire, 409, "TRANSACTION_REPEATED").await;
    is_owed_and_then_settled(&mut wire).await;
}

#[tokio::test]
async fn what_a_contract_did_not_wait_for_is_no_answer_to_the_next_one() {
    let (contract, _keeper) = gate();
    let service = Running::with(config(|_| ()), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "GetAndLeave")).await;
    asked(&mut wire).await;
    is_answered(&mut wire, 200, "").await;
    is_owed_and_then_settled(&mut wire).await;
}

#[tokio::test]
async fn what_a_transaction_had_asked_when_its_time_was_over_is_no_answer_to_the_next_one() {
    let (contract, _keeper) = gate();
    let service = Running::with(config(|limits| limits.transaction = Duration::from_secs(1)), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "Get")).await;
    asked(&mut wire).await;
    is_answered(&mut wire, 504, "TRANSACTION_TIMED_OUT").await;
    is_owed_and_then_settled(&mut wire).await;
}

#[tokio::test]
async fn transactions_to_which_an_answer_is_owed_have_their_place_until_it_comes() {
    let (contract, _keeper) = gate();
    let service = Running::with(config(|limits| limits.transactions_per_stream = 1), contract).await;
    let mut wire = registered(&service).await;
    wire.send_message(transaction("t", "GetAndLeave")).await;
    asked(&mut wire).await;
    is_answered(&mut wire, 200, "").await;
    wire.send_message(transaction("other", "Done")).await;
    is_answered(&mut wire, 503, "SERVICE_BUSY").await;
    answer(&wire, "t", b"owed").await;
    wire.send_message(transaction("other", "Done")).await;
    is_answered(&mut wire, 200, "").await;
}
