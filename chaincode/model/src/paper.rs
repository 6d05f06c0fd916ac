//! What hospitals do on paper for a patient who has no key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::{Effect, Provision};
use crate::ids::{Actor, KeyId, StatementId};
use crate::statement::GuardianTerm;
use crate::time::UnixMs;

/// One act on paper. What narrows access works at once; what opens it waits for a second hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PaperAct {
    /// Puts a provision in force: a permit waits, a denial does not.
    Grant {
        /// What is put in force.
        provision: Provision,
    },
    /// Ends a live consent: a permit at once; a denial, which opens access, waits.
    End {
        /// The live consent.
        consent: StatementId,
    },
    /// Stops every permit at once, or lifts the stop, which waits.
    StopAll {
        /// Whether everything is stopped.
        stopped: bool,
    },
    /// Appoints a guardian, or renews the term; it waits.
    AddGuardian {
        /// The term.
        term: GuardianTerm,
    },
    /// Ends a guardian's term, at once.
    EndGuardian {
        /// The guardian's key.
        guardian: KeyId,
    },
}

impl PaperAct {
    /// Whether a second hospital has to confirm it, going by the act alone.
    pub fn opens(&self) -> bool {
        match self {
            Self::Grant { provision } => provision.effect == Effect::Permit,
            // Which effect ends is known only with the live consents; see the contract.
            Self::End { .. } | Self::EndGuardian { .. } => false,
            Self::StopAll { stopped } => !stopped,
            Self::AddGuardian { .. } => true,
        }
    }
}

/// An act on paper, as it was proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// What is done.
    pub act: PaperAct,
    /// Who proposed it at the home hospital.
    pub by: Actor,
    /// Who confirmed it at another hospital; absent while it waits, and for what needs nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<Actor>,
    /// Whether it is in force.
    pub done: bool,
    /// Sequence number of what the act changes as it stood when it was proposed, of a stop switch or guardians; 0 for
    /// none. Confirmed is the act on what both hospitals saw, or none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u64,
    /// Effective time of the newest change.
    pub at: UnixMs,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
