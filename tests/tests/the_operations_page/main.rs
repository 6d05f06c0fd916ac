//! What `docs/operations.md` has operators do: every block of its commands, run as it stands there on real networks.
//!
//! What takes minutes is run when it is asked for by name, `long_`: `make test-long`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod containers;
mod fabric_ca;
mod long;
mod operators;
mod page;
mod refusals;
mod requests;
mod trial;

use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, Play, play, tell_all};

/// What nobody can run in a test as it stands, and why.
const BY_HAND: &[(&str, &str)] = &[(
    "caretrail network exporter --listen 127.0.0.1:9464",
    "it runs until it is stopped, at a port that may be another network's; it is run at a free one",
)];

fn main() -> ExitCode {
    let tmp = env!("CARGO_TARGET_TMPDIR");
    let mut plays: Vec<Play> = vec![
        play::<page::Page>(
            tmp,
            "the_operations_page-itself",
            "page",
            Order::Each,
            acts![page::every_block_of_commands_is_run_or_named],
        ),
        play::<trial::Trial>(
            tmp,
            "the_operations_page-trial",
            "trial",
            Order::Story,
            acts![
                trial::the_first_day,
                trial::the_network_grows,
                trial::proposals_change_the_channels_rules,
                trial::certificates_are_renewed_requested_and_revoked,
                trial::a_backup_comes_back,
                trial::peers_join_by_a_snapshot,
                trial::the_contract_changes,
                trial::looking_finds_what_the_page_did,
                trial::the_exporter_answers,
                trial::units_are_written,
                refusals::what_cannot_be_is_refused_and_nothing_is_written_over,
                trial::a_fix_is_what_an_operator_types,
                trial::nothing_is_left,
            ],
        ),
        play::<operators::Operators>(
            tmp,
            "the_operations_page-operators",
            "operators",
            Order::Story,
            acts![
                operators::the_pages_commands_stand_up_a_consortium,
                operators::what_cannot_be_is_told_by_exit_codes
            ],
        ),
        play::<fabric_ca::OwnAuthority>(
            tmp,
            "the_operations_page-fabric_ca",
            "fabric-ca",
            Order::Story,
            acts![fabric_ca::a_fabric_ca_is_asked],
        ),
        play::<containers::Reachable>(
            tmp,
            "the_operations_page-containers",
            "containers",
            Order::Story,
            acts![containers::manifests_and_a_project_are_written],
        ),
        play::<requests::OutsideAuthority>(
            tmp,
            "the_operations_page-requests",
            "requests",
            Order::Story,
            acts![
                requests::a_network_stands_up_by_certificates_of_another_authority,
                requests::given_files_are_taken_as_they_are,
            ],
        ),
    ];
    if std::env::args().any(|word| word.contains("long_")) {
        plays.push(play::<long::Authorities>(
            tmp,
            "the_operations_page-authorities",
            "authorities",
            Order::Story,
            acts![long::long_authorities_are_renewed],
        ));
        plays.push(play::<long::Release>(
            tmp,
            "the_operations_page-release",
            "release",
            Order::Story,
            acts![long::long_another_release_is_run],
        ));
    }
    tell_all(plays)
}
