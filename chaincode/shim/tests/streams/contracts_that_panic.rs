//! Panics outside of a contract's own functions: the transaction completes, and its place is free again.

use std::time::Duration;

use hlf_chaincode::{Config, Contract, Response, Transaction};
use hlf_testpeer::{Proposal, TestPeer};

use crate::support::{Running, clerk, within};

/// Panics where its function says.
struct Panics;

struct WhenDropped;

impl Drop for WhenDropped {
    fn drop(&mut self) {
        panic!("the test wants it");
    }
}

impl Contract for Panics {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match tx.function() {
            Some("Dropped") => {
                let _dropped = WhenDropped;
                std::future::pending().await
            }
            _ => Response::ok("done"),
        }
    }

    fn function_label<'c>(&'c self, tx: &Transaction) -> Option<&'c str> {
        assert_ne!(tx.function(), Some("Labelled"), "the test wants it");
        None
    }
}

#[tokio::test]
async fn a_panic_in_the_label_or_when_a_transaction_is_given_up_completes_and_frees_its_place() {
    let mut config = Config::for_tests("shop:1");
    (config.limits.transactions, config.limits.transactions_per_stream) = (1, 1);
    config.limits.transaction = Duration::from_secs(1);
    let service = Running::with(config, Panics).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    for function in ["Labelled", "Dropped", "Labelled"] {
        let outcome = within(peer.invoke(&Proposal::new(clerk(), function))).await.unwrap();
        assert_eq!((outcome.status, outcome.message.as_str()), (500, "CONTRACT_PANICKED"), "{function}");
        service.idle().await;
        let next = within(peer.invoke(&Proposal::new(clerk(), "Done"))).await.unwrap();
        assert!(next.is_ok(), "{next}");
    }
    service.told(r#"chaincode_transactions_total{function="other",outcome="500"} 3"#).await;
}
