//! Replies, events, codes and requests up to the largest message and beyond: a code, never a broken stream.

use hlf_chaincode::{Config, Contract, Failure, LedgerError, Response, Transaction};
use hlf_testpeer::{Outcome, Proposal, TestPeer};

use crate::support::{Running, clerk, within};

const MESSAGE_BYTES: usize = 64 * 1024;

/// Makes what its function says, of as many bytes as its arguments say.
struct OfSize;

impl OfSize {
    async fn make(tx: &Transaction) -> Result<Response, LedgerError> {
        let size = |at: usize| {
            let text = tx.args().get(at).map(|arg| String::from_utf8_lossy(arg).into_owned());
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Ok(match tx.function() {
            Some("ReplyAndEvent") => {
                tx.put("k", "v")?;
                tx.set_event("event", vec![0; size(1)])?;
                Response::ok(vec![0; size(0)])
            }
            Some("NamedEvent") => {
                tx.set_event("n".repeat(size(0)), "payload")?;
                Response::ok("")
            }
            Some("Code") => Response::error(409, "C".repeat(size(0))),
            Some("Get") => Response::ok(tx.state(&"k".repeat(size(0))).await?.unwrap_or_default()),
            _ => Response::ok("done"),
        })
    }
}

impl Contract for OfSize {
    async fn invoke(&self, tx: &Transaction) -> Response {
        Self::make(tx).await.unwrap_or_else(|error| Failure::from(error).into())
    }
}

async fn connected() -> (Running, TestPeer) {
    let mut config = Config::for_tests("shop:1");
    config.limits.message_bytes = MESSAGE_BYTES;
    let service = Running::with(config, OfSize).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    (service, peer)
}

async fn made(peer: &TestPeer, function: &str, sizes: &[usize]) -> Outcome {
    let proposal =
        sizes.iter().fold(Proposal::new(clerk(), function), |proposal, size| proposal.arg(size.to_string()));
    within(peer.invoke(&proposal)).await.unwrap()
}

#[tokio::test]
async fn a_reply_and_its_event_are_counted_together() {
    let (_service, peer) = connected().await;
    let half = MESSAGE_BYTES / 2;
    for (reply, event, status, message) in [
        (half - 1000, 500, 200, ""),
        (500, half - 1000, 200, ""),
        (half, half - 5, 500, "REPLY_TOO_LARGE"),
        (half, 0, 500, "REPLY_TOO_LARGE"),
        (half - 1000, 1000, 500, "REPLY_TOO_LARGE"),
        (0, half - 5, 500, "REPLY_TOO_LARGE"),
        (0, half, 500, "WRITE_INVALID"),
        (0, MESSAGE_BYTES, 500, "WRITE_INVALID"),
    ] {
        let outcome = made(&peer, "ReplyAndEvent", &[reply, event]).await;
        assert_eq!((outcome.status, outcome.message.as_str()), (status, message), "{reply} and {event}");
        assert_eq!(outcome.rwset.writes.is_empty(), status != 200, "what fails writes nothing");
        assert_eq!(outcome.event.is_some(), status == 200);
    }
    let named = made(&peer, "NamedEvent", &[MESSAGE_BYTES]).await;
    assert_eq!((named.status, named.message.as_str()), (500, "WRITE_INVALID"));
    assert!(made(&peer, "Done", &[]).await.is_ok(), "it is still the first stream");
}

#[tokio::test]
async fn a_code_that_does_not_fit_is_replaced() {
    let (_service, peer) = connected().await;
    assert_eq!(made(&peer, "Code", &[MESSAGE_BYTES / 4]).await.status, 409);
    for size in [MESSAGE_BYTES, MESSAGE_BYTES * 4] {
        let outcome = made(&peer, "Code", &[size]).await;
        assert_eq!((outcome.status, outcome.message.as_str()), (500, "REPLY_TOO_LARGE"));
    }
    assert!(made(&peer, "Done", &[]).await.is_ok(), "it is still the first stream");
}

#[tokio::test]
async fn a_request_is_counted_with_all_that_surrounds_it() {
    let (_service, peer) = connected().await;
    assert!(made(&peer, "Get", &[MESSAGE_BYTES - 200]).await.is_ok());
    // Some of these fit by themselves, and not with the ids of transaction and channel beside them.
    for size in (MESSAGE_BYTES - 200..MESSAGE_BYTES + 50).step_by(7) {
        let outcome = made(&peer, "Get", &[size]).await;
        assert!(outcome.is_ok() || outcome.message == "WRITE_INVALID", "{size}: {outcome}");
    }
    assert_eq!(made(&peer, "Get", &[MESSAGE_BYTES]).await.message, "WRITE_INVALID");
    assert!(made(&peer, "Done", &[]).await.is_ok(), "it is still the first stream");
}
