//! The Caretrail contract: record commitments, access policies and access decisions on the channel.
//!
//! [`contract`] gives the functions that a chaincode service runs; [`policy`] is the decision itself,
//! a pure function. Keys of the state are built in one file, and each handler writes its audit entry in
//! the same write set as its act.
//!
//! A call comes in at the top, and passes what stands below:
//!
//! | module | holds |
//! |---|---|
//! | `main` | the program: the contract as a service that the peers of one organisation dial |
//! | `admission` | the gate: a proposal whose time is far off the endorser's clock is refused |
//! | `dispatch` | from a function's name and argument to its handler; who may call at all |
//! | `invocation` | one call: who makes it, what it reads, and its one write set |
//! | `epochs` | which engine a channel is likely to be under, so that its keys are fetched together |
//! | `handlers` | what each call does: one file a subject, and which calls are in which |
//! | `statements` | what every carried statement passes before its body counts |
//! | `facts` | what a decision reads of an actor and a patient |
//! | [`policy`] | the decision, pure: one engine an epoch, each a table with its code |
//! | `live` | changes of a patient's live consents, and their limits |
//! | `pages` | pages of a query |
//! | `keys`, `stored` | every key of the state, and how its value is written |
//! | `failure` | refusals, by a code of the model |
//! | `fuzzing` | what meets bytes from outside, for fuzz targets and tests |

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
