//! Bad input and bad days on real Fabric processes: each gets a message with cause and fix, and nothing is
//! half-written, lost, or submitted when it says that it was not.
//!
//! The acts share one network and stand for themselves; those that stop a process leave everything running.
//! Only processes of this program's own networks are ever ended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod identities;
mod input;
mod interruptions;
mod outages;
mod world;

use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, tell};

use world::Ward;

fn main() -> ExitCode {
    let acts = acts![
        identities::a_certificate_of_another_ca_is_refused,
        identities::an_expired_certificate_is_refused_here_and_by_the_peer,
        identities::a_certificate_at_the_wrong_hospital_is_refused,
        identities::a_key_of_another_certificate_is_found_before_anything_is_sent,
        input::a_document_over_the_limit_and_an_empty_one_are_refused,
        input::a_consent_that_ends_before_it_starts_is_refused,
        input::unknown_patients_and_records_are_told,
        input::a_registration_sent_twice_counts_once,
        input::a_proposal_three_minutes_off_is_refused,
        input::a_full_disk_leaves_no_blob_and_submits_nothing,
        outages::a_second_up_starts_nothing,
        outages::a_peer_down_at_endorsement_is_named_and_comes_back,
        outages::a_chaincode_service_down_is_named_and_comes_back,
        outages::an_orderer_down_leaves_the_outcome_unknown,
        outages::down_and_up_keep_the_ledgers,
        outages::a_port_in_use_is_named_with_its_holder,
        interruptions::up_is_interrupted_at_any_point_and_goes_on,
        interruptions::a_killed_up_leaves_nothing_that_down_does_not_find,
    ];
    tell::<Ward>(env!("CARGO_TARGET_TMPDIR"), "bad_input_and_faults", Order::Each, acts)
}
