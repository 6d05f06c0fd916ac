//! Whether an actor may add a record of a patient, whose custodian the actor's hospital becomes.
//!
//! The first row that applies decides. Writes are for treatment: a provision matches as it would for `TREAT`, whatever
//! purposes the actor's standing names and whatever the consortium's policy lets the role ask for. Whoever asks is of a
//! member hospital, which is looked at with every call.
//!
//! | # | applies when | outcome |
//! |---|---|---|
//! | 1 | the actor has no standing in this role, or it ended or is suspended | no standing |
//! | 2 | the actor's hospital is the patient's home | may, by custody |
//! | 3 | the patient stopped everything | may not |
//! | 4 | a live denying provision matches | may not |
//! | 5 | a care relationship is open, by the rules of [`epoch_2`](super::epoch_2) | may, by care |
//! | 6 | a live permitting provision matches and counts | may, by consent |
//! | 7 | always | may not |

use caretrail_model::consent::Action;
use caretrail_model::decision::Rule;
use caretrail_model::policy::RoleRule;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;

use super::{LedgerFacts, MayAdd, NewRecord, Request, epoch_2};

/// Row 1: whether an actor has standing in a role at all.
pub fn has_standing(standing: Option<&Standing>, role: Role, effective: UnixMs) -> bool {
    standing.is_some_and(|standing| standing.role == role && standing.holds_at(effective))
}

/// Decides, by the table of this module. The record that the facts name is not looked at.
pub fn decide(new: &NewRecord<'_>, facts: &LedgerFacts<'_>, effective: UnixMs) -> MayAdd {
    if !has_standing(facts.standing, new.role, effective) {
        return MayAdd::NoStanding;
    }
    if facts.patient.home == new.actor.msp_id {
        return MayAdd::ByCustody;
    }
    let record = Record {
        patient: *new.patient,
        custodian: new.actor.msp_id.clone(),
        version: 1,
        sequence: None,
        tags: new.tags.cloned(),
        withdrawn: false,
        offered_to: None,
        own: None,
        at: effective,
    };
    // The same matching as for access, under a rule of the consortium that lets this role write.
    let mut policy = facts.policy.clone();
    let mut standing = facts.standing.cloned();
    if let Some(standing) = &mut standing {
        standing.purposes = vec![Purpose::Treat];
    }
    let request = Request {
        actor: new.actor,
        role: new.role,
        patient: new.patient,
        record: new.record,
        action: Action::Write,
        purpose: Purpose::Treat,
    };
    policy.rules = vec![RoleRule {
        role: new.role,
        actions: vec![Action::Write],
        purposes: vec![Purpose::Treat],
        needs_relationship: false,
    }];
    let facts = LedgerFacts { policy: &policy, standing: standing.as_ref(), record: Some(&record), ..*facts };
    let decision = epoch_2::decide(&request, &facts, effective);
    let cared_for = epoch_2::open_relationship(&request, &facts, effective).is_some();
    match decision.rule {
        Rule::ConsentPermits | Rule::NothingPermits if cared_for => MayAdd::ByCare,
        Rule::ConsentPermits => MayAdd::ByConsent,
        _ => MayAdd::Not,
    }
}

#[cfg(test)]
#[path = "writing_tests.rs"]
mod tests;
