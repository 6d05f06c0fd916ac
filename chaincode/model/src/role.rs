//! What an enrolled actor is: the certificate's `caretrail.role`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Certificate attribute that holds the role.
pub const ROLE_ATTRIBUTE: &str = "caretrail.role";
/// Certificate attribute that holds the subject; it equals the common name.
pub const SUBJECT_ATTRIBUTE: &str = "caretrail.subject";

/// A role, as the hospital's CA wrote it into the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Speaks for the hospital: policy and standing.
    Admin,
    /// Treats patients: records and access.
    Clinician,
    /// Reads what was decided and disclosed.
    Auditor,
    /// The hospital's own systems: carries statements, releases records.
    Service,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Clinician, Self::Auditor, Self::Service];

    /// The text in certificates and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Clinician => "clinician",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: expected `admin`, `clinician`, `auditor` or `service`")]
pub struct ParseRoleError;

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(ParseRoleError)
    }
}
