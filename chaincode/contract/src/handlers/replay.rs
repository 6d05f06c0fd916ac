//! A committed decision, decided again on the very facts that it was made on.
//!
//! The facts are read from the copies that are kept of each of their changes, never from the peer's history of a key:
//! a peer that joined from a snapshot has none.

use caretrail_model::audit::Act;
use caretrail_model::calls::{ReplayDecision, ReplayedDecision};
use caretrail_model::code::Code;
use caretrail_model::consent::LiveConsents;
use caretrail_model::decision::Decision;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::RecordId;
use caretrail_model::record::Record;
use hlf_chaincode::{Failure, KeyError};

use super::Handle;
use super::access::Asked;
use crate::facts::AccessFacts;
use crate::failure::{refuse, require};
use crate::invocation::{Facts, Invocation, Reading, Slot};
use crate::keys::{self, Key};
use crate::stored::Stored;

impl Handle for ReplayDecision {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ReplayedDecision, Failure> {
        let mut reading = invocation.reading()?;
        let entry = reading.add(keys::audit(&self.patient, &self.decision)?);
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        let newest = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        require(&newest.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        let entry = facts.take(entry)?.ok_or_else(|| refuse(Code::DecisionUnknown))?;
        let Act::AccessDecided(decided) = &entry.act else { return Err(refuse(Code::DecisionUnknown)) };
        require(entry.epoch > 1, Code::ReplayUnavailable)?;

        // Which copies to read follows from the entry's numbers.
        let (actor, id, numbers) = (&entry.actor, &self.patient, &decided.facts);
        let mut reading = invocation.reading()?;
        let policy = reading.add(keys::policy_of_sequence(numbers.policy)?);
        let patient = reading.add(keys::patient_of_sequence(id, numbers.patient)?);
        let standing = copy(&mut reading, numbers.standing, |n| keys::standing_of_sequence(actor, n))?;
        let consents = copy(&mut reading, numbers.consents, |n| keys::consents_of_sequence(id, n))?;
        let guardians = copy(&mut reading, numbers.guardians, |n| keys::guardians_of_sequence(id, n))?;
        let stop = copy(&mut reading, numbers.stop, |n| keys::stop_of_sequence(id, n))?;
        let relationship = copy(&mut reading, numbers.relationship, |n| {
            keys::relationship_of_sequence(id, &actor.msp_id, Some(&actor.subject), n)
        })?;
        let hospital_relationship = copy(&mut reading, numbers.hospital_relationship, |n| {
            keys::relationship_of_sequence(id, &actor.msp_id, None, n)
        })?;
        let break_glass =
            copy(&mut reading, numbers.break_glass, |n| keys::break_glass_of_sequence(id, actor, n))?;
        let ids: Vec<RecordId> = decided.decisions.iter().map(|decision| decision.record).collect();
        require(ids.len() == numbers.records.len(), Code::ReplayUnavailable)?;
        let mut records = Vec::with_capacity(ids.len());
        for (record, sequence) in ids.iter().zip(&numbers.records) {
            let Some(sequence) = *sequence else {
                records.push(None);
                continue;
            };
            records.push(Some(KeptRecord {
                sequence,
                copy: reading.add(keys::record_of_sequence(record, sequence)?),
                newest: reading.add(keys::record(record)?),
            }));
        }

        let (_, mut facts) = reading.fetch().await?;
        let unavailable = || refuse(Code::ReplayUnavailable);
        let policy = facts.take(policy)?.ok_or_else(unavailable)?.policy;
        let known = AccessFacts {
            // One that an older engine wrote is copied when it is changed.
            patient: facts
                .take(patient)?
                .or_else(|| (newest.sequence == numbers.patient).then_some(newest))
                .ok_or_else(unavailable)?,
            standing: kept(standing, &mut facts)?,
            consents: kept(consents, &mut facts)?.unwrap_or(LiveConsents::NONE),
            guardians: kept(guardians, &mut facts)?.unwrap_or(Guardians::NONE),
            stop: kept(stop, &mut facts)?,
            relationship: kept(relationship, &mut facts)?,
            hospital_relationship: kept(hospital_relationship, &mut facts)?,
            break_glass: kept(break_glass, &mut facts)?,
        };
        let records = records
            .into_iter()
            .map(|kept| kept.map(|kept| kept.take(&mut facts)).transpose())
            .collect::<Result<Vec<_>, Failure>>()?;
        let asked =
            Asked { actor, role: entry.role, patient: id, action: decided.action, purpose: decided.purpose };
        let decisions = asked.decide_all(&ids, &records, &known, &policy, entry.at);
        let matches = decisions.iter().map(Decision::told).eq(decided.decisions.iter().cloned());
        Ok(ReplayedDecision { epoch: policy.epoch, at: entry.at, matches, decisions })
    }
}

/// Where the copy of a sequence number will be; 0 stands for none.
fn copy<T: Stored>(
    reading: &mut Reading<'_>,
    sequence: u64,
    key: impl Fn(u64) -> Result<Key<T>, KeyError>,
) -> Result<Option<Slot<T>>, Failure> {
    if sequence == 0 { Ok(None) } else { Ok(Some(reading.add(key(sequence)?))) }
}

/// A copy that was numbered has to be there.
fn kept<T: Stored>(slot: Option<Slot<T>>, facts: &mut Facts) -> Result<Option<T>, Failure> {
    slot.map(|slot| facts.take(slot)?.ok_or_else(|| refuse(Code::ReplayUnavailable))).transpose()
}

/// Where a record of a sequence number will be: it is copied when it is changed, and is the record itself until then.
struct KeptRecord {
    sequence: u64,
    copy: Slot<Record>,
    newest: Slot<Record>,
}

impl KeptRecord {
    fn take(self, facts: &mut Facts) -> Result<Record, Failure> {
        let copy = facts.take(self.copy)?;
        let newest = facts.take(self.newest)?;
        // What was written before changes were numbered counts as number 0.
        copy.or(newest.filter(|newest| newest.sequence.unwrap_or(0) == self.sequence))
            .ok_or_else(|| refuse(Code::ReplayUnavailable))
    }
}
