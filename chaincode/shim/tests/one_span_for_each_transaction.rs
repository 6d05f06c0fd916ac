//! What a service logs: one span for each transaction, ids and never content.
//!
//! Alone in its program, since a subscriber is the whole program's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hlf_chaincode::{Config, Failure, Router, Service, Transaction};
use hlf_testpeer::{Creator, Proposal, TestPeer};
use serde_json::{Value, json};

async fn keep(tx: &Transaction, note: String) -> Result<(), Failure> {
    tx.put(&note, "kept")?;
    Ok(())
}

async fn refuse(tx: &Transaction, note: String) -> Result<(), Failure> {
    tx.put(note, "refused")?;
    Err(Failure::new(409, "CONFLICT"))
}

#[tokio::test]
async fn each_transaction_has_one_span_that_says_what_came_of_it() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let contract =
        Router::builder("notes", "1").submit("Keep", keep).submit("Refuse", refuse).build().unwrap();
    let listening = Service::new(Config::for_tests("notes:1"), contract).bind().await.unwrap();
    let address = listening.local_address();
    let serving = tokio::spawn(listening.serve(std::future::pending()));
    let peer = TestPeer::builder().connect(address).await.unwrap();
    let creator = Creator::builder("NorthMSP").common_name("clerk").build().unwrap().serialized();
    let call = |function: &str| Proposal::new(creator.clone(), function).arg(r#""secret""#);
    let kept = peer.invoke(&call("Keep")).await.unwrap();
    let refused = peer.invoke(&call("Refuse")).await.unwrap();
    // A span closes once its transaction has been answered.
    let closed = async {
        loop {
            let text = log.text();
            if text.matches(r#""message":"close""#).count() == 2 {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(60), closed).await.expect("both spans close");
    serving.abort();
    assert!(!text.contains("secret"), "ids, never content:\n{text}");
    for (outcome, name, expected) in [(&kept, "Keep", "OK"), (&refused, "Refuse", "CONFLICT")] {
        let closed: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| {
                line["fields"]["message"] == "close" && line["span"]["tx_id"] == *outcome.tx_id
            })
            .collect();
        assert_eq!(closed.len(), 1, "{text}");
        let span = &closed[0]["span"];
        assert_eq!(span["name"], "transaction");
        assert_eq!((&span["call"], &span["channel"]), (&json!(name), &json!("channel")));
        assert_eq!((&span["msp_id"], &span["outcome"]), (&json!("NorthMSP"), &json!(expected)));
        assert_eq!(span["round_trips"], outcome.round_trips());
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> tracing_subscriber::fmt::MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self::Writer {
        self.clone()
    }
}
