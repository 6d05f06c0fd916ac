//! What callers were told.

use std::fmt;

use hlf_gateway::Endorsed;
use hlf_protos::protos::TxValidationCode;

/// One transaction and what its caller was told of it.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub tx_id: String,
    /// The peer whose gateway was called.
    pub peer: String,
    /// The window in which it began.
    pub window: usize,
    /// Whether it counts up a counter of all callers: peers a block apart then compute different results, and two
    /// that read the same number conflict.
    pub contended: bool,
    /// What its caller was told.
    pub told: Outcome,
    /// What was found out later, when the caller was told nothing.
    pub resolved: Option<Outcome>,
    /// Of an unknown one: what can be sent again.
    pub kept: Option<Endorsed>,
}

/// How a transaction ended, by what its caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in this block, and VALID.
    Valid {
        /// The block.
        block: u64,
    },
    /// It is in this block, and without effect.
    Invalid {
        /// The block.
        block: u64,
        /// The peers' verdict.
        code: TxValidationCode,
    },
    /// It was not sent for ordering.
    NotSubmitted {
        /// Why not.
        why: String,
    },
    /// It may be in a block or not.
    Unknown {
        /// Why nothing is known.
        why: String,
    },
    /// Its caller was told nothing by the end of all deadlines.
    Hung,
}

impl Report {
    /// Whether its caller was told at once that it is VALID.
    pub fn is_valid(&self) -> bool {
        matches!(self.told, Outcome::Valid { .. })
    }

    /// What is known of it in the end.
    pub fn known(&self) -> &Outcome {
        self.resolved.as_ref().unwrap_or(&self.told)
    }
}

impl Outcome {
    /// Its kind, in a word or two.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::Invalid { .. } => "invalid",
            Self::NotSubmitted { .. } => "not submitted",
            Self::Unknown { .. } => "unknown",
            Self::Hung => "hung",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid { block } => write!(formatter, "valid in block {block}"),
            Self::Invalid { block, code } => {
                write!(formatter, "invalid in block {block}: {}", code.as_str_name())
            }
            Self::NotSubmitted { why } => write!(formatter, "not submitted: {why}"),
            Self::Unknown { why } => write!(formatter, "unknown: {why}"),
            Self::Hung => formatter.write_str("hung"),
        }
    }
}
