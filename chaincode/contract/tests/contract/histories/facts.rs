//! What the ledger holds of an actor and a patient, read by the keys that the documentation names, for the second reading.

use std::collections::BTreeSet;

use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::Disclosure;
use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::consent::{Action, LiveConsents};
use caretrail_model::decision::Decision;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, PatientId, RecordId, RequestId, TxId};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;
use hlf_chaincode::composite_key;
use hlf_testpeer::TestPeer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::oracle::cases::Case;
use crate::oracle::rows;

/// What somebody asks for, whatever the record.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) actor: Actor,
    pub(crate) role: Role,
    pub(crate) patient: PatientId,
    pub(crate) action: Action,
    pub(crate) purpose: Purpose,
}

/// The facts of an actor and a patient.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) policy: InForce,
    pub(crate) standing: Option<Standing>,
    pub(crate) patient: Patient,
    pub(crate) consents: LiveConsents,
    pub(crate) guardians: Guardians,
    stop: Option<StopSwitch>,
    relationship: Option<Relationship>,
    hospital_relationship: Option<Relationship>,
    pub(crate) break_glass: Option<BrokenGlass>,
}

/// A policy since it came in force.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct InForce {
    pub(crate) policy: ConsortiumPolicy,
    at: UnixMs,
}

impl Facts {
    /// As they are committed.
    pub(crate) fn of(peer: &TestPeer, actor: &Actor, patient: &PatientId) -> Self {
        let [policy, standing, of_patient, consents, guardians, stop, own, hospital, glass] =
            keys(actor, patient);
        Self {
            policy: read(peer, &policy).unwrap(),
            standing: read(peer, &standing),
            patient: read(peer, &of_patient).unwrap(),
            consents: read(peer, &consents).unwrap_or(LiveConsents::NONE),
            guardians: read(peer, &guardians).unwrap_or(Guardians::NONE),
            stop: read(peer, &stop),
            relationship: read(peer, &own),
            hospital_relationship: read(peer, &hospital),
            break_glass: read(peer, &glass),
        }
    }

    /// When the newest of them was put in force.
    pub(crate) fn newest(&self) -> UnixMs {
        let ends = [
            Some(self.policy.at),
            self.standing.as_ref().map(|standing| standing.at),
            Some(self.patient.at),
            Some(self.consents.at),
            Some(self.guardians.at),
            self.stop.as_ref().map(|stop| stop.at),
            self.relationship.as_ref().map(|relationship| relationship.at),
            self.hospital_relationship.as_ref().map(|relationship| relationship.at),
            self.break_glass.as_ref().map(|broken| broken.at),
        ];
        ends.into_iter().flatten().max().unwrap()
    }

    /// What the second reading gives at an instant.
    pub(crate) fn decide(
        &self,
        question: &Question,
        record_id: RecordId,
        record: Option<&Record>,
        now: UnixMs,
    ) -> Decision {
        rows::decide(&Case {
            now: now.get(),
            actor: question.actor.clone(),
            role: question.role,
            patient_id: question.patient,
            record_id,
            action: question.action,
            purpose: question.purpose,
            policy: self.policy.policy.clone(),
            standing: self.standing.clone(),
            patient: self.patient.clone(),
            consents: self.consents.clone(),
            guardians: self.guardians.clone(),
            stop: self.stop.clone(),
            relationship: self.relationship.clone(),
            hospital_relationship: self.hospital_relationship.clone(),
            break_glass: self.break_glass.clone(),
            record: record.cloned(),
        })
    }

    /// The care relationship of the actor, or the one of the whole hospital.
    pub(crate) fn relationship(&self, own: bool) -> Option<&Relationship> {
        if own { self.relationship.as_ref() } else { self.hospital_relationship.as_ref() }
    }

    /// Whether the patient's stop stands.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.stopped)
    }
}

