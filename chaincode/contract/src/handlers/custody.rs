//! What happens to a record besides new versions: withdrawal, custody, corrections.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    AcceptCustody, AnswerCorrection, GetCorrection, RecordChanged, RequestCorrection, TransferCustody,
    WithdrawRecord,
};
use caretrail_model::code::Code;
use caretrail_model::limits::RECORD_VERSIONS_MAX;
use caretrail_model::record::{Correction, CorrectionAnswer, Record};
use caretrail_model::statement::Operation;
use hlf_chaincode::Failure;

use super::Handle;
use super::records::{KeptSlots, change, of_custodian, require_not_patients_own, require_tags};
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::policy::writing::has_standing;
use crate::statements::StatementSlots;
use crate::{keys, statements};

impl Handle for WithdrawRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordChanged, Failure> {
        let mut reading = invocation.reading()?;
        let slots = KeptSlots::add(&mut reading, invocation, &self.record)?;
        let (policy, mut facts) = reading.fetch().await?;
        let (standing, record) = slots.take(&mut facts)?;
        let at = facts.effective();
        require(has_standing(standing.as_ref(), invocation.role, at), Code::NotAuthorized)?;
        let record = of_custodian(record, invocation)?;
        require(record.patient == self.patient, Code::RecordUnknown)?;
        require_not_patients_own(&record)?;
        require(!record.withdrawn, Code::RecordWithdrawn)?;

        let changed = Record { withdrawn: true, offered_to: None, ..record.clone() };
        let sequence = change(invocation, &policy, &self.record, Some(&record), changed, at)?;
        invocation.audit(&policy, &self.patient, at, Act::RecordWithdrawn { record: self.record })?;
        Ok(RecordChanged { record: self.record, sequence })
    }
}

impl Handle for TransferCustody {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordChanged, Failure> {
        let mut reading = invocation.reading()?;
        let record = reading.add(keys::record(&self.record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let record = facts.take(record)?;
        let at = facts.effective();
        let record = of_custodian(record, invocation)?;
        require(record.patient == self.patient, Code::RecordUnknown)?;
        require_not_patients_own(&record)?;
        require(!record.withdrawn, Code::RecordWithdrawn)?;
        let another = self.to.as_ref().is_none_or(|to| policy.is_member(to) && to != invocation.msp_id());
        require(another, Code::ArgumentOutOfBounds)?;

        let changed = Record { offered_to: self.to.clone(), ..record.clone() };
        let sequence = change(invocation, &policy, &self.record, Some(&record), changed, at)?;
        let act = Act::CustodyOffered { record: self.record, to: self.to };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(RecordChanged { record: self.record, sequence })
    }
}

impl Handle for AcceptCustody {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordChanged, Failure> {
        let mut reading = invocation.reading()?;
        let record = reading.add(keys::record(&self.record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let record = facts.take(record)?;
        let at = facts.effective();
        let record = record
            .filter(|record| {
                record.patient == self.patient && record.offered_to.as_ref() == Some(invocation.msp_id())
            })
            .ok_or_else(|| refuse(Code::CustodyNotOffered))?;
        require_tags(self.tags.as_ref(), invocation)?;

        let changed = Record {
            custodian: invocation.msp_id().clone(),
            tags: self.tags,
            offered_to: None,
            ..record.clone()
        };
        let sequence = change(invocation, &policy, &self.record, Some(&record), changed, at)?;
        let act = Act::CustodyAccepted { record: self.record, from: record.custodian };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(RecordChanged { record: self.record, sequence })
    }
}

impl Handle for RequestCorrection {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Correction, Failure> {
        require((1..=RECORD_VERSIONS_MAX).contains(&self.number), Code::ArgumentOutOfBounds)?;
        let statement = statements::parse(&self.signed)?;
        let Operation::RequestCorrection(asked) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let record = reading.add(keys::record(&asked.record)?);
        let this = reading.add(keys::correction(&asked.record, self.number)?);
        let previous = match self.number {
            1 => None,
            number => Some(reading.add(keys::correction(&asked.record, number - 1)?)),
        };
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let record = facts.take(record)?;
        let exists = facts.take(this)?.is_some();
        let follows = previous.map(|previous| facts.take(previous)).transpose()?.is_none_or(|p| p.is_some());
        let at = facts.effective();
        known.accept(&self.signed, &statement.key, &policy, at)?;
        let record = record
            .filter(|record| record.patient == statement.patient)
            .ok_or_else(|| refuse(Code::RecordUnknown))?;
        require((1..=record.version).contains(&asked.version), Code::VersionConflict)?;
        require(follows && !exists, Code::CorrectionNumber)?;

        let correction = Correction {
            patient: statement.patient,
            version: asked.version,
            request_digest: asked.request_digest,
            answer: None,
            at,
        };
        invocation.put(keys::correction(&asked.record, self.number)?, &correction)?;
        let act = Act::CorrectionRequested { record: asked.record, number: self.number };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(correction)
    }
}

impl Handle for AnswerCorrection {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Correction, Failure> {
        require(self.number <= RECORD_VERSIONS_MAX, Code::ArgumentOutOfBounds)?;
        let mut reading = invocation.reading()?;
        let slots = KeptSlots::add(&mut reading, invocation, &self.record)?;
        let correction = reading.add(keys::correction(&self.record, self.number)?);
        let (policy, mut facts) = reading.fetch().await?;
        let (standing, record) = slots.take(&mut facts)?;
        let correction = facts.take(correction)?;
        let at = facts.effective();
        require(has_standing(standing.as_ref(), invocation.role, at), Code::NotAuthorized)?;
        let record = of_custodian(record, invocation)?;
        require(record.patient == self.patient, Code::RecordUnknown)?;
        let correction = correction.ok_or_else(|| refuse(Code::CorrectionUnknown))?;
        require(correction.answer.is_none(), Code::CorrectionAnswered)?;

        let answer = CorrectionAnswer {
            accepted: self.accepted,
            reason_digest: self.reason_digest,
            by: invocation.actor.clone(),
        };
        let correction = Correction { answer: Some(answer), at, ..correction };
        invocation.put(keys::correction(&self.record, self.number)?, &correction)?;
        let act =
            Act::CorrectionAnswered { record: self.record, number: self.number, accepted: self.accepted };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(correction)
    }
}

impl Handle for GetCorrection {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Correction, Failure> {
        require(self.number <= RECORD_VERSIONS_MAX, Code::ArgumentOutOfBounds)?;
        let mut reading = invocation.reading()?;
        let record = reading.add(keys::record(&self.record)?);
        let correction = reading.add(keys::correction(&self.record, self.number)?);
        let (_, mut facts) = reading.fetch().await?;
        of_custodian(facts.take(record)?, invocation)?;
        facts.take(correction)?.ok_or_else(|| refuse(Code::CorrectionUnknown))
    }
}
