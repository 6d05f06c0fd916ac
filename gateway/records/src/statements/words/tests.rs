//! The words of every operation, whole; and that nothing that is signed is left out of them.

use std::collections::BTreeMap;

use caretrail_model::ids::{KeyId, PatientId};
use caretrail_model::role::Role;
use caretrail_model::statement::{Grant, PublicKey};
use p256::ecdsa::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::LedgerName;
use crate::statements::{prepare, read};

fn statement(operation: Operation) -> Statement {
    let ledger = LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
    let (patient, key) = (PatientId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
    read(&prepare(&ledger, patient, key, UnixMs::new(9).unwrap(), operation).unwrap()).unwrap()
}

fn words(operation: &Operation) -> Vec<String> {
    plain_words(&statement(operation.clone()), |at| format!("t{at}"))
}

fn key(scalar: u8) -> PublicKey {
    let mut secret = [0; 32];
    secret[31] = scalar;
    PublicKey::from(*SigningKey::from_slice(&secret).unwrap().verifying_key())
}

fn as_text(key: &PublicKey) -> String {
    serde_json::from_value(serde_json::to_value(key).unwrap()).unwrap()
}

/// Writes `0a*16` out as sixteen bytes, and the key that the bodies name.
fn filled(text: &str) -> String {
    let mut filled = text.replace("<key>", &as_text(&key(1))).replace("<key id>", &key(1).id().to_string());
    for byte in 0..=u8::MAX {
        let byte = format!("{byte:02x}");
        for times in [16, 32] {
            filled = filled.replace(&format!("{byte}*{times}"), &byte.repeat(times));
        }
    }
    filled
}

/// Each operation with a body, and what is told between the first line and the last.
const TOLD: &[(&str, &str, &[&str])] = &[
    (
        "register_patient",
        r#"{"home":"NorthMSP","public_key":"<key>","patient_nonce":"0a*16"}"#,
        &["NorthMSP is my hospital, and key <key id> speaks for me; my id comes from 0a*16."],
    ),
    (
        "grant_consent",
        r#"{"provision":{"effect":"permit","grantee":{"kind":"hospital","msp_id":"SouthMSP"},"actions":["read"],
            "purposes":["TREAT"],"scope":{"kind":"all"},"period":{"from":1,"until":2}},"supersedes":"0b*16"}"#,
        &[
            "Everybody at SouthMSP may read all my records for treatment, from t1 until t2.",
            "This replaces what I decided in 0b*16.",
        ],
    ),
    (
        "grant_consent",
        r#"{"provision":{"effect":"permit","grantee":{"kind":"role","msp_id":"SouthMSP","role":"clinician"},
            "actions":["read","delegate"],"purposes":["TREAT","HRESCH"],
            "scope":{"kind":"custodian","msp_id":"NorthMSP"},"period":{"from":1,"until":2},
            "exceptions":[{"purposes":["CLINTRCH"]},{"actions":["read","delegate"],"purposes":["HRESCH","PATRQT"]}]}}"#,
        &[
            "Every clinician at SouthMSP may read and pass on my records that NorthMSP keeps for treatment, research \
             (with clinical trials), from t1 until t2.",
            "They may pass this on to others, narrower, once.",
            "This does not apply: for clinical trials.",
            "This does not apply: to read and pass on, for research (with clinical trials), requests of mine (with \
             requests of my family and power of attorney).",
        ],
    ),
    (
        "grant_consent",
        r#"{"provision":{"effect":"deny","grantee":{"kind":"person","msp_id":"SouthMSP","subject":"0c*16"},
            "actions":["read","write","delegate"],"purposes":["PATRQT"],
            "scope":{"kind":"records","records":["0d*16","0e*16"]},"period":{"from":1,"until":2},
            "exceptions":[{"grantee":{"kind":"hospital","msp_id":"EastMSP"},"scope":{"kind":"all"}},
                {"grantee":{"kind":"role","msp_id":"EastMSP","role":"auditor"},
                    "scope":{"kind":"custodian","msp_id":"NorthMSP"}},
                {"grantee":{"kind":"person","msp_id":"EastMSP","subject":"0f*16"},
                    "scope":{"kind":"records","records":["0d*16"]}},
                {"period":{"from":3,"until":4}}]}}"#,
        &[
            "0c*16 at SouthMSP may not read and add to and pass on my records 0d*16, 0e*16 for requests of mine (with \
             requests of my family and power of attorney), from t1 until t2.",
            "This does not apply: Everybody at EastMSP, for all my records.",
            "This does not apply: Every auditor at EastMSP, for my records that NorthMSP keeps.",
            "This does not apply: 0f*16 at EastMSP, for my records 0d*16.",
            "This does not apply: from t3 until t4.",
        ],
    ),
    (
        "grant_consent",
        r#"{"provision":{"effect":"permit","grantee":{"kind":"hospital","msp_id":"SouthMSP"},"actions":["read"],
            "purposes":["HPAYMT"],"scope":{"kind":"tags","sets":[
                {"custodian":"NorthMSP","epoch":1,"tags":["10*16","11*16"]},
                {"custodian":"SouthMSP","epoch":2,"tags":["12*16"]}]},"period":{"from":1,"until":2}}}"#,
        &[
            "Everybody at SouthMSP may read my records with the blinded label 10*16 or the blinded label 11*16 of \
             NorthMSP (tag key 1), or the blinded label 12*16 of SouthMSP (tag key 2) for payment (with coverage), \
             from t1 until t2.",
            UNLABELLED,
        ],
    ),
    (
        "grant_consent",
        r#"{"provision":{"effect":"permit","grantee":{"kind":"hospital","msp_id":"SouthMSP"},"actions":["write"],
            "purposes":["TREAT"],"scope":{"kind":"all"},"period":{"from":1,"until":2},"exceptions":[
                {"grantee":{"kind":"hospital","msp_id":"SouthMSP"},"actions":["write"],"purposes":["TREAT"],
                    "scope":{"kind":"tags","sets":[{"custodian":"NorthMSP","epoch":1,"tags":["10*16"]}]},
                    "period":{"from":3,"until":4}}]}}"#,
        &[
            "Everybody at SouthMSP may add to all my records for treatment, from t1 until t2.",
            "This does not apply: Everybody at SouthMSP, to add to, for my records with the blinded label 10*16 of \
             NorthMSP (tag key 1), for treatment, from t3 until t4.",
            UNLABELLED,
        ],
    ),
    ("end_consent", r#"{"consent":"13*16"}"#, &["What I decided in 13*16 ends."]),
    (
        "stop_all",
        r#"{"stopped":true}"#,
        &["Nobody may use any of my permits from now on, until I lift this stop."],
    ),
    ("stop_all", r#"{"stopped":false}"#, &["My permits count again: the stop is lifted."]),
    (
        "refuse_emergency",
        r#"{"refused":true}"#,
        &["Nobody may open my records in an emergency without my consent."],
    ),
    (
        "refuse_emergency",
        r#"{"refused":false}"#,
        &["In an emergency, clinicians may break the glass and open my records."],
    ),
    (
        "bind_key",
        r#"{"public_key":"<key>"}"#,
        &["Key <key id> speaks for me; nothing is done on paper any more."],
    ),
    ("rotate_key", r#"{"public_key":"<key>"}"#, &["Key <key id> speaks for me, in place of this one."]),
    (
        "recover_key",
        r#"{"public_key":"<key>"}"#,
        &["I lost my key: key <key id> shall speak for me once two hospitals have vouched for it."],
    ),
    ("cancel_recovery", r#"{"recovery":"14*16"}"#, &["I have not lost my key: recovery 14*16 is refused."]),
    (
        "add_guardian",
        r#"{"public_key":"<key>","term":{"from":1,"until":2}}"#,
        &["The holder of key <key id> may decide for me from t1 until t2."],
    ),
    (
        "add_guardian",
        r#"{"public_key":"<key>","term":{"from":1,"until":2},
            "protected":[{"custodian":"NorthMSP","epoch":3,"tags":["10*16"]}]}"#,
        &[
            "The holder of key <key id> may decide for me from t1 until t2.",
            "Records with the blinded label 10*16 of NorthMSP (tag key 3) stay closed to their permits.",
            UNLABELLED,
        ],
    ),
    ("end_guardian", r#"{"guardian":"15*16"}"#, &["The holder of key 15*16 decides for me no longer."]),
    (
        "register_record",
        r#"{"record":"16*16","record_nonce":"17*16","custodian":"NorthMSP",
            "commitments":{"content_commitment":"18*32","blob_digest":"19*32","sealed_bytes":4096}}"#,
        &[
            "I add record 16*16 of my own, which NorthMSP keeps; its id comes from 17*16.",
            "It is sealed in 4096 bytes whose digest begins with 19*16, and the commitment to what it says begins \
             with 18*16.",
        ],
    ),
    (
        "request_correction",
        r#"{"record":"16*16","version":2,"request_digest":"1a*32"}"#,
        &[
            "I ask for a correction of record 16*16, version 2; the digest of what I ask for begins with 1a*16.",
        ],
    ),
];

fn told() -> impl Iterator<Item = (&'static str, String, Operation, Vec<String>)> {
    TOLD.iter().map(|(name, body, words)| {
        let body = filled(body);
        let operation = Operation::from_body(name, &body).unwrap_or_else(|| panic!("{name}: {body}"));
        (*name, body, operation, words.iter().map(|words| filled(words)).collect())
    })
}

#[test]
fn a_statement_says_in_words_what_it_decides() {
    for (name, _, operation, expected) in told() {
        let said = words(&operation);
        let [first, said @ .., last] = said.as_slice() else { panic!("{name}: {said:?}") };
        let (patient, key) = ("01".repeat(16), "02".repeat(16));
        let header = format!("Patient {patient} decides, with key {key}, on caretrail of channel records:");
        assert_eq!((first, last.as_str()), (&header, "This can be carried until t9."), "{name}");
        assert_eq!(said, expected, "{name}");
    }
}

#[test]
fn no_operation_is_without_words_that_are_compared() {
    let mut compared: Vec<_> = TOLD.iter().map(|(name, ..)| *name).collect();
    compared.dedup();
    assert_eq!(compared, Operation::NAMES);
}

#[test]
fn a_purpose_tells_which_narrower_ones_it_covers() {
    let said = Purpose::ALL.map(|purpose| purposes(&[purpose]));
    assert_eq!(
        said,
        [
            "treatment",
            "emergency treatment",
            "emergency access",
            "care management",
            "payment (with coverage)",
            "operations",
            "research (with clinical trials)",
            "clinical trials",
            "public health",
            "requests of mine (with requests of my family and power of attorney)",
            "requests of my family",
            "power of attorney",
            "legal matters",
            "coverage",
            "tests of systems",
        ]
    );
}

/// Every body that differs from `value` in one place, with that place.
fn changes(value: &Value) -> Vec<(String, Value)> {
    let mut changed = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let mut without = fields.clone();
                without.remove(name);
                changed.push((format!(".{name} left out"), without.into()));
                for (place, field) in changes(field) {
                    let mut other = fields.clone();
                    other.insert(name.clone(), field);
                    changed.push((format!(".{name}{place}"), other.into()));
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let mut without = items.clone();
                without.remove(at);
                changed.push((format!("[{at}] left out"), without.into()));
                for (place, item) in changes(item) {
                    let mut other = items.clone();
                    other[at] = item;
                    changed.push((format!("[{at}]{place}"), other.into()));
                }
            }
        }
        Value::Bool(flag) => changed.push((String::new(), json!(!flag))),
        Value::Number(number) => changed.push((String::new(), json!(number.as_u64().unwrap() + 1))),
        Value::String(text) => {
            let mut others = vec![as_text(&key(2)), format!("f{}", &text[1..])];
            others.extend(["permit", "deny", "read", "write", "delegate"].map(str::to_owned));
            others.extend(Purpose::ALL.map(|purpose| purpose.to_string()));
            others.extend(Role::ALL.map(|role| role.to_string()));
            changed.extend(others.into_iter().map(|other| (String::new(), json!(other))));
        }
        Value::Null => {}
    }
    changed
}

