//! The first semantic engine: permits and denials with actions, purposes, records and periods.
//!
//! It decides for as long as the consortium's policy names epoch 1, exactly as builds that know only this one.
//! The first row that applies decides.
//!
//! | # | applies when | rule | effect |
//! |---|---|---|---|
//! | 1 | the actor's hospital is no member of the consortium | `not_a_member` | deny |
//! | 2 | the consortium's policy lets no actor of this role ask for this action and purpose | `role_not_allowed` | deny |
//! | 3 | the actor has no standing in this role, or it ended or is suspended | `no_standing` | deny |
//! | 4 | no purpose of the standing covers the one asked | `purpose_not_held` | deny |
//! | 5 | the record is not there, or is another patient's | `nothing_permits` | deny |
//! | 6 | a live denying provision matches | `consent_denies` | deny |
//! | 7 | a live permitting provision matches | `consent_permits` | permit |
//! | 8 | always | `nothing_permits` | deny |
//!
//! A provision matches when it names the actor, the action, a purpose that covers the one asked and
//! the record, and its period holds the instant. Of several denying ones that match, the first granted
//! decides; of several permitting ones, the one whose period ends last, and of equal ones the first granted.

use caretrail_model::consent::{Effect, LiveConsent, Provision};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::record::Record;
use caretrail_model::time::UnixMs;

use super::{LedgerFacts, Request};

/// Decides, by the table of this module.
pub(super) fn decide(request: &Request<'_>, facts: &LedgerFacts<'_>, effective: UnixMs) -> Decision {
    let deny = |rule| Decision::deny(*request.record, rule);
    if !facts.policy.is_member(&request.actor.msp_id) {
        return deny(Rule::NotAMember);
    }
    if !facts.policy.allows(request.role, request.action, request.purpose) {
        return deny(Rule::RoleNotAllowed);
    }
    let Some(standing) =
        facts.standing.filter(|standing| standing.role == request.role && standing.holds_at(effective))
    else {
        return deny(Rule::NoStanding);
    };
    if !standing.purposes.iter().any(|held| held.covers(request.purpose)) {
        return deny(Rule::PurposeNotHeld);
    }
    let Some(record) = facts.record.filter(|record| &record.patient == request.patient) else {
        return deny(Rule::NothingPermits);
    };

    let matching = |effect| {
        facts.consents.consents.iter().filter(move |consent| {
            consent.provision.effect == effect && matches(&consent.provision, request, record, effective)
        })
    };
    if let Some(denying) = matching(Effect::Deny).next() {
        return Decision { consent: Some(denying.id), ..deny(Rule::ConsentDenies) };
    }
    let Some(permitting) = longest(matching(Effect::Permit)) else {
        return deny(Rule::NothingPermits);
    };
    let valid_until = effective
        .plus(facts.policy.durations.permit_ms)
        .min(permitting.provision.period.until)
        .min(standing.until);
    Decision {
        record: *request.record,
        effect: Effect::Permit,
        rule: Rule::ConsentPermits,
        consent: Some(permitting.id),
        version: Some(record.version),
        parent: None,
        custodian: None,
        paper: false,
        valid_until: Some(valid_until),
    }
}

fn matches(provision: &Provision, request: &Request<'_>, record: &Record, effective: UnixMs) -> bool {
    provision.grantee.names(request.actor, request.role)
        && provision.actions.contains(&request.action)
        && provision.purposes.iter().any(|named| named.covers(request.purpose))
        && provision.scope.holds(request.record, &record.custodian)
        && provision.period.contains(effective)
}

fn longest<'a>(consents: impl Iterator<Item = &'a LiveConsent>) -> Option<&'a LiveConsent> {
    consents.reduce(
        |best, next| {
            if next.provision.period.until > best.provision.period.until { next } else { best }
        },
    )
}
