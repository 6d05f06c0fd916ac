//! Every decoder of bytes from outside, to be fed with any bytes: the entry points of the fuzz targets in `fuzz/`, and
//! of the property tests here, which need no nightly toolchain.
//!
//! Each function returns for whatever bytes it gets; a panic in it, or an invariant that does not hold, is a finding.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use p256::pkcs8::LineEnding;
use p256::pkcs8::der::pem::encode_string;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::kept::Kept;
use crate::keys::PublicKey;
use crate::to_sign::{is_expired, msp_id};
use crate::{
    BlockRequest, CallFailure, Checkpoint, Credentials, Deadlines, Endorsed, Endpoint, EventsRequest,
    Gateway, Identity, KeyKind, KeySigner, Proposal, SignedTransaction, Submitted, endpoint, explain,
    msp_folder,
};

const KINDS: [KeyKind; 3] = [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519];

/// Each kind of exported stage: what reads exports to bytes that read to the same.
pub fn stages(bytes: &[u8]) {
    let Some(gateway) = gateway() else { return };
    fn again<S, E>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<S, E>, export: impl Fn(&S) -> Vec<u8>) {
        let Ok(stage) = read(bytes) else { return };
        let exported = export(&stage);
        assert_eq!(read(&exported).ok().map(|stage| export(&stage)), Some(exported));
    }
    again(bytes, |bytes| Proposal::from_bytes(gateway, bytes), Proposal::to_bytes);
    again(bytes, |bytes| Endorsed::from_bytes(gateway, bytes), Endorsed::to_bytes);
    again(bytes, |bytes| Submitted::from_bytes(gateway, bytes), Submitted::to_bytes);
    again(bytes, |bytes| BlockRequest::from_bytes(gateway, bytes), BlockRequest::to_bytes);
    again(bytes, |bytes| EventsRequest::from_bytes(gateway, bytes), EventsRequest::to_bytes);
    again(bytes, SignedTransaction::from_bytes, SignedTransaction::to_bytes);
    if let Ok(proposal) = Proposal::from_bytes(gateway, bytes) {
        let _ = (proposal.call(), proposal.digest(), format!("{proposal:?}"));
        // Its id is a hash of its nonce and creator.
        assert_eq!(proposal.tx_id().len(), 64);
    }
}

/// Private keys in PEM, whole or as the DER in it: what is read signs, and its own public key says so.
pub fn keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    for pem in [text, pem("PRIVATE KEY", bytes), pem("EC PRIVATE KEY", bytes)] {
        let Ok(key) = KeySigner::from_pem(&pem) else { continue };
        let _ = (key.kind(), key.public_key(), format!("{key:?}"));
        let signature = key.signature(b"message").ok();
        let canonical = signature.as_deref().and_then(|signature| key.kind().canonical(signature));
        assert!(canonical.is_some(), "{} signs what no peer takes", key.kind());
    }
    for kind in KINDS {
        if let Some(canonical) = kind.canonical(bytes) {
            assert_eq!(kind.canonical(&canonical).as_ref(), Some(&canonical));
        }
    }
}

/// Certificates, of identities and of TLS, in PEM, whole or as the DER in it.
pub fn certificates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    for certificate_pem in [text, pem("CERTIFICATE", bytes)] {
        let key = PublicKey::of_certificate(certificate_pem.as_bytes());
        assert_eq!(key.as_ref().map(PublicKey::kind), KeyKind::of_certificate(&certificate_pem));
        if let Some(key) = key {
            assert!(!key.verifies(b"message", &[]), "nothing is no signature");
            let _ = key.verifies(b"message", bytes);
        }
        let _ = msp_folder::demand_valid(&certificate_pem, "cert.pem".as_ref(), 1_800_000_000);
        let identity = Identity { msp_id: "NorthMSP".to_owned(), certificate_pem: certificate_pem.clone() };
        let creator = identity.creator();
        let _ = is_expired(&creator);
        assert_eq!(msp_id(&creator), "NorthMSP");
        let _ = Credentials::without_signer(identity);
        endpoint::read_anything(&certificate_pem);
    }
    let _ = (is_expired(bytes), msp_id(bytes));
}

/// What a gateway says of a failure: a status with details, and words of any kind.
pub fn failures(bytes: &[u8]) {
    let words = String::from_utf8_lossy(bytes).into_owned();
    for status in [
        Status::with_details(Code::Aborted, "failed to endorse", bytes.to_vec().into()),
        Status::with_details(Code::Unknown, words, bytes.to_vec().into()),
    ] {
        let failure = CallFailure::from(status);
        // A chaincode's own words are never taken for a peer's.
        if failure.chaincode_response().is_some() {
            assert_eq!((failure.cause(), failure.is_retryable()), (None, false));
        }
        assert_eq!(failure.cause().is_some(), failure.advice().is_some());
        assert!(!failure.to_string().is_empty());
        let _ = failure.says_ordered();
    }
}

/// Blocks, endorsers' answers, channels' policies: all that explanations are read from.
pub fn blocks(bytes: &[u8]) {
    explain::read_anything(bytes);
}

/// What is kept between runs: checkpoints, and transactions under their keys.
pub fn kept(bytes: &[u8]) {
    if let Ok(checkpoint) = String::from_utf8_lossy(bytes).parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string().as_bytes(), bytes);
    }
    if let Ok(kept) = Kept::from_bytes(bytes) {
        assert_eq!(
            Kept::from_bytes(&kept.to_bytes()).map(|again| again.to_bytes()).ok(),
            Some(kept.to_bytes())
        );
        assert!(!kept.tx_id().is_empty());
    }
}

/// A gateway that is never called.
fn gateway() -> Option<&'static Gateway> {
    static GATEWAY: OnceLock<Option<(Runtime, Gateway)>> = OnceLock::new();
    let made = GATEWAY.get_or_init(|| {
        let runtime = Runtime::new().ok()?;
        let context = runtime.enter();
        let identity = Identity { msp_id: "NorthMSP".to_owned(), certificate_pem: "none".to_owned() };
        let credentials = Credentials::without_signer(identity);
        let endpoint = Endpoint::plaintext("localhost:1");
        let gateway = Gateway::connect_lazy(&endpoint, credentials, Deadlines::default()).ok()?;
        drop(context);
        Some((runtime, gateway))
    });
    made.as_ref().map(|(_, gateway)| gateway)
}

fn pem(label: &'static str, der: &[u8]) -> String {
    encode_string(label, LineEnding::LF, der).unwrap_or_default()
}
