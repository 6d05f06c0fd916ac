//! The gateway client on real Fabric processes: every line that the official clients can, and how each thing that can be
//! wrong is told.
//!
//! One network serves all acts, of the release in `HLF_NETWORK_FABRIC` and with the ordering service in
//! `HLF_NETWORK_ORDERERS` (such as `bft:4`), or the default ones; each act stands for itself.
//! This program is the peers' builder and the chaincode too: it looks at its first argument.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod calls;
mod cancelling;
mod chaincode;
mod connecting;
mod errors;
mod events;
mod examples;
mod explaining;
#[cfg(feature = "pkcs11")]
mod hardware;
mod identities;
mod offline;
mod outcomes;
mod reaching;
mod restarts;
mod system_chaincodes;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, tell};
use hlf_network::builder;

use world::Notes;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["builder", phase, "--config", config, folders @ ..] => {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            match builder::run(phase.parse().expect("a phase"), config.as_ref(), &folders) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{}", world::told(&error));
                    ExitCode::FAILURE
                }
            }
        }
        ["chaincode"] => {
            tokio::runtime::Runtime::new().expect("a runtime").block_on(chaincode::serve());
            ExitCode::SUCCESS
        }
        _ => {
            #[cfg(feature = "pkcs11")]
            if let Some(ended) = hardware::again_with_tokens_of_its_own() {
                return ended;
            }
            let acts = acts![
                calls::arguments_are_bytes_or_text_and_contracts_have_names,
                calls::private_data_goes_by_transient_values_to_the_organisations_named,
                calls::a_key_of_its_own_policy_is_endorsed_by_whom_it_names,
                calls::a_large_result_and_large_blocks_come_through,
                identities::keys_of_every_kind_sign_transactions_that_commit_valid,
                identities::a_closure_that_signs_digests_commits_valid,
                offline::openssl_signs_what_this_client_prepares,
                offline::other_identities_ask_for_what_one_made,
                offline::the_official_client_goes_on_with_what_this_one_began,
                events::blocks_come_whole_filtered_and_with_private_data,
                events::events_are_replayed_from_any_block,
                events::a_stream_says_why_it_ended,
                errors::a_tls_name_that_differs_is_told,
                errors::a_wrong_msp_is_told,
                errors::an_expired_certificate_is_told,
                errors::a_clock_that_is_off_is_told,
                errors::a_request_for_blocks_of_another_time_is_told,
                errors::an_unknown_channel_is_told,
                errors::an_unknown_chaincode_is_told,
                errors::a_message_over_the_limit_is_told,
                errors::a_failure_names_stage_status_transaction_and_peers,
                explaining::a_valid_transaction_is_described,
                explaining::a_conflict_names_the_key_and_the_winner,
                explaining::a_private_conflict_shows_neither_key_nor_value,
                explaining::a_phantom_names_the_range_and_what_appeared,
                explaining::a_policy_failure_names_who_is_missing,
                explaining::a_keys_own_policy_is_told_by_its_key,
                explaining::a_second_copy_is_told_with_the_first,
                explaining::an_unknown_id_is_in_no_block,
                explaining::who_may_not_read_blocks_is_told,
                explaining::endorsers_that_differ_are_compared,
                system_chaincodes::a_ledger_is_read,
                system_chaincodes::channels_are_read,
                system_chaincodes::chaincodes_are_read,
                reaching::what_was_written_is_read_at_another_peer,
                reaching::a_narrow_peer_serves_many_callers,
                outcomes::commits_are_followed_with_two_signatures_each,
                outcomes::conflicts_are_tried_again_until_each_has_its_effect_once,
                outcomes::a_kept_transaction_is_settled_once_however_often_it_is_sent,
                examples::several_gateways_are_used_as_the_example_does,
                examples::a_call_is_made_once_as_the_example_does,
                examples::a_transaction_is_signed_elsewhere_as_the_example_does,
                examples::events_are_counted_exactly_once_as_the_example_does,
                cancelling::what_is_dropped_before_it_is_sent_is_in_no_block_and_after_that_it_can_be_asked_for,
                restarts::items_of_each_kind_come_exactly_once_though_their_peer_is_killed,
                connecting::each_stage_ends_by_its_deadline_at_a_peer_that_stands_still,
                outcomes::nothing_that_bft_orderers_ordered_is_reported_failed,
                reaching::a_stopped_and_a_killed_peer_are_gone_round,
                reaching::an_endorser_that_was_away_is_waited_for,
                connecting::a_peer_that_asks_for_a_client_certificate_is_shown_one,
                errors::orderers_that_are_down_are_named_and_the_same_transaction_sent_again,
            ];
            #[cfg(feature = "pkcs11")]
            let acts = [acts, acts![hardware::keys_in_a_token_sign_transactions_that_commit_valid]].concat();
            tell::<Notes>(env!("CARGO_TARGET_TMPDIR"), "client_on_real_fabric", Order::Each, acts)
        }
    }
}
