//! What runs around a contract's functions, and in their place.

use hlf_chaincode::{Config, Failure, Kind, Response, Router, Transaction};
use hlf_testpeer::{InvokeError, Proposal, TestPeer};

use crate::support::{Running, clerk, gate, within};

async fn write(tx: &Transaction, key: String) -> Result<String, Failure> {
    tx.put(&key, "written")?;
    Ok(key)
}

async fn read(tx: &Transaction, key: String) -> Result<bool, Failure> {
    Ok(tx.state(&key).await?.is_some())
}

async fn init(tx: &Transaction) -> Response {
    if tx.args().is_empty() {
        return Response::error(400, "ARGUMENT_MISSING");
    }
    match tx.put("first", tx.args().concat()) {
        Ok(()) => Response::ok("ready"),
        Err(error) => Failure::from(error).into(),
    }
}

async fn unknown(tx: &Transaction) -> Response {
    match tx.function() {
        Some("Ping") => Response::ok("pong"),
        Some(_) => Response::error(404, "TRY_PING"),
        None => Response::error(400, "NAME_IS_NO_TEXT"),
    }
}

fn hooked() -> Router {
    Router::builder("hooked", "1")
        .submit("Write", write)
        .evaluate("Read", read)
        .after(|tx, call, reply| {
            if reply == b"\"forbidden\"" {
                return Err(Failure::new(409, "FORBIDDEN_KEY"));
            }
            if call.kind == Kind::Submit {
                tx.put("last", call.name)?;
            }
            Ok(())
        })
        .after(|_, call, reply| {
            if call.name == "Read" {
                reply.push(b'!');
            }
            Ok(())
        })
        .init(init)
        .unknown(unknown)
        .build()
        .unwrap()
}

#[tokio::test]
async fn steps_after_a_function_may_write_change_the_reply_or_fail_the_call() {
    let service = Running::start(hooked()).await;
    let peer = TestPeer::builder().run_twice().connect(service.address).await.unwrap();
    let call = |function: &str, key: &str| Proposal::new(clerk(), function).json(&key).unwrap();
    let written = peer.submit(&call("Write", "k")).await.unwrap();
    assert_eq!(written.outcome.payload, b"\"k\"");
    assert_eq!(written.outcome.requests, ["WRITE_BATCH_STATE"]);
    assert_eq!(peer.ledger().value("channel", "last"), Some(b"Write".to_vec()));
    assert_eq!(peer.invoke(&call("hooked:Read", "k")).await.unwrap().payload, b"true!");
    let failed = peer.submit(&call("Write", "forbidden")).await.unwrap();
    assert_eq!((failed.outcome.status, failed.outcome.message.as_str()), (409, "FORBIDDEN_KEY"));
    assert!(failed.outcome.requests.is_empty(), "nothing is written");
}

#[tokio::test]
async fn initialisation_and_unknown_functions_have_hooks_of_their_own() {
    let service = Running::start(hooked()).await;
    let peer = TestPeer::builder().write_batch(None).connect(service.address).await.unwrap();
    let init = peer.submit(&Proposal::new(clerk(), "Init").arg("a").arg(vec![0xff]).init()).await.unwrap();
    assert!(init.is_valid());
    assert_eq!(init.outcome.payload, b"ready");
    assert_eq!(peer.ledger().value("channel", "first"), Some(b"a\xff".to_vec()));
    for (function, status, message, payload) in [
        (b"Ping".to_vec(), 200, "", &b"pong"[..]),
        (b"other:Write".to_vec(), 404, "TRY_PING", b""),
        (vec![0xff], 400, "NAME_IS_NO_TEXT", b""),
    ] {
        let outcome = peer.invoke(&Proposal::new(clerk(), function)).await.unwrap();
        let answered = (outcome.status, outcome.message.as_str(), outcome.payload.as_slice());
        assert_eq!(answered, (status, message, payload));
    }
}

#[tokio::test]
async fn an_initialisation_that_fails_is_an_error_message_since_peers_may_read_no_status_of_it() {
    let failed = async |peer: &TestPeer, code: &str| {
        let init = within(peer.invoke(&Proposal::new(clerk(), "Init").init())).await;
        assert!(matches!(&init, Err(InvokeError::ErrorMessage(words)) if words == code), "{init:?}");
    };
    let service = Running::start(hooked()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    failed(&peer, "ARGUMENT_MISSING").await;
    let init = peer.submit(&Proposal::new(clerk(), "Init").arg("a").init()).await.unwrap();
    assert!(init.is_valid(), "the stream goes on");

    let (contract, mut keeper) = gate();
    let mut config = Config::for_tests("shop:1");
    config.limits.transactions_per_stream = 1;
    let service = Running::with(config, contract).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    failed(&peer, "INIT_UNSUPPORTED").await;
    let wait = Proposal::new(clerk(), "Wait");
    let busy = async {
        within(keeper.entered.recv()).await.unwrap();
        failed(&peer, "SERVICE_BUSY").await;
        keeper.go.add_permits(1);
    };
    let (waited, ()) = tokio::join!(peer.invoke(&wait), busy);
    assert!(waited.unwrap().is_ok());
}
