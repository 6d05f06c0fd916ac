//! The contract's calls, typed, for one enrolled actor.

use std::time::Duration;

use caretrail_model::calls::Call;
use caretrail_model::code::Code;
use caretrail_model::ids::{Actor, Digest, MspId, TxId};
use caretrail_model::role::Role;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    CallFailure, CommitStatus, CommitStatusError, Contract, EndorseError, EvaluateError, Gateway, PeerError,
    ProposalError, Stage, TransactionError,
};

use crate::certificate::{CertificateError, EnrolmentCertificate};
use crate::failure::Failure;
use crate::ledger_name::LedgerName;

/// How often a transaction is proposed anew after one that certainly had no effect.
const PROPOSALS_MAX: u32 = 5;
/// How long to wait before the second proposal; doubled for each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// What a gateway says when endorsers read different states, as they do while one is a block behind.
const ENDORSERS_DISAGREE: &str = "ProposalResponsePayloads do not match";

/// The contract on one channel, called by one actor through the actor's own peer.
///
/// Cheap to clone; the workflows of the other modules are methods of it.
#[derive(Clone, Debug)]
pub struct Records {
    contract: Contract,
    name: LedgerName,
    actor: Actor,
    role: Role,
    certificate_digest: Digest,
}

/// An identity that cannot act.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The MSP id is not one of a hospital.
    #[error("`{msp_id}` is no MSP id: expected 1 to 64 letters, digits, `.`, `_` or `-`")]
    MspId {
        /// What was given.
        msp_id: String,
    },
    /// The certificate is not an actor's.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A reply whose transaction is VALID in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<R> {
    /// What the contract replied.
    pub reply: R,
    /// The transaction.
    pub tx_id: TxId,
    /// The block that holds it.
    pub block: u64,
}

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

impl Records {
    /// The contract of a ledger, called by the gateway's identity.
    ///
    /// # Errors
    /// When the identity's certificate makes no actor.
    pub fn new(gateway: &Gateway, name: LedgerName) -> Result<Self, IdentityError> {
        let identity = gateway.credentials().identity();
        let msp_id: MspId =
            identity.msp_id.parse().map_err(|_| IdentityError::MspId { msp_id: identity.msp_id.clone() })?;
        let certificate = EnrolmentCertificate::from_pem(&identity.certificate_pem)?;
        let contract = gateway.contract(name.channel.as_str(), name.chaincode.as_str());
        Ok(Self {
            contract,
            name,
            actor: certificate.actor(&msp_id),
            role: certificate.role,
            certificate_digest: certificate.digest,
        })
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// In which role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// SHA-256 of the actor's enrolment certificate in DER.
    pub fn certificate_digest(&self) -> &Digest {
        &self.certificate_digest
    }

    /// The ledger.
    pub fn ledger(&self) -> &LedgerName {
        &self.name
    }

    /// The gateway in use.
    pub fn gateway(&self) -> &Gateway {
        self.contract.gateway()
    }

    /// Evaluates a call at the actor's own hospital: another one's peer could answer what it likes.
    ///
    /// # Errors
    /// When the contract refuses, or no peer of the hospital answers.
    pub async fn evaluate<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        let proposal = self
            .contract
            .proposal(C::NAME)
            .arg(argument(call)?)
            .endorsing_organizations([self.actor.msp_id.as_str()])
            .build()
            .map_err(|error| CallError::NotProposed { call: C::NAME, source: error.into() })?;
        let reply = proposal.evaluate().await.map_err(|error| not_evaluated(C::NAME, error))?;
        read_reply::<C>(&reply)
    }

    /// Submits a call and waits until it is VALID in a block.
    ///
    /// A transaction that certainly had no effect, because endorsers were a block apart or because another
    /// transaction changed what it read, is proposed anew a few times; one whose outcome is unknown never is.
    ///
    /// # Errors
    /// Tells apart what was refused, what had no effect, and what is unknown.
    pub async fn submit<C: Call>(&self, call: &C) -> Result<Committed<C::Reply>, CallError> {
        self.submit_noted(call, |_| Ok(())).await
    }

