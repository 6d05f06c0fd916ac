//! What a hospital states about care, and what is reviewed of it.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    BreakGlass, CloseRelationship, GetBreakGlass, GetRelationship, OpenRelationship, ReviewBreakGlass,
};
use caretrail_model::care::{BrokenGlass, Relationship, Review};
use caretrail_model::code::Code;
use caretrail_model::consent::Action;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Actor, PatientId, RecordId, Subject};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use hlf_chaincode::Failure;

use super::Handle;
use crate::facts::AccessSlots;
use crate::failure::{refuse, require};
use crate::invocation::{Invocation, terms};
use crate::keys;
use crate::policy::{Request, decide};

impl Handle for OpenRelationship {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Relationship, Failure> {
        require(self.subject != Some(invocation.actor.subject), Code::RoleNotAllowed)?;
        let subject = self.subject.as_ref();
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let before = reading.add(keys::relationship(&self.patient, invocation.msp_id(), subject)?);
        let (policy, mut facts) = reading.fetch().await?;
        facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        let before = facts.take(before)?;
        let at = facts.effective();
        require(
            at < self.until && self.until <= at.plus(terms(&policy)?.relationship_ms_max),
            Code::RelationshipPeriod,
        )?;

        let relationship = Relationship {
            sequence: before.map_or(0, |before| before.sequence) + 1,
            until: self.until,
            by: invocation.actor.clone(),
            at,
        };
        keep(invocation, &self.patient, subject, &relationship)?;
        let act = Act::RelationshipOpened { subject: self.subject, until: self.until };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(relationship)
    }
}

impl Handle for CloseRelationship {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Relationship, Failure> {
        let subject = self.subject.as_ref();
        let mut reading = invocation.reading()?;
        let before = reading.add(keys::relationship(&self.patient, invocation.msp_id(), subject)?);
        let (policy, mut facts) = reading.fetch().await?;
        let before = facts.take(before)?;
        let at = facts.effective();
        let before =
            before.filter(|before| before.holds_at(at)).ok_or_else(|| refuse(Code::RelationshipUnknown))?;

        let relationship =
            Relationship { sequence: before.sequence + 1, until: at, by: invocation.actor.clone(), at };
        keep(invocation, &self.patient, subject, &relationship)?;
        let act = Act::RelationshipClosed { subject: self.subject };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(relationship)
    }
}

impl Handle for GetRelationship {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Relationship, Failure> {
        if &self.msp_id != invocation.msp_id() {
            invocation.for_roles(&[Role::Service, Role::Auditor])?;
        }
        let mut reading = invocation.reading()?;
        let key = keys::relationship(&self.patient, &self.msp_id, self.subject.as_ref())?;
        let relationship = reading.add(key);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(relationship)?.ok_or_else(|| refuse(Code::RelationshipUnknown))
    }
}

impl Handle for BreakGlass {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<BrokenGlass, Failure> {
        let mut reading = invocation.reading()?;
        let slots = AccessSlots::add(&mut reading, &invocation.actor, &self.patient)?;
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let at = facts.effective();

        // Every row that comes before the record's: with none, nothing but them can deny in another way.
        let request = Request {
            actor: &invocation.actor,
            role: invocation.role,
            patient: &self.patient,
            record: &RecordId::from_bytes([0; 16]),
            action: Action::Read,
            purpose: Purpose::Btg,
        };
        match decide(&request, &known.of(&policy, None), at).rule {
            Rule::NothingPermits => {}
            Rule::EmergencyRefused => return Err(refuse(Code::EmergencyRefused)),
            Rule::RoleNotAllowed => return Err(refuse(Code::RoleNotAllowed)),
            _ => return Err(refuse(Code::NotAuthorized)),
        }
        let before = known.break_glass;
        require(before.as_ref().is_none_or(|before| before.review.is_some()), Code::ReviewPending)?;

        let broken = BrokenGlass {
            sequence: before.map_or(0, |before| before.sequence) + 1,
            broken_in: invocation.tx_id,
            opened: at,
            until: at.plus(terms(&policy)?.break_glass_ms),
            reason_digest: self.reason_digest,
            review: None,
            at,
        };
        keep_broken(invocation, &self.patient, &invocation.actor, &broken)?;
        let act = Act::GlassBroken { until: broken.until, reason_digest: self.reason_digest };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(broken)
    }
}

impl Handle for ReviewBreakGlass {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<BrokenGlass, Failure> {
        require(&self.clinician.msp_id != invocation.msp_id(), Code::SecondHospital)?;
        let mut reading = invocation.reading()?;
        let broken = reading.add(keys::break_glass(&self.patient, &self.clinician)?);
        let (policy, mut facts) = reading.fetch().await?;
        let broken = facts.take(broken)?;
        let at = facts.effective();
        let broken = broken.ok_or_else(|| refuse(Code::BreakGlassUnknown))?;
        require(broken.review.is_none(), Code::ReviewedAlready)?;

        let review = Review {
            by: invocation.actor.clone(),
            justified: self.justified,
            finding_digest: self.finding_digest,
            at,
        };
        let broken = BrokenGlass { sequence: broken.sequence + 1, review: Some(review), at, ..broken };
        keep_broken(invocation, &self.patient, &self.clinician, &broken)?;
        let act = Act::GlassReviewed { clinician: self.clinician, justified: self.justified };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(broken)
    }
}

impl Handle for GetBreakGlass {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<BrokenGlass, Failure> {
        if &self.clinician.msp_id != invocation.msp_id() {
            invocation.for_roles(&[Role::Service, Role::Auditor])?;
        }
        let mut reading = invocation.reading()?;
        let broken = reading.add(keys::break_glass(&self.patient, &self.clinician)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(broken)?.ok_or_else(|| refuse(Code::BreakGlassUnknown))
    }
}

fn keep(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    subject: Option<&Subject>,
    relationship: &Relationship,
) -> Result<(), Failure> {
    let msp_id = invocation.msp_id();
    invocation.put(keys::relationship(patient, msp_id, subject)?, relationship)?;
    let copy = keys::relationship_of_sequence(patient, msp_id, subject, relationship.sequence)?;
    invocation.put(copy, relationship)
}

fn keep_broken(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    clinician: &Actor,
    broken: &BrokenGlass,
) -> Result<(), Failure> {
    invocation.put(keys::break_glass(patient, clinician)?, broken)?;
    invocation.put(keys::break_glass_of_sequence(patient, clinician, broken.sequence)?, broken)
}
