//! Patients and their keys: bound, rotated, recovered, by signed statements.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    BindKey, CancelRecovery, CompleteRecovery, ConfirmRecovery, GetPatient, GetRecovery, GetSigner,
    PatientRegistered, RecoverKey, RefuseEmergency, RegisterPatient, RotateKey,
};
use caretrail_model::code::Code;
use caretrail_model::ids::PatientId;
use caretrail_model::patient::{Patient, Recovery, RecoveryEnd, Signer};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{Operation, PublicKey};
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::{Invocation, terms};
use crate::statements::StatementSlots;
use crate::{keys, statements};

impl Handle for RegisterPatient {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<PatientRegistered, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::RegisterPatient(registration) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let derived = PatientId::derive(
            &registration.home,
            &registration.public_key.to_sec1_bytes(),
            &registration.patient_nonce,
        );
        require(statement.patient == derived, Code::PatientIdForeign)?;
        require(&registration.home == invocation.msp_id(), Code::HospitalNotAllowed)?;

        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&statement.patient)?);
        let carried = reading.add(keys::statement(&statement.patient, &statement.id)?);
        let (policy, mut facts) = reading.fetch().await?;
        require(facts.take(patient)?.is_none(), Code::PatientExists)?;
        let carried_before = facts.take(carried)?.is_some();
        let at = facts.effective();
        statements::accept(&self.signed, &registration.public_key, &policy, carried_before, at)?;

        let patient = Patient {
            sequence: 1,
            home: registration.home.clone(),
            key: Some(statement.key),
            public_key: Some(registration.public_key.clone()),
            refuses_emergency: false,
            at,
        };
        keep(invocation, &policy, &statement.patient, None, &patient)?;
        if policy.epoch > 1 {
            bind(invocation, &statement.patient, &registration.public_key, false, at)?;
        }
        let act = Act::PatientRegistered { statement: statement.id };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(PatientRegistered { patient: statement.patient })
    }
}

impl Handle for GetPatient {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))
    }
}

impl Handle for GetSigner {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Signer, Failure> {
        let mut reading = invocation.reading()?;
        let signer = reading.add(keys::signer(&self.patient, &self.key)?);
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        let bound = facts.take(signer)?;
        let patient = facts.take(patient)?;
        // The first key of a patient who was registered before keys were kept one by one.
        let first = patient.filter(|patient| patient.key == Some(self.key)).and_then(|patient| {
            Some(Signer { public_key: patient.public_key?, guardian: false, at: patient.at })
        });
        bound.or(first).ok_or_else(|| refuse(Code::KeyUnbound))
    }
}

impl Handle for RefuseEmergency {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::RefuseEmergency(choice) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let refused = choice.refused;
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let at = facts.effective();
        known.accept_own(&self.signed, &statement.key, &policy, at)?;

        let patient = Patient {
            sequence: known.patient.sequence + 1,
            refuses_emergency: refused,
            at,
            ..known.patient.clone()
        };
        keep(invocation, &policy, &statement.patient, Some(&known.patient), &patient)?;
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, Act::EmergencySwitched { refused })?;
        Ok(patient)
    }
}

