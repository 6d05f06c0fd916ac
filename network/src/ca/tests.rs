use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, Signature, VerifyingKey};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::spec::UserKey;

fn ca() -> (tempfile::TempDir, DevelopmentCa) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("peerOrganizations/north.example.com");
    let ca = DevelopmentCa::open_or_make(&folder, "north.example.com").unwrap();
    (home, ca)
}

fn der(path: &Path) -> Vec<u8> {
    let text = fs::read(path).unwrap();
    x509_parser::pem::parse_x509_pem(&text).unwrap().1.contents
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        node_ou: NodeOu::Client,
        common_name: Some("random".to_owned()),
        attributes: [
            ("app.role".to_owned(), "auditor".to_owned()),
            ("app.subject".to_owned(), "{common_name}".to_owned()),
        ]
        .into(),
        key: UserKey::default(),
    }
}

/// Checks a certificate's signature by its issuer, and that S is low.
fn assert_signed_low_s(issuer: &Path, certificate: &Path) {
    let issuer = der(issuer);
    let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
    let certificate = der(certificate);
    let (_, certificate) = X509Certificate::from_der(&certificate).unwrap();
    let key = VerifyingKey::from_sec1_bytes(&issuer.public_key().subject_public_key.data).unwrap();
    let signature = DerSignature::from_bytes(&certificate.signature_value.data).unwrap();
    key.verify(certificate.tbs_certificate.as_ref(), &signature).unwrap();
    let signature = Signature::try_from(signature).unwrap();
    assert_eq!(signature, signature.normalize_s());
    assert_eq!(certificate.tbs_certificate.issuer.as_raw(), issuer.tbs_certificate.subject.as_raw());
}

