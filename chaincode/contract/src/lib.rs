//! The Caretrail contract: record commitments, access policies and access decisions on the channel.
//!
//! [`contract`] gives the functions that a chaincode service runs; [`policy`] is the decision itself,
//! a pure function. Keys of the state are built in one file, and each handler writes its audit entry in
//! the same write set as its act.

mod admission;
mod dispatch;
mod epochs;
mod facts;
mod failure;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod handlers;
mod invocation;
mod keys;
mod live;
mod pages;
pub mod policy;
mod statements;
mod stored;

pub use admission::{Admission, Clock};
pub use dispatch::contract;
