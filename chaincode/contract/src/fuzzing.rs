//! Every decoder of the contract that meets bytes from outside: the entry points of the fuzz targets in `fuzz/`, and of
//! the property tests here, which need no nightly toolchain.
//!
//! Each function returns for whatever bytes it gets; a panic in it, or an invariant that does not hold, is a finding.

#[cfg(test)]
mod tests;

use caretrail_model::calls::*;
use caretrail_model::for_each_call;
use caretrail_model::json::{from_one_shape, is_said_in_its_shape};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{Proof, PublicKey, SignedStatement};
use caretrail_model::webauthn::Accepted;
use serde::Deserialize as _;
use serde_json::Value;

use crate::stored::{
    Approval, Listed, PolicyInForce, ProposedText, Requested, Stored, decode as decode_stored, encode,
};

/// A statement and its signatures by a key that signed nothing else: the committed vectors.
const SIGNED: [&str; 2] =
    [include_str!("../../model/vectors/statement.json"), include_str!("../../model/vectors/webauthn.json")];

/// The argument of a call: the first byte says which.
pub fn arguments(bytes: &[u8]) {
    let Some((which, json)) = bytes.split_first() else { return };
    let mut number = 0_u8;
    macro_rules! read {
        ($call:ident) => {
            if *which == number {
                read_argument::<$call>(json);
            }
            number = number.saturating_add(1);
        };
    }
    for_each_call!(read);
    assert!(number > 60, "every call is read");
}

/// What is read is written in one way, and read from that again.
fn read_argument<C: Call>(json: &[u8]) {
    let Ok(call) = serde_json::from_slice::<C>(json) else { return };
    let text = serde_json::to_string(&call).unwrap_or_default();
    let again = from_one_shape::<C>(&text).map(|again| serde_json::to_string(&again).unwrap_or_default());
    assert_eq!(again.ok().as_ref(), Some(&text), "{} is read otherwise than it is written", C::NAME);
    if is_said_in_its_shape(json, &call).unwrap_or(false) {
        // What may be left out holds no object.
        let said = serde_json::from_slice(json).as_ref().map_or(0, objects);
        let written = serde_json::to_value(&call).as_ref().map_or(0, objects);
        assert_eq!(said, written, "{} says something else where it is written as an object", C::NAME);
    }
}

fn objects(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(objects).sum::<usize>(),
        Value::Array(items) => items.iter().map(objects).sum(),
        _ => 0,
    }
}

/// A signed statement: its text, and a proof whose parts are cut from the rest at zero bytes.
pub fn statements(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let statement = parts.next().unwrap_or_default();
    let signature = parts.next().unwrap_or_default();
    let proof = match (parts.next(), parts.next()) {
        (Some(authenticator_data), Some(client_data)) => {
            Proof::Webauthn { authenticator_data, client_data, signature }
        }
        _ => Proof::Es256 { signature },
    };
    let signed = SignedStatement { statement, proof };
    if let Ok(parsed) = signed.parse() {
        // What it says can be said in one way, which says the same.
        let text = parsed.to_json().unwrap_or_default();
        let again = SignedStatement { statement: text, proof: signed.proof.clone() }.parse();
        assert_eq!(again.ok().as_ref(), Some(&parsed), "a statement is read otherwise than it is written");
    }
    let vectors = SIGNED.map(|vector| serde_json::from_str::<Value>(vector).unwrap_or_default());
    let key = vectors.first().and_then(|vector| PublicKey::deserialize(vector.get("public_key")?).ok());
    let (Some(key), Ok(relying_party)) = (key, "patients.example".parse()) else { return };
    let accepted = Accepted { relying_parties: &[relying_party], user_verification: true };
    if signed.verify_with(&key, &accepted).is_ok() {
        let known =
            |vector: &Value| vector.get("statement").and_then(Value::as_str) == Some(&signed.statement);
        assert!(vectors.iter().any(known), "the key signed no such statement");
    }
}

/// A policy's text.
pub fn policies(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(policy) = from_one_shape::<ConsortiumPolicy>(text) else { return };
    if policy.validate().is_ok() {
        let again = serde_json::to_string(&policy).unwrap_or_default();
        assert_eq!(from_one_shape::<ConsortiumPolicy>(&again).ok().as_ref(), Some(&policy));
    }
}

/// A value of the state, of every type that there is.
pub fn state(bytes: &[u8]) {
    macro_rules! read {
        ($($type:ty),* $(,)?) => { $(read_stored::<$type>(bytes);)* };
    }
    read!(
        Approval,
        Listed,
        PolicyInForce,
        ProposedText,
        Requested,
        CarriedStatement,
        Disclosure,
        caretrail_model::audit::AuditEntry,
        caretrail_model::care::BrokenGlass,
        caretrail_model::care::Relationship,
        caretrail_model::consent::LiveConsents,
        caretrail_model::guardian::Guardians,
        caretrail_model::paper::Paper,
        caretrail_model::patient::Patient,
        caretrail_model::patient::Recovery,
        caretrail_model::patient::Signer,
        caretrail_model::patient::StopSwitch,
        caretrail_model::record::Correction,
        caretrail_model::record::Record,
        caretrail_model::record::RecordVersion,
        caretrail_model::standing::Standing,
    );
}

/// What is read of the state is written as bytes that are read as the same.
fn read_stored<T: Stored>(bytes: &[u8]) {
    let Ok(value) = decode_stored::<T>(bytes) else { return };
    let written = encode(&value).unwrap_or_default();
    let again = decode_stored::<T>(&written).ok().and_then(|again| encode(&again).ok());
    assert_eq!(again, Some(written), "a value of the state is read otherwise than it is written");
}
