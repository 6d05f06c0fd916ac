//! All that this crate says while transactions with secrets go every way, searched for them.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hlf_gateway::protos::gateway::{CommitStatusResponse, EvaluateResponse, SubmitResponse};
use hlf_gateway::protos::protos::{ProposalResponse, Response};
use hlf_gateway::{Code, Credentials, Deadlines, Endpoint, Gateway, Identity, KeySigner, PrometheusMetrics};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tonic::Status;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::{Answer, Script, ScriptedPeer, endorsed, enrolment, refusal};

/// Writes down everything of this crate, at every level.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("hlf_gateway")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        write!(self.0.lock().unwrap(), "\nspan {} ", span.metadata().name()).unwrap();
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn event(&self, event: &Event<'_>) {
        write!(self.0.lock().unwrap(), "\nevent ").unwrap();
        event.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A peer that succeeds or fails, with the secret in whatever it says.
fn script(succeeds: bool) -> Script {
    let refuse = || refusal(Code::Aborted, "secret-status", &[("peer0:7051", "NorthMSP", "secret-detail")]);
    let response =
        || Response { status: 200, message: "secret-message".into(), payload: b"secret-result".into() };
    Script {
        evaluate: Box::new(move |_| match succeeds {
            true => Answer::Reply(EvaluateResponse { result: Some(response()) }),
            false => Answer::Refuse(refuse()),
        }),
        endorse: Box::new(move |request| Answer::Reply(endorsed(&request, b"secret-result"))),
        submit: Box::new(move |_| match succeeds {
            true => Answer::Reply(SubmitResponse {}),
            false => Answer::Refuse(Status::unavailable("secret-status")),
        }),
        commit_status: Box::new(move |_| match succeeds {
            true => Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 }),
            false => Answer::Refuse(refuse()),
        }),
        process: Box::new(move |_| {
            Answer::Reply(ProposalResponse { response: Some(response()), ..ProposalResponse::default() })
        }),
        ..Script::default()
    }
}

#[tokio::test]
async fn no_argument_value_certificate_or_key_is_in_any_trace_or_figure() {
    let _alone = crate::LISTENING.lock().await;
    let everything = Everything::default();
    let traced = Arc::clone(&everything.0);
    let _guard = tracing::subscriber::set_default(everything);
    let mut registry = Registry::default();
    let metrics = Arc::new(PrometheusMetrics::register(&mut registry));
    let (certificate_pem, key_pem) = enrolment("secret-name");
    let identity = Identity { msp_id: "NorthMSP".into(), certificate_pem: certificate_pem.clone() };
    let credentials = Credentials::new(identity, KeySigner::from_pem(&key_pem).unwrap());
    let deadlines = Deadlines { lost_submit: Duration::from_millis(50), ..Deadlines::default() };

    for succeeds in [true, false] {
        let peers =
            [ScriptedPeer::start(script(succeeds)).await, ScriptedPeer::start(script(succeeds)).await];
        let endpoints = peers.each_ref().map(|peer| Endpoint::plaintext(peer.address.to_string()));
        let gateway = Gateway::connect_any(&endpoints, credentials.clone(), deadlines).await.unwrap();
        let gateway = gateway.with_metrics(metrics.clone());
        let contract = gateway.contract("main", "assets");
        let proposal = || {
            let proposal =
                contract.proposal("Transfer").arg("secret-argument").transient("name", "secret-value");
            proposal.build().unwrap()
        };
        assert_eq!(proposal().evaluate().await.is_ok(), succeeds);
        assert_eq!(contract.submit(proposal()).await.is_ok(), succeeds);
        assert!(proposal().compare(&[gateway.endorser()]).await.is_ok());
        assert!(gateway.endorser().ledger("main").info().await.is_err());
        let [first, _second] = peers;
        first.vanish();
        let _ = proposal().evaluate().await;
    }

    let traced = traced.lock().unwrap().clone();
    let mut figures = String::new();
    encode(&mut figures, &registry).unwrap();
    // The test would prove nothing if nothing were said.
    assert!(traced.contains("operation=\"submit\""), "{traced}");
    assert!(traced.contains("peer does not answer"), "{traced}");
    assert!(figures.contains("gateway_attempts_total{operation=\"submit\""), "{figures}");
    let body = |pem: &str| pem.lines().nth(1).unwrap().to_owned();
    let secrets = ["secret-", &body(&certificate_pem), &body(&key_pem), "BEGIN"].map(str::to_owned);
    for text in [&traced, &figures] {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "`{secret}` is in:\n{text}");
        }
    }
}
