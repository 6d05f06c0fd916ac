//! The contract on a peer in memory, through the real stream.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod a_guardian_decides_for_a_while;
mod a_key_is_the_patients_own;
mod a_patient_decides_who_reads;
mod attacks;
mod care_and_emergencies;
mod consents_of_ihe_pcf;
mod endorsed;
mod epochs;
mod every_argument_has_one_shape;
mod first_engine_oracle;
mod histories;
mod hostile_json;
mod nobody_learns_what_is_not_theirs;
mod nobody_speaks_for_a_patient_or_a_hospital;
mod nothing_that_differs_between_peers;
#[path = "../oracle/mod.rs"]
#[allow(dead_code, reason = "histories decide cases of their own, and generate none")]
mod oracle;
mod permits_are_passed_on;
mod records_change_hands;
mod tables;
mod threat_model;
mod what_a_draft_would_change;
mod who_may_call;
mod world;
