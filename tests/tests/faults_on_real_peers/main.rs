//! One chaincode service with several real peers, each of which is restarted, killed and stopped in turn, and the
//! service itself killed, while transactions run: nobody waits past a deadline, no reply is lost, and what callers
//! were told is what every peer's blocks say.
//!
//! What takes minutes is done when `FAULTS` is set. This program is the peers' builder and the chaincode too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod given_up;
mod peers;
mod service;
mod world;

use std::process::ExitCode;

use caretrail_tests::telling::{Order, tell};
use caretrail_tests::{acts, roles};

use world::Served;

fn main() -> ExitCode {
    if let Some(played) = roles::play() {
        return played;
    }
    let mut acts = acts![
        peers::a_peer_is_restarted_while_transactions_run,
        peers::a_peer_is_killed_while_transactions_run,
        peers::a_peer_is_stopped_while_transactions_run,
        service::a_killed_service_serves_the_next_proposals_once_it_is_back,
        service::a_service_is_killed_while_transactions_run,
        given_up::what_a_peer_gave_up_is_released_when_its_contract_asks_again,
        given_up::what_a_peer_gave_up_is_released_by_the_services_own_limit,
    ];
    if std::env::var_os("FAULTS").is_some() {
        acts.extend(acts![peers::a_peer_is_stopped_until_the_service_ends_its_stream]);
    }
    tell::<Served>(env!("CARGO_TARGET_TMPDIR"), "faults_on_real_peers", Order::Each, acts)
}
