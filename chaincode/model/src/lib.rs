//! What Caretrail puts on the channel, shared by the contract and the gateway.
//!
//! Plain data and pure functions: no I/O, no async, no clock. `FORMATS.md` next to this crate
//! describes every format that is costly to change, with vectors that other languages can run.
//!
//! | module | holds |
//! |---|---|
//! | [`ids`] | newtypes of every id, and how each is derived |
//! | [`json`] | that JSON is said in its one shape |
//! | [`hash`] | the framing of hash inputs, the domains, the content commitment |
//! | [`time`] | instants and durations in Unix milliseconds |
//! | [`role`], [`purpose`] | who somebody is, and what for |
//! | [`policy`] | the consortium's policy in force |
//! | [`standing`] | a hospital's authorisation of one of its practitioners |
//! | [`patient`], [`guardian`], [`paper`], [`record`], [`tag`], [`consent`], [`care`] | the subjects of the ledger |
//! | [`label`] | what a custodian's tags stand for |
//! | [`statement`], [`webauthn`] | what a patient signs, and its verification |
//! | [`decision`], [`audit`] | what was decided, and the entry that says so |
//! | [`calls`] | every call of the contract: name, arguments, reply |
//! | [`code`] | the stable error codes |
//! | [`limits`] | the bounds that no policy can exceed |

pub mod audit;
pub mod calls;
pub mod care;
pub mod code;
pub mod consent;
pub mod decision;
pub mod guardian;
pub mod hash;
pub mod ids;
pub mod json;
pub mod label;
pub mod limits;
mod order;
pub mod paper;
pub mod patient;
pub mod policy;
pub mod purpose;
pub mod record;
pub mod role;
pub mod standing;
pub mod statement;
pub mod tag;
pub mod time;
pub mod webauthn;
