//! How a call ended, in a few words without what differs from call to call.

use hlf_gateway::{EvaluateError, TransactionError};

/// Of a transaction that is not known to be VALID.
pub fn not_valid(error: &TransactionError) -> String {
    match error {
        TransactionError::Endorse(error) => match error.failure() {
            Some(failure) => format!("not endorsed: {:?}", failure.code()),
            None => "not endorsed".to_owned(),
        },
        TransactionError::NotSubmitted { .. } => "not submitted".to_owned(),
        TransactionError::Unknown { stage, .. } => format!("unknown since {stage}"),
        TransactionError::Invalid { code, .. } => code.as_str_name().to_owned(),
        _ => "of another kind".to_owned(),
    }
}

/// Of an evaluation without an answer.
pub fn not_evaluated(error: &EvaluateError) -> String {
    match error {
        EvaluateError::Failed { source, .. } => format!("not evaluated: {:?}", source.code()),
        _ => "not evaluated".to_owned(),
    }
}
