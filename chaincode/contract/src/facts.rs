//! What a decision reads of an actor and a patient.

use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::code::Code;
use caretrail_model::consent::LiveConsents;
use caretrail_model::decision::Facts as FactNumbers;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, PatientId};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::record::Record;
use caretrail_model::standing::Standing;
use hlf_chaincode::Failure;

use crate::failure::refuse;
use crate::invocation::{Facts, Reading, Slot};
use crate::keys;
use crate::policy::LedgerFacts;

/// Where the facts of an actor and a patient will be.
#[derive(Debug)]
pub(crate) struct AccessSlots {
    standing: Slot<Standing>,
    patient: Slot<Patient>,
    consents: Slot<LiveConsents>,
    guardians: Slot<Guardians>,
    stop: Slot<StopSwitch>,
    relationship: Slot<Relationship>,
    hospital_relationship: Slot<Relationship>,
    break_glass: Slot<BrokenGlass>,
}

/// The facts of an actor and a patient.
#[derive(Clone, Debug)]
pub(crate) struct AccessFacts {
    pub(crate) standing: Option<Standing>,
    pub(crate) patient: Patient,
    pub(crate) consents: LiveConsents,
    pub(crate) guardians: Guardians,
    pub(crate) stop: Option<StopSwitch>,
    pub(crate) relationship: Option<Relationship>,
    pub(crate) hospital_relationship: Option<Relationship>,
    pub(crate) break_glass: Option<BrokenGlass>,
}

impl AccessSlots {
    /// Adds all of them to a reading.
    pub(crate) fn add(
        reading: &mut Reading<'_>,
        actor: &Actor,
        patient: &PatientId,
    ) -> Result<Self, Failure> {
        Ok(Self {
            standing: reading.add(keys::standing(actor)?),
            patient: reading.add(keys::patient(patient)?),
            consents: reading.add(keys::consents(patient)?),
            guardians: reading.add_newer(keys::guardians(patient)?),
            stop: reading.add_newer(keys::stop(patient)?),
            relationship: reading.add_newer(keys::relationship(
                patient,
                &actor.msp_id,
                Some(&actor.subject),
            )?),
            hospital_relationship: reading.add_newer(keys::relationship(patient, &actor.msp_id, None)?),
            break_glass: reading.add_newer(keys::break_glass(patient, actor)?),
        })
    }

    /// Takes them out; refuses when there is no such patient.
    pub(crate) fn take(self, facts: &mut Facts) -> Result<AccessFacts, Failure> {
        let standing = facts.take(self.standing)?;
        let patient = facts.take(self.patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        Ok(AccessFacts {
            standing,
            patient,
            consents: facts.take(self.consents)?.unwrap_or(LiveConsents::NONE),
            guardians: facts.take(self.guardians)?.unwrap_or(Guardians::NONE),
            stop: facts.take(self.stop)?,
            relationship: facts.take(self.relationship)?,
            hospital_relationship: facts.take(self.hospital_relationship)?,
            break_glass: facts.take(self.break_glass)?,
        })
    }
}

impl AccessFacts {
    /// Them with a policy and a record, for the engine.
    pub(crate) fn of<'a>(
        &'a self,
        policy: &'a ConsortiumPolicy,
        record: Option<&'a Record>,
    ) -> LedgerFacts<'a> {
        LedgerFacts {
            policy,
            standing: self.standing.as_ref(),
            patient: &self.patient,
            consents: &self.consents,
            guardians: &self.guardians,
            stop: self.stop.as_ref(),
            relationship: self.relationship.as_ref(),
            hospital_relationship: self.hospital_relationship.as_ref(),
            break_glass: self.break_glass.as_ref(),
            record,
        }
    }

    /// Their sequence numbers, and those of the records decided about.
    pub(crate) fn numbers<'r>(
        &self,
        policy: &ConsortiumPolicy,
        records: impl IntoIterator<Item = Option<&'r Record>>,
    ) -> FactNumbers {
        let sequence = |relationship: &Option<Relationship>| {
            relationship.as_ref().map_or(0, |relationship| relationship.sequence)
        };
        FactNumbers {
            policy: policy.sequence,
            patient: self.patient.sequence,
            consents: self.consents.sequence,
            standing: self.standing.as_ref().map_or(0, |standing| standing.sequence),
            stop: self.stop.as_ref().map_or(0, |stop| stop.sequence),
            guardians: self.guardians.sequence,
            relationship: sequence(&self.relationship),
            hospital_relationship: sequence(&self.hospital_relationship),
            break_glass: self.break_glass.as_ref().map_or(0, |broken| broken.sequence),
            records: if policy.epoch > 1 {
                records.into_iter().map(|record| record.map(|record| record.sequence.unwrap_or(0))).collect()
            } else {
                Vec::new()
            },
        }
    }
}
