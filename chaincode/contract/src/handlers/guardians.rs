//! Who decides for a patient who cannot: terms that are renewed, and end.

use caretrail_model::audit::Act;
use caretrail_model::calls::{AddGuardian, EndGuardian, ListGuardians};
use caretrail_model::code::Code;
use caretrail_model::guardian::{Guardian, Guardians};
use caretrail_model::ids::{KeyId, PatientId, StatementId};
use caretrail_model::limits::GUARDIANS_MAX;
use caretrail_model::patient::Signer;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{GuardianTerm, Operation};
use caretrail_model::time::{Period, UnixMs};
use hlf_chaincode::Failure;

use super::Handle;
use super::patients::bind;
use crate::failure::{refuse, require};
use crate::invocation::{Invocation, terms};
use crate::statements::StatementSlots;
use crate::{keys, statements};

impl Handle for AddGuardian {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Guardians, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::AddGuardian(term) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let signer = reading.add(keys::signer(&statement.patient, &term.public_key.id())?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let signer = facts.take(signer)?;
        let at = facts.effective();
        known.accept_own(&self.signed, &statement.key, &policy, at)?;
        // A patient's key that an older engine bound is not kept yet.
        require(term.public_key.id() != statement.key, Code::KeyInUse)?;
        let appointment = Appointment { term, id: statement.id, signer: signer.as_ref() };
        let guardians = appoint(invocation, &policy, &statement.patient, known.guardians, &appointment, at)?;
        let act = Act::GuardianAdded { guardian: term.public_key.id() };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(guardians)
    }
}

impl Handle for EndGuardian {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Guardians, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::EndGuardian(ending) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let guardian = ending.guardian;
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let at = facts.effective();
        let author = known.accept(&self.signed, &statement.key, &policy, at)?;
        require(author.is_patient() || statement.key == guardian, Code::StatementSignature)?;
        let guardians = dismiss(invocation, &statement.patient, known.guardians, &guardian, at)?;
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, Act::GuardianEnded { guardian })?;
        Ok(guardians)
    }
}

impl Handle for ListGuardians {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Guardians, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let guardians = reading.add(keys::guardians(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        Ok(facts.take(guardians)?.unwrap_or(Guardians::NONE))
    }
}

/// A term to put in force.
#[derive(Debug)]
pub(super) struct Appointment<'a> {
    pub(super) term: &'a GuardianTerm,
    /// What names the appointment.
    pub(super) id: StatementId,
    /// What is kept of the guardian's key already.
    pub(super) signer: Option<&'a Signer>,
}

/// Appoints a guardian, or renews the term.
pub(super) fn appoint(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    patient: &PatientId,
    mut guardians: Guardians,
    appointment: &Appointment<'_>,
    at: UnixMs,
) -> Result<Guardians, Failure> {
    let Appointment { term, id, signer } = *appointment;
    let key = term.public_key.id();
    require(
        term.is_well_formed()
            && at < term.term.until
            && term.term.from.distance(term.term.until) <= terms(policy)?.guardian_ms_max,
        Code::GuardianTermInvalid,
    )?;
    require(signer.is_none_or(|signer| signer.guardian), Code::KeyInUse)?;

    // A term that is renewed ahead of time goes on: it began when it did.
    let (appointment, from) = guardians
        .in_term(&key, at)
        .filter(|guardian| term.term.from <= guardian.term.until)
        .map_or((id, term.term.from), |guardian| {
            (guardian.appointment, guardian.term.from.min(term.term.from))
        });
    guardians.guardians.retain(|guardian| guardian.key != key && at < guardian.term.until);
    guardians.guardians.push(Guardian {
        key,
        public_key: term.public_key.clone(),
        term: Period { from, until: term.term.until },
        protected: term.protected.clone(),
        appointment,
    });
    guardians.guardians.sort_by_key(|guardian| guardian.key);
    require(guardians.guardians.len() <= GUARDIANS_MAX, Code::GuardiansFull)?;
    if signer.is_none() {
        bind(invocation, patient, &term.public_key, true, at)?;
    }
    keep(invocation, patient, guardians, at)
}

/// Ends a guardian's term: the guardian's permits end with it, denials stay.
pub(super) fn dismiss(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    mut guardians: Guardians,
    key: &KeyId,
    at: UnixMs,
) -> Result<Guardians, Failure> {
    let before = guardians.guardians.len();
    guardians.guardians.retain(|guardian| &guardian.key != key);
    require(guardians.guardians.len() < before, Code::GuardianUnknown)?;
    keep(invocation, patient, guardians, at)
}

fn keep(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    guardians: Guardians,
    at: UnixMs,
) -> Result<Guardians, Failure> {
    let guardians = Guardians { sequence: guardians.sequence + 1, at, ..guardians };
    invocation.put(keys::guardians(patient)?, &guardians)?;
    invocation.put(keys::guardians_of_sequence(patient, guardians.sequence)?, &guardians)?;
    Ok(guardians)
}
