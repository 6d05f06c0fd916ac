//! `caretrail_contract::fuzzing::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| caretrail_contract::fuzzing::state(bytes));
