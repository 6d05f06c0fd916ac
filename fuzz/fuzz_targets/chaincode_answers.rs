//! `hlf_chaincode::fuzzing::answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlf_chaincode::fuzzing::answers(bytes));
