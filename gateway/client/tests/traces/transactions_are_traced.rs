//! The span that every transaction has.

use std::fmt;
use std::sync::{Arc, Mutex};

use hlf_gateway::protos::gateway::{CommitStatusResponse, SubmitResponse};
use hlf_gateway::{Deadlines, Endpoint, Gateway};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::scripted::{Answer, Script, ScriptedPeer, credentials, endorsed};

/// Keeps the fields of all spans named `transaction`, as an exporter would.
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

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if span.metadata().name() == "transaction" {
            span.record(&mut self.clone());
        }
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut self.clone());
    }
}

#[tokio::test]
async fn a_span_names_the_transaction_and_its_outcome_and_nothing_secret() {
    let _alone = crate::LISTENING.lock().await;
    let recorder = Recorder::default();
    let fields = Arc::clone(&recorder.0);
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder));
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
    let value = |(name, value): &(String, String)| {
        // Times are what they are, and whole microseconds.
        let time = name.ends_with("_us") && value.parse::<u64>().is_ok();
        (name.clone(), if time { "time".to_owned() } else { value.clone() })
    };
    let fields: Vec<_> = fields.iter().map(value).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("tx_id", tx_id.as_str()),
            ("channel", "main"),
            ("chaincode", "assets"),
            ("call", "Transfer"),
            ("msp_id", "NorthMSP"),
            ("endorse_us", "time"),
            ("submit_us", "time"),
            ("commit_status_us", "time"),
            ("outcome", "MVCC_READ_CONFLICT"),
        ]
    );
}