impl Question {
    /// The effective time of a request made then, and what the second reading gives for each record.
    pub(crate) fn decide_all(
        &self,
        peer: &TestPeer,
        ids: &[RecordId],
        timestamp: UnixMs,
    ) -> (UnixMs, Vec<Decision>) {
        let facts = Facts::of(peer, &self.actor, &self.patient);
        let records: Vec<Option<Record>> = ids.iter().map(|id| record(peer, id)).collect();
        let newest_record = records.iter().flatten().map(|record| record.at).max();
        let now = [Some(timestamp), Some(facts.newest()), newest_record].into_iter().flatten().max().unwrap();
        let decide =
            |(id, record): (&RecordId, &Option<Record>)| facts.decide(self, *id, record.as_ref(), now);
        (now, ids.iter().zip(&records).map(decide).collect())
    }
}

/// All that a request has to read.
pub(crate) fn keys_of_request(question: &Question, id: &RequestId, records: &[RecordId]) -> BTreeSet<String> {
    let Actor { msp_id, subject } = &question.actor;
    let earlier = key("i", &[msp_id.as_str(), &subject.to_string(), &id.to_string()]);
    let records = records.iter().map(|record| key("r", &[&record.to_string()]));
    keys(&question.actor, &question.patient).into_iter().chain([earlier]).chain(records).collect()
}

/// All that a disclosure has to read.
pub(crate) fn keys_of_disclosure(
    recipient: &Actor,
    patient: &PatientId,
    decision: &TxId,
    record: &RecordId,
) -> BTreeSet<String> {
    let own = [
        key_of_entry(patient, decision),
        key_of_disclosure(patient, decision, record),
        key("r", &[&record.to_string()]),
    ];
    keys(recipient, patient).into_iter().chain(own).collect()
}

pub(crate) fn entry(peer: &TestPeer, patient: &PatientId, tx_id: &TxId) -> Option<AuditEntry> {
    read(peer, &key_of_entry(patient, tx_id))
}

pub(crate) fn disclosure(
    peer: &TestPeer,
    patient: &PatientId,
    decision: &TxId,
    record: &RecordId,
) -> Option<Disclosure> {
    read(peer, &key_of_disclosure(patient, decision, record))
}

pub(crate) fn record(peer: &TestPeer, id: &RecordId) -> Option<Record> {
    read(peer, &key("r", &[&id.to_string()]))
}

/// What a key is of: the first part of it.
pub(crate) fn kind(key: &str) -> &str {
    key.split('\0').nth(1).unwrap()
}

fn key_of_entry(patient: &PatientId, tx_id: &TxId) -> String {
    key("a", &[&patient.to_string(), &tx_id.to_string()])
}

fn key_of_disclosure(patient: &PatientId, decision: &TxId, record: &RecordId) -> String {
    key("o", &[&patient.to_string(), &decision.to_string(), &record.to_string()])
}

/// Policy, standing, patient, consents, guardians, stop, both care relationships, broken glass.
fn keys(actor: &Actor, patient: &PatientId) -> [String; 9] {
    let (msp, subject, patient) = (actor.msp_id.as_str(), actor.subject.to_string(), patient.to_string());
    [
        key("c", &[]),
        key("s", &[msp, &subject]),
        key("p", &[&patient]),
        key("y", &[&patient]),
        key("w", &[&patient]),
        key("h", &[&patient]),
        key("l", &[&patient, msp, &subject]),
        key("l", &[&patient, msp, "*"]),
        key("b", &[&patient, msp, &subject]),
    ]
}

fn key(kind: &str, attributes: &[&str]) -> String {
    composite_key(kind, attributes).unwrap()
}

/// A value is a format byte and JSON.
fn read<T: DeserializeOwned>(peer: &TestPeer, key: &str) -> Option<T> {
    let bytes = peer.ledger().value("records", key)?;
    let (format, json) = bytes.split_first().unwrap();
    assert_eq!(*format, 1, "{key:?} is of another format");
    Some(serde_json::from_slice(json).unwrap())
}
