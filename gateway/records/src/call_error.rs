//! Why a call has no reply.

use caretrail_model::code::Code;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    CallFailure, EndorseError, EvaluateError, PeerError, ProposalError, Stage, TransactionError,
};

use crate::failure::Failure;

/// A call without a reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The contract refused.
    #[error("`{call}` was refused: {code} ({})", code.fix())]
    Refused {
        /// The call.
        call: &'static str,
        /// Why.
        code: Code,
        /// Whether it was evaluated or endorsed.
        stage: CallStage,
        /// The transaction, which was not submitted.
        tx_id: String,
        /// Who refused, where it was said.
        peer: Option<Box<PeerError>>,
    },
    /// The contract refused with a code that this build does not know.
    #[error("`{call}` was refused with status {status}: `{message}`, which this build does not know")]
    RefusedOtherwise {
        /// The call.
        call: &'static str,
        /// The response's status.
        status: i32,
        /// The response's message.
        message: String,
    },
    /// There was no proposal.
    #[error("`{call}` was not proposed")]
    NotProposed {
        /// The call.
        call: &'static str,
        /// Why.
        source: ProposeError,
    },
    /// It was not evaluated.
    #[error("`{call}` was not evaluated")]
    NotEvaluated {
        /// The call.
        call: &'static str,
        /// Why.
        source: Box<EvaluateError>,
    },
    /// It was not endorsed or not signed, so nothing was submitted.
    #[error("`{call}` was not submitted")]
    NotSubmitted {
        /// The call.
        call: &'static str,
        /// Why.
        source: Box<TransactionError>,
    },
    /// It is in a block and had no effect.
    #[error("`{call}` had no effect: transaction {tx_id} is {} in block {block}", validation.as_str_name())]
    Invalid {
        /// The call.
        call: &'static str,
        /// The transaction.
        tx_id: String,
        /// The peers' verdict.
        validation: TxValidationCode,
        /// The block that holds it.
        block: u64,
    },
    /// It may or may not be committed.
    #[error("the outcome of `{call}` is unknown: ask for transaction {tx_id}, and do not submit it anew")]
    Unknown {
        /// The call.
        call: &'static str,
        /// The transaction.
        tx_id: String,
        /// What happened.
        source: Box<TransactionError>,
    },
    /// What was to be stored before submitting was not stored, so nothing was submitted.
    #[error("`{call}` was not submitted")]
    NotNoted {
        /// The call.
        call: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The contract's reply is not of the call's shape.
    #[error("the reply to `{call}` cannot be read: use a build that fits the contract")]
    Reply {
        /// The call.
        call: &'static str,
        /// What is wrong with it.
        source: ReplyError,
    },
}

/// Why there was no proposal.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The argument cannot be written as JSON.
    #[error("its argument cannot be written as JSON")]
    Argument(#[from] serde_json::Error),
    /// The proposal cannot be made.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
}

/// Why a reply cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// It is no JSON of the shape.
    #[error("it is not JSON of the expected shape")]
    Json(#[from] serde_json::Error),
    /// A transaction id is not one.
    #[error("its transaction id is malformed")]
    TxId,
}

/// Where a contract refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStage {
    /// At the evaluation.
    Evaluate,
    /// At the endorsement.
    Endorse,
}

impl CallStage {
    /// The stage's text in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Endorse => "endorse",
        }
    }
}

impl CallError {
    /// The contract's code, when it refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the call may have had an effect all the same.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Whether the call certainly had no effect; a reply that cannot be read may be one of a committed call.
    pub fn had_no_effect(&self) -> bool {
        !matches!(self, Self::Unknown { .. } | Self::Reply { .. })
    }

