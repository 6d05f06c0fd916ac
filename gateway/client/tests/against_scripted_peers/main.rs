//! The client against scripted peers, in this process.

// Functions outside of `#[test]` make the scripts: what they unwrap is the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod a_connection_bears_what_comes;
mod a_connection_is_made_only_to_whom_it_should;
mod a_peers_limit_is_learnt;
mod a_stage_ends_by_its_deadline;
mod a_stage_is_signed_elsewhere;
mod a_stream_has_no_gaps_and_says_how_it_ended;
mod a_transaction_ends_in_one_honest_outcome;
mod an_endorser_is_called_directly;
mod an_identity_is_read_only_if_it_can_sign;
mod an_outcome_is_found_out;
mod commits_are_followed;
mod items_come_exactly_once;
mod ledger;
mod no_bytes_make_it_panic;
mod scripted;
mod several_peers_serve_as_one;
