//! The second engine agrees with an independent reading of its documented table.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails where it stands"
)]

mod oracle;

use caretrail_contract::policy::epoch_2::decide;
use caretrail_model::decision::Rule;

/// Cases of every run; the long run sets its own number.
const CASES: u64 = 100_000;

/// `CARETRAIL_ORACLE_CASES` sets another number of cases, as `make test-long` does.
#[test]
fn no_case_is_decided_in_another_way_than_the_documented_table_does() {
    let cases = match std::env::var("CARETRAIL_ORACLE_CASES") {
        Ok(number) => number.parse().expect("CARETRAIL_ORACLE_CASES is a number of cases"),
        Err(_) => CASES,
    };
    let reached = oracle::compare(decide, 1, cases).unwrap_or_else(|difference| panic!("{difference}"));
    for rule in Rule::ALL {
        let number = reached.get(&rule).copied().unwrap_or_default();
        assert!(number >= cases / 250, "too few cases reach `{rule}`: {reached:?}");
    }
}
