//! `hlf_gateway::fuzzing::certificates`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlf_gateway::fuzzing::certificates(bytes));
