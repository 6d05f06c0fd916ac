//! Typed record, consent, access and audit calls over a Fabric channel; sealing, vault and index.
//!
//! [`Records`] is one enrolled actor's view of the contract: every call typed, and the workflows that take
//! more than a call. Around it:
//!
//! | module | holds |
//! |---|---|
//! | [`records`], [`call_error`], [`failure`] | the typed calls by their names, their errors, and the one shape of failures |
//! | [`workflows`] | registering patients, adding and opening records, access, release, the access log |
//! | [`document`], [`seal`], [`secret`] | a document, its sealed blob, and the secret that opens it |
//! | [`vault`] | where sealed blobs are kept |
//! | [`hospital`], [`storage_key`] | hospital numbers and encrypted secrets, which never leave the hospital |
//! | [`index`] | where in the chain each transaction lies |
//! | [`patient_key`], [`statements`] | a patient's key, the statements that it signs, and those that are signed elsewhere |
//! | [`release`] | what hospitals say to each other to release a version |
//! | [`certificate`] | what an enrolment certificate says |

pub mod call_error;
pub mod certificate;
pub mod document;
pub mod failure;
pub mod hospital;
pub mod index;
pub mod patient_key;
pub mod records;
pub mod release;
pub mod seal;
pub mod secret;
pub mod statements;
pub mod storage_key;
pub mod vault;
pub mod workflows;

mod calls;
mod custody;
mod database;
mod disk;
mod ledger_name;
mod under_way;
#[cfg(test)]
mod vectors;
mod version;

pub use call_error::CallError;
pub use custody::{Custody, Stopped};
pub use database::DatabaseError;
pub use disk::KeyFileError;
pub use failure::Failure;
pub use ledger_name::LedgerName;
pub use records::{Committed, Records};
pub use under_way::UnderWay;
pub use version::VersionId;
