//! Who may add a record: the table, row by row, about the same cases.

use std::collections::BTreeMap;

use caretrail_contract::policy::{LedgerFacts, MayAdd, NewRecord};
use caretrail_model::consent::{Action, Effect};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::time::UnixMs;

use super::cases::{Case, at};
use super::rows::{consents, end, has_standing, matches, names, open_care};

/// What decides who may add: the chaincode's, or one with a planted mistake.
pub(crate) type Writing = fn(&NewRecord<'_>, &LedgerFacts<'_>, UnixMs) -> MayAdd;

/// Compares it with the table on `count` generated cases, and says how many gave each outcome.
///
/// # Errors
/// The first case, by its number, that the two decide in different ways.
pub(crate) fn compare(writing: Writing, seed: u64, count: u64) -> Result<BTreeMap<MayAdd, u64>, String> {
    let mut reached = BTreeMap::new();
    let cases = (0..).map(|number| (number, Case::generate(seed, number)));
    // Nobody else calls.
    let cases = cases.filter(|(_, case)| is_of_a_member(case));
    for (number, case) in cases.take(usize::try_from(count).unwrap()) {
        let (decided, expected) = (decided_by(writing, &case), expected(&case));
        if decided != expected {
            return Err(format!("case {number}: {decided:?} instead of {expected:?}\n{case:#?}"));
        }
        *reached.entry(decided).or_default() += 1;
    }
    Ok(reached)
}

fn is_of_a_member(case: &Case) -> bool {
    case.policy.members.iter().any(|member| member.msp_id == case.actor.msp_id)
}

fn decided_by(writing: Writing, case: &Case) -> MayAdd {
    let new = NewRecord {
        actor: &case.actor,
        role: case.role,
        patient: &case.patient_id,
        record: &case.record_id,
        tags: case.record.as_ref().and_then(|record| record.tags.as_ref()),
    };
    writing(&new, &case.facts(), at(case.now))
}

/// What the table gives.
fn expected(case: &Case) -> MayAdd {
    let added = Record {
        patient: case.patient_id,
        custodian: case.actor.msp_id.clone(),
        version: 1,
        sequence: None,
        tags: case.record.as_ref().and_then(|record| record.tags.clone()),
        withdrawn: false,
        offered_to: None,
        own: None,
        at: at(case.now),
    };
    let asking = Case { action: Action::Write, purpose: Purpose::Treat, record: Some(added), ..case.clone() };
    let denies = consents(&asking, Effect::Deny).any(|consent| matches(&asking, &consent.provision));
    let permits = consents(&asking, Effect::Permit)
        .any(|consent| names(&consent.provision.grantee, &asking) && end(&asking, consent).is_some());
    let rows = [
        (!has_standing(&asking), MayAdd::NoStanding),
        (asking.actor.msp_id == asking.patient.home, MayAdd::ByCustody),
        (asking.stop.iter().any(|stop| stop.stopped), MayAdd::Not),
        (denies, MayAdd::Not),
        (!open_care(&asking).is_empty(), MayAdd::ByCare),
        (permits, MayAdd::ByConsent),
        (true, MayAdd::Not),
    ];
    rows.into_iter().find_map(|(applies, outcome)| applies.then_some(outcome)).unwrap()
}
