//! The contract on a peer in memory, through the real stream.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod a_patient_decides_who_reads;
mod decision_oracle;
mod hostile_json;
mod nobody_speaks_for_a_patient_or_a_hospital;
mod world;
