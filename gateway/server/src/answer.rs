//! Failures as HTTP answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use caretrail_model::code::Code;
use caretrail_model::ids::MspId;
use caretrail_records::failure::chain;
use caretrail_records::hospital::HospitalError;
use caretrail_records::release::RequestError;
use caretrail_records::vault::VaultError;
use caretrail_records::workflows::DocumentWorkflowError;
use caretrail_records::{CallError, Failure, Stopped};

use crate::checks::Refusal;

/// A failure with its HTTP status.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) failure: Box<Failure>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure: Box::new(failure) }
    }

    pub(crate) fn malformed(fix: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Failure::new("REQUEST_MALFORMED", "input", fix))
    }

    pub(crate) fn forbidden(code: &'static str, fix: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Failure::new(code, "release", fix))
    }

    pub(crate) fn disclosed_to_other_key() -> Self {
        let code = Code::DisclosedToOtherKey;
        let failure = Failure::new(code.as_str(), "release", code.fix());
        Self::new(StatusCode::CONFLICT, failure)
    }

    /// No such decision, or none that the asking hospital may know of.
    pub(crate) fn decision_unknown() -> Self {
        let code = Code::DecisionUnknown;
        Self::new(StatusCode::NOT_FOUND, Failure::new(code.as_str(), "release", code.fix()))
    }

    pub(crate) fn busy(fix: &'static str) -> Self {
        let failure = Failure::new("BUSY", "release", fix).retryable();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, failure)
    }

    /// Something of this hospital's own fails; details go to its log, not to others.
    pub(crate) fn internal(
        code: &'static str,
        fix: &'static str,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::error!(code, error = %chain(error), "release failed");
        let failure = Failure::new(code, "release", fix).retryable();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, failure)
    }

    /// Names the hospital that refuses.
    pub(crate) fn by(mut self, msp_id: &MspId) -> Self {
        self.failure.msp_id = Some(msp_id.as_str().to_owned());
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::forbidden(refusal.code(), refusal.fix())
    }
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Certificate(_) => Self::forbidden(
                "CERTIFICATE_UNUSABLE",
                "send the enrolment certificate that access was requested with",
            ),
            RequestError::Signature => Self::forbidden(
                "REQUEST_SIGNATURE",
                "sign the request with the enrolment key, for this ledger and this custodian",
            ),
        }
    }
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        let status = match &error {
            CallError::Refused { code, .. } => match code.status() {
                404 => StatusCode::NOT_FOUND,
                409 => StatusCode::CONFLICT,
                400 | 403 => StatusCode::FORBIDDEN,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            CallError::Reply { .. } | CallError::RefusedOtherwise { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, told(&error))
    }
}

/// What others are told of a failed call: neither where this hospital's peer is nor what it said, which stay in
/// the log.
pub(crate) fn told(error: &CallError) -> Failure {
    let failure = error.failure();
    tracing::warn!(
        code = failure.code,
        address = failure.address,
        error = %chain(error),
        "ledger call failed"
    );
    Failure { address: None, ..failure }
}

impl From<HospitalError> for Refused {
    fn from(error: HospitalError) -> Self {
        Self::internal("STORE_FAILED", "the custodian has to look at its hospital store", &error)
    }
}

impl From<VaultError> for Refused {
    fn from(error: VaultError) -> Self {
        Self::internal("VAULT_FAILED", "the custodian has to look at its vault", &error)
    }
}

impl From<Stopped> for Refused {
    fn from(_: Stopped) -> Self {
        Self::busy("the daemon is being stopped: ask again when it runs")
    }
}

impl From<DocumentWorkflowError> for Refused {
    fn from(error: DocumentWorkflowError) -> Self {
        match error {
            DocumentWorkflowError::Call(error) => error.into(),
            DocumentWorkflowError::Vault(error) => error.into(),
            DocumentWorkflowError::Store(error) => error.into(),
            error => {
                Self::internal("VERSION_UNAVAILABLE", "the custodian has to look at this version", &error)
            }
        }
    }
}
