//! What the independent reading of the tables is worth: it finds every planted mistake.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails where it stands"
)]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use caretrail_engine_mutants::{ENGINE, ENGINE_MUTANTS, WRITING, WRITING_MUTANTS};

/// Cases within which each mistake has to show.
const CASES: u64 = 60_000;

#[test]
fn every_planted_mistake_is_found() {
    assert!(ENGINE_MUTANTS.len() >= 20, "only {} mistakes are planted", ENGINE_MUTANTS.len());
    oracle::compare(ENGINE, 2, CASES / 4).unwrap_or_else(|difference| panic!("{difference}"));
    let missed: Vec<&str> = ENGINE_MUTANTS
        .iter()
        .filter(|(_, engine)| oracle::compare(*engine, 2, CASES).is_ok())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "of {}", ENGINE_MUTANTS.len());
}

#[test]
fn every_mistake_about_who_may_add_a_record_is_found() {
    assert!(WRITING_MUTANTS.len() >= 8, "only {} mistakes are planted", WRITING_MUTANTS.len());
    oracle::writing::compare(WRITING, 2, CASES / 4).unwrap_or_else(|difference| panic!("{difference}"));
    let missed: Vec<&str> = WRITING_MUTANTS
        .iter()
        .filter(|(_, writing)| oracle::writing::compare(*writing, 2, CASES).is_ok())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "of {}", WRITING_MUTANTS.len());
}
