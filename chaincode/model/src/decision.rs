//! What was decided about one record, by which rule, on which facts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Effect;
use crate::ids::{MspId, RecordId, StatementId};
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
    /// Deny: the consortium's policy wants a care relationship, and none is open.
    NoRelationship,
    /// Deny: the patient refuses emergency access.
    EmergencyRefused,
    /// Deny: the record's custodian withdrew it.
    RecordWithdrawn,
    /// Permit: the actor broke the glass.
    BreakGlass,
    /// Deny: the patient stopped every permit.
    Stopped,
    /// Deny: a provision of the patient denies it.
    ConsentDenies,
    /// Permit: a provision of the patient permits it, and none denies it.
    ConsentPermits,
    /// Deny: nothing permits it. Also the answer for a record that is not there or not this patient's.
    NothingPermits,
}

impl Rule {
    /// Every rule, in order of precedence.
    pub const ALL: [Self; 12] = [
        Self::NotAMember,
        Self::RoleNotAllowed,
        Self::NoStanding,
        Self::PurposeNotHeld,
        Self::NoRelationship,
        Self::EmergencyRefused,
        Self::RecordWithdrawn,
        Self::BreakGlass,
        Self::Stopped,
        Self::ConsentDenies,
        Self::ConsentPermits,
        Self::NothingPermits,
    ];

    /// Permit or deny.
    pub const fn effect(self) -> Effect {
        match self {
            Self::ConsentPermits | Self::BreakGlass => Effect::Permit,
            Self::NotAMember
            | Self::RoleNotAllowed
            | Self::NoStanding
            | Self::PurposeNotHeld
            | Self::NoRelationship
            | Self::EmergencyRefused
            | Self::RecordWithdrawn
            | Self::Stopped
            | Self::ConsentDenies
            | Self::NothingPermits => Effect::Deny,
        }
    }

    /// What the one who asked is told: a denial that would say whether a record is there, or what the patient
    /// decided, reads like one of a record that is not there.
    pub const fn told(self) -> Self {
        match self {
            Self::RecordWithdrawn | Self::Stopped | Self::ConsentDenies => Self::NothingPermits,
            other => other,
        }
    }

    /// The text in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAMember => "not_a_member",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::NoStanding => "no_standing",
            Self::PurposeNotHeld => "purpose_not_held",
            Self::NoRelationship => "no_relationship",
            Self::EmergencyRefused => "emergency_refused",
            Self::RecordWithdrawn => "record_withdrawn",
            Self::BreakGlass => "break_glass",
            Self::Stopped => "stopped",
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
    /// For a permit that was passed on: the patient's own grant that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StatementId>,
    /// For a permit: the record's newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// For a permit: the hospital that releases it, where that is not the patient's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custodian: Option<MspId>,
    /// For a permit: whether it rests on paper, not on a signature of the patient's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paper: bool,
    /// For a permit: first instant at which it can no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<UnixMs>,
}

impl Decision {
    /// A denial by `rule`.
    pub const fn deny(record: RecordId, rule: Rule) -> Self {
        Self {
            record,
            effect: Effect::Deny,
            rule,
            consent: None,
            parent: None,
            version: None,
            custodian: None,
            paper: false,
            valid_until: None,
        }
    }

    /// What the one who asked is told of it; see [`Rule::told`].
    #[must_use]
    pub fn told(&self) -> Self {
        match self.effect {
            Effect::Permit => self.clone(),
            Effect::Deny => Self::deny(self.record, self.rule.told()),
        }
    }
}

/// The sequence numbers of the facts that a decision read, so that it can be decided again. 0 where there was
/// none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Of the consortium's policy.
    pub policy: u64,
    /// Of the patient.
    pub patient: u64,
    /// Of the patient's live consents.
    pub consents: u64,
    /// Of the actor's standing.
    pub standing: u64,
    /// Of the patient's stop switch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stop: u64,
    /// Of the patient's guardians.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub guardians: u64,
    /// Of the actor's own care relationship.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub relationship: u64,
    /// Of the care relationship of the actor's whole hospital.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hospital_relationship: u64,
    /// Of the glass that the actor broke.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub break_glass: u64,
    /// Of each record, in the order decided; `null` where there was none. Not told to the one who asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Option<u64>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