#[test]
fn an_organisation_has_the_folders_that_fabrics_tools_know() {
    let (_home, ca) = ca();
    ca.make_node("peers", "peer0.north.example.com", &[], NodeOu::Peer).unwrap();
    ca.issue_user(&user("audit"), None).unwrap();
    for file in [
        "ca/ca.north.example.com-cert.pem",
        "ca/priv_sk",
        "tlsca/tlsca.north.example.com-cert.pem",
        "msp/config.yaml",
        "msp/cacerts/ca.north.example.com-cert.pem",
        "msp/tlscacerts/tlsca.north.example.com-cert.pem",
        "peers/peer0.north.example.com/msp/signcerts/peer0.north.example.com-cert.pem",
        "peers/peer0.north.example.com/msp/keystore/priv_sk",
        "peers/peer0.north.example.com/tls/server.crt",
        "peers/peer0.north.example.com/tls/server.key",
        "peers/peer0.north.example.com/tls/ca.crt",
        "users/audit@north.example.com/msp/signcerts/audit@north.example.com-cert.pem",
        "users/audit@north.example.com/msp/keystore/priv_sk",
        "users/audit@north.example.com/msp/config.yaml",
        "users/audit@north.example.com/tls/client.crt",
        "users/audit@north.example.com/tls/client.key",
    ] {
        assert!(ca.home.folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn keys_are_for_the_owner_alone() {
    let (_home, ca) = ca();
    let folder = ca.issue_user(&user("audit"), None).unwrap();
    for key in [
        folder.join("msp/keystore/priv_sk"),
        folder.join("tls/client.key"),
        ca.home.folder.join("ca/priv_sk"),
        ca.home.folder.join("tlsca/priv_sk"),
    ] {
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
}

#[test]
fn a_user_carries_name_role_and_attributes() {
    let (_home, ca) = ca();
    let folder = ca.issue_user(&user("audit"), None).unwrap();
    let path = folder.join("msp/signcerts/audit@north.example.com-cert.pem");
    let bytes = der(&path);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let subject = certificate.subject();
    let name = subject.iter_common_name().next().unwrap().as_str().unwrap();
    assert_eq!(name.len(), 32);
    assert!(name.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    let ou = subject.iter_organizational_unit().next().unwrap();
    assert_eq!(ou.as_str().unwrap(), "client");
    let extension =
        certificate.extensions().iter().find(|e| e.oid.to_id_string() == "1.2.3.4.5.6.7.8.1").unwrap();
    assert!(!extension.critical);
    let attributes: serde_json::Value = serde_json::from_slice(extension.value).unwrap();
    assert_eq!(attributes, serde_json::json!({"attrs": {"app.role": "auditor", "app.subject": name}}));
}

#[test]
fn every_signature_has_a_low_s() {
    let (_home, ca) = ca();
    let issuer = ca.home.folder.join("ca/ca.north.example.com-cert.pem");
    assert_signed_low_s(&issuer, &issuer);
    for number in 0..12 {
        let name = format!("user{number}");
        let folder = ca.issue_user(&user(&name), None).unwrap();
        let certificate = folder.join(format!("msp/signcerts/{name}@north.example.com-cert.pem"));
        assert_signed_low_s(&issuer, &certificate);
    }
}

#[test]
fn a_users_key_is_of_the_kind_asked_for() {
    let (_home, ca) = ca();
    let issuer = ca.home.folder.join("ca/ca.north.example.com-cert.pem");
    for (number, key) in [UserKey::P256, UserKey::P384, UserKey::Ed25519].into_iter().enumerate() {
        let name = format!("user{number}");
        let folder = ca.issue_user(&User { key, ..user(&name) }, None).unwrap();
        assert_signed_low_s(
            &issuer,
            &folder.join(format!("msp/signcerts/{name}@north.example.com-cert.pem")),
        );
        let msp = hlf_gateway::MspFolder::open(&folder, "NorthMSP").unwrap();
        let kind = hlf_gateway::KeyKind::of_certificate(&msp.identity().certificate_pem);
        let expected = match key {
            UserKey::P256 => hlf_gateway::KeyKind::P256,
            UserKey::P384 => hlf_gateway::KeyKind::P384,
            UserKey::Ed25519 => hlf_gateway::KeyKind::Ed25519,
        };
        assert_eq!(kind, Some(expected));
    }
}

#[test]
fn nothing_is_issued_twice() {
    let (_home, ca) = ca();
    let key = |ca: &DevelopmentCa| fs::read(ca.home.folder.join("ca/priv_sk")).unwrap();
    let first = key(&ca);
    let again = DevelopmentCa::open_or_make(&ca.home.folder, "north.example.com").unwrap();
    assert_eq!(first, key(&again));
    ca.issue_user(&user("audit"), None).unwrap();
    assert!(matches!(ca.issue_user(&user("audit"), None), Err(CaError::Exists(_))));
    assert!(!ca.make(&ca.home.of_user(&user("audit"), None).unwrap()).unwrap());
    let (server, client) = ca.service("daemon").unwrap();
    let before = fs::read(&server.key).unwrap();
    assert_eq!(ca.service("daemon").unwrap(), (server.clone(), client));
    assert_eq!(fs::read(&server.key).unwrap(), before);
}

#[test]
fn a_validity_can_be_chosen_and_must_not_be_empty() {
    let (_home, ca) = ca();
    let folder = ca.issue_user(&user("late"), Some(Validity::expired())).unwrap();
    let bytes = der(&folder.join("msp/signcerts/late@north.example.com-cert.pem"));
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    assert!(!certificate.validity().is_valid());
    let now = OffsetDateTime::now_utc();
    let empty = Validity { not_before: now, not_after: now };
    assert!(matches!(ca.issue_user(&user("never"), Some(empty)), Err(CaError::Validity)));
    assert!(matches!(ca.issue_user(&user("../../etc"), None), Err(CaError::Name(_))));
}

#[test]
fn a_service_is_reached_by_name_and_loopback_address() {
    let (_home, ca) = ca();
    let (server, client) = ca.service("chaincode").unwrap();
    let bytes = der(&server.certificate);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    assert!(names.contains(&GeneralName::DNSName("chaincode.north.example.com")));
    assert!(names.contains(&GeneralName::DNSName("localhost")));
    assert!(names.contains(&GeneralName::IPAddress(&[127, 0, 0, 1])));
    let bytes = der(&client.certificate);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[test]
fn a_damaged_authority_is_named() {
    let (_home, ca) = ca();
    let (_elsewhere, other) = self::ca();
    fs::copy(other.home.folder.join("ca/priv_sk"), ca.home.folder.join("ca/priv_sk")).unwrap();
    let error = DevelopmentCa::open(&ca.home.folder, "north.example.com").unwrap_err();
    assert!(error.to_string().contains("does not match"), "{error}");
}
