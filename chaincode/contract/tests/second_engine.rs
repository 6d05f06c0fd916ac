//! The second engine, and what decides who may add a record, agree with an independent reading of their documented
//! tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails where it stands"
)]

mod oracle;

use caretrail_contract::policy::{MayAdd, epoch_2, writing};
use caretrail_model::decision::Rule;

/// Cases of every run; the long run sets its own number.
const CASES: u64 = 100_000;
/// The same of who may add a record.
const CASES_OF_WRITING: u64 = 20_000;

/// `CARETRAIL_ORACLE_CASES` sets another number of cases, as `make test-long` does.
fn cases(of_every_run: u64) -> u64 {
    match std::env::var("CARETRAIL_ORACLE_CASES") {
        Ok(number) => number.parse().expect("CARETRAIL_ORACLE_CASES is a number of cases"),
        Err(_) => of_every_run,
    }
}

#[test]
fn no_case_is_decided_in_another_way_than_the_documented_table_does() {
    let cases = cases(CASES);
    let reached =
        oracle::compare(epoch_2::decide, 1, cases).unwrap_or_else(|difference| panic!("{difference}"));
    for rule in Rule::ALL {
        let number = reached.get(&rule).copied().unwrap_or_default();
        assert!(number >= cases / 250, "too few cases reach `{rule}`: {reached:?}");
    }
}

#[test]
fn nobody_may_add_a_record_but_whom_the_documented_table_lets() {
    let cases = cases(CASES_OF_WRITING);
    let reached = oracle::writing::compare(writing::decide, 1, cases)
        .unwrap_or_else(|difference| panic!("{difference}"));
    let outcomes = [MayAdd::NoStanding, MayAdd::ByCustody, MayAdd::ByCare, MayAdd::ByConsent, MayAdd::Not];
    for outcome in outcomes {
        let number = reached.get(&outcome).copied().unwrap_or_default();
        assert!(number >= cases / 250, "too few cases give `{outcome:?}`: {reached:?}");
    }
}
