//! What callers were told.

use std::fmt;

use hlf_protos::protos::TxValidationCode;

use super::Way;

/// One call and what its caller was told of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What tells it from every other call.
    pub call: String,
    /// Who made it.
    pub caller: String,
    /// The peer whose gateway was called, or was preferred.
    pub peer: String,
    /// How the client was used.
    pub way: Way,
    /// The window in which it began.
    pub window: usize,
    /// Whether it counts up a counter of all callers: peers a block apart then compute different results, and two
    /// that read the same number conflict.
    pub contended: bool,
    /// Whether it is one transaction, and never another one after that.
    pub once: bool,
    /// What its caller was told.
    pub told: Outcome,
    /// What was found out later, when the caller was told nothing.
    pub resolved: Option<Outcome>,
    /// Of an unknown one: where it is kept, to be sent again.
    pub kept: Option<Kept>,
}

/// A transaction whose outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The bytes of the signed transaction.
    Bytes(Vec<u8>),
    /// In the caller's store, under the call's own name.
    Stored,
}

/// How a call ended, by what its caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its transaction is in this block, and VALID.
    Valid {
        /// The transaction.
        tx_id: String,
        /// The block.
        block: u64,
    },
    /// Its last transaction is in this block, and without effect.
    Invalid {
        /// The transaction.
        tx_id: String,
        /// The block.
        block: u64,
        /// The peers' verdict.
        code: TxValidationCode,
    },
    /// Its last transaction was not sent for ordering.
    NotSubmitted {
        /// Why not.
        why: String,
    },
    /// Its transaction may be in a block or not.
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
            Self::Valid { tx_id, block } => write!(formatter, "{tx_id} is valid in block {block}"),
            Self::Invalid { tx_id, block, code } => {
                write!(formatter, "{tx_id} is invalid in block {block}: {}", code.as_str_name())
            }
            Self::NotSubmitted { why } => write!(formatter, "not submitted: {why}"),
            Self::Unknown { why } => write!(formatter, "unknown: {why}"),
            Self::Hung => formatter.write_str("hung"),
        }
    }
}
