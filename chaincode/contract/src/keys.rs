//! Every key of the state, and what it holds. No key is built anywhere else.
//!
//! Each kind has a composite-key namespace of its own; numbers are zero-padded to ten digits, so that
//! byte order is their order.

use std::marker::PhantomData;

use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::{CarriedStatement, Disclosure};
use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::consent::LiveConsents;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{
    Actor, Digest, KeyId, MspId, PatientId, RecordId, RequestId, StatementId, Subject, TxId,
};
use caretrail_model::paper::Paper;
use caretrail_model::patient::{Patient, Recovery, Signer, StopSwitch};
use caretrail_model::record::{Correction, Record, RecordVersion};
use caretrail_model::standing::Standing;
use hlf_chaincode::{KeyError, composite_key};

use crate::stored::{Approval, Listed, PolicyInForce, ProposedText, Requested};

/// A key, and the type of its value.
#[derive(Debug)]
pub(crate) struct Key<T> {
    text: String,
    holds: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

fn key<T>(namespace: &str, attributes: &[&str]) -> Result<Key<T>, KeyError> {
    Ok(Key { text: composite_key(namespace, attributes)?, holds: PhantomData })
}

fn padded(number: u64) -> String {
    format!("{number:010}")
}

/// `c`: the consortium's policy in force.
pub(crate) fn policy() -> Result<Key<PolicyInForce>, KeyError> {
    key("c", &[])
}

/// `c/seq`: the policy of one sequence number, kept for ever.
pub(crate) fn policy_of_sequence(sequence: u64) -> Result<Key<PolicyInForce>, KeyError> {
    key("c", &[&padded(sequence)])
}

/// `q/digest`: a proposed policy's text.
pub(crate) fn proposed_policy(digest: &Digest) -> Result<Key<ProposedText>, KeyError> {
    key("q", &[&digest.to_string()])
}

/// `q/digest/MSP`: a hospital's approval of it.
pub(crate) fn policy_approval(digest: &Digest, msp_id: &MspId) -> Result<Key<Approval>, KeyError> {
    key("q", &[&digest.to_string(), msp_id.as_str()])
}

/// Namespace of standings, by MSP.
pub(crate) const STANDING: &str = "s";

/// `s/MSP/S`: the standing of an actor.
pub(crate) fn standing(actor: &Actor) -> Result<Key<Standing>, KeyError> {
    key(STANDING, &[actor.msp_id.as_str(), &actor.subject.to_string()])
}

/// `sn/MSP/S/seq`: the standing of one sequence number, kept for ever.
pub(crate) fn standing_of_sequence(actor: &Actor, sequence: u64) -> Result<Key<Standing>, KeyError> {
    key("sn", &[actor.msp_id.as_str(), &actor.subject.to_string(), &padded(sequence)])
}

/// `p/P`: a patient.
pub(crate) fn patient(patient: &PatientId) -> Result<Key<Patient>, KeyError> {
    key("p", &[&patient.to_string()])
}

/// `pn/P/seq`: the patient of one sequence number, kept for ever.
pub(crate) fn patient_of_sequence(patient: &PatientId, sequence: u64) -> Result<Key<Patient>, KeyError> {
    key("pn", &[&patient.to_string(), &padded(sequence)])
}

/// `k/P`: the newest recovery of a patient's key.
pub(crate) fn recovery(patient: &PatientId) -> Result<Key<Recovery>, KeyError> {
    key("k", &[&patient.to_string()])
}

/// `kn/P/K`: a key that speaks or spoke for a patient, kept for ever.
pub(crate) fn signer(patient: &PatientId, signer: &KeyId) -> Result<Key<Signer>, KeyError> {
    key("kn", &[&patient.to_string(), &signer.to_string()])
}

/// `w/P`: a patient's guardians.
pub(crate) fn guardians(patient: &PatientId) -> Result<Key<Guardians>, KeyError> {
    key("w", &[&patient.to_string()])
}

/// `wn/P/seq`: the guardians of one sequence number, kept for ever.
pub(crate) fn guardians_of_sequence(patient: &PatientId, sequence: u64) -> Result<Key<Guardians>, KeyError> {
    key("wn", &[&patient.to_string(), &padded(sequence)])
}

/// `h/P`: a patient's stop switch.
pub(crate) fn stop(patient: &PatientId) -> Result<Key<StopSwitch>, KeyError> {
    key("h", &[&patient.to_string()])
}

/// `hn/P/seq`: the stop switch of one sequence number, kept for ever.
pub(crate) fn stop_of_sequence(patient: &PatientId, sequence: u64) -> Result<Key<StopSwitch>, KeyError> {
    key("hn", &[&patient.to_string(), &padded(sequence)])
}

/// `g/P/T`: an act on paper.
pub(crate) fn paper(patient: &PatientId, id: &StatementId) -> Result<Key<Paper>, KeyError> {
    key("g", &[&patient.to_string(), &id.to_string()])
}

/// Whom a care relationship is of: one clinician, or `*` for all of a hospital.
fn treating(subject: Option<&Subject>) -> String {
    subject.map_or_else(|| "*".to_owned(), Subject::to_string)
}

/// `l/P/MSP/S` or `l/P/MSP/*`: a care relationship.
pub(crate) fn relationship(
    patient: &PatientId,
    msp_id: &MspId,
    subject: Option<&Subject>,
) -> Result<Key<Relationship>, KeyError> {
    key("l", &[&patient.to_string(), msp_id.as_str(), &treating(subject)])
}

/// `ln/P/MSP/S/seq`: the care relationship of one sequence number, kept for ever.
pub(crate) fn relationship_of_sequence(
    patient: &PatientId,
    msp_id: &MspId,
    subject: Option<&Subject>,
    sequence: u64,
) -> Result<Key<Relationship>, KeyError> {
    key("ln", &[&patient.to_string(), msp_id.as_str(), &treating(subject), &padded(sequence)])
}

/// Namespace of broken glass, by patient.
pub(crate) const BREAK_GLASS: &str = "b";

/// `b/P/MSP/S`: glass that an actor broke for a patient.
pub(crate) fn break_glass(patient: &PatientId, actor: &Actor) -> Result<Key<BrokenGlass>, KeyError> {
    key(BREAK_GLASS, &[&patient.to_string(), actor.msp_id.as_str(), &actor.subject.to_string()])
}

/// `bn/P/MSP/S/seq`: the broken glass of one sequence number, kept for ever.
pub(crate) fn break_glass_of_sequence(
    patient: &PatientId,
    actor: &Actor,
    sequence: u64,
) -> Result<Key<BrokenGlass>, KeyError> {
    key("bn", &[&patient.to_string(), actor.msp_id.as_str(), &actor.subject.to_string(), &padded(sequence)])
}

/// `y/P`: a patient's live consents.
pub(crate) fn consents(patient: &PatientId) -> Result<Key<LiveConsents>, KeyError> {
    key("y", &[&patient.to_string()])
}

/// `yn/P/seq`: the live consents of one sequence number, kept for ever.
pub(crate) fn consents_of_sequence(
    patient: &PatientId,
    sequence: u64,
) -> Result<Key<LiveConsents>, KeyError> {
    key("yn", &[&patient.to_string(), &padded(sequence)])
}

/// `t/P/T`: a statement, as carried.
pub(crate) fn statement(patient: &PatientId, id: &StatementId) -> Result<Key<CarriedStatement>, KeyError> {
    key("t", &[&patient.to_string(), &id.to_string()])
}

/// `r/R`: custody and status of a record.
pub(crate) fn record(record: &RecordId) -> Result<Key<Record>, KeyError> {
    key("r", &[&record.to_string()])
}

/// `rn/R/seq`: custody and status of a sequence number that is no longer the newest, kept for ever.
pub(crate) fn record_of_sequence(record: &RecordId, sequence: u64) -> Result<Key<Record>, KeyError> {
    key("rn", &[&record.to_string(), &padded(sequence)])
}

/// `e/R/n`: a correction request.
pub(crate) fn correction(record: &RecordId, number: u64) -> Result<Key<Correction>, KeyError> {
    key("e", &[&record.to_string(), &padded(number)])
}

/// `v/R/n`: a version of a record.
pub(crate) fn version(record: &RecordId, version: u64) -> Result<Key<RecordVersion>, KeyError> {
    key("v", &[&record.to_string(), &padded(version)])
}

/// Namespace of a patient's record list.
pub(crate) const LISTED: &str = "x";

/// `x/P/R`: that a record is a patient's.
pub(crate) fn listed(patient: &PatientId, record: &RecordId) -> Result<Key<Listed>, KeyError> {
    key(LISTED, &[&patient.to_string(), &record.to_string()])
}

/// Namespace of audit entries, by patient.
pub(crate) const AUDIT: &str = "a";

/// `a/P/tx`: what a transaction did to a patient. Never keyed by a client's time.
pub(crate) fn audit(patient: &PatientId, tx_id: &TxId) -> Result<Key<AuditEntry>, KeyError> {
    key(AUDIT, &[&patient.to_string(), &tx_id.to_string()])
}

/// `o/P/tx/R`: the disclosure of a record under the decision of a transaction.
pub(crate) fn disclosure(
    patient: &PatientId,
    decision: &TxId,
    record: &RecordId,
) -> Result<Key<Disclosure>, KeyError> {
    key("o", &[&patient.to_string(), &decision.to_string(), &record.to_string()])
}

/// `i/MSP/S/id`: which transaction decided an actor's request.
pub(crate) fn request(actor: &Actor, id: &RequestId) -> Result<Key<Requested>, KeyError> {
    key("i", &[actor.msp_id.as_str(), &actor.subject.to_string(), &id.to_string()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn every_key(msp: &str, byte: u8, number: u64) -> Vec<String> {
        let actor = Actor { msp_id: msp.parse().unwrap(), subject: Subject::from_bytes([byte; 16]) };
        let (patient, record) = (PatientId::from_bytes([byte; 16]), RecordId::from_bytes([byte; 16]));
        let (tx, digest) = (TxId::from_bytes([byte; 32]), Digest::from_bytes([byte; 32]));
        let (statement, key_id) = (StatementId::from_bytes([byte; 16]), KeyId::from_bytes([byte; 16]));
        let subject = Some(&actor.subject);
        let keys = [
            policy_of_sequence(number).map(Key::into_text),
            proposed_policy(&digest).map(Key::into_text),
            policy_approval(&digest, &actor.msp_id).map(Key::into_text),
            standing(&actor).map(Key::into_text),
            standing_of_sequence(&actor, number).map(Key::into_text),
            self::patient(&patient).map(Key::into_text),
            patient_of_sequence(&patient, number).map(Key::into_text),
            recovery(&patient).map(Key::into_text),
            signer(&patient, &key_id).map(Key::into_text),
            guardians(&patient).map(Key::into_text),
            guardians_of_sequence(&patient, number).map(Key::into_text),
            stop(&patient).map(Key::into_text),
            stop_of_sequence(&patient, number).map(Key::into_text),
            consents(&patient).map(Key::into_text),
            consents_of_sequence(&patient, number).map(Key::into_text),
            self::statement(&patient, &statement).map(Key::into_text),
            paper(&patient, &statement).map(Key::into_text),
            relationship(&patient, &actor.msp_id, subject).map(Key::into_text),
            relationship(&patient, &actor.msp_id, None).map(Key::into_text),
            relationship_of_sequence(&patient, &actor.msp_id, subject, number).map(Key::into_text),
            relationship_of_sequence(&patient, &actor.msp_id, None, number).map(Key::into_text),
            break_glass(&patient, &actor).map(Key::into_text),
            break_glass_of_sequence(&patient, &actor, number).map(Key::into_text),
            self::record(&record).map(Key::into_text),
            record_of_sequence(&record, number).map(Key::into_text),
            version(&record, number).map(Key::into_text),
            listed(&patient, &record).map(Key::into_text),
            audit(&patient, &tx).map(Key::into_text),
            disclosure(&patient, &tx, &record).map(Key::into_text),
            request(&actor, &RequestId::from_bytes([byte; 16])).map(Key::into_text),
        ];
        keys.into_iter().map(|key| key.unwrap()).collect()
    }

    #[test]
    fn no_key_is_another_whatever_it_is_made_of() {
        let mut keys = vec![policy().unwrap().into_text()];
        // Names of which one begins as the other does, ids and numbers of the same digits.
        for msp in ["NorthMSP", "NorthMSP0", "NorthMSP.0000000001"] {
            for byte in [0x00, 0x11] {
                for number in [1, 11, 1_111_111_111] {
                    let of_these = every_key(msp, byte, number);
                    let different: BTreeSet<&String> = of_these.iter().collect();
                    assert_eq!(different.len(), of_these.len(), "two kinds of one key: {of_these:?}");
                    keys.extend(of_these);
                }
            }
        }
        // Those that lack a hospital, an id or a number are the same each time.
        let different: BTreeSet<&String> = keys.iter().collect();
        let of = |kind: &str| different.iter().filter(|key| key.split('\0').nth(1) == Some(kind)).count();
        assert_eq!(of("c"), 1 + 3);
        assert_eq!(of("q"), 2 + 2 * 3);
        for (kind, count) in [("s", 6), ("sn", 18), ("p", 2), ("pn", 6), ("y", 2), ("yn", 6), ("i", 6)] {
            assert_eq!(of(kind), count, "{kind}");
        }
        // A key ends where its last part does, so a scan for one hospital's keys finds none of another's.
        assert!(keys.iter().all(|key| key.starts_with('\0') && key.ends_with('\0')));
        for hostile in ["North\0MSP", "North\u{10ffff}MSP", "", "North/MSP"] {
            assert!(hostile.parse::<MspId>().is_err(), "{hostile:?}");
        }
    }
}