    /// The failure as programs read it.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused { code, stage, tx_id, peer, .. } => Failure {
                msp_id: peer.as_ref().map(|peer| peer.msp_id.clone()),
                address: peer.as_ref().map(|peer| peer.address.clone()),
                ..Failure::new(code.as_str(), stage.as_str(), code.fix()).of_transaction(tx_id)
            },
            Self::RefusedOtherwise { .. } => {
                Failure::new("LEDGER_REFUSED", "evaluate", "use a build that knows the contract's codes")
            }
            Self::NotProposed { .. } => Failure::new("NOT_PROPOSED", "propose", "check the call's input"),
            Self::NotEvaluated { source, .. } => {
                of_call("NOT_EVALUATED", "evaluate", source.tx_id(), source.failure(), source.peers())
            }
            Self::NotSubmitted { source, .. } => match &**source {
                TransactionError::Endorse(error) => {
                    of_call("NOT_ENDORSED", "endorse", error.tx_id(), error.failure(), error.peers())
                }
                _ => Failure::new("NOT_SIGNED", "submit", "check the identity's private key"),
            },
            Self::Invalid { tx_id, validation, .. } => {
                let fix = "it had no effect: read the ledger's present state and call again";
                Failure::new(validation.as_str_name(), "commit_status", fix).of_transaction(tx_id)
            }
            Self::Unknown { tx_id, source, .. } => {
                let stage = match &**source {
                    TransactionError::Unknown { stage: Stage::Submit, .. } => "submit",
                    _ => "commit_status",
                };
                let fix = "ask for the transaction by its id; do not submit the call anew before that";
                Failure::new("OUTCOME_UNKNOWN", stage, fix).of_transaction(tx_id).retryable()
            }
            Self::NotNoted { .. } => {
                Failure::new("NOT_STORED", "store", "check the hospital store's disk and permissions")
            }
            Self::Reply { .. } => {
                Failure::new("REPLY_UNREADABLE", "reply", "use a build that fits the contract")
            }
        }
    }
}

fn of_call(
    code: &str,
    stage: &str,
    tx_id: &str,
    failure: Option<&CallFailure>,
    peers: &[PeerError],
) -> Failure {
    let fix = failure
        .and_then(CallFailure::advice)
        .unwrap_or("check that the hospital's peer and chaincode service run and can be reached");
    Failure {
        msp_id: peers.first().map(|peer| peer.msp_id.clone()),
        address: peers.first().map(|peer| peer.address.clone()),
        retryable: failure.is_some_and(CallFailure::is_retryable),
        ..Failure::new(code, stage, fix).of_transaction(tx_id)
    }
}

/// An evaluation that failed, by its cause.
pub(crate) fn not_evaluated(call: &'static str, error: EvaluateError) -> CallError {
    match refused(call, CallStage::Evaluate, error.tx_id(), error.failure()) {
        Some(refused) => refused,
        None => CallError::NotEvaluated { call, source: Box::new(error) },
    }
}

/// A submission that failed, by its cause.
pub(crate) fn not_committed(call: &'static str, error: TransactionError) -> CallError {
    match error {
        TransactionError::Endorse(error) => not_endorsed(call, error),
        TransactionError::Invalid { tx_id, code, block_number } => {
            CallError::Invalid { call, tx_id, validation: code, block: block_number }
        }
        TransactionError::Unknown { ref tx_id, .. } => {
            CallError::Unknown { call, tx_id: tx_id.clone(), source: Box::new(error) }
        }
        error => CallError::NotSubmitted { call, source: Box::new(error) },
    }
}

fn not_endorsed(call: &'static str, error: EndorseError) -> CallError {
    match refused(call, CallStage::Endorse, error.tx_id(), error.failure()) {
        Some(refused) => refused,
        None => CallError::NotSubmitted { call, source: Box::new(error.into()) },
    }
}

/// The contract's refusal, if that is why a call failed.
fn refused(
    call: &'static str,
    stage: CallStage,
    tx_id: &str,
    failure: Option<&CallFailure>,
) -> Option<CallError> {
    let failure = failure?;
    let response = failure.chaincode_response()?;
    Some(match response.message.parse::<Code>() {
        Ok(code) => CallError::Refused {
            call,
            code,
            stage,
            tx_id: tx_id.to_owned(),
            peer: failure.peers().first().cloned().map(Box::new),
        },
        Err(_) => CallError::RefusedOtherwise { call, status: response.status, message: response.message },
    })
}
