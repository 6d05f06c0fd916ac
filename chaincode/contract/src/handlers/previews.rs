//! What a draft would change, and what a request would be answered: evaluated only, nothing is decided.

use caretrail_model::calls::{
    AccessPreview, ConsentPreview, PreviewAccess, PreviewConsent, PreviewedChange, PreviewedDecision,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, LiveConsents};
use caretrail_model::decision::Decision;
use caretrail_model::ids::StatementId;
use caretrail_model::limits::{PREVIEWED_MAX, RECORDS_PER_REQUEST_MAX};
use caretrail_model::policy::{ConsortiumPolicy, Durations};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::{DurationMs, UnixMs};
use hlf_chaincode::Failure;

use super::Handle;
use super::access::{Asked, take_all};
use crate::facts::{AccessFacts, AccessSlots};
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::{keys, live, statements};

/// Longer than any consent holds, which is a hundred years at most.
const UNBOUNDED: DurationMs = DurationMs::from_days(u16::MAX);

impl Handle for PreviewAccess {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<AccessPreview, Failure> {
        require(
            (1..=RECORDS_PER_REQUEST_MAX).contains(&self.records.len())
                && self.records.is_sorted_by(|a, b| a < b),
            Code::ArgumentOutOfBounds,
        )?;
        let mut reading = invocation.reading()?;
        let slots = AccessSlots::add(&mut reading, &self.actor, &self.patient)?;
        let mut records = Vec::with_capacity(self.records.len());
        for record in &self.records {
            records.push(reading.add(keys::record(record)?));
        }
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let records = take_all(records, &mut facts)?;
        let now = facts.effective();
        require(&known.patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        let at = self.at.map_or(now, |at| at.max(now));
        let asked = Asked {
            actor: &self.actor,
            role: known.standing.as_ref().map_or(Role::Clinician, |standing| standing.role),
            patient: &self.patient,
            action: self.action,
            purpose: self.purpose,
        };
        let decisions = asked.decide_all(&self.records, &records, &known, &policy, at);
        Ok(AccessPreview { epoch: policy.epoch, at, decisions })
    }
}

impl Handle for PreviewConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentPreview, Failure> {
        require(
            self.draft.is_some() != self.ends.is_some()
                && (1..=PREVIEWED_MAX).contains(&self.records.len())
                && self.records.is_sorted_by(|a, b| a < b)
                && (1..=PREVIEWED_MAX).contains(&self.actors.len()),
            Code::ArgumentOutOfBounds,
        )?;
        let mut reading = invocation.reading()?;
        let mut slots = Vec::with_capacity(self.actors.len());
        for actor in &self.actors {
            slots.push(AccessSlots::add(&mut reading, actor, &self.patient)?);
        }
        let mut records = Vec::with_capacity(self.records.len());
        for record in &self.records {
            records.push(reading.add(keys::record(record)?));
        }
        let (policy, mut facts) = reading.fetch().await?;
        let mut known = Vec::with_capacity(slots.len());
        for slots in slots {
            known.push(slots.take(&mut facts)?);
        }
        let records = take_all(records, &mut facts)?;
        let now = facts.effective();
        let first = known.first().ok_or_else(|| refuse(Code::ArgumentOutOfBounds))?;
        require(&first.patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        let consents = drafted(&self, first, &policy, now)?;
        let at = self.at.map_or(now, |at| at.max(now));

        let policy =
            ConsortiumPolicy { durations: Durations { permit_ms: UNBOUNDED, ..policy.durations }, ..policy };
        let mut changes = Vec::new();
        for (actor, known) in self.actors.iter().zip(known) {
            let before = lasting(known, at);
            let after = AccessFacts { consents: consents.clone(), ..before.clone() };
            for (action, purpose) in
                Action::ALL.into_iter().flat_map(|action| Purpose::ALL.map(|purpose| (action, purpose)))
            {
                let asked = Asked {
                    actor,
                    role: before.standing.as_ref().map_or(Role::Clinician, |standing| standing.role),
                    patient: &self.patient,
                    action,
                    purpose,
                };
                let decided = asked.decide_all(&self.records, &records, &before, &policy, at);
                let drafted = asked.decide_all(&self.records, &records, &after, &policy, at);
                changes.extend(decided.iter().zip(&drafted).filter(|(a, b)| shown(a) != shown(b)).map(
                    |(before, after)| PreviewedChange {
                        record: before.record,
                        actor: actor.clone(),
                        action,
                        purpose,
                        before: shown(before),
                        after: shown(after),
                    },
                ));
            }
        }
        Ok(ConsentPreview { at, changes })
    }
}

/// The live consents as they would be with the draft in force, put there for whoever would sign it.
fn drafted(
    asked: &PreviewConsent,
    known: &AccessFacts,
    policy: &ConsortiumPolicy,
    now: UnixMs,
) -> Result<LiveConsents, Failure> {
    let guardian = match &asked.signer {
        None => None,
        Some(key) => statements::author(&known.patient, &known.guardians, key, now)
            .ok_or_else(|| refuse(Code::GuardianUnknown))?
            .0
            .guardian(),
    };
    let mut consents = known.consents.clone();
    if let Some(draft) = &asked.draft {
        // No statement has this id: a draft is nobody's yet.
        let id = StatementId::from_bytes([0; 16]);
        live::grant(&mut consents, id, draft, guardian, policy, now)?;
    }
    if let Some(consent) = &asked.ends {
        live::end(&mut consents, consent, guardian.as_ref().map(|by| &by.key))?;
    }
    Ok(consents)
}

/// The facts, with no end to a standing and a relationship that hold at an instant: they are renewed, and the end
/// that a draft changes would hide behind theirs.
fn lasting(mut known: AccessFacts, at: UnixMs) -> AccessFacts {
    if let Some(standing) = known.standing.as_mut().filter(|standing| standing.holds_at(at)) {
        standing.until = at.plus(UNBOUNDED);
    }
    for relationship in [&mut known.relationship, &mut known.hospital_relationship] {
        if let Some(relationship) = relationship.as_mut().filter(|relationship| relationship.holds_at(at)) {
            relationship.until = at.plus(UNBOUNDED);
        }
    }
    known
}

fn shown(decision: &Decision) -> PreviewedDecision {
    PreviewedDecision { rule: decision.rule, valid_until: decision.valid_until }
}
