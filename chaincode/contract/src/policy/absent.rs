//! In the place of an engine that a build does not have. A policy that names its epoch is refused before anything is
//! decided; what would be decided nevertheless is no permit.

use caretrail_model::care::Relationship;
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::time::UnixMs;

use super::{LedgerFacts, Request};

/// Denies.
pub fn decide(request: &Request<'_>, _: &LedgerFacts<'_>, _: UnixMs) -> Decision {
    Decision::deny(*request.record, Rule::NothingPermits)
}

/// None is known to be open.
pub(super) fn open_relationship<'a>(
    _: &Request<'_>,
    _: &LedgerFacts<'a>,
    _: UnixMs,
) -> Option<&'a Relationship> {
    None
}
