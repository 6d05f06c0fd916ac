//! Consents, granted and ended by signed statement, whoever carries it; and permits that are passed on.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    CarriedStatement, ConsentEnded, ConsentGranted, ConsentList, DelegateConsent, EndConsent, EndDelegation,
    GetStatement, GrantConsent, ListConsents, StopAll,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{
    Action, Delegated, Effect, Grantee, LiveConsent, LiveConsents, Provision, Scope,
};
use caretrail_model::ids::{Actor, StatementId};
use caretrail_model::patient::StopSwitch;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::Operation;
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::policy::writing::has_standing;
use crate::statements::StatementSlots;
use crate::{keys, live, statements};

impl Handle for GrantConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentGranted, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::GrantConsent(grant) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let consents = reading.add(keys::consents(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let mut consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        let at = facts.effective();
        let author = known.accept(&self.signed, &statement.key, &policy, at)?;
        live::grant(&mut consents, statement.id, grant, author.guardian(), &policy, at)?;

        live::keep(invocation, &statement.patient, consents, at)?;
        let act = Act::ConsentGranted { consent: statement.id, supersedes: grant.supersedes };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(ConsentGranted { consent: statement.id })
    }
}

impl Handle for EndConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentEnded, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::EndConsent(ending) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let consents = reading.add(keys::consents(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let mut consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        let at = facts.effective();
        let author = known.accept(&self.signed, &statement.key, &policy, at)?;
        let guardian = author.guardian();
        live::end(&mut consents, &ending.consent, guardian.as_ref().map(|by| &by.key))?;

        live::keep(invocation, &statement.patient, consents, at)?;
        let act = Act::ConsentEnded { consent: ending.consent, statement: statement.id };
        let consent = ending.consent;
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(ConsentEnded { consent })
    }
}

impl Handle for StopAll {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<StopSwitch, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::StopAll(asked) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let stopped = asked.stopped;
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let stop = reading.add(keys::stop(&statement.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let stop = facts.take(stop)?;
        let at = facts.effective();
        let author = known.accept(&self.signed, &statement.key, &policy, at)?;
        // A guardian stops, and lifts no stop but an own one: not by stopping once more what stands already.
        let own = stop.as_ref().is_none_or(|stop| stop.by == Some(statement.key));
        require(author.is_patient() || stopped || own, Code::NotTheAuthor)?;
        let over_anothers = !own && stop.as_ref().is_some_and(|stop| stop.stopped);
        let alone = author.is_patient() || !over_anothers;

        let stop = StopSwitch {
            sequence: stop.map_or(0, |stop| stop.sequence) + 1,
            stopped,
            by: alone.then_some(statement.key),
            at,
        };
        keep_stop(invocation, &statement.patient, &stop)?;
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, Act::StopSwitched { stopped })?;
        Ok(stop)
    }
}

/// Writes a stop switch, and the copy of its sequence number that decisions can be replayed from.
pub(super) fn keep_stop(
    invocation: &Invocation<'_>,
    patient: &caretrail_model::ids::PatientId,
    stop: &StopSwitch,
) -> Result<(), Failure> {
    invocation.put(keys::stop(patient)?, stop)?;
    invocation.put(keys::stop_of_sequence(patient, stop.sequence)?, stop)
}

