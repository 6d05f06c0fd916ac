//! Patients without a key: two hospitals open, one closes, and nothing is done on paper once a key is bound.

use caretrail_model::audit::Act;
use caretrail_model::calls::{ActOnPaper, ConfirmPaper, GetPaper, PatientRegistered, RegisterPaperPatient};
use caretrail_model::code::Code;
use caretrail_model::consent::{Effect, LiveConsent, LiveConsents};
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{PatientId, StatementId};
use caretrail_model::paper::{Paper, PaperAct};
use caretrail_model::patient::{Patient, Signer, StopSwitch};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use super::Handle;
use super::consents::keep_stop;
use super::guardians::{Appointment, appoint, dismiss};
use crate::failure::{refuse, require};
use crate::invocation::{Facts, Invocation, Reading, Slot, terms};
use crate::{keys, live};

impl Handle for RegisterPaperPatient {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<PatientRegistered, Failure> {
        let derived = PatientId::derive_on_paper(invocation.msp_id(), &self.nonce);
        require(self.patient == derived, Code::PatientIdForeign)?;
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        require(facts.take(patient)?.is_none(), Code::PatientExists)?;
        let at = facts.effective();

        let patient = Patient {
            sequence: 1,
            home: invocation.msp_id().clone(),
            key: None,
            public_key: None,
            refuses_emergency: false,
            at,
        };
        super::patients::keep(invocation, &policy, &self.patient, None, &patient)?;
        invocation.audit(&policy, &self.patient, at, Act::PaperPatientRegistered {})?;
        Ok(PatientRegistered { patient: self.patient })
    }
}

impl Handle for ActOnPaper {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Paper, Failure> {
        let derived = StatementId::derive_for(&invocation.actor, &self.patient, &self.nonce);
        require(self.id == derived, Code::GrantIdForeign)?;
        let mut reading = invocation.reading()?;
        let paper = reading.add(keys::paper(&self.patient, &self.id)?);
        let slots = Slots::add(&mut reading, &self.patient, &self.act)?;
        let (policy, mut facts) = reading.fetch().await?;
        require(facts.take(paper)?.is_none(), Code::GrantIdUsed)?;
        let known = slots.take(&mut facts)?;
        let at = facts.effective();
        require(&known.patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        known.check(&self.act, &policy, at)?;

        let done = !known.opens(&self.act)?;
        let seen = known.sequence(&self.act);
        let paper = Paper { act: self.act, by: invocation.actor.clone(), confirmed_by: None, done, seen, at };
        if done {
            known.put_in_force(invocation, &policy, &self.patient, &self.id, &paper.act, at)?;
        }
        invocation.put(keys::paper(&self.patient, &self.id)?, &paper)?;
        let act = if done { Act::PaperDone { id: self.id } } else { Act::PaperProposed { id: self.id } };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(paper)
    }
}

impl Handle for ConfirmPaper {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Paper, Failure> {
        let mut reading = invocation.reading()?;
        let paper = reading.add(keys::paper(&self.patient, &self.id)?);
        let (_, mut facts) = reading.fetch().await?;
        let paper =
            facts.take(paper)?.filter(|paper| !paper.done).ok_or_else(|| refuse(Code::PaperUnknown))?;
        let proposed = facts.effective();

