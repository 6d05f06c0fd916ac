//! The second engine, and what decides who may add a record, with one planted mistake each.
//!
//! `build.rs` copies the engine's source once for each mistake of `mistakes.txt`, with one place of it replaced, and that
//! of `writing` for each of `mistakes_in_writing.txt`, so that a single build holds them all. A mistake whose place is no longer there fails the build. The test compares
//! each copy with the independent reading of the documented table, and demands that every mistake is found.

use caretrail_contract::policy::{LedgerFacts, MayAdd, NewRecord, Request};
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

/// What decides who may add a record.
pub type Writing = fn(&NewRecord<'_>, &LedgerFacts<'_>, UnixMs) -> MayAdd;

/// The engine as it is.
pub const ENGINE: Engine = generated::ENGINE;

/// Every mistake by its name, with the engine that makes it.
pub const ENGINE_MUTANTS: &[(&str, Engine)] = generated::ENGINE_MUTANTS;

/// What decides who may add, as it is.
pub const WRITING: Writing = generated::WRITING;

/// Every mistake about that by its name, with what makes it.
pub const WRITING_MUTANTS: &[(&str, Writing)] = generated::WRITING_MUTANTS;