impl Handle for ListConsents {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentList, Failure> {
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
        let mut reading = invocation.reading()?;
        let carried = reading.add(keys::statement(&self.patient, &self.statement)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(carried)?.ok_or_else(|| refuse(Code::StatementUnknown))
    }
}

impl Handle for DelegateConsent {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentGranted, Failure> {
        let derived = StatementId::derive_for(&invocation.actor, &self.patient, &self.nonce);
        require(self.id == derived, Code::GrantIdForeign)?;
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&invocation.actor)?);
        let patient = reading.add(keys::patient(&self.patient)?);
        let consents = reading.add(keys::consents(&self.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let standing = facts.take(standing)?;
        facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        let mut consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        let at = facts.effective();
        let Invocation { actor, role, .. } = invocation;
        let allowed = |purpose: &Purpose| policy.allows(*role, Action::Delegate, *purpose);
        require(self.provision.purposes.iter().all(allowed), Code::RoleNotAllowed)?;
        require(has_standing(standing.as_ref(), *role, at), Code::NotAuthorized)?;
        live::check(&self.provision, &policy, at)?;
        require(consents.consents.iter().all(|live| live.id != self.id), Code::GrantIdUsed)?;

        // A grant that is not the caller's to pass on, or not any more, answers like one that is not there.
        let person = Grantee::Person { msp_id: actor.msp_id.clone(), subject: actor.subject };
        let parent = consents
            .consents
            .iter()
            .find(|live| live.id == self.parent)
            .filter(|live| {
                let provision = &live.provision;
                live.delegated.is_none()
                    && provision.effect == Effect::Permit
                    && provision.grantee == person
                    && provision.actions.contains(&Action::Delegate)
                    && provision.period.contains(at)
                    && !excepts_passing_on(provision, actor, *role, at)
            })
            .ok_or_else(|| refuse(Code::DelegationUnknown))?;
        let denied = consents.consents.iter().any(|live| {
            may_deny_passing_on(&live.provision, &self.provision, at)
                && live.provision.grantee.names(actor, *role)
                && !excepts_passing_on(&live.provision, actor, *role, at)
        });
        require(!denied, Code::DelegationUnknown)?;
        require(is_narrower(&self.provision, &parent.provision), Code::DelegationWider)?;

        let delegated = Delegated { parent: self.parent, by: actor.clone(), role: Some(*role) };
        let consent =
            LiveConsent { delegated: Some(delegated), ..LiveConsent::signed(self.id, self.provision) };
        live::add(&mut consents, consent, &policy, at)?;
        live::keep(invocation, &self.patient, consents, at)?;
        let act = Act::ConsentDelegated { consent: self.id, parent: self.parent };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(ConsentGranted { consent: self.id })
    }
}

impl Handle for EndDelegation {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsentEnded, Failure> {
        let mut reading = invocation.reading()?;
        let consents = reading.add(keys::consents(&self.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let mut consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        let at = facts.effective();
        let own = live::find(&consents, &self.consent)
            .is_ok_and(|live| live.delegated.as_ref().is_some_and(|from| from.by == invocation.actor));
        require(own, Code::ConsentUnknown)?;
        live::end(&mut consents, &self.consent, None)?;

        live::keep(invocation, &self.patient, consents, at)?;
        let act = Act::DelegationEnded { consent: self.consent };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(ConsentEnded { consent: self.consent })
    }
}

/// Whether a provision is a denial that may be about passing something of a grant on: for which records, the tags of
/// the records say, and the engine when it decides about one.
fn may_deny_passing_on(denial: &Provision, passed_on: &Provision, at: UnixMs) -> bool {
    let scope = match (&denial.scope, &passed_on.scope) {
        (Scope::Custodian { msp_id }, Scope::Custodian { msp_id: other }) => msp_id == other,
        (Scope::Records { records }, Scope::Records { records: others }) => {
            records.iter().any(|record| others.contains(record))
        }
        _ => true,
    };
    let of_purpose =
        |denied: &Purpose| passed_on.purposes.iter().any(|p| denied.covers(*p) || p.covers(*denied));
    denial.effect == Effect::Deny
        && denial.actions.contains(&Action::Delegate)
        && denial.period.contains(at)
        && denial.purposes.iter().any(of_purpose)
        && scope
}

/// Whether a provision is not about passing anything on by this actor, whatever for.
fn excepts_passing_on(provision: &Provision, actor: &Actor, role: Role, at: UnixMs) -> bool {
    provision.exceptions.iter().any(|exception| {
        exception.grantee.as_ref().is_none_or(|grantee| grantee.names(actor, role))
            && (exception.actions.is_empty() || exception.actions.contains(&Action::Delegate))
            && exception.purposes.is_empty()
            && exception.scope.is_none()
            && exception.period.as_ref().is_none_or(|period| period.contains(at))
    })
}

/// Whether a grant is a permit within another in every dimension but whom it names, and passes nothing on.
fn is_narrower(narrow: &Provision, wide: &Provision) -> bool {
    let scope = match (&narrow.scope, &wide.scope) {
        (_, Scope::All {}) => true,
        (Scope::Custodian { msp_id }, Scope::Custodian { msp_id: whole }) => msp_id == whole,
        (Scope::Records { records }, Scope::Records { records: whole }) => {
            records.iter().all(|record| whole.contains(record))
        }
        (Scope::Tags { sets }, Scope::Tags { sets: whole }) => sets.iter().all(|set| {
            whole.iter().any(|whole| {
                whole.custodian == set.custodian
                    && whole.epoch == set.epoch
                    && set.tags.iter().all(|tag| whole.tags.contains(tag))
            })
        }),
        _ => false,
    };
    narrow.effect == Effect::Permit
        && scope
        && !narrow.actions.contains(&Action::Delegate)
        && narrow.actions.iter().all(|action| wide.actions.contains(action))
        && narrow.purposes.iter().all(|asked| wide.purposes.iter().any(|held| held.covers(*asked)))
        && wide.period.from <= narrow.period.from
        && narrow.period.until <= wide.period.until
}
