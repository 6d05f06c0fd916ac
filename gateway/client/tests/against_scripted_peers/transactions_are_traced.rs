//! The span that every transaction has.

use std::fmt;
use std::sync::{Arc, Mutex};

use hlf_gateway::protos::gateway::{CommitStatusResponse, SubmitResponse};
use hlf_gateway::{Deadlines, Endpoint, Gateway};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::{Answer, Script, ScriptedPeer, credentials, endorsed};

/// Keeps the fields of all spans named `transaction`.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(String, String)>>>);

impl Visit for Recorder {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push((field.name().to_owned(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.lock().unwrap().push((field.name().to_owned(), value.to_owned()));
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "transaction"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_span_names_the_transaction_and_its_outcome_and_nothing_secret() {
    let recorder = Recorder::default();
    let fields = Arc::clone(&recorder.0);
    let _guard = tracing::subscriber::set_default(recorder);
    let script = Script {
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"result"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        commit_status: Box::new(|_| Answer::Reply(CommitStatusResponse { result: 11, block_number: 7 })),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    let contract = gateway.contract("main", "assets");
    let proposal = contract.proposal("Transfer").arg("argument").transient("name", "value").build().unwrap();
    let tx_id = proposal.tx_id().to_owned();

    contract.submit(proposal).await.unwrap_err();

    let fields = fields.lock().unwrap();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("tx_id", tx_id.as_str()),
            ("channel", "main"),
            ("chaincode", "assets"),
            ("call", "Transfer"),
            ("msp_id", "NorthMSP"),
            ("outcome", "submitted"),
            ("outcome", "MVCC_READ_CONFLICT"),
        ]
    );
}
