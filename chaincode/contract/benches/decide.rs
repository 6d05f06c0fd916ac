//! How long deciding takes at the limits: 64 provisions in a document that is all but full, 100 records, on one core.
//!
//! `make bench-decide`. It reports; nothing fails by being slow. Two patients fill the document with what is dearest in
//! one way each: exceptions that name records, and permits that were passed on beside labels.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark tells")]

use std::time::Instant;

use caretrail_contract::policy::{LedgerFacts, Request, decide};
use caretrail_model::consent::{
    Action, Delegated, Effect, Exception, Grantee, LiveConsent, LiveConsents, Provision, Scope,
};
use caretrail_model::guardian::{ByGuardian, Guardian, Guardians};
use caretrail_model::ids::{Actor, Digest, KeyId, MspId, PatientId, RecordId, StatementId, Subject, Tag};
use caretrail_model::limits::{
    CONSENTS_BYTES_MAX, DELEGATED_PARTS, DELEGATED_PER_GRANT_MAX, EXCEPTIONS_MAX, PROVISIONS_MAX,
    RECORDS_PER_PROVISION_MAX, RECORDS_PER_REQUEST_MAX, TAG_SETS_MAX, TAGS_PER_RECORD, TAGS_PER_SET_MAX,
};
use caretrail_model::patient::Patient;
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::statement::PublicKey;
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use p256::ecdsa::SigningKey;

const ROUNDS: usize = 200;
/// What deciding all records of a request may take.
const BAR_MICROS: f64 = 1_000.0;

fn main() {
    tell("exceptions that name records", &exceptions_that_name_records(), &Guardians::NONE);
    tell("passed on, beside labels", &passed_on_beside_labels(), &guardians());
}

/// Eight denials, of which the last exception carves everything out, and 56 permits, whose exceptions name as many other
/// records as fit: each list is read to its end.
fn exceptions_that_name_records() -> LiveConsents {
    all_that_fits(RECORDS_PER_PROVISION_MAX, |named| {
        let only = |purpose| Exception { purposes: vec![purpose], ..Exception::default() };
        let elsewhere = (0..named).map(|id| RecordId::from_bytes([100 + u8::try_from(id).unwrap(); 16]));
        let but_elsewhere = Exception {
            scope: Some(Scope::Records { records: elsewhere.collect() }),
            ..Exception::default()
        };
        let mut carved_out = vec![only(Purpose::Hresch); EXCEPTIONS_MAX - 1];
        carved_out.push(only(Purpose::Treat));
        let denials = (0..8).map(|_| Provision { exceptions: carved_out.clone(), ..of_all(Effect::Deny) });
        let permits = (8..PROVISIONS_MAX)
            .map(|_| Provision { exceptions: vec![but_elsewhere.clone()], ..of_all(Effect::Permit) });
        (0..)
            .zip(denials.chain(permits))
            .map(|(id, provision)| LiveConsent::signed(StatementId::from_bytes([id; 16]), provision))
            .collect()
    })
}

/// Denials by as many labels as fit, none of them a record's; four permits by guardians, and what was passed on from
/// each, by whom no role was kept: every denial is held against each role.
fn passed_on_beside_labels() -> LiveConsents {
    let passed_on = PROVISIONS_MAX / DELEGATED_PARTS;
    let parents = passed_on / DELEGATED_PER_GRANT_MAX;
    all_that_fits(TAGS_PER_SET_MAX, |labels| {
        let passable = |effect| Provision { actions: vec![Action::Read, Action::Delegate], ..of_all(effect) };
        let denial =
            Provision { scope: Scope::Tags { sets: vec![tags_of_none(labels)] }, ..passable(Effect::Deny) };
        let parent = |number: usize| PROVISIONS_MAX - passed_on - parents + number;
        (0..PROVISIONS_MAX)
            .map(|id| {
                let named = |id: usize| StatementId::from_bytes([u8::try_from(id).unwrap(); 16]);
                if id < parent(0) {
                    return LiveConsent::signed(named(id), denial.clone());
                }
                if id < parent(parents) {
                    let guardian = u8::try_from(id - parent(0)).unwrap();
                    let guardian = Some(ByGuardian { key: key_id(guardian), appointment: named(0) });
                    let permit = LiveConsent::signed(named(id), passable(Effect::Permit));
                    return LiveConsent { guardian, ..permit };
                }
                let parent = named(parent((id - parent(parents)) / DELEGATED_PER_GRANT_MAX));
                let delegated = Some(Delegated { parent, by: south(2), role: None });
                LiveConsent { delegated, ..LiveConsent::signed(named(id), of_all(Effect::Permit)) }
            })
            .collect()
    })
}

/// Guardians from whose permits as much is protected as can be.
fn guardians() -> Guardians {
    let secret = SigningKey::from_slice(&[1; 32]).unwrap();
    let elsewhere = (1..TAG_SETS_MAX)
        .map(|number| TagSet { custodian: msp(&format!("East{number:02}")), ..tags_of_none(1) });
    let guardian = |number| Guardian {
        key: key_id(number),
        public_key: PublicKey::from(*secret.verifying_key()),
        term: Period { from: at(1), until: at(2_000) },
        protected: elsewhere.clone().chain([tags_of_none(TAGS_PER_SET_MAX)]).collect(),
        appointment: StatementId::from_bytes([0; 16]),
    };
    Guardians { sequence: 1, guardians: (0..4).map(guardian).collect(), at: at(1) }
}

