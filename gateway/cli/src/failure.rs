//! How a command ends: its exit code, and its error in words or as JSON.

use serde::Serialize;

/// Exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was done, and the answer is a denial.
    Denied = 2,
    /// Input or usage is invalid; nothing was done.
    Invalid = 3,
    /// Whether it was done is unknown; the transaction id tells later.
    Unknown = 4,
    /// It was interrupted.
    Interrupted = 130,
}

/// An error as JSON, the same shape in every command and over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) stage: Option<String>,
    pub(crate) msp_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) tx_id: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) fix: Option<String>,
}
