//! Changing a patient's live consents: one document, a copy of it for each change.

use caretrail_model::code::Code;
use caretrail_model::consent::{Effect, LiveConsent, LiveConsents, Provision};
use caretrail_model::guardian::ByGuardian;
use caretrail_model::ids::{KeyId, PatientId, StatementId};
use caretrail_model::limits::{
    CONSENTS_BYTES_MAX, DELEGATED_PARTS, DELEGATED_PER_GRANT_MAX, GUARDIANS_PARTS, PROVISIONS_MAX,
};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::Grant;
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::keys;
use crate::stored::encode;

/// Checks a provision by itself, and against the policy.
pub(crate) fn check(provision: &Provision, policy: &ConsortiumPolicy, at: UnixMs) -> Result<(), Failure> {
    require(policy.epoch > 1 || provision.is_of_epoch_1(), Code::StatementMalformed)?;
    provision
        .validate(policy.durations.consent_ms_max)
        .map_err(|error| refuse(Code::ConsentInvalid).caused_by(error))?;
    require(at < provision.period.until && policy.is_member(provision.grantee.msp_id()), Code::ConsentInvalid)
}

/// Puts a grant in force for the patient, or for the guardian who is given, in place of what it supersedes.
pub(crate) fn grant(
    live: &mut LiveConsents,
    id: StatementId,
    grant: &Grant,
    guardian: Option<ByGuardian>,
    policy: &ConsortiumPolicy,
    at: UnixMs,
) -> Result<(), Failure> {
    check(&grant.provision, policy, at)?;
    if let Some(superseded) = &grant.supersedes {
        end(live, superseded, guardian.as_ref().map(|by| &by.key))?;
    }
    let consent = LiveConsent { guardian, ..LiveConsent::signed(id, grant.provision.clone()) };
    add(live, consent, policy, at)
}

/// Adds a consent, in place of what has ended by itself. What guardians sign and what was passed on each leave half
/// of the room to others, and the newest of what was passed on gives way to what is signed: a denial of the patient's
/// is never refused for want of a place that somebody else took. What a guardian signed gives way to nothing, because
/// a denial that vanished would open access without a word.
pub(crate) fn add(
    live: &mut LiveConsents,
    consent: LiveConsent,
    policy: &ConsortiumPolicy,
    at: UnixMs,
) -> Result<(), Failure> {
    live.consents.retain(|consent| at < consent.provision.period.until);
    let parent = consent.delegated.as_ref().map(|delegated| delegated.parent);
    let of_guardian = consent.guardian.is_some();
    live.consents.push(consent);
    end_orphans(live);
    let max = policy
        .terms
        .as_ref()
        .and_then(|terms| usize::try_from(terms.provisions_max).ok())
        .unwrap_or(PROVISIONS_MAX);
    if of_guardian {
        let by_guardians = only(live, |live| live.guardian.is_some());
        require(
            fits(&by_guardians, max / GUARDIANS_PARTS, CONSENTS_BYTES_MAX / GUARDIANS_PARTS, at)?,
            Code::ConsentsFull,
        )?;
    }
    if let Some(parent) = parent {
        let passed_on = only(live, |live| live.delegated.is_some());
        let of_parent = |live: &&LiveConsent| live.delegated.as_ref().is_some_and(|d| d.parent == parent);
        require(
            passed_on.consents.iter().filter(of_parent).count() <= DELEGATED_PER_GRANT_MAX
                && fits(&passed_on, max / DELEGATED_PARTS, CONSENTS_BYTES_MAX / DELEGATED_PARTS, at)?
                && fits(live, max, CONSENTS_BYTES_MAX, at)?,
            Code::ConsentsFull,
        )?;
    }
    while !fits(live, max, CONSENTS_BYTES_MAX, at)? {
        let newest = live.consents.iter().rposition(|consent| consent.delegated.is_some());
        live.consents.remove(newest.ok_or_else(|| refuse(Code::ConsentsFull))?);
    }
    Ok(())
}

/// Those of the consents that a share of the room is counted for.
fn only(live: &LiveConsents, counts: impl Fn(&LiveConsent) -> bool) -> LiveConsents {
    LiveConsents { consents: live.consents.iter().filter(|live| counts(live)).cloned().collect(), ..*live }
}

/// Whether so many provisions are within their limits, as they are kept when they have changed.
fn fits(live: &LiveConsents, max: usize, bytes_max: usize, at: UnixMs) -> Result<bool, Failure> {
    let next = LiveConsents { sequence: live.sequence + 1, at, consents: live.consents.clone() };
    Ok(live.consents.len() <= max && encode(&next)?.len() <= bytes_max)
}

/// The live consent of an id.
pub(crate) fn find<'l>(live: &'l LiveConsents, consent: &StatementId) -> Result<&'l LiveConsent, Failure> {
    live.consents.iter().find(|live| &live.id == consent).ok_or_else(|| refuse(Code::ConsentUnknown))
}

/// Ends a consent for the patient, or for the guardian whose key is given: a guardian ends any permit, and no
/// denial but an own one. What was passed on from it ends with it.
pub(crate) fn end(
    live: &mut LiveConsents,
    consent: &StatementId,
    guardian: Option<&KeyId>,
) -> Result<(), Failure> {
    let ending = find(live, consent)?;
    if let Some(key) = guardian {
        let own = ending.guardian.as_ref().is_some_and(|by| &by.key == key);
        require(own || ending.provision.effect == Effect::Permit, Code::NotTheAuthor)?;
    }
    live.consents.retain(|live| &live.id != consent);
    end_orphans(live);
    Ok(())
}

/// Writes the changed document, and the copy of its sequence number that decisions can be replayed from.
pub(crate) fn keep(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    live: LiveConsents,
    at: UnixMs,
) -> Result<(), Failure> {
    let live = LiveConsents { sequence: live.sequence + 1, at, ..live };
    require(encode(&live)?.len() <= CONSENTS_BYTES_MAX, Code::ConsentsFull)?;
    invocation.put(keys::consents(patient)?, &live)?;
    invocation.put(keys::consents_of_sequence(patient, live.sequence)?, &live)
}

fn end_orphans(live: &mut LiveConsents) {
    let ids: Vec<StatementId> = live.consents.iter().map(|consent| consent.id).collect();
    live.consents
        .retain(|consent| consent.delegated.as_ref().is_none_or(|delegated| ids.contains(&delegated.parent)));
}
