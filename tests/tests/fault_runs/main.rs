//! Steady load while each peer and each orderer is killed, stopped and restarted in turn: what callers were told is
//! what the blocks of every peer say, counted without the client.
//!
//! `FAULTS` says how many faults strike each network; three by default, one of each kind. This program is the peers'
//! builder and the chaincode too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use caretrail_tests::channel::consortium;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::{Order, World, tell};
use caretrail_tests::{acts, roles};

/// Where networks are stood up, one after the other.
struct Ground(PathBuf);

impl World for Ground {
    async fn stand_up(stage: &Stage) -> Self {
        Self(stage.folder().to_owned())
    }
}

async fn on_raft_of_three(ground: &mut Ground) {
    Box::pin(run::run(&ground.0, "raft", consortium("raft", 3, 2, 2))).await;
}

async fn on_bft_of_four(ground: &mut Ground) {
    Box::pin(run::run(&ground.0, "bft", consortium("bft", 4, 2, 2))).await;
}

fn main() -> ExitCode {
    if let Some(played) = roles::play() {
        return played;
    }
    let mut acts = acts![on_raft_of_three];
    // Fabric 2.5 has no BFT ordering.
    if consortium("raft", 1, 1, 1).fabric.is_v3() {
        acts.extend(acts![on_bft_of_four]);
    }
    tell::<Ground>(env!("CARGO_TARGET_TMPDIR"), "fault_runs", Order::Each, acts)
}
