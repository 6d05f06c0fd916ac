//! A stream whose peer does not read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::config::Config;
use crate::fuzzing::{creator_bytes, signed};
use crate::metrics::Metrics;

/// Counts how often it runs.
struct Counted(Arc<AtomicUsize>);

impl Contract for Counted {
    async fn invoke(&self, _tx: &Transaction) -> Response {
        self.0.fetch_add(1, Ordering::SeqCst);
        Response::ok("done")
    }
}

fn transaction(tx_id: &str) -> ChaincodeMessage {
    ChaincodeMessage {
        r#type: Type::Transaction.into(),
        txid: tx_id.into(),
        channel_id: "c".into(),
        proposal: Some(signed(creator_bytes(), b"f", Vec::new())),
        ..ChaincodeMessage::default()
    }
}

async fn until(holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), held).await.expect("it did not happen in time");
}

#[tokio::test]
async fn a_transaction_whose_completion_waits_for_room_is_not_begun_again() {
    let (runs, metrics) = (Arc::new(AtomicUsize::new(0)), Metrics::default());
    let contract = Counted(Arc::clone(&runs));
    let shared = Arc::new(Shared::new(contract, Config::for_tests("shop:1"), metrics.clone()));
    // Room for a single message.
    let (outbound, mut sent) = mpsc::channel(1);
    let (peer, inbound) = mpsc::unbounded_channel();
    let inbound = UnboundedReceiverStream::new(inbound);
    let stream = tokio::spawn(PeerStream::new(shared, outbound).run(inbound));
    assert_eq!(sent.recv().await.unwrap().unwrap().r#type(), Type::Register);
    for kind in [Type::Registered, Type::Ready] {
        peer.send(Ok(ChaincodeMessage { r#type: kind.into(), ..ChaincodeMessage::default() })).unwrap();
    }
    let ran = |times: usize| {
        let (runs, metrics) = (&runs, &metrics);
        move || {
            let idle = metrics.text().lines().any(|line| line == "chaincode_transactions_in_flight 0");
            runs.load(Ordering::SeqCst) == times && idle
        }
    };
    for (tx_id, times) in [("fills", 1), ("waits", 2)] {
        peer.send(Ok(transaction(tx_id))).unwrap();
        until(ran(times)).await;
    }
    peer.send(Ok(transaction("waits"))).unwrap();
    // It cannot even be told no: its peer reads nothing.
    until(|| stream.is_finished() || ran(3)()).await;
    let mut completed = Vec::new();
    while let Ok(Ok(message)) = sent.try_recv() {
        completed.push(message.txid);
    }
    assert_eq!((runs.load(Ordering::SeqCst), completed), (2, vec!["fills".to_owned()]));
}
