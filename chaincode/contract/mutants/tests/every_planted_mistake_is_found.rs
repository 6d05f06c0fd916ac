//! What the independent reading of the table is worth: it finds every planted mistake.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails where it stands"
)]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use caretrail_engine_mutants::{MUTANTS, UNCHANGED};

/// Cases within which each mistake has to show.
const CASES: u64 = 60_000;

#[test]
fn every_planted_mistake_is_found() {
    assert!(MUTANTS.len() >= 20, "only {} mistakes are planted", MUTANTS.len());
    oracle::compare(UNCHANGED, 2, CASES / 4).unwrap_or_else(|difference| panic!("{difference}"));
    let missed: Vec<&str> = MUTANTS
        .iter()
        .filter(|(_, engine)| oracle::compare(*engine, 2, CASES).is_ok())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "of {}", MUTANTS.len());
}
