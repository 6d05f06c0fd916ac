//! `caretrail_contract::fuzzing::policies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| caretrail_contract::fuzzing::policies(bytes));
