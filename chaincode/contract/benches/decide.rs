//! How long deciding takes at the limits: 64 provisions with their exceptions, 100 records, on one core.
//!
//! `make bench-decide`. It reports; nothing fails by being slow.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark tells")]

use std::time::Instant;

use caretrail_contract::policy::{LedgerFacts, Request, decide};
use caretrail_model::consent::{
    Action, Effect, Exception, Grantee, LiveConsent, LiveConsents, Provision, Scope,
};
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, Digest, KeyId, PatientId, RecordId, StatementId, Subject};
use caretrail_model::patient::Patient;
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::{DurationMs, Period, UnixMs};

const ROUNDS: usize = 200;

fn at(unix_ms: u64) -> UnixMs {
    UnixMs::new(unix_ms).unwrap()
}

fn record(id: u8) -> RecordId {
    RecordId::from_bytes([id; 16])
}

fn main() {
    let actor = Actor { msp_id: "SouthMSP".parse().unwrap(), subject: Subject::from_bytes([1; 16]) };
    let member = |msp_id: &str| Member {
        msp_id: msp_id.parse().unwrap(),
        daemon: Daemon { url: "https://localhost:1".into(), tls_ca_digest: Digest::from_bytes([0; 32]) },
    };
    let policy = ConsortiumPolicy {
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
    };
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
        home: "NorthMSP".parse().unwrap(),
        key: Some(KeyId::from_bytes([1; 16])),
        public_key: None,
        refuses_emergency: false,
        at: at(1),
    };
    // Eight denials, whose eight exceptions of a hundred records each carve everything out, and 56 permits.
    let consents = (0..64)
        .map(|id| {
            let exceptions = (0..8)
                .map(|_| Exception {
                    scope: Some(Scope::Records { records: (0..100).map(record).collect() }),
                    ..Exception::default()
                })
                .collect();
            let provision = Provision {
                effect: if id < 8 { Effect::Deny } else { Effect::Permit },
                grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
                actions: vec![Action::Read],
                purposes: vec![Purpose::Treat],
                scope: Scope::All {},
                period: Period { from: at(1), until: at(2_000) },
                exceptions: if id < 8 { exceptions } else { Vec::new() },
            };
            LiveConsent::signed(StatementId::from_bytes([id; 16]), provision)
        })
        .collect();
    let consents = LiveConsents { sequence: 1, consents, at: at(1) };
    let head = Record {
        patient: PatientId::from_bytes([1; 16]),
        custodian: "NorthMSP".parse().unwrap(),
        version: 1,
        sequence: Some(1),
        tags: None,
        withdrawn: false,
        offered_to: None,
        own: None,
        at: at(1),
    };
    let facts = LedgerFacts {
        policy: &policy,
        standing: Some(&standing),
        patient: &patient,
        consents: &consents,
        guardians: &Guardians::NONE,
        stop: None,
        relationship: None,
        hospital_relationship: None,
        break_glass: None,
        record: Some(&head),
    };
    let mut micros: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let permitted = (0..100).filter(|id| {
                let request = Request {
                    actor: &actor,
                    role: Role::Clinician,
                    patient: &head.patient,
                    record: &record(*id),
                    action: Action::Read,
                    purpose: Purpose::Treat,
                };
                decide(&request, &facts, at(1_000)).effect == Effect::Permit
            });
            assert_eq!(permitted.count(), 100);
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let (median, last) = (micros[ROUNDS / 2], micros[ROUNDS * 99 / 100]);
    println!(
        "deciding 100 records against {} provisions: median {median:.0} µs, p99 {last:.0} µs",
        facts.consents.consents.len()
    );
}
