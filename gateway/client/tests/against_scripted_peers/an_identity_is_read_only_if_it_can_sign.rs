//! Identities in Fabric's MSP folder layout.

use std::fs;
use std::path::Path;

use hlf_gateway::protos::msp::SerializedIdentity;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::{KeyKind, KeySigner, MspFolder, MspFolderError};
use p256::pkcs8::DecodePrivateKey as _;
use p256::pkcs8::LineEnding;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use tempfile::TempDir;

use crate::scripted::{chain, enrolment};

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn msp_folder(certificate: &str, keys: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "signcerts/cert.pem", certificate);
    for (index, key) in keys.iter().enumerate() {
        write(folder.path(), &format!("keystore/{index}_sk"), key);
    }
    folder
}

fn refused(folder: &TempDir) -> MspFolderError {
    MspFolder::open(folder.path(), "NorthMSP").unwrap_err()
}

#[test]
fn a_whole_folder_gives_identity_and_authorities() {
    let (certificate, key) = enrolment("user1");
    let folder = msp_folder(&certificate, &[&key]);
    write(folder.path(), "cacerts/ca.pem", "CA");
    write(folder.path(), "tlscacerts/tlsca.pem", "TLS CA");

    let opened = MspFolder::open(folder.path(), "NorthMSP").unwrap();

    assert_eq!(opened.ca_certificates_pem(), ["CA"]);
    assert_eq!(opened.tls_ca_certificates_pem(), ["TLS CA"]);
    let creator = SerializedIdentity::decode(opened.identity().creator().as_slice()).unwrap();
    assert_eq!((creator.mspid.as_str(), creator.id_bytes), ("NorthMSP", certificate.clone().into_bytes()));
    let shown = format!("{opened:?} {:?}", KeySigner::from_pem(&key).unwrap());
    assert!(!shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn the_folder_above_msp_will_do() {
    let (certificate, key) = enrolment("user1");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "msp/signcerts/cert.pem", &certificate);
    write(folder.path(), "msp/keystore/priv_sk", &key);
    MspFolder::open(folder.path(), "NorthMSP").unwrap();
}

#[test]
fn a_sec1_key_is_read_too() {
    let (certificate, key) = enrolment("user1");
    let sec1 = p256::SecretKey::from_pkcs8_pem(&key).unwrap().to_sec1_pem(LineEnding::LF).unwrap();
    assert!(sec1.contains("EC PRIVATE KEY"));
    MspFolder::open(msp_folder(&certificate, &[&sec1]).path(), "NorthMSP").unwrap();
}

#[test]
fn the_matching_key_is_found_among_others() {
    let (certificate, key) = enrolment("user1");
    let (_, old) = enrolment("user1");
    MspFolder::open(msp_folder(&certificate, &[&old, "garbage", &key]).path(), "NorthMSP").unwrap();
}

#[test]
fn a_key_of_another_certificate_is_named_as_the_cause() {
    let (certificate, _) = enrolment("user1");
    let (_, other) = enrolment("user2");
    let error = refused(&msp_folder(&certificate, &[&other]));
    assert!(matches!(error, MspFolderError::KeyMismatch { .. }), "{error}");
}

#[test]
fn a_key_of_another_kind_is_not_the_certificates() {
    let (certificate, _) = enrolment("user1");
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let other = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        let error = refused(&msp_folder(&certificate, &[&other]));
        assert!(matches!(error, MspFolderError::KeyMismatch { .. }), "{error}");
    }
}

#[test]
fn keys_of_every_kind_are_read_with_their_certificates() {
    for (algorithm, kind) in [
        (&PKCS_ECDSA_P256_SHA256, KeyKind::P256),
        (&PKCS_ECDSA_P384_SHA384, KeyKind::P384),
        (&PKCS_ED25519, KeyKind::Ed25519),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        MspFolder::open(msp_folder(&certificate, &[&key.serialize_pem()]).path(), "NorthMSP").unwrap();
        assert_eq!(KeySigner::from_pem(&key.serialize_pem()).unwrap().kind(), kind);
        assert_eq!(KeyKind::of_certificate(&certificate), Some(kind));
    }
}

#[test]
fn what_is_missing_is_named_with_its_folder() {
    let (certificate, key) = enrolment("user1");
    let error = refused(&tempfile::tempdir().unwrap());
    assert!(matches!(&error, MspFolderError::NoCertificate { .. }), "{error}");
    assert!(error.to_string().contains("signcerts"), "{error}");
    let error = refused(&msp_folder(&certificate, &[]));
    assert!(matches!(error, MspFolderError::NoKey { .. }), "{error}");
    let folder = msp_folder(&certificate, &[&key]);
    write(folder.path(), "signcerts/other.pem", &certificate);
    assert!(matches!(refused(&folder), MspFolderError::ManyCertificates { .. }));
}

#[test]
fn what_cannot_be_used_is_named_with_its_file() {
    let (certificate, key) = enrolment("user1");
    for bad in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key] {
        let error = refused(&msp_folder(bad, &[&key]));
        assert!(matches!(error, MspFolderError::BadCertificate { .. }), "{error}");
    }
    for bad in ["", "garbage", &certificate] {
        let error = refused(&msp_folder(&certificate, &[bad]));
        assert!(matches!(error, MspFolderError::BadKey { .. }), "{error}");
        assert!(!chain(&error).contains("BEGIN"), "{}", chain(&error));
    }
    let folder = msp_folder(&certificate, &[]);
    fs::create_dir_all(folder.path().join("keystore")).unwrap();
    fs::write(folder.path().join("keystore/binary_sk"), [0xff, 0xfe]).unwrap();
    assert!(matches!(refused(&folder), MspFolderError::Unreadable { .. }));
}

#[test]
fn a_certificate_is_refused_outside_of_its_time() {
    let key = KeyPair::generate().unwrap();
    let certificate = |from, until| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    let pem = key.serialize_pem();
    let error = refused(&msp_folder(&certificate(2001, 2002), &[&pem]));
    assert!(matches!(error, MspFolderError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("2002"), "{error}");
    let error = refused(&msp_folder(&certificate(3001, 3002), &[&pem]));
    assert!(matches!(error, MspFolderError::NotYetValid { .. }), "{error}");
    assert!(error.to_string().contains("3001"), "{error}");
}
