//! Every decoder of bytes from outside, to be fed with any bytes: the entry points of the fuzz targets
//! in `fuzz/`, and of the property tests here, which need no nightly toolchain.
//!
//! Each function returns for whatever bytes it gets; a panic in it, or an invariant that does not hold,
//! is a finding.

mod answers;
mod session;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hlf_protos::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, Proposal, SignedProposal,
};
use prost::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};

use crate::config::Tls;
use crate::dial::{self, DialTls};
use crate::identity::{self, ClientIdentity};
use crate::key::{KeyRange, composite_key, split_composite_key};
use crate::ledger::{Line, LineLimits, Offer, Outbound, ReplySlot, TurnOrder};
use crate::policy::SignaturePolicy;
use crate::proposal::ProposalFacts;
use crate::response::Failure;
use crate::router::Router;
use crate::service::Contract;
use crate::state::Rules;
use crate::tls::Certificates;
use crate::transaction::Transaction;
use crate::turn::Turn;

pub use answers::answers;
pub use session::session;

/// A signed proposal and the arguments beside it, whole or in parts, and all that a contract asks of them.
pub fn proposal(bytes: &[u8]) {
    let mut cut = Cut(bytes);
    let signed = match cut.byte() % 4 {
        0 => SignedProposal { proposal_bytes: cut.0.to_vec(), signature: Vec::new() },
        1 => signed(cut.chunk(), &cut.chunk(), cut.0.to_vec()),
        _ => {
            let creator = SerializedIdentity {
                mspid: String::from_utf8_lossy(&cut.chunk()).into_owned(),
                id_bytes: cut.chunk(),
            };
            signed(creator.encode_to_vec(), b"arguments", b"nonce".to_vec())
        }
    };
    let Ok(facts) = ProposalFacts::decode(Some(signed)) else { return };
    let (_outbound, line) = line(Duration::from_secs(1));
    let Ok(tx) = Transaction::start(line, turn(), facts, cut.0, Offer::default(), RULES) else { return };
    let _ = (tx.function(), tx.args(), tx.origin(), tx.binding(), tx.timestamp_unix_ms(), tx.call_label());
    let _ = (tx.client_identity(), tx.transient("key"), tx.decorations().len(), tx.invoked_chaincode());
    assert!(!tx.creator().is_empty());
}

/// A creator: protobuf, PEM, DER, names and attributes.
pub fn creator(bytes: &[u8]) {
    let of = |id_bytes: Vec<u8>| {
        let creator = SerializedIdentity { mspid: "NorthMSP".into(), id_bytes }.encode_to_vec();
        if let Ok(identity) = ClientIdentity::from_creator(&creator) {
            assert_eq!(identity.msp_id(), "NorthMSP");
            assert!(!identity.certificate_der().is_empty());
        }
    };
    let _ = ClientIdentity::from_creator(bytes);
    of(bytes.to_vec());
    of(pem("CERTIFICATE", bytes));
    if let Ok(attributes) = identity::attributes_of_json(bytes) {
        assert!(attributes.len() <= bytes.len());
    }
}

/// Keys and bookmarks: a key that splits joins to itself, and ranges hold what they should.
pub fn keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok((object_type, attributes)) = split_composite_key(&text)
        && let Ok(joined) = composite_key(object_type, &attributes)
    {
        assert_eq!(joined, text);
        let range =
            KeyRange::partial_composite(object_type, &attributes).unwrap_or(KeyRange::all_composite());
        assert!(range.contains(&text) && KeyRange::all_composite().contains(&text));
    }
    let mut cut = Cut(bytes);
    let mut text = || String::from_utf8_lossy(&cut.chunk()).into_owned();
    let (start, end, bookmark) = (text(), text(), text());
    if let Ok(range) = KeyRange::simple(&start, &end) {
        assert!(!range.contains(&format!("\u{0}{bookmark}")), "composite keys leak");
        assert!(range.end.is_empty() || !range.contains(&range.end));
    }
}

/// A signature policy: what decodes encodes to what decodes to the same.
pub fn policy(bytes: &[u8]) {
    let Ok(policy) = SignaturePolicy::from_bytes(bytes) else { return };
    let again = policy.to_bytes().ok().and_then(|bytes| SignaturePolicy::from_bytes(&bytes).ok());
    assert_eq!(again.as_ref(), Some(&policy));
    assert!(!policy.to_string().is_empty());
}

/// A call of a router: the function's name, and JSON for types of every shape.
pub fn arguments(bytes: &[u8]) {
    let mut cut = Cut(bytes);
    let function = match cut.byte() % 6 {
        0 => b"Shape".to_vec(),
        1 => b"fuzz:Many".to_vec(),
        2 => b"Nothing".to_vec(),
        3 => b"org.hyperledger.fabric:GetMetadata".to_vec(),
        4 => b"Text".to_vec(),
        _ => cut.chunk(),
    };
    let input = ChaincodeInput { args: vec![function, cut.0.to_vec()], ..ChaincodeInput::default() };
    let proposal = signed(creator_bytes(), &[], Vec::new());
    let Ok(facts) = ProposalFacts::decode(Some(proposal)) else { return };
    let (_outbound, line) = line(Duration::from_secs(1));
    let tx = Transaction::start(line, turn(), facts, &input.encode_to_vec(), Offer::default(), RULES);
    static ROUTER: OnceLock<Option<Router>> = OnceLock::new();
    let (Ok(tx), Some(router)) = (tx, ROUTER.get_or_init(router)) else { return };
    let response = run(router.invoke(&tx));
    let code = response.message();
    assert!(response.is_ok() || (response.payload().is_empty() && !code.is_empty()), "{response:?}");
}

