//! What attackers of the contract try, on a real channel of two hospitals, one act each and named after the attack.
//!
//! The hospitals run different builds of the contract: North the program as it is built for users, South this one, which has
//! the same sources compiled otherwise. Whatever commits, both endorsed to the same byte. The acts of `home` have a home
//! hospital that gives itself up to the attack: its admin, its services, the key of its peer, its way to the orderer.
//! Last, every call that the contract has is made as it is meant. In the end the blocks are counted: what was tried is there, each with its verdict, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod access;
mod arguments;
mod callers;
mod chaincodes;
mod counting;
mod endorsers;
mod every_call;
mod forged;
mod home;
mod releases;
mod signatures;
mod statements;
mod world;

use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, tell};

use world::Siege;

fn main() -> ExitCode {
    if let Some(played) = chaincodes::play() {
        return played;
    }
    let acts = acts![
        endorsers::a_client_identity_endorses,
        endorsers::one_hospital_writes_alone,
        endorsers::a_hospital_puts_a_key_under_a_policy_of_its_own,
        endorsers::an_envelope_is_sent_twice,
        home::the_home_hospital_forges_a_consent,
        home::the_home_hospital_forges_a_recovery,
        home::the_home_hospital_forges_a_guardian,
        home::the_home_hospital_discloses_on_a_denial,
        statements::a_carrier_withholds_a_revocation,
        statements::a_statement_is_replayed,
        statements::a_statement_is_carried_too_late_or_too_early,
        statements::a_statement_of_another_channel_is_carried,
        statements::a_statement_for_another_chaincode_is_carried,
        statements::an_id_is_squatted,
        signatures::a_signature_is_given_its_other_form,
        signatures::a_key_is_of_another_curve,
        signatures::a_key_is_substituted,
        signatures::a_passkey_answers_another_challenge_page_or_party,
        access::a_purpose_is_claimed_that_is_not_the_actors,
        access::an_untagged_record_meets_a_denial_of_tags,
        access::a_permit_is_endorsed_before_a_revocation_and_submitted_after_it,
        access::a_proposal_is_backdated_or_postdated,
        access::a_bookmark_of_another_patient_is_passed,
        access::what_exists_is_guessed_from_replies,
        releases::a_permit_is_held_back_and_used_late,
        releases::a_practitioner_is_suspended_between_permit_and_release,
        arguments::arguments_are_oversized_deep_duplicate_or_no_text,
        arguments::lines_are_forged_for_the_log,
        callers::a_certificate_says_things_twice_or_of_another,
        callers::a_certificate_is_of_a_foreign_msp,
        chaincodes::a_request_comes_through_another_chaincode,
        every_call::every_call_is_made_as_it_is_meant,
        counting::the_blocks_hold_what_was_tried_and_nothing_else,
    ];
    tell::<Siege>(env!("CARGO_TARGET_TMPDIR"), "attacks_on_the_contract", Order::Story, acts)
}
