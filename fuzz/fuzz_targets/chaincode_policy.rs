//! `hlf_chaincode::fuzzing::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlf_chaincode::fuzzing::policy(bytes));
