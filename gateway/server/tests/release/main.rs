//! Releases between two hospitals: real contract, real client, real daemon over mutual TLS; only peers and
//! orderers are in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod a_custodian_that_lies_is_found_out;
mod a_daemon_says_whether_it_can_release;
mod a_daemon_trusts_the_members_of_now;
mod a_document_goes_from_one_hospital_to_another;
mod an_index_is_of_one_ledger;
mod consortium;
mod gateway;
mod no_hospital_keeps_the_others_waiting;
mod nothing_leaves_without_a_permit;
mod whatever_a_permit_rests_on;