/// Bytes of a document as the state holds it: a byte that names the format, and JSON.
fn bytes(consents: &LiveConsents) -> usize {
    1 + serde_json::to_vec(consents).unwrap().len()
}

/// The document with the most of what there may be up to `most` of.
fn all_that_fits(most: usize, consents: impl Fn(usize) -> Vec<LiveConsent>) -> LiveConsents {
    let document = |consents| LiveConsents { sequence: 1, consents, at: at(1) };
    let sizes = (1..=most).rev().map(|many| document(consents(many)));
    let live = sizes.into_iter().find(|live| bytes(live) <= CONSENTS_BYTES_MAX).unwrap();
    assert_eq!(live.consents.len(), PROVISIONS_MAX);
    assert!(bytes(&live) > CONSENTS_BYTES_MAX / 20 * 19, "{} bytes leave room", bytes(&live));
    let passed_on = live.consents.iter().filter(|consent| consent.delegated.is_some());
    assert!(bytes(&document(passed_on.cloned().collect())) <= CONSENTS_BYTES_MAX / DELEGATED_PARTS);
    for consent in &live.consents {
        consent.provision.validate(DurationMs::from_days(366)).unwrap();
    }
    live
}

/// Times how all records of a request are decided, and says what it took.
fn tell(what: &str, consents: &LiveConsents, guardians: &Guardians) {
    let actor = south(1);
    let policy = policy();
    let standing = Standing {
        sequence: 1,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat],
        until: at(2_000),
        suspended: false,
        by: actor.clone(),
        at: at(1),
    };
    let patient = Patient {
        sequence: 1,
        home: msp("NorthMSP"),
        key: Some(key_id(100)),
        public_key: None,
        refuses_emergency: false,
        at: at(1),
    };
    let tags = (0..TAGS_PER_RECORD).map(|tag| Tag::from_bytes([100 + u8::try_from(tag).unwrap(); 16]));
    let head = Record {
        patient: PatientId::from_bytes([1; 16]),
        custodian: msp("NorthMSP"),
        version: 1,
        sequence: Some(1),
        tags: Some(RecordTags { custodian: msp("NorthMSP"), epoch: 1, tags: tags.collect() }),
        withdrawn: false,
        offered_to: None,
        own: None,
        at: at(1),
    };
    let facts = LedgerFacts {
        policy: &policy,
        standing: Some(&standing),
        patient: &patient,
        consents,
        guardians,
        stop: None,
        relationship: None,
        hospital_relationship: None,
        break_glass: None,
        record: Some(&head),
    };
    let records: Vec<_> = (0..RECORDS_PER_REQUEST_MAX)
        .map(|id| RecordId::from_bytes([u8::try_from(id).unwrap(); 16]))
        .collect();
    let mut micros: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let permitted = records.iter().filter(|record| {
                let request = Request {
                    actor: &actor,
                    role: Role::Clinician,
                    patient: &head.patient,
                    record,
                    action: Action::Read,
                    purpose: Purpose::Treat,
                };
                decide(&request, &facts, at(1_000)).effect == Effect::Permit
            });
            assert_eq!(permitted.count(), records.len());
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let (median, last) = (micros[ROUNDS / 2], micros[ROUNDS * 99 / 100]);
    println!(
        "{what}: {} records against {} provisions of {} bytes: median {median:.0} µs ≤ {BAR_MICROS}: {}, p99 {last:.0} µs",
        records.len(),
        consents.consents.len(),
        bytes(consents),
        if median <= BAR_MICROS { "yes" } else { "no" }
    );
}

/// A provision about everything, for everybody in the south.
fn of_all(effect: Effect) -> Provision {
    Provision {
        effect,
        grantee: Grantee::Hospital { msp_id: msp("SouthMSP") },
        actions: vec![Action::Read],
        purposes: vec![Purpose::Treat],
        scope: Scope::All {},
        period: Period { from: at(1), until: at(2_000) },
        exceptions: Vec::new(),
    }
}

/// Labels that can be compared with those of the records, and are none of them.
fn tags_of_none(many: usize) -> TagSet {
    let tags = (0..many).map(|tag| Tag::from_bytes([u8::try_from(tag).unwrap(); 16])).collect();
    TagSet { custodian: msp("NorthMSP"), epoch: 1, tags }
}

fn policy() -> ConsortiumPolicy {
    let member = |msp_id: &str| Member {
        msp_id: msp(msp_id),
        daemon: Daemon { url: "https://localhost:1".into(), tls_ca_digest: Digest::from_bytes([0; 32]) },
    };
    ConsortiumPolicy {
        sequence: 1,
        channel: "records".parse().unwrap(),
        chaincode: "caretrail".parse().unwrap(),
        epoch: 2,
        members: vec![member("NorthMSP"), member("SouthMSP")],
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }],
        durations: Durations {
            permit_ms: DurationMs::from_secs(300),
            statement_ms_max: DurationMs::from_days(1),
            consent_ms_max: DurationMs::from_days(366),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms::WIDEST),
    }
}

fn at(unix_ms: u64) -> UnixMs {
    UnixMs::new(unix_ms).unwrap()
}

fn msp(id: &str) -> MspId {
    id.parse().unwrap()
}

fn south(subject: u8) -> Actor {
    Actor { msp_id: msp("SouthMSP"), subject: Subject::from_bytes([subject; 16]) }
}

fn key_id(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}
