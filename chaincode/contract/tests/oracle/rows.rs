//! The table, row by row, over sets.

use caretrail_model::consent::{
    Action, Delegated, Effect, Exception, Grantee, LiveConsent, Provision, Scope,
};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::ids::{Actor, Subject};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::Period;

use super::cases::{Case, HOSPITALS, TWO, at};

/// What the table gives.
pub(crate) fn decide(case: &Case) -> Decision {
    let denying: Vec<&LiveConsent> =
        consents(case, Effect::Deny).filter(|consent| matches(case, &consent.provision)).collect();
    let permitting: Vec<(&LiveConsent, u64)> = consents(case, Effect::Permit)
        .filter(|consent| names(&consent.provision.grantee, case))
        .filter_map(|consent| Some((consent, end(case, consent)?)))
        .collect();
    let care = open_care(case);
    let rule = case.policy.rules.iter().find(|rule| {
        rule.role == case.role
            && rule.actions.contains(&case.action)
            && has(below(&rule.purposes), bit_of(case.purpose))
    });
    let wants_care = case.purpose != Purpose::Btg && rule.is_some_and(|rule| rule.needs_relationship);
    let theirs = case.record.as_ref().filter(|record| record.patient == case.patient_id);
    let broken = case.break_glass.as_ref().filter(|broken| {
        broken.until.get() > case.now && broken.review.iter().all(|review| review.justified)
    });
    let emergency = case.purpose == Purpose::Btg;

    let rows = [
        (!case.policy.members.iter().any(|m| m.msp_id == case.actor.msp_id), Rule::NotAMember),
        (rule.is_none(), Rule::RoleNotAllowed),
        (!has_standing(case), Rule::NoStanding),
        (!case.standing.iter().any(|s| has(below(&s.purposes), bit_of(case.purpose))), Rule::PurposeNotHeld),
        (wants_care && care.is_empty(), Rule::NoRelationship),
        (emergency && case.patient.refuses_emergency, Rule::EmergencyRefused),
        (theirs.is_none(), Rule::NothingPermits),
        (theirs.is_some_and(|record| record.withdrawn), Rule::RecordWithdrawn),
        (emergency && case.action == Action::Read && broken.is_some(), Rule::BreakGlass),
        (case.stop.iter().any(|stop| stop.stopped), Rule::Stopped),
        (!denying.is_empty(), Rule::ConsentDenies),
        (!permitting.is_empty(), Rule::ConsentPermits),
        (true, Rule::NothingPermits),
    ];
    let decided = rows.iter().find_map(|(applies, rule)| applies.then_some(*rule)).unwrap();
    let deny = Decision::deny(case.record_id, decided);
    match decided {
        Rule::ConsentDenies => Decision { consent: Some(denying[0].id), ..deny },
        Rule::BreakGlass | Rule::ConsentPermits => {
            let mut ends = vec![
                case.now + case.policy.durations.permit_ms.get(),
                case.standing.as_ref().unwrap().until.get(),
            ];
            if wants_care {
                ends.extend(care.iter().max());
            }
            let last = permitting.iter().map(|(_, end)| *end).max();
            let decides = permitting.iter().find(|(_, end)| Some(*end) == last).map(|(consent, _)| *consent);
            let by_consent = decided == Rule::ConsentPermits;
            ends.extend(if by_consent { last } else { broken.map(|broken| broken.until.get()) });
            let record = theirs.unwrap();
            Decision {
                effect: Effect::Permit,
                consent: decides.filter(|_| by_consent).map(|consent| consent.id),
                version: Some(record.version),
                custodian: Some(record.custodian.clone()).filter(|kept| *kept != case.patient.home),
                parent: decides
                    .filter(|_| by_consent)
                    .and_then(|consent| consent.delegated.as_ref().map(|from| from.parent)),
                paper: by_consent
                    && decides.is_some_and(|consent| {
                        let sources = case.consents.consents.iter().filter(|live| {
                            consent.delegated.as_ref().is_some_and(|from| from.parent == live.id)
                        });
                        consent.paper || sources.into_iter().any(|parent| parent.paper)
                    }),
                valid_until: ends.into_iter().min().map(at),
                ..deny
            }
        }
        _ => deny,
    }
}

pub(super) fn consents(case: &Case, effect: Effect) -> impl Iterator<Item = &LiveConsent> {
    case.consents.consents.iter().filter(move |consent| consent.provision.effect == effect)
}

pub(super) fn has_standing(case: &Case) -> bool {
    case.standing.iter().any(|s| !s.suspended && s.role == case.role && s.until.get() > case.now)
}

/// Ends of the care relationships that are open for the actor.
pub(super) fn open_care(case: &Case) -> Vec<u64> {
    let own = case.relationship.iter().map(|relationship| relationship.until.get());
    let hospitals = case
        .hospital_relationship
        .iter()
        .filter(|_| case.role == Role::Clinician)
        .map(|relationship| relationship.until.get());
    own.chain(hospitals).filter(|until| *until > case.now).collect()
}

