//! One chaincode on a real channel, one organisation's on the official Go shim and the other's on ours.
//!
//! The endorsement policy wants both, so a transaction commits VALID only if both gave the same reply, the same
//! read-write sets and the same event, to the byte. Each act is a script of such transactions; the last ones have the
//! official Go client drive our chaincode, and count what is in the blocks.
//!
//! Everything is told three times, each on a network of its own: on Fabric 3.1 as it is, without the batches that
//! came with it, and on Fabric 2.5. This program is also the peers' builder and the chaincode on our shim: it looks
//! at its first argument.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod callee;
mod chance;
mod contract;
#[path = "../../../chaincode/shim/examples/every_operation/contract.rs"]
mod every_operation;
mod official_client;
mod script;
mod scripts;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use caretrail_records::failure::chain;
use caretrail_tests::acts;
use caretrail_tests::telling::{Act, Order, Play, play, tell_all};
use hlf_network::builder;

use world::{EDITIONS, Mixed};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["builder", phase, "--config", config, folders @ ..] => {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            let phase = phase.parse().expect("a phase");
            match builder::run(phase, config.as_ref(), &folders) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{}", chain(&error));
                    ExitCode::FAILURE
                }
            }
        }
        ["chaincode"] => {
            contract::serve();
            ExitCode::SUCCESS
        }
        _ => tell_all(vec![on::<0>(), on::<1>(), on::<2>()]),
    }
}

/// Everything, on the network of one edition.
fn on<const EDITION: usize>() -> Play {
    let mut acts: Vec<(&'static str, Act<Mixed<EDITION>>)> = Vec::new();
    for script in scripts::all() {
        let name = script.name;
        let act: Act<Mixed<EDITION>> = Box::new(move |world| Box::pin(script.clone().told_on(world)));
        acts.push((name, act));
    }
    acts.extend(acts![
        contract::each_organisation_runs_its_own_shim,
        contract::batches_are_as_the_peers_are_set,
        chance::whatever_is_drawn_is_endorsed_alike,
        script::what_was_scanned_is_checked_again_at_commit,
        official_client::the_official_client_drives_our_chaincode,
        official_client::the_blocks_hold_exactly_what_was_sent,
    ]);
    let edition = &EDITIONS[EDITION];
    play(env!("CARGO_TARGET_TMPDIR"), edition.program, edition.name, Order::Each, acts)
}
