//! A chaincode on a channel, and its transactions from proposal to outcome in one call.

use std::fmt;

use hlf_protos::protos::TxValidationCode;

use crate::chaincode_events::{ChaincodeEventStream, ChaincodeEventsError, EventsFrom, EventsRequest};
use crate::deadlines::{left, until};
use crate::outcome::Sent;
use crate::{
    CommitStatusError, EndorseError, Gateway, Proposal, ProposalBuilder, SignError, SignedTransaction,
    SubmitError,
};

/// A chaincode on a channel.
#[derive(Clone, Debug)]
pub struct Contract {
    gateway: Gateway,
    channel: String,
    chaincode: String,
    /// Name among several contracts of one chaincode; none for the default one.
    name: Option<String>,
}

/// A transaction that is in a block and VALID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transaction's id, 64 hex digits.
    pub tx_id: String,
    /// The block that holds it.
    pub block_number: u64,
    /// What the chaincode returned when it was endorsed.
    pub result: Vec<u8>,
}

/// The stage at which a transaction's outcome got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Handing it to the orderers.
    Submit,
    /// Waiting for its block.
    CommitStatus,
}

/// Why a transaction is not known to be committed and VALID.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// It was not endorsed, so nothing was sent for ordering.
    #[error(transparent)]
    Endorse(#[from] EndorseError),
    /// It could not be signed, so nothing was sent for ordering.
    #[error("transaction `{tx_id}` was endorsed but not submitted")]
    NotSubmitted {
        /// The transaction's id.
        tx_id: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The time for all attempts was over before it was sent, see [`crate::Retry::deadline`].
    #[error("transaction `{tx_id}` was not submitted: the time for all attempts was over")]
    TooLate {
        /// The transaction's id.
        tx_id: String,
    },
    /// It may or may not be committed: ask for its commit status or have it settled; never make a new transaction
    /// instead.
    #[error(
        "outcome of transaction `{tx_id}` is unknown since {stage}: ask for its commit status by this id"
    )]
    Unknown {
        /// The transaction's id.
        tx_id: String,
        /// Where it got lost.
        stage: Stage,
        /// What happened there.
        source: UnknownCause,
        /// The transaction as it was sent: to be kept, and settled by [`Gateway::settle`].
        transaction: Box<SignedTransaction>,
    },
    /// It is in a block and has no effect.
    #[error("transaction `{tx_id}` is invalid in block {block_number}: {}", code.as_str_name())]
    Invalid {
        /// The transaction's id.
        tx_id: String,
        /// The peers' verdict.
        code: TxValidationCode,
        /// The block that holds it.
        block_number: u64,
    },
}

/// What made an outcome unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownCause {
    /// The submission failed, and the transaction was in no block for [`crate::Deadlines::lost_submit`].
    #[error(transparent)]
    Submit(Box<SubmitError>),
    /// No verdict came.
    #[error(transparent)]
    CommitStatus(Box<CommitStatusError>),
}

impl Contract {
    pub(crate) fn new(gateway: Gateway, channel: String, chaincode: String) -> Self {
        Self { gateway, channel, chaincode, name: None }
    }

    /// One of several contracts in the chaincode: its functions are called as `name:function`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()).filter(|name| !name.is_empty()), ..self }
    }

    /// The contract's name within the chaincode; none for the default contract.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The chaincode's name.
    pub fn chaincode(&self) -> &str {
        &self.chaincode
    }

    /// The gateway in use.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Starts a proposal to call a function of the chaincode.
    pub fn proposal(&self, function: impl Into<String>) -> ProposalBuilder {
        let function = match &self.name {
            Some(name) => format!("{name}:{}", function.into()),
            None => function.into(),
        };
        ProposalBuilder::new(self.gateway.session().clone(), &self.channel, &self.chaincode, function)
    }

    /// Streams the chaincode's events of VALID transactions.
    pub async fn events(&self, from: EventsFrom) -> Result<ChaincodeEventStream, ChaincodeEventsError> {
        self.events_request(from).events().await
    }

    /// A request for the chaincode's events, to be signed here or elsewhere.
    pub fn events_request(&self, from: EventsFrom) -> EventsRequest {
        EventsRequest::new(self.gateway.session().clone(), &self.channel, &self.chaincode, from)
    }

    /// Endorses, submits once and waits for the block.
    ///
    /// When the submission fails, the transaction may have reached the orderers all the same, so its block is
    /// still awaited for [`crate::Deadlines::lost_submit`] before the outcome is called unknown; or for
    /// [`crate::Deadlines::commit_status`] if an orderer has it ([`crate::CallFailure::says_ordered`]).
    ///
    /// Dropping the returned future before the transaction is sent submits nothing; after that it leaves the outcome
    /// unknown: keep [`Proposal::tx_id`] to ask for it.
    pub async fn submit(&self, proposal: Proposal) -> Result<Committed, TransactionError> {
        let endorsed = proposal.endorse().await?;
        let commits = self.gateway.commits();
        if let Some(commits) = commits {
            commits.follow(&self.channel);
        }
        // Signing, the stream's beginning and the submission take this together.
        let until = until(endorsed.session.deadlines.submit);
        let signed = endorsed.signed_by(until).await.map_err(|source| TransactionError::NotSubmitted {
            tx_id: endorsed.tx_id().to_owned(),
            source,
        })?;
        let wait = left(until) / 2;
        let sent = Sent::expected(&endorsed.session, commits, &signed, false, &endorsed.span, wait).await;
        sent.once(left(until)).await
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Submit => "submit",
            Self::CommitStatus => "commit status",
        })
    }
}
