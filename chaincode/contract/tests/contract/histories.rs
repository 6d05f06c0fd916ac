//! Histories that were drawn, not written: what handlers decide and what commits, held against the second reading.
//!
//! Facts change while requests and disclosures are on their way. What the second reading is given comes from the
//! ledger, by the documented keys. A history that fails tells its seed, its number and all that happened in it.

mod cast;
mod changes;
mod covered;
mod facts;
mod history;

use std::sync::Arc;

use caretrail_model::calls::{AmendRecord, WhoCanSee};
use caretrail_model::decision::Rule;
use caretrail_model::time::DurationMs;
use cast::Cast;
use covered::Covered;
use history::History;

use crate::world::{START, Ward, commitments};

/// Histories of every run.
const HISTORIES: u64 = 40;
/// Histories that are lived at once.
const LANES: u64 = 2;

/// At least so often in a hundred histories, about a third of what is usual. Nobody of a hospital that is no member is
/// ever decided about: the contract refuses all of its calls. What overtakes is named by the first part of its key.
const OF_A_HUNDRED: &[(&str, u64)] = &[
    ("AcceptCustody done", 4),
    ("AddGuardian done", 30),
    ("AmendRecord done", 30),
    ("ApprovePolicy done", 30),
    ("AuthorizePractitioner done", 60),
    ("BreakGlass done", 30),
    ("CloseRelationship done", 4),
    ("DelegateConsent done", 8),
    ("EndConsent done", 30),
    ("EndGuardian done", 4),
    ("GrantConsent done", 250),
    ("OpenRelationship done", 50),
    ("RefuseEmergency done", 20),
    ("ReviewBreakGlass done", 6),
    ("StopAll done", 30),
    ("SuspendPractitioner done", 20),
    ("TransferCustody done", 15),
    ("WithdrawRecord done", 4),
    ("decided by break_glass", 6),
    ("decided by consent_denies", 15),
    ("decided by consent_permits", 45),
    ("decided by emergency_refused", 15),
    ("decided by no_relationship", 40),
    ("decided by no_standing", 80),
    ("decided by nothing_permits", 400),
    ("decided by purpose_not_held", 40),
    ("decided by record_withdrawn", 6),
    ("decided by role_not_allowed", 40),
    ("decided by stopped", 60),
    ("request overtaken by b", 2),
    ("request overtaken by c", 4),
    ("request overtaken by h", 4),
    ("request overtaken by i", 12),
    ("request overtaken by l", 4),
    ("request overtaken by p", 4),
    ("request overtaken by r", 4),
    ("request overtaken by s", 10),
    ("request overtaken by w", 6),
    ("request overtaken by y", 60),
    ("request overtaken by what decides otherwise", 30),
    ("disclosed", 15),
    ("disclosure overtaken by what decides otherwise", 2),
    ("disclosure refused: ALREADY_DISCLOSED", 8),
    ("disclosure refused: DISCLOSED_TO_OTHER_KEY", 8),
    ("disclosure refused: DISCLOSURE_MISMATCH", 30),
    ("disclosure refused: HOSPITAL_NOT_ALLOWED", 2),
    ("disclosure refused: PERMIT_ENDED", 6),
    ("disclosure refused: PERMIT_EXPIRED", 6),
    ("asked again", 40),
    ("replayed", 600),
    ("seen by nobody", 60),
    ("seen by somebody", 40),
];

/// Of what was put in force by a clock that was ahead, and a question by one that was not.
#[tokio::test]
async fn who_can_see_is_told_for_no_instant_before_the_record_changed_as_a_request_is_decided_for_none() {
    let ward = Ward::open().await;
    let now = ward.world.now();
    ward.grant(|provision| provision.period.until = now.plus(DurationMs::from_secs(10))).await;
    let amend = AmendRecord {
        patient: ward.patient.id,
        record: ward.record,
        version: 2,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    let ahead = ward.world.proposal(&ward.author, &amend).timestamp_unix_ms(START + 20_000);
    assert!(ward.world.peer.submit(&ahead).await.unwrap().is_valid());

    assert_eq!(ward.rule().await, Rule::NothingPermits);
    let seen = ward.world.seen(&ward.north, &WhoCanSee { record: ward.record, at: None }).await;
    assert_eq!((seen.at, seen.holders), (now.plus(DurationMs::from_secs(20)), vec![]));
}

/// `CARETRAIL_HISTORIES` sets another number of histories, and `CARETRAIL_HISTORIES_SEED` draws others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_commits_is_what_the_table_says_of_the_facts_whatever_happens_meanwhile() {
    let histories = number("CARETRAIL_HISTORIES", HISTORIES);
    let seed = number("CARETRAIL_HISTORIES_SEED", 1);
    let cast = Arc::new(Cast::new());
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let cast = Arc::clone(&cast);
            tokio::spawn(async move {
                let mut covered = Covered::default();
                for number in (lane..histories).step_by(usize::try_from(LANES).unwrap()) {
                    covered.add(History::live(Arc::clone(&cast), seed, number).await);
                }
                covered
            })
        })
        .collect();
    let mut covered = Covered::default();
    for lane in lanes {
        covered.add(lane.await.unwrap());
    }
    covered.demand(histories, OF_A_HUNDRED);
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| {
        number.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{number}`"))
    })
}
