//! What OpenTelemetry's own layer makes of a transaction, without anything said of it here.

use std::sync::{Arc, Mutex};

use hlf_gateway::protos::gateway::{CommitStatusResponse, SubmitResponse};
use hlf_gateway::{Deadlines, Endpoint, Gateway};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::scripted::{Answer, Script, ScriptedPeer, credentials, endorsed};

/// Keeps what it is to export.
#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn a_transaction_is_one_span_with_its_attempts_as_events() {
    let _alone = crate::LISTENING.lock().await;
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let script = Script {
        endorse: Box::new(|request| Answer::Reply(endorsed(&request, b"result"))),
        submit: Box::new(|_| Answer::Reply(SubmitResponse {})),
        commit_status: Box::new(|_| Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    let contract = gateway.contract("main", "assets");
    let proposal = contract.proposal("Transfer").arg("argument").build().unwrap();
    let tx_id = proposal.tx_id().to_owned();

    contract.submit(proposal).await.unwrap();

    drop((contract, gateway, guard));
    provider.force_flush().unwrap();
    let exported = exported.0.lock().unwrap();
    let [span] = exported.iter().filter(|span| span.name == "transaction").collect::<Vec<_>>()[..] else {
        panic!("{exported:?}")
    };
    let attribute = |name: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.unwrap_or_else(|| panic!("no {name} in {span:?}")).value.as_str().into_owned()
    };
    assert_eq!(attribute("tx_id"), tx_id);
    assert_eq!(
        ["channel", "chaincode", "call", "msp_id"].map(attribute),
        ["main", "assets", "Transfer", "NorthMSP"]
    );
    assert_eq!(attribute("outcome"), "VALID");
    for stage in ["endorse_us", "submit_us", "commit_status_us"] {
        assert!(attribute(stage).parse::<u64>().is_ok(), "{stage}");
    }
    let operations: Vec<_> = span
        .events
        .iter()
        .filter_map(|event| {
            let operation =
                event.attributes.iter().find(|attribute| attribute.key.as_str() == "operation")?;
            Some(operation.value.as_str().into_owned())
        })
        .collect();
    assert_eq!(operations, ["endorse", "submit", "commit_status"]);
}