        // What the act changes follows from the act.
        let mut reading = invocation.reading()?;
        let slots = Slots::add(&mut reading, &self.patient, &paper.act)?;
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let at = facts.effective().max(proposed);
        require(&known.patient.home != invocation.msp_id(), Code::SecondHospital)?;
        // It waits no longer than a signed statement may, and opens nothing that was closed since.
        let waits = at <= paper.at.plus(policy.durations.statement_ms_max);
        require(waits && paper.seen == known.sequence(&paper.act), Code::PaperLapsed)?;
        known.check(&paper.act, &policy, at)?;
        known.put_in_force(invocation, &policy, &self.patient, &self.id, &paper.act, at)?;
        let paper = Paper { confirmed_by: Some(invocation.actor.clone()), done: true, at, ..paper };
        invocation.put(keys::paper(&self.patient, &self.id)?, &paper)?;
        invocation.audit(&policy, &self.patient, at, Act::PaperDone { id: self.id })?;
        Ok(paper)
    }
}

impl Handle for GetPaper {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Paper, Failure> {
        let mut reading = invocation.reading()?;
        let paper = reading.add(keys::paper(&self.patient, &self.id)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(paper)?.ok_or_else(|| refuse(Code::PaperUnknown))
    }
}

/// Where what an act changes will be.
#[derive(Debug)]
struct Slots {
    patient: Slot<Patient>,
    consents: Slot<LiveConsents>,
    guardians: Slot<Guardians>,
    stop: Slot<StopSwitch>,
    signer: Option<Slot<Signer>>,
}

/// What an act changes.
#[derive(Debug)]
struct Known {
    patient: Patient,
    consents: LiveConsents,
    guardians: Guardians,
    stop: Option<StopSwitch>,
    signer: Option<Signer>,
}

impl Slots {
    fn add(reading: &mut Reading<'_>, patient: &PatientId, act: &PaperAct) -> Result<Self, Failure> {
        let signer = match act {
            PaperAct::AddGuardian { term } => {
                Some(reading.add(keys::signer(patient, &term.public_key.id())?))
            }
            _ => None,
        };
        Ok(Self {
            patient: reading.add(keys::patient(patient)?),
            consents: reading.add(keys::consents(patient)?),
            guardians: reading.add(keys::guardians(patient)?),
            stop: reading.add(keys::stop(patient)?),
            signer,
        })
    }

    fn take(self, facts: &mut Facts) -> Result<Known, Failure> {
        Ok(Known {
            patient: facts.take(self.patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?,
            consents: facts.take(self.consents)?.unwrap_or(LiveConsents::NONE),
            guardians: facts.take(self.guardians)?.unwrap_or(Guardians::NONE),
            stop: facts.take(self.stop)?,
            signer: self.signer.map(|signer| facts.take(signer)).transpose()?.flatten(),
        })
    }
}

impl Known {
    fn check(&self, act: &PaperAct, policy: &ConsortiumPolicy, at: UnixMs) -> Result<(), Failure> {
        require(self.patient.key.is_none(), Code::KeyBound)?;
        let PaperAct::Grant { provision } = act else { return Ok(()) };
        live::check(provision, policy, at)?;
        let short = provision.period.until <= at.plus(terms(policy)?.paper_ms_max);
        require(short || provision.effect == Effect::Deny, Code::ConsentInvalid)
    }

    /// Whether the act opens access, so that a second hospital has to confirm it.
    fn opens(&self, act: &PaperAct) -> Result<bool, Failure> {
        match act {
            PaperAct::End { consent } => {
                Ok(live::find(&self.consents, consent)?.provision.effect == Effect::Deny)
            }
            act => Ok(act.opens()),
        }
    }

    /// Sequence number of what the act changes as a whole. What it grants or ends is named by its id alone.
    fn sequence(&self, act: &PaperAct) -> u64 {
        match act {
            PaperAct::Grant { .. } | PaperAct::End { .. } => 0,
            PaperAct::StopAll { .. } => self.stop.as_ref().map_or(0, |stop| stop.sequence),
            PaperAct::AddGuardian { .. } | PaperAct::EndGuardian { .. } => self.guardians.sequence,
        }
    }

    fn put_in_force(
        self,
        invocation: &Invocation<'_>,
        policy: &ConsortiumPolicy,
        patient: &PatientId,
        id: &StatementId,
        act: &PaperAct,
        at: UnixMs,
    ) -> Result<(), Failure> {
        let mut consents = self.consents;
        match act {
            PaperAct::Grant { provision } => {
                let consent = LiveConsent { paper: true, ..LiveConsent::signed(*id, provision.clone()) };
                live::add(&mut consents, consent, policy, at)?;
                live::keep(invocation, patient, consents, at)
            }
            PaperAct::End { consent } => {
                live::end(&mut consents, consent, None)?;
                live::keep(invocation, patient, consents, at)
            }
            PaperAct::StopAll { stopped } => {
                let sequence = self.stop.map_or(0, |stop| stop.sequence) + 1;
                keep_stop(invocation, patient, &StopSwitch { sequence, stopped: *stopped, by: None, at })
            }
            PaperAct::AddGuardian { term } => {
                let appointment = Appointment { term, id: *id, signer: self.signer.as_ref() };
                appoint(invocation, policy, patient, self.guardians, &appointment, at).map(drop)
            }
            PaperAct::EndGuardian { guardian } => {
                dismiss(invocation, patient, self.guardians, guardian, at).map(drop)
            }
        }
    }
}
