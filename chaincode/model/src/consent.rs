//! What a patient permits or denies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, MspId, RecordId, StatementId, Subject};
use crate::limits::RECORDS_PER_PROVISION_MAX;
use crate::order::strictly_ascending;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::time::{DurationMs, Period, UnixMs};

/// What is done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Reading a version.
    Read,
    /// Adding a version or a record.
    Write,
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
}

impl Scope {
    /// Whether it holds the record `id`, kept by `custodian`.
    pub fn holds(&self, id: &RecordId, custodian: &MspId) -> bool {
        match self {
            Self::All {} => true,
            Self::Custodian { msp_id } => msp_id == custodian,
            Self::Records { records } => records.contains(id),
        }
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
        if let Scope::Records { records } = &self.scope
            && (records.is_empty()
                || records.len() > RECORDS_PER_PROVISION_MAX
                || !strictly_ascending(records.iter()))
        {
            return Err(ProvisionError::List("records"));
        }
        Ok(())
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
    pub const NONE: Self = Self {
        sequence: 0,
        consents: Vec::new(),
        at: match UnixMs::new(0) {
            Some(epoch) => epoch,
            None => unreachable!(),
        },
    };
}
