//! Purposes of use (HL7 v3 ActReason, PurposeOfUse) and which permit covers which.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What access is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Purpose {
    /// Treatment.
    Treat,
    /// Emergency treatment.
    Etreat,
    /// Break the glass.
    Btg,
    /// Care management.
    Caremgt,
    /// Healthcare payment.
    Hpaymt,
    /// Healthcare operations.
    Hoperat,
    /// Healthcare research.
    Hresch,
    /// Clinical trial research.
    Clintrch,
    /// Public health.
    Pubhlth,
    /// Patient requested.
    Patrqt,
    /// Family requested.
    Famrqt,
    /// Power of attorney.
    Pwatrny,
    /// Legal.
    Hlegal,
    /// Coverage under a policy or programme.
    Coverage,
    /// Test of a health system.
    Htest,
}

impl Purpose {
    /// Every purpose, in the order of HL7's table as used here.
    pub const ALL: [Self; 15] = [
        Self::Treat,
        Self::Etreat,
        Self::Btg,
        Self::Caremgt,
        Self::Hpaymt,
        Self::Hoperat,
        Self::Hresch,
        Self::Clintrch,
        Self::Pubhlth,
        Self::Patrqt,
        Self::Famrqt,
        Self::Pwatrny,
        Self::Hlegal,
        Self::Coverage,
        Self::Htest,
    ];

    /// HL7's code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Treat => "TREAT",
            Self::Etreat => "ETREAT",
            Self::Btg => "BTG",
            Self::Caremgt => "CAREMGT",
            Self::Hpaymt => "HPAYMT",
            Self::Hoperat => "HOPERAT",
            Self::Hresch => "HRESCH",
            Self::Clintrch => "CLINTRCH",
            Self::Pubhlth => "PUBHLTH",
            Self::Patrqt => "PATRQT",
            Self::Famrqt => "FAMRQT",
            Self::Pwatrny => "PWATRNY",
            Self::Hlegal => "HLEGAL",
            Self::Coverage => "COVERAGE",
            Self::Htest => "HTEST",
        }
    }

    /// The purpose that this one is a kind of, frozen here and narrower than HL7's hierarchy where in
    /// doubt: a missing parent only makes a permit cover less. `ETREAT` and `BTG` have none although HL7
    /// places them under treatment: they are never implied.
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::Clintrch => Some(Self::Hresch),
            Self::Coverage => Some(Self::Hpaymt),
            Self::Famrqt | Self::Pwatrny => Some(Self::Patrqt),
            Self::Treat
            | Self::Etreat
            | Self::Btg
            | Self::Caremgt
            | Self::Hpaymt
            | Self::Hoperat
            | Self::Hresch
            | Self::Pubhlth
            | Self::Patrqt
            | Self::Hlegal
            | Self::Htest => None,
        }
    }

    /// Whether a provision for this purpose covers a request for `asked`.
    pub fn covers(self, asked: Self) -> bool {
        let mut next = Some(asked);
        while let Some(purpose) = next {
            if purpose == self {
                return true;
            }
            next = purpose.parent();
        }
        false
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a purpose of use: expected an HL7 v3 code such as `TREAT`")]
pub struct ParsePurposeError;

impl FromStr for Purpose {
    type Err = ParsePurposeError;

    fn from_str(text: &str) -> Result<Self, ParsePurposeError> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or(ParsePurposeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_covers_its_children_and_not_the_other_way() {
        assert!(Purpose::Hresch.covers(Purpose::Clintrch));
        assert!(!Purpose::Clintrch.covers(Purpose::Hresch));
        assert!(Purpose::Treat.covers(Purpose::Treat));
    }

    #[test]
    fn emergencies_are_never_implied() {
        for purpose in Purpose::ALL {
            for emergency in [Purpose::Etreat, Purpose::Btg] {
                assert_eq!(purpose.covers(emergency), purpose == emergency);
            }
        }
    }

    #[test]
    fn json_and_text_agree() {
        for purpose in Purpose::ALL {
            assert_eq!(serde_json::to_string(&purpose).unwrap(), format!("\"{purpose}\""));
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
        }
    }
}
