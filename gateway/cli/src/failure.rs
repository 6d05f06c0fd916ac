//! How a command ends: its exit code, and its error in words or as JSON.

use std::process::ExitCode;

use caretrail_records::document::DocumentError;
use caretrail_records::failure::chain;
use caretrail_records::release::{ReleaseClientError};
use caretrail_records::workflows::{
    AccessLogError, DocumentWorkflowError, RegisterPatientError, ReleaseError, SettleError,
};
use caretrail_records::{CallError, Failure};
use hlf_gateway::CommitStatusError;
use serde::Serialize;

use crate::printer::{Format, Printer};

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Input that nothing can be done with, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) String);

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    message: &'a str,
}

/// Says why a command failed, and gives its exit code.
pub(crate) fn report(error: &anyhow::Error, printer: Printer) -> Exit {
    let message = chain(error.as_ref());
    let (failure, exit) = classify(error);
    match printer.format {
        Format::Json => {
            let told = Told { failure: &failure, message: &message };
            printer.error(&serde_json::to_string(&told).unwrap_or_else(|_| message.clone()));
        }
        Format::Table => {
            printer.error(&format!("error: {message}"));
            if !message.contains(&failure.fix) && !failure.fix.is_empty() {
                printer.error(&format!("fix:   {}", failure.fix));
            }
        }
    }
    exit
}

fn classify(error: &anyhow::Error) -> (Failure, Exit) {
    if error.is::<Invalid>() {
        return (Failure::new("invalid_input", "input", ""), Exit::Invalid);
    }
    if let Some(error) = error.downcast_ref::<CommitStatusError>() {
        let fix = "ask again later: the transaction may still be ordered, or never have been";
        return (Failure::new("outcome_unknown", "commit_status", fix).of_transaction(error.tx_id()), Exit::Unknown);
    }
    if let Some(call) = call_error(error) {
        let exit = match call {
            CallError::Unknown { .. } => Exit::Unknown,
            CallError::Refused { code, .. } if code.status() == 400 => Exit::Invalid,
            _ => Exit::Failed,
        };
        return (call.failure(), exit);
    }
    if let Some(ReleaseError::Client(client)) = error.downcast_ref() {
        return release_failure(client);
    }
    if let Some(client) = error.downcast_ref::<ReleaseClientError>() {
        return release_failure(client);
    }
    if error.is::<DocumentError>() {
        return (Failure::new("document_unusable", "input", ""), Exit::Invalid);
    }
    (Failure::new("failed", "local", ""), Exit::Failed)
}

fn release_failure(client: &ReleaseClientError) -> (Failure, Exit) {
    let failure = client.failure();
    let exit = if failure.code == "outcome_unknown" { Exit::Unknown } else { Exit::Failed };
    (failure, exit)
}

/// The contract's or the network's answer, in whatever workflow it came.
fn call_error(error: &anyhow::Error) -> Option<&CallError> {
    if let Some(call) = error.downcast_ref::<CallError>() {
        return Some(call);
    }
    match error.downcast_ref::<RegisterPatientError>() {
        Some(RegisterPatientError::Call(call)) => return Some(call),
        _ => {}
    }
    match error.downcast_ref::<DocumentWorkflowError>() {
        Some(DocumentWorkflowError::Call(call)) => return Some(call),
        _ => {}
    }
    match error.downcast_ref::<ReleaseError>() {
        Some(ReleaseError::Call(call)) => return Some(call),
        _ => {}
    }
    match error.downcast_ref::<AccessLogError>() {
        Some(AccessLogError::Call(call)) => return Some(call),
        _ => {}
    }
    match error.downcast_ref::<SettleError>() {
        Some(SettleError::Call(call)) => Some(call),
        _ => None,
    }
}