/// The instant at which a permit that matches and counts ends; nothing when it does not.
pub(super) fn end(case: &Case, consent: &LiveConsent) -> Option<u64> {
    let mut ends = vec![consent.provision.period.until.get()];
    let mut counts = consent.provision.effect == Effect::Permit
        && covers(case, &consent.provision)
        && !(consent.paper && case.patient.key.is_some());
    if let Some(by) = &consent.guardian {
        let terms = case.guardians.guardians.iter().filter(|guardian| {
            now_in(case, &guardian.term) && guardian.key == by.key && guardian.appointment == by.appointment
        });
        let open: Vec<u64> = terms
            .filter(|guardian| {
                let tags = case.record.as_ref().and_then(|record| record.tags.as_ref());
                guardian.protected.is_empty() || carries(tags, &guardian.protected) == Some(false)
            })
            .map(|guardian| guardian.term.until.get())
            .collect();
        counts &= !open.is_empty();
        ends.extend(open);
    }
    if let Some(from) = &consent.delegated {
        let parent = case.consents.consents.iter().find(|live| live.id == from.parent);
        let own = parent.filter(|parent| parent.delegated.is_none() && may_delegate(case, from, parent));
        match own.and_then(|parent| end(case, parent)) {
            Some(until) => ends.push(until),
            None => counts = false,
        }
    }
    counts.then(|| ends.into_iter().min()).flatten()
}

/// Whether whoever passed a grant on asks to delegate, in each role that it may have been, and nothing says no.
fn may_delegate(case: &Case, from: &Delegated, parent: &LiveConsent) -> bool {
    Role::ALL.into_iter().filter(|role| from.role.is_none_or(|kept| kept == *role)).all(|role| {
        let asking = Case { actor: from.by.clone(), role, action: Action::Delegate, ..case.clone() };
        let denials = consents(&asking, Effect::Deny).filter(|denial| matches(&asking, &denial.provision));
        matches(&asking, &parent.provision) && denials.count() == 0
    })
}

pub(super) fn matches(case: &Case, provision: &Provision) -> bool {
    names(&provision.grantee, case) && covers(case, provision)
}

/// The points that a provision names less those that its exceptions do, in every dimension but whom it names.
fn covers(case: &Case, provision: &Provision) -> bool {
    let closing = provision.effect == Effect::Deny;
    let excepted = provision.exceptions.iter().any(|exception| excepts(case, exception, !closing));
    let dimensions = [
        provision.actions.contains(&case.action),
        has(below(&provision.purposes), bit_of(case.purpose)),
        in_scope(case, &provision.scope, closing),
        now_in(case, &provision.period),
    ];
    dimensions == [true; 4] && !excepted
}

/// A dimension that an exception does not name is as wide as can be.
fn excepts(case: &Case, exception: &Exception, closing: bool) -> bool {
    let everything = (1_u16 << Purpose::ALL.len()) - 1;
    let purposes = if exception.purposes.is_empty() { everything } else { below(&exception.purposes) };
    let dimensions = [
        exception.grantee.iter().all(|grantee| names(grantee, case)),
        exception.actions.is_empty() || exception.actions.contains(&case.action),
        has(purposes, bit_of(case.purpose)),
        exception.scope.iter().all(|scope| in_scope(case, scope, closing)),
        exception.period.iter().all(|period| now_in(case, period)),
    ];
    dimensions == [true; 5]
}

/// Everybody whom a grantee names, listed one by one.
pub(super) fn names(grantee: &Grantee, case: &Case) -> bool {
    let everybody = HOSPITALS.into_iter().flat_map(|hospital| {
        TWO.into_iter()
            .flat_map(move |subject| Role::ALL.into_iter().map(move |role| (hospital, subject, role)))
    });
    everybody
        .filter(|(hospital, subject, role)| match grantee {
            Grantee::Hospital { msp_id } => msp_id.as_str() == *hospital,
            Grantee::Role { msp_id, role: named } => msp_id.as_str() == *hospital && named == role,
            Grantee::Person { msp_id, subject: named } => {
                msp_id.as_str() == *hospital && *named == Subject::from_bytes([*subject; 16])
            }
        })
        .any(|(hospital, subject, role)| {
            let named =
                Actor { msp_id: hospital.parse().unwrap(), subject: Subject::from_bytes([subject; 16]) };
            named == case.actor && role == case.role
        })
}

fn in_scope(case: &Case, scope: &Scope, closing: bool) -> bool {
    let Some(record) = &case.record else { return false };
    match scope {
        Scope::All {} => true,
        Scope::Custodian { msp_id } => record.custodian == *msp_id,
        Scope::Records { records } => records.contains(&case.record_id),
        Scope::Tags { sets } => carries(record.tags.as_ref(), sets).unwrap_or(closing),
    }
}

/// Whether a record carries one of the tags; nothing when they cannot be compared.
fn carries(tags: Option<&RecordTags>, sets: &[TagSet]) -> Option<bool> {
    let tags = tags?;
    let mut comparable =
        sets.iter().filter(|set| (&set.custodian, set.epoch) == (&tags.custodian, tags.epoch)).peekable();
    comparable.peek()?;
    Some(comparable.flat_map(|set| &set.tags).any(|tag| tags.tags.iter().any(|carried| carried == tag)))
}

fn now_in(case: &Case, period: &Period) -> bool {
    (period.from.get()..period.until.get()).contains(&case.now)
}

fn has(set: u16, element: u16) -> bool {
    set & element != 0
}

fn bit_of(purpose: Purpose) -> u16 {
    let index = Purpose::ALL.iter().position(|listed| *listed == purpose).unwrap();
    1 << index
}

/// The purposes with every kind of each, written out.
fn below(purposes: &[Purpose]) -> u16 {
    let kinds = |purpose| match purpose {
        Purpose::Hresch => bit_of(Purpose::Clintrch),
        Purpose::Hpaymt => bit_of(Purpose::Coverage),
        Purpose::Patrqt => bit_of(Purpose::Famrqt) | bit_of(Purpose::Pwatrny),
        _ => 0,
    };
    purposes.iter().fold(0, |set, purpose| set | bit_of(*purpose) | kinds(*purpose))
}
