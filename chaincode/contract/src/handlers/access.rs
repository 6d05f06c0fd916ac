//! Decisions about access, and the disclosures that follow from them.

use caretrail_model::audit::{AccessDecided, Act, AuditEntry, Disclosed};
use caretrail_model::calls::{
    AccessDecision, Disclosure, GetDecision, GetDisclosure, RecordDisclosure, RequestAccess,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Decision;
use caretrail_model::ids::{Actor, PatientId, RecordId};
use caretrail_model::limits::{RECORD_VERSIONS_MAX, RECORDS_PER_REQUEST_MAX};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use super::Handle;
use crate::facts::{AccessFacts, AccessSlots};
use crate::failure::{refuse, require};
use crate::invocation::{Facts, Invocation, Slot};
use crate::keys;
use crate::policy::{Request, decide};
use crate::stored::{Requested, Stored};

impl Handle for RequestAccess {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<AccessDecision, Failure> {
        require(
            (1..=RECORDS_PER_REQUEST_MAX).contains(&self.records.len())
                && self.records.is_sorted_by(|a, b| a < b),
            Code::ArgumentOutOfBounds,
        )?;
        let mut reading = invocation.reading()?;
        let earlier = reading.add(keys::request(&invocation.actor, &self.request)?);
        let slots = AccessSlots::add(&mut reading, &invocation.actor, &self.patient)?;
        let mut records = Vec::with_capacity(self.records.len());
        for record in &self.records {
            records.push(reading.add(keys::record(record)?));
        }
        let (policy, mut facts) = reading.fetch().await?;
        if let Some(earlier) = facts.take(earlier)? {
            return first_decision(&self, earlier, invocation).await;
        }
        let max = policy.terms.as_ref().map_or(100, |terms| terms.request_records_max);
        require(usize::try_from(max).is_ok_and(|max| self.records.len() <= max), Code::ArgumentOutOfBounds)?;
        let known = slots.take(&mut facts)?;
        let records = take_all(records, &mut facts)?;
        let at = facts.effective();

        let request = Asked {
            actor: &invocation.actor,
            role: invocation.role,
            patient: &self.patient,
            action: self.action,
            purpose: self.purpose,
        };
        let decisions = request.decide_all(&self.records, &records, &known, &policy, at);
        // What was decided about records that the caller may not know of can be had by replay, from the numbers.
        let told: Vec<Decision> = match policy.epoch {
            1 => decisions,
            _ => decisions.iter().map(Decision::told).collect(),
        };

        let requested = Requested { patient: self.patient, decision: invocation.tx_id, at };
        invocation.put(keys::request(&invocation.actor, &self.request)?, &requested)?;
        let act = Act::AccessDecided(AccessDecided {
            request: self.request,
            action: self.action,
            purpose: self.purpose,
            decisions: told.clone(),
            facts: known.numbers(&policy, records.iter().map(Option::as_ref)),
        });
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(AccessDecision { epoch: policy.epoch, decision: invocation.tx_id, at, decisions: told })
    }
}

/// A request about several records of one patient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) actor: &'a Actor,
    pub(super) role: Role,
    pub(super) patient: &'a PatientId,
    pub(super) action: Action,
    pub(super) purpose: Purpose,
}

impl Asked<'_> {
    /// One decision a record, in their order.
    pub(super) fn decide_all(
        &self,
        ids: &[RecordId],
        records: &[Option<Record>],
        known: &AccessFacts,
        policy: &ConsortiumPolicy,
        at: UnixMs,
    ) -> Vec<Decision> {
        let decide_one = |(id, record): (&RecordId, &Option<Record>)| {
            let Self { actor, role, patient, action, purpose } = *self;
            let request = Request { actor, role, patient, record: id, action, purpose };
            decide(&request, &known.of(policy, record.as_ref()), at)
        };
        ids.iter().zip(records).map(decide_one).collect()
    }
}

pub(super) fn take_all<T: Stored>(slots: Vec<Slot<T>>, facts: &mut Facts) -> Result<Vec<Option<T>>, Failure> {
    slots.into_iter().map(|slot| facts.take(slot)).collect()
}

impl Handle for GetDecision {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<AuditEntry, Failure> {
        let mut reading = invocation.reading()?;
        let entry = reading.add(keys::audit(&self.patient, &self.decision)?);
        let (_, mut facts) = reading.fetch().await?;
        // A decision that the caller may not read answers like one that is not there.
        let any = matches!(invocation.role, Role::Service | Role::Auditor);
        let entry = facts
            .take(entry)?
            .filter(|entry| matches!(entry.act, Act::AccessDecided(_)))
            .filter(|entry| any || &entry.actor.msp_id == invocation.msp_id())
            .ok_or_else(|| refuse(Code::DecisionUnknown))?;
        Ok(if entry.epoch > 1 { entry.told() } else { entry })
    }
}