impl Handle for BindKey {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::BindKey(new) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let signer = reading.add(keys::signer(&statement.patient, &new.public_key.id())?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let in_use = facts.take(signer)?.is_some();
        let at = facts.effective();
        require(&known.patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        require(known.patient.key.is_none(), Code::KeyBound)?;
        require(!in_use, Code::KeyInUse)?;
        known.accept_by(&self.signed, &new.public_key, &policy, at)?;

        let patient = with_key(&known.patient, &new.public_key, at);
        keep(invocation, &policy, &statement.patient, Some(&known.patient), &patient)?;
        bind(invocation, &statement.patient, &new.public_key, false, at)?;
        let act = Act::KeyBound { key: statement.key };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(patient)
    }
}

impl Handle for RotateKey {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::RotateKey(new) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let key = new.public_key.id();
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let signer = reading.add(keys::signer(&statement.patient, &key)?);
        let old = reading.add(keys::signer(&statement.patient, &statement.key)?);
        let recovery = reading.add(keys::recovery(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let in_use = facts.take(signer)?.is_some();
        let old = facts.take(old)?;
        let recovery = facts.take(recovery)?;
        let at = facts.effective();
        known.accept_own(&self.signed, &statement.key, &policy, at)?;
        require(!in_use && key != statement.key, Code::KeyInUse)?;

        let patient = with_key(&known.patient, &new.public_key, at);
        keep(invocation, &policy, &statement.patient, Some(&known.patient), &patient)?;
        bind_replaced(invocation, &statement.patient, &known.patient, old.as_ref())?;
        bind(invocation, &statement.patient, &new.public_key, false, at)?;
        // Whoever rotates holds the key: it is not lost.
        if let Some(open) = recovery.filter(|recovery| recovery.ended.is_none()) {
            let cancelled = Recovery { ended: Some(RecoveryEnd::Cancelled), at, ..open };
            invocation.put(keys::recovery(&statement.patient)?, &cancelled)?;
        }
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, Act::KeyRotated { key })?;
        Ok(patient)
    }
}

impl Handle for RecoverKey {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Recovery, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::RecoverKey(new) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let signer = reading.add(keys::signer(&statement.patient, &new.public_key.id())?);
        let recovery = reading.add(keys::recovery(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let in_use = facts.take(signer)?.is_some();
        let pending = facts.take(recovery)?.is_some_and(|recovery| recovery.ended.is_none());
        let at = facts.effective();
        require(&known.patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        require(known.patient.key.is_some(), Code::KeyUnbound)?;
        require(!pending, Code::RecoveryPending)?;
        require(!in_use, Code::KeyInUse)?;
        known.accept_by(&self.signed, &new.public_key, &policy, at)?;

        let recovery = Recovery {
            statement: statement.id,
            public_key: new.public_key.clone(),
            opened_by: invocation.actor.clone(),
            confirmed_by: None,
            due: None,
            ended: None,
            at,
        };
        invocation.put(keys::recovery(&statement.patient)?, &recovery)?;
        statements::keep(invocation, &statement, self.signed, at)?;
        let act = Act::RecoveryOpened { recovery: statement.id };
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(recovery)
    }
}

impl Handle for ConfirmRecovery {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Recovery, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let recovery = reading.add(keys::recovery(&self.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        let recovery = facts.take(recovery)?;
        let at = facts.effective();
        let recovery = recovery
            .filter(|recovery| {
                recovery.statement == self.recovery
                    && recovery.ended.is_none()
                    && recovery.confirmed_by.is_none()
            })
            .ok_or_else(|| refuse(Code::RecoveryUnknown))?;
        require(&patient.home != invocation.msp_id(), Code::SecondHospital)?;

        let recovery = Recovery {
            confirmed_by: Some(invocation.actor.clone()),
            due: Some(at.plus(terms(&policy)?.recovery_ms)),
            at,
            ..recovery
        };
        invocation.put(keys::recovery(&self.patient)?, &recovery)?;
        let act = Act::RecoveryConfirmed { recovery: self.recovery };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(recovery)
    }
}

impl Handle for CompleteRecovery {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let recovery = reading.add(keys::recovery(&self.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let before = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        let recovery = facts.take(recovery)?;
        let at = facts.effective();
        let recovery = recovery
            .filter(|recovery| recovery.statement == self.recovery && recovery.ended.is_none())
            .ok_or_else(|| refuse(Code::RecoveryUnknown))?;
        require(recovery.due.is_some_and(|due| due <= at), Code::RecoveryNotDue)?;

        // Which key is replaced follows from the first read.
        let replaced = before.key.as_ref().ok_or_else(|| refuse(Code::StateUnreadable))?;
        let mut reading = invocation.reading()?;
        let old = reading.add(keys::signer(&self.patient, replaced)?);
        let (_, mut facts) = reading.fetch().await?;
        let old = facts.take(old)?;
        let at = facts.effective().max(at);

        let patient = with_key(&before, &recovery.public_key, at);
        keep(invocation, &policy, &self.patient, Some(&before), &patient)?;
        bind_replaced(invocation, &self.patient, &before, old.as_ref())?;
        bind(invocation, &self.patient, &recovery.public_key, false, at)?;
        let key = recovery.public_key.id();
        let completed = Recovery { ended: Some(RecoveryEnd::Completed), at, ..recovery };
        invocation.put(keys::recovery(&self.patient)?, &completed)?;
        let act = Act::RecoveryCompleted { recovery: self.recovery, key };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(patient)
    }
}

impl Handle for CancelRecovery {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Recovery, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::CancelRecovery(cancellation) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let cancelled = cancellation.recovery;
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let recovery = reading.add(keys::recovery(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let recovery = facts.take(recovery)?;
        let at = facts.effective();
        known.accept_own(&self.signed, &statement.key, &policy, at)?;
        let recovery = recovery
            .filter(|recovery| recovery.statement == cancelled && recovery.ended.is_none())
            .ok_or_else(|| refuse(Code::RecoveryUnknown))?;

        let recovery = Recovery { ended: Some(RecoveryEnd::Cancelled), at, ..recovery };
        invocation.put(keys::recovery(&statement.patient)?, &recovery)?;
        statements::keep(invocation, &statement, self.signed, at)?;
        let act = Act::RecoveryCancelled { recovery: cancelled };
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(recovery)
    }
}

impl Handle for GetRecovery {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Recovery, Failure> {
        let mut reading = invocation.reading()?;
        let recovery = reading.add(keys::recovery(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(recovery)?.ok_or_else(|| refuse(Code::RecoveryUnknown))
    }
}

fn with_key(before: &Patient, public_key: &PublicKey, at: UnixMs) -> Patient {
    Patient {
        sequence: before.sequence + 1,
        key: Some(public_key.id()),
        public_key: Some(public_key.clone()),
        at,
        ..before.clone()
    }
}

/// Writes a patient, and the copies of its sequence numbers that decisions can be replayed from: the one before
/// too, which an older engine may have written without.
pub(super) fn keep(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    id: &PatientId,
    before: Option<&Patient>,
    patient: &Patient,
) -> Result<(), Failure> {
    invocation.put(keys::patient(id)?, patient)?;
    if policy.epoch > 1 {
        if let Some(before) = before {
            invocation.put(keys::patient_of_sequence(id, before.sequence)?, before)?;
        }
        invocation.put(keys::patient_of_sequence(id, patient.sequence)?, patient)?;
    }
    Ok(())
}

/// Keeps a key that speaks for a patient from now on.
pub(super) fn bind(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    public_key: &PublicKey,
    guardian: bool,
    at: UnixMs,
) -> Result<(), Failure> {
    let signer = Signer { public_key: public_key.clone(), guardian, at };
    invocation.put(keys::signer(patient, &public_key.id())?, &signer)
}

/// Keeps a key that is replaced, unless it was kept when it was bound: an older engine did not.
fn bind_replaced(
    invocation: &Invocation<'_>,
    id: &PatientId,
    before: &Patient,
    bound: Option<&Signer>,
) -> Result<(), Failure> {
    match (&before.public_key, bound) {
        (Some(public_key), None) => bind(invocation, id, public_key, false, before.at),
        _ => Ok(()),
    }
}
