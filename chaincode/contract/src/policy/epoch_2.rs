//! The second semantic engine.
//!
//! The first row that applies decides.
//!
//! | # | applies when | rule | effect |
//! |---|---|---|---|
//! | 1 | the actor's hospital is no member of the consortium | `not_a_member` | deny |
//! | 2 | the consortium's policy lets no actor of this role ask for this action and purpose | `role_not_allowed` | deny |
//! | 3 | the actor has no standing in this role, or it ended or is suspended | `no_standing` | deny |
//! | 4 | no purpose of the standing covers the one asked | `purpose_not_held` | deny |
//! | 5 | the purpose is not `BTG`, the policy's rule wants a care relationship, and none is open | `no_relationship` | deny |
//! | 6 | the purpose is `BTG` and the patient refuses emergency access | `emergency_refused` | deny |
//! | 7 | the record is not there, or is another patient's | `nothing_permits` | deny |
//! | 8 | the record was withdrawn | `record_withdrawn` | deny |
//! | 9 | the purpose is `BTG`, the action is to read, and the glass that the actor broke is open | `break_glass` | permit |
//! | 10 | the patient stopped everything | `stopped` | deny |
//! | 11 | a live denying provision matches | `consent_denies` | deny |
//! | 12 | a live permitting provision matches and counts | `consent_permits` | permit |
//! | 13 | always | `nothing_permits` | deny |
//!
//! A **care relationship** is open when the actor's own one holds, or, for a clinician, the one of the hospital.
//!
//! A provision **matches** when it names the actor, the action, a purpose that covers the one asked and the record,
//! its period holds the instant, and none of its exceptions does the same: what an exception leaves open is as wide
//! as the provision. A scope of tags names a record that carries one of them. With a record whose tags cannot be
//! compared, it names the record where that keeps access closed, and does not where that would open it: in a denial
//! and in an exception of a permit it does, in a permit and in an exception of a denial it does not.
//!
//! A permitting provision that matches **counts** unless
//!
//! - it was put in force on paper, and the patient has a key;
//! - a guardian signed it whose term does not hold the instant or was interrupted since, or from whom the record is protected: it carries one
//!   of the guardian's protected tags, or cannot be compared with them;
//! - it was passed on, and the grant that it came from is not live, was passed on itself, or does not match and count
//!   for the same request, whomever it names;
//! - it was passed on, and for the same request made to delegate, by whoever passed it on and in the role in which
//!   they did, the grant that it came from does not match, or a live denying provision does. A role that was not kept
//!   may have been any: it does not count if this is so of one.
//!
//! A denial of a guardian stays when the term is over, and guardians who disagree deny, because a denial beats a permit.
//!
//! Of several denying provisions that match, the first granted decides; of several permitting ones that count, the one
//! that ends last, and of equal ones the first granted. A permitting provision **ends** with its period, its
//! guardian's term, and the grant that it came from.
//!
//! A permit is flagged as one on paper when it, or the grant that it came from, was put in force on paper.
//!
//! A permit can be used until the first of: the policy's time for permits, the end of the standing, and the end of
//! the provision or of the broken glass; under a rule that wants a care relationship for this purpose, also the end
//! of the open one that ends last.

use caretrail_model::care::Relationship;
use caretrail_model::consent::{Action, Delegated, Effect, Exception, LiveConsent, Provision, Scope};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::ids::RecordId;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::tag::Tagged;
use caretrail_model::time::UnixMs;

use super::{LedgerFacts, Request};

