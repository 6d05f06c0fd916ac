//! A hospital's authorisation of one of its own practitioners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Actor;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::time::UnixMs;

/// The standing of one actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// 1 for the first, one more for each change.
    pub sequence: u64,
    /// The role to act in.
    pub role: Role,
    /// Purposes that the actor may claim, strictly ascending; each covers its children.
    pub purposes: Vec<Purpose>,
    /// First instant at which it no longer holds.
    pub until: UnixMs,
    /// Whether it is suspended.
    pub suspended: bool,
    /// The admin who made the change.
    pub by: Actor,
    /// Effective time of the change.
    pub at: UnixMs,
}

impl Standing {
    /// Whether it holds at `instant`.
    pub fn holds_at(&self, instant: UnixMs) -> bool {
        !self.suspended && instant < self.until
    }
}
