//! A request and the ledger's facts, for tests of the tables: each row's case adds what it needs.

use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::consent::{Action, Effect, Grantee, LiveConsent, LiveConsents, Provision, Scope};
use caretrail_model::guardian::{ByGuardian, Guardian, Guardians};
use caretrail_model::ids::{Actor, Digest, KeyId, MspId, PatientId, StatementId, Subject, Tag};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::tag::RecordTags;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use p256::ecdsa::SigningKey;

use super::LedgerFacts;

pub(super) const NOW: u64 = 1_000_000;

pub(super) fn at(unix_ms: u64) -> UnixMs {
    UnixMs::new(unix_ms).unwrap()
}

pub(super) fn msp(name: &str) -> MspId {
    name.parse().unwrap()
}

/// A request for which nothing is wrong but that nothing permits it; each row's case adds what it needs.
pub(super) struct World {
    pub(super) actor: Actor,
    pub(super) role: Role,
    pub(super) purpose: Purpose,
    pub(super) action: Action,
    pub(super) policy: ConsortiumPolicy,
    pub(super) standing: Option<Standing>,
    pub(super) patient: Patient,
    pub(super) consents: LiveConsents,
    pub(super) guardians: Guardians,
    pub(super) stop: Option<StopSwitch>,
    pub(super) relationship: Option<Relationship>,
    pub(super) hospital_relationship: Option<Relationship>,
    pub(super) break_glass: Option<BrokenGlass>,
    pub(super) record: Option<Record>,
}

impl World {
    pub(super) fn new() -> Self {
        let member = |msp_id| Member {
            msp_id: msp(msp_id),
            daemon: Daemon { url: "https://localhost:1".into(), tls_ca_digest: Digest::from_bytes([0; 32]) },
        };
        let actor = Actor { msp_id: msp("SouthMSP"), subject: Subject::from_bytes([2; 16]) };
        let purposes = vec![Purpose::Treat, Purpose::Btg, Purpose::Hresch];
        Self {
            role: Role::Clinician,
            purpose: Purpose::Btg,
            action: Action::Read,
            policy: ConsortiumPolicy {
                sequence: 1,
                channel: "records".parse().unwrap(),
                chaincode: "caretrail".parse().unwrap(),
                epoch: 2,
                members: vec![member("NorthMSP"), member("SouthMSP")],
                rules: vec![RoleRule {
                    role: Role::Clinician,
                    actions: vec![Action::Read, Action::Write, Action::Delegate],
                    purposes: purposes.clone(),
                    needs_relationship: false,
                }],
                durations: Durations {
                    permit_ms: DurationMs::from_secs(300),
                    statement_ms_max: DurationMs::from_days(1),
                    consent_ms_max: DurationMs::from_days(366),
                    standing_ms_max: DurationMs::from_days(366),
                },
                terms: Some(Terms::WIDEST),
            },
            standing: Some(Standing {
                sequence: 1,
                role: Role::Clinician,
                purposes,
                until: at(NOW + 10_000_000),
                suspended: false,
                by: actor.clone(),
                at: at(1),
            }),
            patient: Patient {
                sequence: 1,
                home: msp("NorthMSP"),
                key: Some(KeyId::from_bytes([1; 16])),
                public_key: None,
                refuses_emergency: false,
                at: at(1),
            },
            consents: LiveConsents { sequence: 1, consents: vec![], at: at(1) },
            guardians: Guardians::NONE,
            stop: None,
            relationship: None,
            hospital_relationship: None,
            break_glass: None,
            record: Some(Record {
                patient: PatientId::from_bytes([1; 16]),
                custodian: msp("NorthMSP"),
                version: 3,
                sequence: Some(1),
                tags: None,
                withdrawn: false,
                offered_to: None,
                own: None,
                at: at(1),
            }),
            actor,
        }
    }

    pub(super) fn facts(&self) -> LedgerFacts<'_> {
        LedgerFacts {
            policy: &self.policy,
            standing: self.standing.as_ref(),
            patient: &self.patient,
            consents: &self.consents,
            guardians: &self.guardians,
            stop: self.stop.as_ref(),
            relationship: self.relationship.as_ref(),
            hospital_relationship: self.hospital_relationship.as_ref(),
            break_glass: self.break_glass.as_ref(),
            record: self.record.as_ref(),
        }
    }

    pub(super) fn add(&mut self, id: u8, effect: Effect) -> &mut LiveConsent {
        let provision = Provision {
            effect,
            grantee: Grantee::Person { msp_id: self.actor.msp_id.clone(), subject: self.actor.subject },
            actions: vec![Action::Read, Action::Delegate],
            purposes: vec![Purpose::Treat, Purpose::Btg],
            scope: Scope::All {},
            period: Period { from: at(NOW), until: at(NOW + 1_000) },
            exceptions: vec![],
        };
        self.consents.consents.push(LiveConsent::signed(StatementId::from_bytes([id; 16]), provision));
        self.consents.consents.last_mut().unwrap()
    }

    pub(super) fn tagged(&mut self, tags: &[u8]) {
        self.record.as_mut().unwrap().tags = Some(RecordTags {
            custodian: msp("NorthMSP"),
            epoch: 1,
            tags: tags.iter().map(|tag| Tag::from_bytes([*tag; 16])).collect(),
        });
    }

    pub(super) fn guardian(&mut self, until: u64) -> ByGuardian {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let public_key = caretrail_model::statement::PublicKey::from(*key.verifying_key());
        let by = ByGuardian { key: public_key.id(), appointment: StatementId::from_bytes([8; 16]) };
        self.guardians.guardians.push(Guardian {
            key: by.key,
            public_key,
            term: Period { from: at(1), until: at(until) },
            protected: vec![],
            appointment: by.appointment,
        });
        by
    }
}

pub(super) fn relationship(until: u64) -> Option<Relationship> {
    let by = Actor { msp_id: msp("SouthMSP"), subject: Subject::from_bytes([9; 16]) };
    Some(Relationship { sequence: 1, until: at(until), by, at: at(1) })
}