/// Decides, by the table of this module.
pub fn decide(request: &Request<'_>, facts: &LedgerFacts<'_>, effective: UnixMs) -> Decision {
    let deny = |rule| Decision::deny(*request.record, rule);
    let emergency = request.purpose == Purpose::Btg;

    if !facts.policy.is_member(&request.actor.msp_id) {
        return deny(Rule::NotAMember);
    }
    let Some(rule) = facts.policy.rule(request.role, request.action, request.purpose) else {
        return deny(Rule::RoleNotAllowed);
    };
    let Some(standing) =
        facts.standing.filter(|standing| standing.role == request.role && standing.holds_at(effective))
    else {
        return deny(Rule::NoStanding);
    };
    if !standing.purposes.iter().any(|held| held.covers(request.purpose)) {
        return deny(Rule::PurposeNotHeld);
    }
    let mut ends = effective.plus(facts.policy.durations.permit_ms).min(standing.until);
    if rule.needs_relationship && !emergency {
        let Some(relationship) = open_relationship(request, facts, effective) else {
            return deny(Rule::NoRelationship);
        };
        ends = ends.min(relationship.until);
    }
    if emergency && facts.patient.refuses_emergency {
        return deny(Rule::EmergencyRefused);
    }

    let Some(record) = facts.record.filter(|record| &record.patient == request.patient) else {
        return deny(Rule::NothingPermits);
    };
    if record.withdrawn {
        return deny(Rule::RecordWithdrawn);
    }
    let permit = |rule, ends| Decision {
        effect: Effect::Permit,
        version: Some(record.version),
        custodian: (record.custodian != facts.patient.home).then(|| record.custodian.clone()),
        valid_until: Some(ends),
        ..deny(rule)
    };
    if emergency
        && request.action == Action::Read
        && let Some(broken) = facts.break_glass.filter(|broken| broken.holds_at(effective))
    {
        return permit(Rule::BreakGlass, ends.min(broken.until));
    }
    if facts.stop.is_some_and(|stop| stop.stopped) {
        return deny(Rule::Stopped);
    }

    let denials = denials_about(record, request.record, facts);
    let case = Case { request, facts, record, denials: &denials, effective };
    if let Some(denying) = case.denial() {
        return Decision { consent: Some(denying.id), ..deny(Rule::ConsentDenies) };
    }
    match case.longest_permit() {
        Some((consent, until)) => Decision {
            consent: Some(consent.id),
            parent: consent.delegated.as_ref().map(|delegated| delegated.parent),
            paper: consent.paper || case.parent(consent).is_some_and(|parent| parent.paper),
            ..permit(Rule::ConsentPermits, ends.min(until))
        },
        None => deny(Rule::NothingPermits),
    }
}

/// The open care relationship that ends last.
pub(super) fn open_relationship<'a>(
    request: &Request<'_>,
    facts: &LedgerFacts<'a>,
    effective: UnixMs,
) -> Option<&'a Relationship> {
    let hospitals = facts.hospital_relationship.filter(|_| request.role == Role::Clinician);
    [facts.relationship, hospitals]
        .into_iter()
        .flatten()
        .filter(|relationship| relationship.holds_at(effective))
        .max_by_key(|relationship| relationship.until)
}

/// The denials in whose scope a record is, in their order. Comparing labels is dear, and a denial is held against each
/// person who passed a permit on.
fn denials_about<'a>(record: &Record, id: &RecordId, facts: &LedgerFacts<'a>) -> Vec<&'a LiveConsent> {
    let consents = facts.consents.consents.iter();
    let denials = consents.filter(|consent| consent.provision.effect == Effect::Deny);
    denials.filter(|consent| is_in_scope(&consent.provision.scope, record, id, true)).collect()
}

/// Whether a scope names a record; `closes` says what holds for tags that cannot be compared.
fn is_in_scope(scope: &Scope, record: &Record, id: &RecordId, closes: bool) -> bool {
    match scope {
        Scope::Tags { sets } => match Tagged::of(record.tags.as_ref(), sets) {
            Tagged::Yes => true,
            Tagged::No => false,
            Tagged::Unknown => closes,
        },
        plain => plain.holds(id, &record.custodian),
    }
}

/// A request about a record that is there.
struct Case<'a> {
    request: &'a Request<'a>,
    facts: &'a LedgerFacts<'a>,
    record: &'a Record,
    /// Those in whose scope the record is.
    denials: &'a [&'a LiveConsent],
    effective: UnixMs,
}

