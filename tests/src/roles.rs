//! A test program that is its peers' builder and its own chaincode too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use caretrail_records::failure::chain;
use hlf_network::builder::{self, BuilderProgram};
use hlf_network::network::ChaincodeProgram;
use tokio::runtime::Runtime;

use crate::tally;

const BUILDER: &str = "builder";
const CHAINCODE: &str = "chaincode";

/// Plays the part that a network started this program for; `None` when nobody did, so that it tests.
///
/// The first thing that a test program of [`crate::channel`] does.
///
/// # Panics
/// When the part is named and cannot be played.
pub fn play() -> Option<ExitCode> {
    play_with(|| Runtime::new().expect("a runtime").block_on(tally::serve()))
}

/// As [`play`], with a chaincode of the program's own.
///
/// # Panics
/// When the part is named and cannot be played.
pub fn play_with(serve: impl FnOnce()) -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [BUILDER, phase, "--config", config, folders @ ..] => {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            let phase = phase.parse().expect("a phase");
            Some(match builder::run(phase, config.as_ref(), &folders) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{}", chain(&error));
                    ExitCode::FAILURE
                }
            })
        }
        [CHAINCODE] => {
            serve();
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

/// This program as the peers' builder.
pub fn builder() -> BuilderProgram {
    BuilderProgram { program: itself(), args: vec![BUILDER.to_owned()] }
}

/// This program as a chaincode, with further variables of its environment.
pub fn chaincode(env: BTreeMap<String, OsString>) -> ChaincodeProgram {
    ChaincodeProgram { program: itself(), args: vec![CHAINCODE.into()], env }
}

fn itself() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}
