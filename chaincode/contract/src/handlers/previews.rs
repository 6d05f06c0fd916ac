//! What a draft would change, and what a request would be answered: evaluated only, nothing is decided.

use caretrail_model::calls::{AccessPreview, ConsentPreview, PreviewAccess, PreviewConsent, PreviewedChange};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, LiveConsent};
use caretrail_model::ids::StatementId;
use caretrail_model::limits::RECORDS_PER_REQUEST_MAX;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use hlf_chaincode::Failure;

use super::Handle;
use super::access::{Asked, take_all};
use crate::facts::AccessSlots;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::{keys, live};

/// Actors, and records, that one preview of a draft decides for.
const PREVIEWED_MAX: usize = 20;

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
            (1..=PREVIEWED_MAX).contains(&self.records.len())
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
        let at = facts.effective();
        let patient =
            known.first().map(|known| &known.patient).ok_or_else(|| refuse(Code::ArgumentOutOfBounds))?;
        require(&patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        live::check(&self.draft.provision, &policy, at)?;

        let mut changes = Vec::new();
        for (actor, before) in self.actors.iter().zip(known) {
            let mut after = before.clone();
            if let Some(superseded) = &self.draft.supersedes {
                live::end(&mut after.consents, superseded, None)?;
            }
            // No statement has this id: a draft is nobody's yet.
            let id = StatementId::from_bytes([0; 16]);
            let draft = LiveConsent::signed(id, self.draft.provision.clone());
            live::add(&mut after.consents, draft, &policy, at)?;
            for purpose in Purpose::ALL {
                let asked = Asked {
                    actor,
                    role: before.standing.as_ref().map_or(Role::Clinician, |standing| standing.role),
                    patient: &self.patient,
                    action: Action::Read,
                    purpose,
                };
                let decided = asked.decide_all(&self.records, &records, &before, &policy, at);
                let drafted = asked.decide_all(&self.records, &records, &after, &policy, at);
                changes.extend(decided.iter().zip(&drafted).filter(|(a, b)| a.rule != b.rule).map(
                    |(before, after)| PreviewedChange {
                        record: before.record,
                        actor: actor.clone(),
                        purpose,
                        before: before.rule,
                        after: after.rule,
                    },
                ));
            }
        }
        Ok(ConsentPreview { at, changes })
    }
}