impl<'a> Case<'a> {
    /// Of the permits that match and count, the one that ends last, with its end.
    fn longest_permit(&self) -> Option<(&'a LiveConsent, UnixMs)> {
        let permits = self.facts.consents.consents.iter().filter_map(|consent| {
            let named = consent.provision.grantee.names(self.request.actor, self.request.role);
            let until = named.then(|| self.counts_until(consent)).flatten()?;
            Some((consent, until))
        });
        permits.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// When a permit ends that matches and counts, whomever it names.
    fn counts_until(&self, consent: &LiveConsent) -> Option<UnixMs> {
        let provision = &consent.provision;
        if provision.effect != Effect::Permit || !self.is_covered_by(provision) {
            return None;
        }
        if consent.paper && self.facts.patient.key.is_some() {
            return None;
        }
        let mut until = provision.period.until;
        if let Some(by) = &consent.guardian {
            let guardian = self.facts.guardians.still_in_term(by, self.effective)?;
            let open = guardian.protected.is_empty()
                || Tagged::of(self.record.tags.as_ref(), &guardian.protected) == Tagged::No;
            if !open {
                return None;
            }
            until = until.min(guardian.term.until);
        }
        if let Some(delegated) = &consent.delegated {
            let parent = self.parent(consent)?;
            // One level: a grant that was passed on itself is passed on no further.
            if parent.delegated.is_some() || !self.may_be_passed_on(parent, delegated) {
                return None;
            }
            until = until.min(self.counts_until(parent)?);
        }
        Some(until)
    }

    /// Whether whoever passed a grant on may have, as far as this request goes.
    fn may_be_passed_on(&self, parent: &LiveConsent, delegated: &Delegated) -> bool {
        delegated.roles().iter().all(|role| {
            let passing_on =
                Request { actor: &delegated.by, role: *role, action: Action::Delegate, ..*self.request };
            let case = Case { request: &passing_on, ..*self };
            case.is_matched_by(&parent.provision) && case.denial().is_none()
        })
    }

    /// The first denial that matches.
    fn denial(&self) -> Option<&'a LiveConsent> {
        self.denials.iter().copied().find(|consent| self.is_matched_by(&consent.provision))
    }

    /// The live grant that a permit was passed on from.
    fn parent(&self, consent: &LiveConsent) -> Option<&'a LiveConsent> {
        let delegated = consent.delegated.as_ref()?;
        self.facts.consents.consents.iter().find(|live| live.id == delegated.parent)
    }

    fn is_matched_by(&self, provision: &Provision) -> bool {
        provision.grantee.names(self.request.actor, self.request.role) && self.is_covered_by(provision)
    }

    /// Whether a provision matches in every dimension but whom it names.
    fn is_covered_by(&self, provision: &Provision) -> bool {
        let denies = provision.effect == Effect::Deny;
        provision.actions.contains(&self.request.action)
            && self.is_purpose_of(&provision.purposes)
            && self.is_in_scope(&provision.scope, denies)
            && provision.period.contains(self.effective)
            && !provision.exceptions.iter().any(|exception| self.is_carved_out_by(exception, denies))
    }

    fn is_carved_out_by(&self, exception: &Exception, denies: bool) -> bool {
        exception.grantee.as_ref().is_none_or(|grantee| grantee.names(self.request.actor, self.request.role))
            && (exception.actions.is_empty() || exception.actions.contains(&self.request.action))
            && (exception.purposes.is_empty() || self.is_purpose_of(&exception.purposes))
            && exception.scope.as_ref().is_none_or(|scope| self.is_in_scope(scope, !denies))
            && exception.period.as_ref().is_none_or(|period| period.contains(self.effective))
    }

    fn is_purpose_of(&self, purposes: &[Purpose]) -> bool {
        purposes.iter().any(|named| named.covers(self.request.purpose))
    }

    fn is_in_scope(&self, scope: &Scope, closes: bool) -> bool {
        is_in_scope(scope, self.record, self.request.record, closes)
    }
}

#[cfg(test)]
#[path = "epoch_2_tests.rs"]
mod tests;
