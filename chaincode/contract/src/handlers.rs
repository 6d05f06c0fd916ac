//! What each call does: one file a subject.
//!
//! A handler checks the caller's role, reads what it needs together, checks the facts, and writes
//! state and audit entry as one write set.

use std::future::Future;

use caretrail_model::calls::Call;
use hlf_chaincode::Failure;

use crate::invocation::Invocation;

mod access;
mod audit;
mod care;
mod consents;
mod consortium;
mod custody;
mod guardians;
mod holders;
mod paper;
mod patients;
mod practitioners;
mod previews;
mod records;
mod replay;

/// A call that this contract answers.
pub(crate) trait Handle: Call {
    /// Answers it.
    fn handle(self, invocation: &Invocation<'_>)
    -> impl Future<Output = Result<Self::Reply, Failure>> + Send;
}
