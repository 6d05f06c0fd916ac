//! Builds of the contract of two ages on one channel, and the switch from one semantic engine to the next.
//!
//! North runs the program as it is built now. South runs a build that has the first engine alone, as one of its age would:
//! this program, from the same sources without the second engine. `OLDER_CONTRACT` names another program for South, a
//! `caretrail-chaincode` of that age itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod calls;
mod switch;
mod world;

use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, tell};

use world::Age;

fn main() -> ExitCode {
    if let Some(played) = world::play() {
        return played;
    }
    let acts = acts![
        calls::under_the_first_engine_builds_of_both_ages_endorse_every_call_alike,
        calls::what_the_older_build_does_not_know_is_endorsed_by_neither,
        switch::the_older_build_endorses_no_switch_to_an_engine_that_it_lacks,
        switch::the_policy_switches_once_a_majority_has_the_newer_build,
        switch::after_the_switch_an_older_build_refuses_and_never_diverges,
        switch::upgraded_it_goes_on_where_the_others_are,
        switch::the_blocks_hold_what_both_endorsed_and_nothing_else,
    ];
    tell::<Age>(env!("CARGO_TARGET_TMPDIR"), "two_builds", Order::Story, acts)
}
