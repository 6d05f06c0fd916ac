//! The second engine with one planted mistake each.
//!
//! `build.rs` copies the engine's source once for each mistake of `mistakes.txt`, with one place of it replaced, so
//! that a single build holds them all. A mistake whose place is no longer there fails the build. The test compares
//! each copy with the independent reading of the documented table, and demands that every mistake is found.

use caretrail_contract::policy::{LedgerFacts, Request};
use caretrail_model::decision::Decision;
use caretrail_model::time::UnixMs;

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_mut,
    unused_variables,
    clippy::all,
    reason = "a mistake may leave something unused"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// An engine.
pub type Engine = fn(&Request<'_>, &LedgerFacts<'_>, UnixMs) -> Decision;

/// The engine as it is.
pub const UNCHANGED: Engine = generated::UNCHANGED;

/// Every mistake by its name, with the engine that makes it.
pub const MUTANTS: &[(&str, Engine)] = generated::MUTANTS;