/// Keys and certificates of a service and of a dialled connection, PEM.
pub fn certificates(bytes: &[u8]) {
    let mut cut = Cut(bytes);
    let wrapped = cut.byte() % 2 == 1;
    let mut block = |label: &str| if wrapped { pem(label, &cut.chunk()) } else { cut.chunk() };
    let (key_pem, certificate_pem, root_pem) =
        (block("PRIVATE KEY"), block("CERTIFICATE"), block("CERTIFICATE"));
    let client_ca_pem = Some(root_pem.clone());
    let tls = Tls {
        key_pem: key_pem.clone(),
        certificate_pem: certificate_pem.clone(),
        client_ca_pem,
        files: None,
    };
    let _ = Certificates::new(Some(&tls));
    let _ = (dial::pem_in_base64(bytes), dial::DialConfig::from_run_metadata_json(bytes));
    let _ = dial::endpoint("localhost:1", Some(&DialTls { root_pem, certificate_pem, key_pem }));
}

const RULES: Rules = Rules { strict: true, message_bytes_max: 1 << 20, scan_entries_max: 100 };

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shape {
    id: String,
    count: u64,
    #[serde(default)]
    parts: Vec<Shape>,
    sort: Option<Sort>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "sort", rename_all = "snake_case")]
enum Sort {
    Round { width: f64 },
    Flat(std::collections::BTreeMap<String, i8>),
}

fn router() -> Option<Router> {
    async fn shape(_tx: &Transaction, shape: Shape) -> Result<Shape, Failure> {
        Ok(shape)
    }
    async fn many(_tx: &Transaction, many: (Vec<Option<i64>>, Sort)) -> Result<usize, Failure> {
        Ok(many.0.len())
    }
    async fn nothing(_tx: &Transaction, (): ()) -> Result<(), Failure> {
        Ok(())
    }
    async fn text(_tx: &Transaction, text: String) -> Result<String, Failure> {
        Ok(text)
    }
    Router::builder("fuzz", "1")
        .evaluate("Shape", shape)
        .evaluate("Many", many)
        .evaluate("Nothing", nothing)
        .evaluate("Text", text)
        .build()
        .ok()
}

/// Runs a future to its end.
fn run<F: Future>(future: F) -> F::Output {
    thread_local! {
        #[expect(clippy::unwrap_used, reason = "without a runtime there is nothing to find")]
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn turn() -> Turn {
    run(Turn::take(Arc::new(Semaphore::new(1))))
}

fn line(
    reply_within: Duration,
) -> (mpsc::Receiver<Result<hlf_protos::protos::ChaincodeMessage, tonic::Status>>, Line) {
    let (outbound, sent) = mpsc::channel(8);
    (sent, line_over(outbound, Arc::default(), reply_within))
}

fn line_over(outbound: Outbound, slot: Arc<ReplySlot>, reply_within: Duration) -> Line {
    let limits = LineLimits { reply_within, message_bytes_max: RULES.message_bytes_max };
    let order = TurnOrder::Shuffled(AtomicU64::new(0));
    Line::new(("channel".into(), "tx".into()), outbound, slot, order, limits)
}

pub(crate) fn creator_bytes() -> Vec<u8> {
    SerializedIdentity { mspid: "NorthMSP".into(), id_bytes: b"no certificate".to_vec() }.encode_to_vec()
}

/// A proposal as a client would sign it.
pub(crate) fn signed(creator: Vec<u8>, input: &[u8], nonce: Vec<u8>) -> SignedProposal {
    let spec = ChaincodeSpec {
        input: Some(ChaincodeInput { args: vec![input.to_vec()], ..ChaincodeInput::default() }),
        ..ChaincodeSpec::default()
    };
    let chaincode = ChaincodeId { name: "fuzz".into(), ..ChaincodeId::default() };
    let channel_header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        timestamp: Some(Default::default()),
        channel_id: "channel".into(),
        extension: ChaincodeHeaderExtension { chaincode_id: Some(chaincode) }.encode_to_vec(),
        ..ChannelHeader::default()
    };
    let header = Header {
        channel_header: channel_header.encode_to_vec(),
        signature_header: SignatureHeader { creator, nonce }.encode_to_vec(),
    };
    let payload = ChaincodeProposalPayload {
        input: ChaincodeInvocationSpec { chaincode_spec: Some(spec) }.encode_to_vec(),
        ..ChaincodeProposalPayload::default()
    };
    let proposal =
        Proposal { header: header.encode_to_vec(), payload: payload.encode_to_vec(), extension: Vec::new() };
    SignedProposal { proposal_bytes: proposal.encode_to_vec(), signature: Vec::new() }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}

/// Takes bytes apart; what is missing is zero or empty.
struct Cut<'b>(&'b [u8]);

impl Cut<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    /// Two bytes of length, little-endian, then that many bytes or what is left.
    fn chunk(&mut self) -> Vec<u8> {
        let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let chunk = self.0.split_off(..length.min(self.0.len())).unwrap_or_default();
        chunk.to_vec()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
