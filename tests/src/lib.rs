//! What the end-to-end tests and the benchmarks stand on: a network of real Fabric processes, the `caretrail` program as users
//! run it, and the chain read without the code under test.
//!
//! | module | holds |
//! |---|---|
//! | [`telling`] | acts in a stated order against one network, as a test program |
//! | [`stage`] | the folder of one run: swept before, cleared after, kept when something failed |
//! | [`actors`] | staff of both hospitals and a patient, who make the contract's calls without the program |
//! | [`made`] | their calls as a test makes them, and which they were |
//! | [`both`] | both hospitals' peers, asked for the same |
//! | [`caretrail`] | the program, run line by line, with assertions on how it ends |
//! | [`fabric`] | Fabric's own programs |
//! | [`further`] | chaincode beyond a network's own, on any of its channels |
//! | [`go`] | programs in Go, which stand on Fabric's own libraries |
//! | [`hospitals`] | two hospitals: their network, their identities, their daemons |
//! | [`chain`] | whole blocks, decoded message by message |
//! | [`roles`] | a test program that is its peers' builder and its own chaincode too |
//! | [`tally`] | that chaincode: keys and counters that are easy to count |
//! | [`channel`] | a channel with it, on a network of the library's making |
//! | [`fault`] | single processes killed, stopped, restarted, and healed |
//! | [`load`] | steady load, what its callers were told, and what the blocks say |
//! | [`processes`] | processes by id, found by their marker and ended by signal |
//! | [`stopping`] | long work, stopped in its midst |
//! | [`until`] | a condition that is awaited until a deadline |
//! | [`measure`] | what benchmarks measure with |
//!
//! Everything here fails by panicking: a test has nothing better to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

pub mod actors;
pub mod both;
pub mod caretrail;
pub mod chain;
pub mod channel;
pub mod fabric;
pub mod fault;
pub mod further;
pub mod go;
pub mod hospitals;
pub mod load;
pub mod made;
pub mod measure;
pub mod processes;
pub mod roles;
pub mod stage;
pub mod stopping;
pub mod tally;
pub mod telling;
pub mod until;
