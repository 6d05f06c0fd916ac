//! `hlf_gateway::fuzzing::failures`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlf_gateway::fuzzing::failures(bytes));