impl Handle for RecordDisclosure {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Disclosure, Failure> {
        require(self.version <= RECORD_VERSIONS_MAX, Code::ArgumentOutOfBounds)?;
        let mut reading = invocation.reading()?;
        let entry = reading.add(keys::audit(&self.patient, &self.decision)?);
        let disclosed = reading.add(keys::disclosure(&self.patient, &self.decision, &self.record)?);
        let slots = AccessSlots::add(&mut reading, &self.recipient, &self.patient)?;
        let record = reading.add(keys::record(&self.record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let entry = facts.take(entry)?.ok_or_else(|| refuse(Code::DecisionUnknown))?;
        let disclosed = facts.take(disclosed)?;
        let known = slots.take(&mut facts)?;
        let record = facts.take(record)?;
        let at = facts.effective();

        let Act::AccessDecided(decided) = entry.act else { return Err(refuse(Code::DecisionUnknown)) };
        let permit = decided
            .decisions
            .iter()
            .find(|decision| decision.record == self.record && decision.effect == Effect::Permit)
            .ok_or_else(|| refuse(Code::DisclosureMismatch))?;
        require(
            entry.actor == self.recipient
                && decided.action == Action::Read
                && permit.version == Some(self.version),
            Code::DisclosureMismatch,
        )?;
        require(
            record.as_ref().is_some_and(|record: &Record| &record.custodian == invocation.msp_id()),
            Code::HospitalNotAllowed,
        )?;
        if let Some(disclosed) = disclosed {
            let same_key = disclosed.disclosed.kem_key_digest == self.kem_key_digest;
            return Err(refuse(if same_key { Code::AlreadyDisclosed } else { Code::DisclosedToOtherKey }));
        }
        require(permit.valid_until.is_some_and(|until| at < until), Code::PermitExpired)?;
        let request = Request {
            actor: &entry.actor,
            role: entry.role,
            patient: &self.patient,
            record: &self.record,
            action: decided.action,
            purpose: decided.purpose,
        };
        let ledger = known.of(&policy, record.as_ref());
        require(decide(&request, &ledger, at).effect == Effect::Permit, Code::PermitEnded)?;

        let disclosure = Disclosure {
            epoch: policy.epoch,
            tx_id: invocation.tx_id,
            at,
            disclosed: Disclosed {
                decision: self.decision,
                record: self.record,
                version: self.version,
                recipient: self.recipient,
                purpose: decided.purpose,
                kem_key_digest: self.kem_key_digest,
                facts: known.numbers(&policy, [record.as_ref()]),
            },
        };
        let key = keys::disclosure(&self.patient, &self.decision, &self.record)?;
        invocation.put(key, &disclosure)?;
        let act = Act::Disclosed(disclosure.disclosed.clone());
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(disclosure)
    }
}

impl Handle for GetDisclosure {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Disclosure, Failure> {
        let mut reading = invocation.reading()?;
        let disclosed = reading.add(keys::disclosure(&self.patient, &self.decision, &self.record)?);
        let (_, mut facts) = reading.fetch().await?;
        let disclosed = facts.take(disclosed)?;
        let to_own_hospital = disclosed
            .as_ref()
            .is_some_and(|disclosed| &disclosed.disclosed.recipient.msp_id == invocation.msp_id());
        if !to_own_hospital {
            invocation.for_roles(&[Role::Service, Role::Auditor])?;
        }
        disclosed.ok_or_else(|| refuse(Code::DisclosureUnknown))
    }
}

/// The decision of the same request, made before; nothing is written again.
async fn first_decision(
    request: &RequestAccess,
    earlier: Requested,
    invocation: &Invocation<'_>,
) -> Result<AccessDecision, Failure> {
    require(earlier.patient == request.patient, Code::RequestIdReused)?;
    let mut reading = invocation.reading()?;
    let entry = reading.add(keys::audit(&earlier.patient, &earlier.decision)?);
    let (_, mut facts) = reading.fetch().await?;
    let entry = facts.take(entry)?.ok_or_else(|| refuse(Code::StateUnreadable))?;
    let Act::AccessDecided(decided) = entry.act else { return Err(refuse(Code::StateUnreadable)) };
    let same = decided.action == request.action
        && decided.purpose == request.purpose
        && decided.decisions.iter().map(|decision| &decision.record).eq(&request.records);
    require(same, Code::RequestIdReused)?;
    Ok(AccessDecision {
        epoch: entry.epoch,
        decision: earlier.decision,
        at: entry.at,
        decisions: decided.decisions,
    })
}
