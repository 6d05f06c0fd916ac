//! What a patient permits or denies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guardian::ByGuardian;
use crate::ids::{Actor, MspId, RecordId, StatementId, Subject};
use crate::limits::{EXCEPTIONS_MAX, RECORDS_PER_PROVISION_MAX};
use crate::order::strictly_ascending;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::tag::{TagSet, sets_are_well_formed};
use crate::time::{DurationMs, Period, UnixMs};

/// What is done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Reading a version.
    Read,
    /// Adding a version or a record.
    Write,
    /// Passing a narrower permit on, once.
    Delegate,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Delegate];
}

/// Permit or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Access is given.
    Permit,
    /// Access is refused.
    Deny,
}

/// To whom a provision applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grantee {
    /// Everybody at a hospital.
    Hospital {
        /// The hospital.
        msp_id: MspId,
    },
    /// Everybody of one role at a hospital.
    Role {
        /// The hospital.
        msp_id: MspId,
        /// The role.
        role: Role,
    },
    /// One person or service.
    Person {
        /// The hospital.
        msp_id: MspId,
        /// The person or service within it.
        subject: Subject,
    },
}

impl Grantee {
    /// Whether it names `actor` acting in `role`.
    pub fn names(&self, actor: &Actor, role: Role) -> bool {
        match self {
            Self::Hospital { msp_id } => msp_id == &actor.msp_id,
            Self::Role { msp_id, role: named } => msp_id == &actor.msp_id && *named == role,
            Self::Person { msp_id, subject } => msp_id == &actor.msp_id && subject == &actor.subject,
        }
    }

    /// The hospital of whoever is named.
    pub fn msp_id(&self) -> &MspId {
        match self {
            Self::Hospital { msp_id } | Self::Role { msp_id, .. } | Self::Person { msp_id, .. } => msp_id,
        }
    }
}

/// Which records a provision applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Every record of the patient. Braces, so that unknown fields are refused here too.
    All {},
    /// The records that one hospital keeps.
    Custodian {
        /// The hospital.
        msp_id: MspId,
    },
    /// Named records, strictly ascending, 1 to 100.
    Records {
        /// Their ids.
        records: Vec<RecordId>,
    },
    /// Records that carry one of the tags.
    Tags {
        /// The tags, one set a custodian, strictly ascending, 1 to 16.
        sets: Vec<TagSet>,
    },
}

impl Scope {
    /// Whether it holds the record `id`, kept by `custodian`, without looking at tags: a scope of tags holds none.
    pub fn holds(&self, id: &RecordId, custodian: &MspId) -> bool {
        match self {
            Self::All {} => true,
            Self::Custodian { msp_id } => msp_id == custodian,
            Self::Records { records } => records.contains(id),
            Self::Tags { .. } => false,
        }
    }

    fn validate(&self) -> Result<(), ProvisionError> {
        match self {
            Self::All {} | Self::Custodian { .. } => Ok(()),
            Self::Records { records } => {
                let sound = !records.is_empty()
                    && records.len() <= RECORDS_PER_PROVISION_MAX
                    && strictly_ascending(records.iter());
                if sound { Ok(()) } else { Err(ProvisionError::List("records")) }
            }
            Self::Tags { sets } => {
                if sets_are_well_formed(sets) {
                    Ok(())
                } else {
                    Err(ProvisionError::List("sets"))
                }
            }
        }
    }
}

/// What a provision does not apply to, of what it would: carved out of this provision alone, never turned
/// into the opposite. A dimension that is absent is as wide as the provision's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Only for these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantee: Option<Grantee>,
    /// Only for these actions, strictly ascending; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Only for these purposes and their children, strictly ascending; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<Purpose>,
    /// Only for these records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

