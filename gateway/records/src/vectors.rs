//! The vectors of the model's `FORMATS.md`, which were computed by another implementation.

use caretrail_model::hash::{Domain, framed, sha256};
use caretrail_model::ids::{Actor, Digest, KeyId, MspId, Nonce, PatientId, RecordId, StatementId, Tag, TxId};
use caretrail_model::label::Label;
use caretrail_model::statement::{Operation, Proof, PublicKey, SignedStatement};
use caretrail_model::webauthn::Accepted;
use p256::ecdsa::SigningKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::release::{
    Base64Url, KemKey, KemPublicKey, ReleaseBinding, ReleaseRequest, WrappedSecret, unwrap, wrap,
};
use crate::secret::VersionSecret;
use crate::{LedgerName, VersionId};

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("../../../chaincode/model/vectors/", $name))).unwrap()
    };
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn parsed<T: DeserializeOwned>(value: &serde_json::Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn ids_follow_from_their_makers() {
    let vectors: serde_json::Value = vectors!("ids.json");
    let framed_vector = &vectors["framed"];
    assert_eq!(hex::encode(framed(Domain::KeyId, &[b"x", b""])), parsed::<String>(&framed_vector["bytes"]));

    let vector = &vectors["patient_id"];
    let public_key = hex::decode(parsed::<String>(&vector["public_key"])).unwrap();
    let (home, nonce): (MspId, Nonce) = (parsed(&vector["home"]), parsed(&vector["nonce"]));
    let patient: PatientId = parsed(&vector["id"]);
    assert_eq!(PatientId::derive(&home, &public_key, &nonce), patient);

    let vector = &vectors["record_id"];
    let maker: Actor = parsed::<String>(&vector["maker"]).parse().unwrap();
    let derived = RecordId::derive(&maker, &patient, &parsed(&vector["nonce"]));
    assert_eq!(derived, parsed(&vector["id"]));

    let key: KeyId = parsed(&vectors["key_id"]["id"]);
    assert_eq!(KeyId::derive(&public_key), key);
    let vector = &vectors["statement_id"];
    let derived = StatementId::derive(&patient, &key, &parsed(&vector["nonce"]));
    assert_eq!(derived, parsed(&vector["id"]));
}

#[test]
fn ids_of_what_nobody_signs_follow_from_their_makers_too() {
    let vectors: serde_json::Value = vectors!("ids.json");
    let patient: PatientId = parsed(&vectors["patient_id"]["id"]);
    let key: KeyId = parsed(&vectors["key_id"]["id"]);
    let vector = &vectors["paper_patient_id"];
    let derived = PatientId::derive_on_paper(&parsed(&vector["home"]), &parsed(&vector["nonce"]));
    assert_eq!(derived, parsed(&vector["id"]));
    let vector = &vectors["own_record_id"];
    assert_eq!(RecordId::derive_own(&key, &patient, &parsed(&vector["nonce"])), parsed(&vector["id"]));
    let vector = &vectors["grant_id"];
    let actor: Actor = parsed::<String>(&vector["actor"]).parse().unwrap();
    let derived = StatementId::derive_for(&actor, &patient, &parsed(&vector["nonce"]));
    assert_eq!(derived, parsed(&vector["id"]));
}

#[test]
fn labels_are_blinded_by_a_tag_key() {
    let vector: serde_json::Value = vectors!("tags.json");
    let tag_key = bytes::<32>(&parsed::<String>(&vector["tag_key"]));
    let labels = vector["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 3);
    for labelled in labels {
        let label: Label = parsed::<String>(&labelled["label"]).parse().unwrap();
        assert_eq!(label.as_str(), parsed::<String>(&labelled["blinded_text"]));
        assert_eq!(label.blinded(&tag_key), parsed::<Tag>(&labelled["tag"]));
    }
}

#[test]
fn a_passkey_signs_the_digest_of_a_statement() {
    let vector: serde_json::Value = vectors!("webauthn.json");
    let key: PublicKey = parsed(&vector["public_key"]);
    let signed = SignedStatement { statement: parsed(&vector["statement"]), proof: parsed(&vector["proof"]) };
    let relying_parties = [parsed(&vector["relying_party"])];
    let accepted = Accepted {
        relying_parties: &relying_parties,
        user_verification: parsed(&vector["user_verification"]),
    };
    assert!(signed.verify_with(&key, &accepted).is_ok());
    assert!(signed.verify(&key).is_err(), "no relying party is accepted unless it is named");
    let Proof::Webauthn { signature, .. } = &signed.proof else { panic!("another proof") };
    let der = hex::decode(parsed::<String>(&vector["authenticator_der"])).unwrap();
    let converted = p256::ecdsa::Signature::from_der(&der).unwrap().normalize_s();
    assert_eq!(*signature, serde_json::to_value(Base64Url(converted.to_bytes().to_vec())).unwrap());
}

#[test]
fn a_statement_is_signed_over_its_exact_text() {
    let vector: serde_json::Value = vectors!("statement.json");
    let public_key: PublicKey = parsed(&vector["public_key"]);
    let signed = SignedStatement {
        statement: parsed(&vector["statement"]),
        proof: Proof::Es256 { signature: parsed(&vector["signature"]) },
    };
    let statement = signed.verify(&public_key).unwrap();
    assert!(matches!(statement.operation, Operation::GrantConsent(_)));

    // RFC 6979 signatures are deterministic, so signing again gives the vector too.
    let private_key = bytes::<32>(&parsed::<String>(&vector["private_key"]));
    let key = SigningKey::from_slice(&private_key).unwrap();
    assert_eq!(SignedStatement::sign(&statement, &key).unwrap(), signed);
}

#[derive(Deserialize)]
struct Commitment {
    secret: String,
    record: RecordId,
    version: u64,
    data_key_info: String,
    data_key: String,
    document: String,
    document_sha256: Digest,
    content_commitment: Digest,
}

#[test]
fn keys_and_commitment_follow_from_a_secret() {
    let vector: Commitment = vectors!("commitment.json");
    let secret = VersionSecret::from_bytes(&bytes(&vector.secret));
    let id = VersionId { record: vector.record, version: vector.version };
    let info = framed(Domain::DataKey, &[id.record.as_bytes(), &id.version.to_be_bytes()]);
    assert_eq!(hex::encode(info), vector.data_key_info);
    assert_eq!(*secret.data_key(&id), bytes(&vector.data_key));

    let digest = sha256(vector.document.as_bytes());
    assert_eq!(digest, vector.document_sha256);
    let commitment = secret.content_commitment(&id, &digest, vector.document.len() as u64);
    assert_eq!(commitment, vector.content_commitment);
}

#[derive(Deserialize)]
struct Wrapped {
    channel: String,
    chaincode: String,
    custodian: MspId,
    record: RecordId,
    version: u64,
    decision: TxId,
    disclosure: TxId,
    epoch: u32,
    recipient_key_material: String,
    recipient_public_key: KemPublicKey,
    kem_key_digest: Digest,
    enc: Base64Url,
    ciphertext: Base64Url,
    secret: String,
}

#[test]
fn a_wrapped_secret_of_another_implementation_opens() {
    let vector: Wrapped = vectors!("wrapped_secret.json");
    let key = KemKey::derive(&bytes(&vector.recipient_key_material));
    assert_eq!(*key.public(), vector.recipient_public_key);
    assert_eq!(key.public().digest(), vector.kem_key_digest);
    let binding = ReleaseBinding {
        ledger: LedgerName {
            channel: vector.channel.parse().unwrap(),
            chaincode: vector.chaincode.parse().unwrap(),
        },
        custodian: vector.custodian,
        version: VersionId { record: vector.record, version: vector.version },
        kem_key_digest: vector.kem_key_digest,
        decision: vector.decision,
        disclosure: vector.disclosure,
        epoch: vector.epoch,
    };
    let wrapped = WrappedSecret { enc: vector.enc, ciphertext: vector.ciphertext };
    let secret = unwrap(&wrapped, &key, &binding).unwrap();
    assert_eq!(hex::encode(secret.as_bytes()), vector.secret);
    let again = wrap(&secret, key.public(), &binding).unwrap();
    assert_ne!(again, wrapped, "each wrapping has a key of its own");
    assert_eq!(unwrap(&again, &key, &binding).unwrap().as_bytes(), secret.as_bytes());
}

#[derive(Deserialize)]
struct SignedRequest {
    channel: String,
    chaincode: String,
    custodian: MspId,
    decision: TxId,
    patient: PatientId,
    record: RecordId,
    kem_public_key: KemPublicKey,
    certificate: String,
    signed_bytes_sha256: Digest,
}

#[test]
fn a_release_request_is_signed_over_its_framed_fields() {
    let vector: SignedRequest = vectors!("release_request.json");
    let ledger =
        LedgerName { channel: vector.channel.parse().unwrap(), chaincode: vector.chaincode.parse().unwrap() };
    let request = ReleaseRequest {
        decision: vector.decision,
        patient: vector.patient,
        record: vector.record,
        kem_public_key: vector.kem_public_key,
        certificate: vector.certificate,
        signature: Base64Url(Vec::new()),
    };
    assert_eq!(sha256(&request.signed_bytes(&ledger, &vector.custodian)), vector.signed_bytes_sha256);
}
