//! What a contract answers: a reply, or a failure with a fixed code.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use hlf_protos::protos;

/// Smallest status that Fabric refuses to endorse.
const FAILURE_STATUS_MIN: i32 = 400;

/// Codes that the shim itself answers with; a contract's own codes stand beside them.
///
/// A code is the whole `Response.message`, so clients may compare it and it never carries data.
pub mod code {
    /// Status 400: the function takes one JSON argument, and what came does not decode to its type.
    pub const ARGUMENT_INVALID: &str = "ARGUMENT_INVALID";
    /// Status 400: a bookmark lies outside the range it is used for.
    pub const BOOKMARK_INVALID: &str = "BOOKMARK_INVALID";
    /// Status 500: a private collection or chaincode to be called has no usable name.
    pub const NAME_INVALID: &str = "NAME_INVALID";
    /// Status 500: a signature policy cannot be satisfied, or does not decode.
    pub const POLICY_INVALID: &str = "POLICY_INVALID";
    /// Status 500: a transaction that reads pages or scans private data wrote as well.
    pub const QUERIED_AND_WROTE: &str = "QUERIED_AND_WROTE";
    /// Status 500: the contract panicked; nothing it wrote was sent.
    pub const CONTRACT_PANICKED: &str = "CONTRACT_PANICKED";
    /// Status 500: a function that is declared evaluate-only tried to write.
    pub const EVALUATE_WROTE: &str = "EVALUATE_WROTE";
    /// Status 404: the contract has no such function.
    pub const FUNCTION_UNKNOWN: &str = "FUNCTION_UNKNOWN";
    /// Status 403: the creator of the proposal is no X.509 identity, or an ambiguous one.
    pub const IDENTITY_INVALID: &str = "IDENTITY_INVALID";
    /// Status 404: the contract has no `Init`.
    pub const INIT_UNSUPPORTED: &str = "INIT_UNSUPPORTED";
    /// Status 400: a key or a part of a composite key has characters that Fabric keeps for itself.
    pub const KEY_INVALID: &str = "KEY_INVALID";
    /// Status 500: the peer refused a read or a write.
    pub const LEDGER_REFUSED: &str = "LEDGER_REFUSED";
    /// Status 500: the peer's answer to a read is incomplete or does not decode.
    pub const LEDGER_REPLY_INVALID: &str = "LEDGER_REPLY_INVALID";
    /// Status 503: the peer did not answer in time, or its stream is gone.
    pub const LEDGER_UNAVAILABLE: &str = "LEDGER_UNAVAILABLE";
    /// Status 400: the signed proposal or the arguments of a transaction do not decode.
    pub const PROPOSAL_INVALID: &str = "PROPOSAL_INVALID";
    /// Status 500: in strict mode, a key was read after it was written in the same transaction.
    pub const READ_AFTER_WRITE: &str = "READ_AFTER_WRITE";
    /// Status 500: the reply does not encode as JSON.
    pub const REPLY_INVALID: &str = "REPLY_INVALID";
    /// Status 500: the reply, with its event or its code, is larger than half of
    /// [`Limits::message_bytes`](crate::Limits::message_bytes).
    pub const REPLY_TOO_LARGE: &str = "REPLY_TOO_LARGE";
    /// Status 500: a scan reached the peer's limit or was interrupted, so that what follows is unknown.
    pub const SCAN_TRUNCATED: &str = "SCAN_TRUNCATED";
    /// Status 503: as many transactions wait as the service allows.
    pub const SERVICE_BUSY: &str = "SERVICE_BUSY";
    /// Status 503: the service is stopping.
    pub const SERVICE_DRAINING: &str = "SERVICE_DRAINING";
    /// Status 409: the same transaction came again while it was still running, or after it had ended and before the
    /// peer's answer to its last request.
    pub const TRANSACTION_REPEATED: &str = "TRANSACTION_REPEATED";
    /// Status 504: the contract ran longer than the service allows.
    pub const TRANSACTION_TIMED_OUT: &str = "TRANSACTION_TIMED_OUT";
    /// Status 500: an empty or oversized value, an oversized request, or an event that is oversized or without a name.
    pub const WRITE_INVALID: &str = "WRITE_INVALID";
}

/// The outcome of one call of a contract: `protos.Response` on the wire.
///
/// Everything in it is endorsed, so it has to be the same on every peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: i32,
    message: Cow<'static, str>,
    payload: Vec<u8>,
}

impl Response {
    /// A success, status 200, with the reply's bytes and no message.
    #[must_use]
    pub fn ok(payload: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, message: Cow::Borrowed(""), payload: payload.into() }
    }

    /// A failure: no peer endorses it, nothing the contract wrote is sent, and its code is the message.
    ///
    /// A status below 400 would be endorsed, so it becomes 500.
    #[must_use]
    pub fn error(status: i32, code: impl Into<Cow<'static, str>>) -> Self {
        let status = if status < FAILURE_STATUS_MIN { 500 } else { status };
        Self { status, message: code.into(), payload: Vec::new() }
    }

    /// 200 for a success, 400 or more for a failure.
    #[must_use]
    pub fn status(&self) -> i32 {
        self.status
    }

    /// The code of a failure, empty for a success.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The reply's bytes, empty for a failure.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether a peer may endorse it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status < FAILURE_STATUS_MIN
    }

    pub(crate) fn from_wire(response: protos::Response) -> Self {
        let protos::Response { status, message, payload } = response;
        Self { status, message: Cow::Owned(message), payload }
    }

    pub(crate) fn into_wire(self) -> protos::Response {
        protos::Response { status: self.status, message: self.message.into_owned(), payload: self.payload }
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        Self::error(failure.status, failure.code)
    }
}

/// Why a function did not do what was asked: a status of 400 or more and a stable code.
///
/// The source, if there is one, goes to the log of the service and never to the caller.
#[derive(Debug)]
pub struct Failure {
    status: i32,
    code: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure; a status below 400 becomes 500, see [`Response::error`].
    #[must_use]
    pub fn new(status: i32, code: impl Into<Cow<'static, str>>) -> Self {
        let status = if status < FAILURE_STATUS_MIN { 500 } else { status };
        Self { status, code: code.into(), source: None }
    }

    /// The same failure with its cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// 400 or more.
    #[must_use]
    pub fn status(&self) -> i32 {
        self.status
    }

    /// The stable code, which becomes the message of the response.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (status {})", self.code, self.status)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_can_never_be_endorsed() {
        for status in [i32::MIN, -1, 0, 200, 399] {
            assert_eq!(Response::error(status, "X").status(), 500);
            assert_eq!(Failure::new(status, "X").status(), 500);
        }
        assert_eq!(Response::error(400, "X").status(), 400);
        assert!(!Response::from(Failure::new(404, "X")).is_ok());
    }

    #[test]
    fn the_message_is_exactly_the_code() {
        let failure = Failure::new(400, "OUT_OF_STOCK").caused_by("shelf 7");
        assert_eq!(failure.source().map(ToString::to_string).as_deref(), Some("shelf 7"));
        let wire = Response::from(failure).into_wire();
        assert_eq!((wire.status, wire.message.as_str()), (400, "OUT_OF_STOCK"));
        assert!(wire.payload.is_empty());
    }
}