impl Exception {
    /// Whether it leaves nothing of the provision.
    fn is_of_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// One provision, as the patient states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Permit or deny.
    pub effect: Effect,
    /// To whom it applies.
    pub grantee: Grantee,
    /// To which actions, strictly ascending, at least one.
    pub actions: Vec<Action>,
    /// For which purposes, strictly ascending, at least one; each covers its children.
    pub purposes: Vec<Purpose>,
    /// To which records.
    pub scope: Scope,
    /// When.
    pub period: Period,
    /// What it does not apply to, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// A provision that cannot be put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// It would hold at no instant.
    #[error("the consent ends at or before its start: set `until` later than `from`")]
    EmptyPeriod,
    /// It would hold for longer than the consortium allows.
    #[error("the consent's period is longer than the consortium's policy allows: set `until` earlier")]
    PeriodTooLong,
    /// A list is empty, too long or out of order.
    #[error("`{0}` must be in ascending order, each once, at least one and within the limit")]
    List(&'static str),
    /// An exception leaves nothing, or holds at no instant.
    #[error("each exception must name at least one dimension, and a period that holds some instant")]
    Exception,
}

impl Provision {
    /// Checks order, sizes and period.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn validate(&self, period_max: DurationMs) -> Result<(), ProvisionError> {
        if self.period.is_empty() {
            return Err(ProvisionError::EmptyPeriod);
        }
        if self.period.from.distance(self.period.until) > period_max {
            return Err(ProvisionError::PeriodTooLong);
        }
        if self.actions.is_empty() || !strictly_ascending(self.actions.iter()) {
            return Err(ProvisionError::List("actions"));
        }
        if self.purposes.is_empty() || !strictly_ascending(self.purposes.iter()) {
            return Err(ProvisionError::List("purposes"));
        }
        self.scope.validate()?;
        if self.exceptions.len() > EXCEPTIONS_MAX {
            return Err(ProvisionError::List("exceptions"));
        }
        self.exceptions.iter().try_for_each(|exception| {
            if exception.is_of_everything() || exception.period.as_ref().is_some_and(Period::is_empty) {
                return Err(ProvisionError::Exception);
            }
            if !strictly_ascending(exception.actions.iter()) {
                return Err(ProvisionError::List("actions"));
            }
            if !strictly_ascending(exception.purposes.iter()) {
                return Err(ProvisionError::List("purposes"));
            }
            exception.scope.as_ref().map_or(Ok(()), Scope::validate)
        })
    }

    /// Whether it says only what the first semantic engine understands.
    pub fn is_of_epoch_1(&self) -> bool {
        self.exceptions.is_empty()
            && !self.actions.contains(&Action::Delegate)
            && !matches!(self.scope, Scope::Tags { .. })
    }
}

/// A provision in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveConsent {
    /// The statement that granted it.
    pub id: StatementId,
    /// What it says.
    pub provision: Provision,
    /// The guardian who signed it: a permit ends with the guardian's term, a denial does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<ByGuardian>,
    /// The grant that it was passed on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated: Option<Delegated>,
    /// Whether it was put in force on paper; a permit on paper ends when the patient binds a key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paper: bool,
}

impl LiveConsent {
    /// A provision that the patient's own key signed.
    pub const fn signed(id: StatementId, provision: Provision) -> Self {
        Self { id, provision, guardian: None, delegated: None, paper: false }
    }
}

/// Where a delegated grant comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegated {
    /// The patient's own grant; the delegated one ends with it.
    pub parent: StatementId,
    /// Who passed it on.
    pub by: Actor,
    /// In which role; absent for what was passed on before roles were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Delegated {
    /// The roles in which it may have been passed on: one, where it was kept.
    pub fn roles(&self) -> &[Role] {
        self.role.as_ref().map_or(&Role::ALL, std::slice::from_ref)
    }
}

/// A patient's live consents, one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveConsents {
    /// 0 when none was ever granted, one more for each change.
    pub sequence: u64,
    /// In the order in which they were granted.
    pub consents: Vec<LiveConsent>,
    /// Effective time of the change.
    pub at: UnixMs,
}

impl LiveConsents {
    /// The consents of a patient who never granted one.
    pub const NONE: Self = Self { sequence: 0, consents: Vec::new(), at: UnixMs::EPOCH };
}
