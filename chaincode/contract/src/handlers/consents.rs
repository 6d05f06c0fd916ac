//! Consents, granted and ended by the patient's signed statement, whoever carries it.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    CarriedStatement, ConsentEnded, ConsentGranted, ConsentList, EndConsent, GetStatement, GrantConsent,
    ListConsents,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{LiveConsent, LiveConsents};
use caretrail_model::ids::StatementId;
use caretrail_model::limits::{CONSENTS_BYTES_MAX, PROVISIONS_MAX};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::role::Role;
use caretrail_model::statement::{Operation, SignedStatement, Statement};
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::stored::encode;
use crate::{keys, statements};

impl Handle for GrantConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentGranted, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::GrantConsent(grant) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let (policy, mut live, at) = read_carried(&self.signed, &statement, invocation).await?;
        grant
            .provision
            .validate(policy.durations.consent_ms_max)
            .map_err(|error| refuse(Code::ConsentInvalid).caused_by(error))?;
        require(
            at < grant.provision.period.until && policy.is_member(grant.provision.grantee.msp_id()),
            Code::ConsentInvalid,
        )?;
        if let Some(superseded) = &grant.supersedes {
            remove(&mut live, superseded)?;
        }
        // What has ended by itself makes room.
        live.consents.retain(|consent| at < consent.provision.period.until);
        live.consents.push(LiveConsent { id: statement.id, provision: grant.provision.clone() });
        require(live.consents.len() <= PROVISIONS_MAX, Code::ConsentsFull)?;

        let act = Act::ConsentGranted { consent: statement.id, supersedes: grant.supersedes };
        change(invocation, &policy, &statement, self.signed, live, at, act)?;
        Ok(ConsentGranted { consent: statement.id })
    }
}

impl Handle for EndConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentEnded, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::EndConsent(ending) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let (policy, mut live, at) = read_carried(&self.signed, &statement, invocation).await?;
        remove(&mut live, &ending.consent)?;

        let act = Act::ConsentEnded { consent: ending.consent, statement: statement.id };
        change(invocation, &policy, &statement, self.signed, live, at, act)?;
        Ok(ConsentEnded { consent: ending.consent })
    }
}

impl Handle for ListConsents {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentList, Failure> {
        invocation.for_roles(&[Role::Service, Role::Admin, Role::Auditor])?;
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let live = reading.add(keys::consents(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        require(&patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        let live = facts.take(live)?.unwrap_or(LiveConsents::NONE);
        Ok(ConsentList { sequence: live.sequence, consents: live.consents })
    }
}

impl Handle for GetStatement {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<CarriedStatement, Failure> {
        invocation.for_roles(&[Role::Service, Role::Auditor])?;
        let mut reading = invocation.reading()?;
        let carried = reading.add(keys::statement(&self.patient, &self.statement)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(carried)?.ok_or_else(|| refuse(Code::StatementUnknown))
    }
}

/// Reads what a statement about consents rests on, and accepts it.
async fn read_carried(
    signed: &SignedStatement,
    statement: &Statement,
    invocation: &Invocation<'_>,
) -> Result<(ConsortiumPolicy, LiveConsents, UnixMs), Failure> {
    let mut reading = invocation.reading()?;
    let patient = reading.add(keys::patient(&statement.patient)?);
    let live = reading.add(keys::consents(&statement.patient)?);
    let carried = reading.add(keys::statement(&statement.patient, &statement.id)?);
    let (policy, mut facts) = reading.fetch().await?;
    let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
    let live = facts.take(live)?.unwrap_or(LiveConsents::NONE);
    let carried_before = facts.take(carried)?.is_some();
    let at = facts.effective();
    statements::accept(signed, &patient.public_key, &policy, carried_before, at)?;
    Ok((policy, live, at))
}

fn remove(live: &mut LiveConsents, consent: &StatementId) -> Result<(), Failure> {
    let before = live.consents.len();
    live.consents.retain(|live| &live.id != consent);
    require(live.consents.len() < before, Code::ConsentUnknown)
}

fn change(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    statement: &Statement,
    signed: SignedStatement,
    live: LiveConsents,
    at: UnixMs,
    act: Act,
) -> Result<(), Failure> {
    let live = LiveConsents { sequence: live.sequence + 1, at, ..live };
    require(encode(&live)?.len() <= CONSENTS_BYTES_MAX, Code::ConsentsFull)?;
    invocation.put(keys::consents(&statement.patient)?, &live)?;
    invocation.put(keys::consents_of_sequence(&statement.patient, live.sequence)?, &live)?;
    invocation.put(
        keys::statement(&statement.patient, &statement.id)?,
        &statements::carried(signed, invocation, at),
    )?;
    invocation.audit(policy, &statement.patient, at, act)
}