#[test]
fn whatever_is_changed_in_a_body_changes_the_words() {
    for (name, body, operation, _) in told() {
        let said = words(&operation);
        // Whether some other value was found for each place.
        let mut places = BTreeMap::new();
        for (place, body) in changes(&serde_json::from_str(&body).unwrap()) {
            let other = Operation::from_body(name, &body.to_string()).filter(|other| *other != operation);
            *places.entry(place.clone()).or_insert(false) |= other.is_some();
            let Some(other) = other else { continue };
            assert_ne!(words(&other), said, "{name}{place}: {body}");
        }
        places.retain(|place, found| !*found && !place.ends_with(" left out") && !place.ends_with(".kind"));
        assert_eq!(places, BTreeMap::new(), "{name}: nothing else was tried there");
    }
}

#[test]
fn labels_are_named_where_they_are_known_and_blinded_elsewhere() {
    let set = |custodian: &str, tag| TagSet {
        custodian: custodian.parse().unwrap(),
        epoch: 1,
        tags: vec![Tag::from_bytes([tag; 16])],
    };
    let provision = Provision {
        effect: Effect::Permit,
        grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
        actions: vec![Action::Read],
        purposes: vec![Purpose::Treat],
        scope: Scope::All {},
        period: Period { from: UnixMs::new(1).unwrap(), until: UnixMs::new(2).unwrap() },
        exceptions: vec![Exception {
            scope: Some(Scope::Tags { sets: vec![set("NorthMSP", 7), set("SouthMSP", 8)] }),
            ..Exception::default()
        }],
    };
    let statement = statement(Operation::GrantConsent(Grant { provision, supersedes: None }));
    let label = |set: &TagSet, _: &Tag| (set.custodian.as_str() == "NorthMSP").then(|| "HIV".to_owned());
    let said = plain_words_naming(&statement, &Naming { instant: &|at| format!("t{at}"), label: &label });
    assert_eq!(
        said[2..4],
        [
            format!(
                "This does not apply: for my records with the label HIV of NorthMSP (tag key 1), or the blinded label {} of SouthMSP (tag key 1).",
                "08".repeat(16)
            ),
            UNLABELLED.to_owned(),
        ]
    );
    let elsewhere = plain_words(&statement, |at| format!("t{at}"));
    assert!(elsewhere[2].contains(&"07".repeat(16)) && !elsewhere.join("").contains("HIV"), "{elsewhere:?}");
}
