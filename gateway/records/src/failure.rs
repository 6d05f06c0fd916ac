//! The one shape in which every failure is told to programs.

use serde::{Deserialize, Serialize};

/// A failure as JSON: exactly these seven fields, `null` where there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code in capitals: the contract's own, or one of this library's and the daemon's.
    pub code: String,
    /// Where it happened: `input`, `evaluate`, `endorse`, `submit`, `commit_status`, `release`, `blob`, …
    pub stage: String,
    /// The hospital whose node refused.
    pub msp_id: Option<String>,
    /// That node's address.
    pub address: Option<String>,
    /// The transaction, to ask for its outcome.
    pub tx_id: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// What to do about it.
    pub fix: String,
}

impl Failure {
    /// A failure with a code, a stage and a fix.
    pub fn new(code: impl Into<String>, stage: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            stage: stage.into(),
            msp_id: None,
            address: None,
            tx_id: None,
            retryable: false,
            fix: fix.into(),
        }
    }

    /// Says that the same call may succeed later.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }

    /// Names the transaction.
    #[must_use]
    pub fn of_transaction(self, tx_id: impl Into<String>) -> Self {
        Self { tx_id: Some(tx_id.into()), ..self }
    }
}

/// An error and its causes in one line, outermost first.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
