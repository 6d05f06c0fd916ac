//! The contract's calls, typed, for one enrolled actor.

use std::sync::Arc;
use std::time::Duration;

use caretrail_model::calls::Call;
use caretrail_model::code::Code;
use caretrail_model::ids::{Actor, Digest, MspId, TxId};
use caretrail_model::role::Role;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{CallFailure, CommitStatus, CommitStatusError, Contract, Gateway, TransactionError};

use crate::call_error::{CallError, ReplyError, not_committed, not_evaluated};
use crate::certificate::{CertificateError, EnrolmentCertificate};
use crate::ledger_name::LedgerName;
use crate::under_way::UnderWay;

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
    under_way: Arc<UnderWay>,
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
            under_way: Arc::default(),
        })
    }

    /// Tells `under_way` of each transaction, from before it is sent until its outcome is told.
    #[must_use]
    pub fn telling(self, under_way: Arc<UnderWay>) -> Self {
        Self { under_way, ..self }
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

    /// Evaluates a call that asks for what a transaction wrote. While the refusal is one of `unknown`, the
    /// hospital's peer may be a block behind the one that tells of the transaction: its block is waited for,
    /// at most for `wait`, and the call evaluated once more.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub async fn evaluate_after<C: Call>(
        &self,
        tx_id: &TxId,
        wait: Duration,
        unknown: &[Code],
        call: &C,
    ) -> Result<C::Reply, CallError> {
        match self.evaluate(call).await {
            Err(error) if error.code().is_some_and(|code| unknown.contains(&code)) => {}
            answer => return answer,
        }
        // Whether it came, is invalid or is unknown: the state says so.
        let _ = tokio::time::timeout(wait, self.outcome(tx_id)).await;
        self.evaluate(call).await
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
            self.under_way.begin(tx_id);
            let outcome = self.contract.submit(proposal).await;
            self.under_way.end(&tx_id);
            match outcome {
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

fn argument<C: Call>(call: &C) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(call).map_err(|error| CallError::NotProposed { call: C::NAME, source: error.into() })
}

fn read_reply<C: Call>(reply: &[u8]) -> Result<C::Reply, CallError> {
    serde_json::from_slice(reply).map_err(|error| CallError::Reply { call: C::NAME, source: error.into() })
}

fn malformed_tx_id(call: &'static str) -> CallError {
    CallError::Reply { call, source: ReplyError::TxId }
}
