//! An independent reading of the second engine's documented table: generated cases, and what they should give.
//!
//! It shares no code with the engine. The engine walks provisions and returns early; this expands every dimension of
//! every provision into the set of points that it names, as bits of a number, and decides all rows before it picks
//! one. Off the endorsed path: nothing here is part of the chaincode.
//!
//! The table of who may add a record, which rests on the same matching, is read the same way.

pub(crate) mod cases;
pub(crate) mod rows;
pub(crate) mod writing;

use std::collections::BTreeMap;

use caretrail_contract::policy::{LedgerFacts, Request};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::time::UnixMs;

use cases::Case;

/// An engine: the one of the chaincode, or one with a planted mistake.
pub(crate) type Engine = fn(&Request<'_>, &LedgerFacts<'_>, UnixMs) -> Decision;

/// How many cases each rule decided.
pub(crate) type Reached = BTreeMap<Rule, u64>;

/// Compares an engine with the table on `count` generated cases.
///
/// # Errors
/// The first case, by its number, that the two decide in different ways.
pub(crate) fn compare(engine: Engine, seed: u64, count: u64) -> Result<Reached, String> {
    let mut reached = Reached::new();
    for number in 0..count {
        let case = Case::generate(seed, number);
        let (decided, expected) = (case.decided_by(engine), rows::decide(&case));
        if decided != expected {
            return Err(format!("case {number}: {decided:?} instead of {expected:?}\n{case:#?}"));
        }
        *reached.entry(decided.rule).or_default() += 1;
    }
    Ok(reached)
}
