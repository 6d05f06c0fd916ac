//! Whatever bytes come in: keys, certificates, exported stages, a gateway's answers.

use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::{
    BlockRequest, CallFailure, Code, Credentials, Deadlines, Endorsed, Endpoint, EventsFrom, EventsRequest,
    Gateway, Identity, KeyKind, KeySigner, MspFolder, Proposal, Submitted,
};
use proptest::prelude::*;
use proptest::sample::Index;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use tokio::runtime::Runtime;

use crate::scripted::{credentials, endorsed, enrolment};

/// A gateway to nowhere: reading needs no peer.
fn gateway(runtime: &Runtime) -> Gateway {
    let _within = runtime.enter();
    Gateway::connect_lazy(&Endpoint::plaintext("localhost:1"), credentials(), Deadlines::default()).unwrap()
}

/// One of each kind of exported bytes.
fn exported(gateway: &Gateway) -> [Vec<u8>; 5] {
    let contract = gateway.contract("main", "assets");
    let proposal = contract.proposal("Move").arg("x").transient("t", "v").build().unwrap();
    let request = hlf_gateway::protos::gateway::EndorseRequest {
        proposed_transaction: Some(hlf_gateway::protos::protos::SignedProposal {
            proposal_bytes: proposal.message().to_vec(),
            signature: Vec::new(),
        }),
        ..Default::default()
    };
    let prepared = hlf_gateway::protos::gateway::PreparedTransaction {
        transaction_id: proposal.tx_id().to_owned(),
        envelope: endorsed(&request, b"done").prepared_transaction,
    };
    [
        proposal.to_bytes(),
        prepared.encode_to_vec(),
        Submitted::of(gateway, "main", proposal.tx_id()).to_bytes(),
        gateway.block_request("main", 3..).to_bytes(),
        contract.events_request(EventsFrom::NextCommit).to_bytes(),
    ]
}

/// Reads bytes as each kind of stage; what is read is exported again.
fn read(gateway: &Gateway, bytes: &[u8]) -> [bool; 5] {
    [
        Proposal::from_bytes(gateway, bytes).is_ok_and(|stage| !stage.to_bytes().is_empty()),
        Endorsed::from_bytes(gateway, bytes).is_ok_and(|stage| !stage.to_bytes().is_empty()),
        Submitted::from_bytes(gateway, bytes).is_ok_and(|stage| !stage.to_bytes().is_empty()),
        BlockRequest::from_bytes(gateway, bytes).is_ok_and(|stage| !stage.to_bytes().is_empty()),
        EventsRequest::from_bytes(gateway, bytes).is_ok_and(|stage| !stage.to_bytes().is_empty()),
    ]
}

/// Changes, cuts and doubles bytes at some places.
fn damage(mut bytes: Vec<u8>, places: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    for (place, value) in places {
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] = *value;
        }
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
    bytes
}

fn places() -> impl Strategy<Value = (Vec<(Index, u8)>, Option<Index>)> {
    (prop::collection::vec((any::<Index>(), any::<u8>()), 0..6), prop::option::of(any::<Index>()))
}

#[test]
fn whole_bytes_are_read_as_their_own_kind() {
    let runtime = Runtime::new().unwrap();
    let gateway = gateway(&runtime);
    for (kind, bytes) in exported(&gateway).iter().enumerate() {
        assert!(read(&gateway, bytes)[kind], "{kind}");
    }
}

#[test]
fn damaged_stages_are_refused_or_read_and_never_panic() {
    let runtime = Runtime::new().unwrap();
    let gateway = gateway(&runtime);
    let exported = exported(&gateway);
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(kind in 0_usize..5, (places, cut) in places())| {
        let bytes = damage(exported[kind].clone(), &places, cut);
        let whole = bytes == exported[kind];
        let read = read(&gateway, &bytes);
        prop_assert!(!whole || read[kind]);
    });
}

#[test]
fn random_bytes_are_no_stage_and_never_panic() {
    let runtime = Runtime::new().unwrap();
    let gateway = gateway(&runtime);
    let config = ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in prop::collection::vec(any::<u8>(), 0..200))| {
        let [proposal, endorsed, ..] = read(&gateway, &bytes);
        prop_assert!(!proposal && !endorsed, "their transaction ids are hashes");
        let _ = CallFailure::from(tonic::Status::with_details(Code::Aborted, "x", bytes.into()));
    });
}

#[test]
fn damaged_keys_certificates_and_signatures_never_panic() {
    let enrolled: Vec<(String, String)> = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .into_iter()
        .map(|algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        })
        .collect();
    let (_, other) = enrolment("other");
    let other = KeySigner::from_pem(&other).unwrap();
    let config = ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(kind in 0_usize..3, (places, cut) in places(), signature in prop::collection::vec(any::<u8>(), 0..120))| {
        let (certificate, key) = &enrolled[kind];
        let damaged = |text: &str| {
            String::from_utf8_lossy(&damage(text.as_bytes().to_vec(), &places, cut)).into_owned()
        };
        let _ = KeySigner::from_pem(&damaged(key)).map(|key| key.public_key());
        let certificate_pem = damaged(certificate);
        prop_assert!(!other.is_of_certificate(&certificate_pem));
        let _ = Credentials::without_signer(Identity { msp_id: "NorthMSP".into(), certificate_pem });
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            // What is canonical stays as it is.
            if let Some(canonical) = kind.canonical(&signature) {
                prop_assert_eq!(kind.canonical(&canonical), Some(canonical));
            }
        }
    });
}

#[test]
fn damaged_msp_folders_are_refused_or_read_and_never_panic() {
    let (certificate, key) = enrolment("user1");
    let folder = tempfile::tempdir().unwrap();
    for part in ["signcerts", "keystore"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
    }
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((places, cut) in places(), in_der in any::<bool>(), of_key in any::<bool>())| {
        let damaged = |pem: &str| -> Vec<u8> {
            if !in_der {
                return damage(pem.as_bytes().to_vec(), &places, cut);
            }
            let (label, der) = p256::pkcs8::der::pem::decode_vec(pem.as_bytes()).unwrap();
            let der = damage(der, &places, cut);
            p256::pkcs8::der::pem::encode_string(label, p256::pkcs8::LineEnding::LF, &der).unwrap().into_bytes()
        };
        let certificate = if of_key { certificate.clone().into_bytes() } else { damaged(&certificate) };
        let key = if of_key { damaged(&key) } else { key.clone().into_bytes() };
        std::fs::write(folder.path().join("signcerts/cert.pem"), certificate).unwrap();
        std::fs::write(folder.path().join("keystore/priv_sk"), key).unwrap();
        if let Err(error) = MspFolder::open(folder.path(), "NorthMSP") {
            prop_assert!(!error.to_string().contains("BEGIN"));
        }
    });
}

#[test]
fn random_der_in_sound_pem_is_no_key_and_no_certificate() {
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(der in prop::collection::vec(any::<u8>(), 0..160))| {
        for label in ["PRIVATE KEY", "EC PRIVATE KEY", "CERTIFICATE"] {
            let pem = p256::pkcs8::der::pem::encode_string(label, p256::pkcs8::LineEnding::LF, &der).unwrap();
            prop_assert!(KeySigner::from_pem(&pem).is_err());
            prop_assert_eq!(KeyKind::of_certificate(&pem), None);
        }
    });
}
