//! What was decided about one record, by which rule, on which facts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Effect;
use crate::ids::{RecordId, StatementId};
use crate::time::UnixMs;

/// The rule that decided, in order of precedence: the first that applies decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Deny: the actor's hospital is no member of the consortium any more.
    NotAMember,
    /// Deny: the consortium's policy lets no actor of this role ask for this action and purpose.
    RoleNotAllowed,
    /// Deny: the actor has no standing in this role at the hospital, or it ended or is suspended.
    NoStanding,
    /// Deny: the actor's standing does not hold this purpose.
    PurposeNotHeld,
    /// Deny: a provision of the patient denies it.
    ConsentDenies,
    /// Permit: a provision of the patient permits it, and none denies it.
    ConsentPermits,
    /// Deny: nothing permits it. Also the answer for a record that is not there or not this patient's.
    NothingPermits,
}

impl Rule {
    /// Every rule, in order of precedence.
    pub const ALL: [Self; 7] = [
        Self::NotAMember,
        Self::RoleNotAllowed,
        Self::NoStanding,
        Self::PurposeNotHeld,
        Self::ConsentDenies,
        Self::ConsentPermits,
        Self::NothingPermits,
    ];

    /// Permit or deny.
    pub const fn effect(self) -> Effect {
        match self {
            Self::ConsentPermits => Effect::Permit,
            Self::NotAMember
            | Self::RoleNotAllowed
            | Self::NoStanding
            | Self::PurposeNotHeld
            | Self::ConsentDenies
            | Self::NothingPermits => Effect::Deny,
        }
    }

    /// The text in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAMember => "not_a_member",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::NoStanding => "no_standing",
            Self::PurposeNotHeld => "purpose_not_held",
            Self::ConsentDenies => "consent_denies",
            Self::ConsentPermits => "consent_permits",
            Self::NothingPermits => "nothing_permits",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The decision about one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The record asked for.
    pub record: RecordId,
    /// Permit or deny.
    pub effect: Effect,
    /// The rule that decided.
    pub rule: Rule,
    /// The consent that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<StatementId>,
    /// For a permit: the record's newest version, and the hospital that releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// For a permit: first instant at which it can no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<UnixMs>,
}

/// The sequence numbers of the facts that a decision read, so that it can be decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Of the consortium's policy.
    pub policy: u64,
    /// Of the patient.
    pub patient: u64,
    /// Of the patient's live consents; 0 when none was ever granted.
    pub consents: u64,
    /// Of the actor's standing; 0 when there is none.
    pub standing: u64,
}
