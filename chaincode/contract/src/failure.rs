//! Refusals: a code of the model as a response that no peer endorses.

use caretrail_model::code::Code;
use hlf_chaincode::Failure;

/// The refusal with this code.
pub(crate) fn refuse(code: Code) -> Failure {
    Failure::new(code.status(), code.as_str())
}

/// Refuses with `code` unless `condition` holds.
pub(crate) fn require(condition: bool, code: Code) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(refuse(code)) }
}