    /// [Submits](Self::submit), and calls `note` with each transaction's id before it is sent, so that it is
    /// known after a crash which transaction to ask for.
    ///
    /// # Errors
    /// Those of `submit`; those of `note`, and nothing is submitted then.
    pub async fn submit_noted<C: Call>(
        &self,
        call: &C,
        mut note: impl FnMut(&TxId) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Committed<C::Reply>, CallError> {
        let argument = argument(call)?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let proposal = self
                .contract
                .proposal(C::NAME)
                .arg(argument.clone())
                .build()
                .map_err(|error| CallError::NotProposed { call: C::NAME, source: error.into() })?;
            let tx_id = proposal.tx_id().parse().map_err(|_| malformed_tx_id(C::NAME))?;
            note(&tx_id).map_err(|source| CallError::NotNoted { call: C::NAME, source })?;
            match self.contract.submit(proposal).await {
                Ok(committed) => {
                    let reply = read_reply::<C>(&committed.result)?;
                    return Ok(Committed { reply, tx_id, block: committed.block_number });
                }
                Err(error) if attempt < PROPOSALS_MAX && self.had_no_effect_by_chance(&error) => {
                    tracing::debug!(call = C::NAME, %tx_id, attempt, "proposed anew");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(not_committed(C::NAME, error)),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Asks for the outcome of a transaction by its id; waits for its block up to the gateway's deadline.
    ///
    /// # Errors
    /// When it is still not known.
    pub async fn outcome(&self, tx_id: &TxId) -> Result<CommitStatus, CommitStatusError> {
        self.gateway().commit_status(self.name.channel.as_str(), &tx_id.to_string()).await
    }

    /// Whether a transaction certainly had no effect, and the same call may well have one next.
    fn had_no_effect_by_chance(&self, error: &TransactionError) -> bool {
        match error {
            TransactionError::Invalid { code, .. } => {
                matches!(code, TxValidationCode::MvccReadConflict | TxValidationCode::PhantomReadConflict)
            }
            TransactionError::Endorse(error) => {
                let said = |phrase| error.failure().is_some_and(|failure| failure.message().contains(phrase));
                let by_peer = error.peers().iter().any(|peer| peer.message.contains(ENDORSERS_DISAGREE));
                // A refusal of another hospital's peer alone: ours accepted, theirs may be a block behind.
                let elsewhere = error.chaincode_response().is_some()
                    && error.peers().iter().all(|peer| peer.msp_id != self.actor.msp_id.as_str());
                said(ENDORSERS_DISAGREE)
                    || by_peer
                    || (elsewhere && !error.peers().is_empty())
                    || error.failure().is_some_and(CallFailure::is_retryable)
            }
            _ => false,
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
            Self::RefusedOtherwise { message, .. } => {
                Failure::new(message, "evaluate", "use a build that knows the contract's codes")
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

fn argument<C: Call>(call: &C) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(call).map_err(|error| CallError::NotProposed { call: C::NAME, source: error.into() })
}

fn read_reply<C: Call>(reply: &[u8]) -> Result<C::Reply, CallError> {
    serde_json::from_slice(reply).map_err(|error| CallError::Reply { call: C::NAME, source: error.into() })
}

fn malformed_tx_id(call: &'static str) -> CallError {
    CallError::Reply { call, source: ReplyError::TxId }
}

fn not_evaluated(call: &'static str, error: EvaluateError) -> CallError {
    match refused(call, CallStage::Evaluate, error.tx_id(), error.failure()) {
        Some(refused) => refused,
        None => CallError::NotEvaluated { call, source: Box::new(error) },
    }
}

fn not_committed(call: &'static str, error: TransactionError) -> CallError {
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
