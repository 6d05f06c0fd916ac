//! The third stage: a submitted transaction, to be found in a block.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hlf_protos::common::Status as Told;
use hlf_protos::gateway::{CommitStatusRequest, SignedCommitStatusRequest};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;
use tonic::Status;
use tracing::{Instrument as _, field};

use crate::deadlines::{left, until};
use crate::explain::verdict_in;
use crate::session::Session;
use crate::span::TransactionSpan;
use crate::to_sign::{ToSign, msp_id, part};
use crate::verdict::{in_block, is_doubtful, may_be_anothers, verdict};
use crate::{
    BlockRequest, CallFailure, Deadlines, DeliverError, Endorsed, Gateway, ImportError, SignError,
    SignatureError,
};

/// How long a peer that is down or busy is left alone before it is asked again, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// A transaction on its way into a block, and the request for its commit status: signed once, when it is first asked
/// for, or elsewhere; by any identity that may read the channel.
pub struct Submitted {
    session: Arc<Session>,
    channel: String,
    tx_id: String,
    span: TransactionSpan,
    to_sign: ToSign,
}

/// The peers' verdict on a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// The transaction's id.
    pub tx_id: String,
    /// The verdict; codes that this crate doesn't know read as INVALID_OTHER_REASON.
    pub code: TxValidationCode,
    /// The block that holds the transaction.
    pub block_number: u64,
}

/// Why a transaction's outcome is not known: it may be committed, or still be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitStatusError {
    /// The request could not be signed.
    #[error("outcome of transaction `{tx_id}` is unknown: its commit status could not be asked for")]
    Sign {
        /// The transaction's id.
        tx_id: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The gateway refused, or no verdict came in time.
    #[error("outcome of transaction `{tx_id}` is unknown: no commit status")]
    Unknown {
        /// The transaction's id.
        tx_id: String,
        /// What the gateway said.
        source: CallFailure,
    },
    /// Only a second copy was seen, which says nothing about the first.
    #[error("outcome of transaction `{tx_id}` is unknown: block {block_number} holds a second copy of it")]
    Duplicate {
        /// The transaction's id.
        tx_id: String,
        /// The block of the copy.
        block_number: u64,
    },
    /// The transaction's id is in a block, with a verdict that another's envelope under the same id gets as well, and
    /// that block can't be read to see whether it holds the transaction itself.
    #[error(
        "outcome of transaction `{tx_id}` is unknown: what block {block_number} holds under its id may be another's, \
         and that block can't be read"
    )]
    Contested {
        /// The transaction's id.
        tx_id: String,
        /// The block.
        block_number: u64,
        /// Why it can't be read.
        source: DeliverError,
    },
}

impl Submitted {
    /// A transaction that somebody submitted, known by its id; the gateway's identity asks for it.
    pub fn of(gateway: &Gateway, channel: &str, transaction_id: &str) -> Self {
        let session = Arc::clone(gateway.session());
        let span = span(transaction_id, channel, session.msp_id());
        Self::new(session, channel.to_owned(), transaction_id.to_owned(), span)
    }

    /// The transaction as if it had reached the orderers.
    pub(crate) fn assumed(endorsed: &Endorsed) -> Self {
        Self::new(
            Arc::clone(&endorsed.session),
            endorsed.channel.clone(),
            endorsed.tx_id.clone(),
            endorsed.span.clone(),
        )
    }

    pub(crate) fn new(session: Arc<Session>, channel: String, tx_id: String, span: TransactionSpan) -> Self {
        let creator = session.creator.clone();
        let request = CommitStatusRequest {
            transaction_id: tx_id.clone(),
            channel_id: channel.clone(),
            identity: creator.clone(),
        };
        Self { session, channel, tx_id, span, to_sign: ToSign::new(creator, request.encode_to_vec()) }
    }

    /// Reads what [`Self::to_bytes`] of any client gave, to be sent by a gateway; signed if it was.
    pub fn from_bytes(gateway: &Gateway, bytes: &[u8]) -> Result<Self, ImportError> {
        const WHAT: &str = "a request for a commit status";
        let signed: SignedCommitStatusRequest =
            part(WHAT, bytes, "it is no `gateway.SignedCommitStatusRequest`")?;
        let request: CommitStatusRequest = part(WHAT, &signed.request, "its content can't be read")?;
        if request.transaction_id.is_empty() || request.identity.is_empty() {
            return Err(ImportError::Bytes { what: WHAT, reason: "it names no transaction or no identity" });
        }
        Ok(Self {
            session: Arc::clone(gateway.session()),
            span: span(&request.transaction_id, &request.channel_id, &msp_id(&request.identity)),
            channel: request.channel_id,
            tx_id: request.transaction_id,
            to_sign: ToSign::imported(WHAT, request.identity, signed.request, &signed.signature)?,
        })
    }

    /// What is signed: the encoding of `gateway.CommitStatusRequest`.
    pub fn message(&self) -> &[u8] {
        self.to_sign.message()
    }

    /// SHA-256 of [`Self::message`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        self.to_sign.digest()
    }

    /// The request for another process: the encoding of `gateway.SignedCommitStatusRequest`, as the official clients
    /// write and read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (request, signature) = (self.message().to_vec(), self.to_sign.signature());
        SignedCommitStatusRequest { request, signature }.encode_to_vec()
    }

    /// Attaches a signature that was made elsewhere over [`Self::message`].
    ///
    /// It is checked as a peer would check it; an ECDSA signature may have any S.
    pub fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        Ok(Self { to_sign: self.to_sign.with_signature(signature)?, ..self })
    }

    /// The same request with deadlines of its own.
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { session: Arc::new(self.session.with_deadlines(deadlines)), ..self }
    }

    /// The transaction's id, 64 hex digits.
    pub fn tx_id(&self) -> &str {
        &self.tx_id
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Waits until the transaction is in a block, at most for [`crate::Deadlines::commit_status`]; a peer that is
    /// down or busy in the meantime is asked again.
    ///
    /// Any member may have an envelope ordered that carries this transaction's id. So a verdict that such an envelope
    /// gets too (BAD_PROPOSAL_TXID and the like) is taken only after a look at its block, filtered or else whole, which this
    /// gateway's identity asks for.
    pub async fn commit_status(&self) -> Result<CommitStatus, CommitStatusError> {
        self.commit_status_within(self.session.deadlines.commit_status).await
    }

    /// Asks for a verdict within the given time and records it.
    pub(crate) async fn commit_status_within(
        &self,
        limit: Duration,
    ) -> Result<CommitStatus, CommitStatusError> {
        let result = self.first_verdict(limit).instrument(self.span.span()).await;
        self.span.ends(result.as_ref().map_or("unknown", |status| status.code.as_str_name()));
        result
    }

    /// Asks for a verdict until it is the first copy's, within the given time.
    async fn first_verdict(&self, limit: Duration) -> Result<CommitStatus, CommitStatusError> {
        let tx_id = &self.tx_id;
        let until = until(limit);
        let signature = self
            .to_sign
            .signed_by(&self.session, until)
            .await
            .map_err(|source| CommitStatusError::Sign { tx_id: tx_id.clone(), source })?;
        let signed = SignedCommitStatusRequest { request: self.message().to_vec(), signature };
        let first = asked(&self.session, tx_id, &signed, until).await?;
        if !is_doubtful(first.code) {
            return Ok(first);
        }
        // A waiting gateway reports the copy that its next block holds; the ledger itself knows the first one.
        let second = asked(&self.session, tx_id, &signed, until).await?;
        let block_number = second.block_number;
        if second.code == TxValidationCode::DuplicateTxid {
            return Err(CommitStatusError::Duplicate { tx_id: tx_id.clone(), block_number });
        }
        if !may_be_anothers(second.code) {
            return Ok(second);
        }
        // The first under this id may be another's envelope, and the transaction itself behind it in the same block. It
        // can't be VALID in a later one.
        match self.in_block(block_number, until).await {
            Ok(code) => Ok(CommitStatus { code, ..second }),
            Err(source) => Err(CommitStatusError::Contested { tx_id: tx_id.clone(), block_number, source }),
        }
    }

    /// The transaction's verdict in a block that holds it.
    async fn in_block(&self, number: u64, until: Instant) -> Result<TxValidationCode, DeliverError> {
        let channel = || self.channel.clone();
        let found = tokio::time::timeout_at(until.into(), self.found(number)).await.unwrap_or_else(|_| {
            let late = Status::deadline_exceeded("the block did not come in time");
            Err(DeliverError::Failed { channel: channel(), source: late.into() })
        });
        found?.ok_or_else(|| DeliverError::Unexpected { channel: channel() })
    }

    async fn found(&self, number: u64) -> Result<Option<TxValidationCode>, DeliverError> {
        let request = BlockRequest::new(Arc::clone(&self.session), &self.channel, (number..=number).into());
        match request.filtered_blocks().await?.next().await {
            // Something else in the block can't be decoded, so the peer can't reduce it.
            Err(DeliverError::Refused { status: Told::BadRequest, .. }) => {
                let block = request.blocks().await?.next().await?;
                Ok(block.and_then(|block| verdict_in(&block, &self.tx_id)))
            }
            filtered => Ok(filtered?.and_then(|block| in_block(&block, &self.tx_id))),
        }
    }
}

impl fmt::Debug for Submitted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Submitted").field("tx_id", &self.tx_id).finish_non_exhaustive()
    }
}

impl CommitStatus {
    /// Whether the transaction took effect.
    pub fn is_valid(&self) -> bool {
        self.code == TxValidationCode::Valid
    }
}

impl CommitStatusError {
    /// The transaction's id, to ask again.
    pub fn tx_id(&self) -> &str {
        match self {
            Self::Sign { tx_id, .. }
            | Self::Unknown { tx_id, .. }
            | Self::Duplicate { tx_id, .. }
            | Self::Contested { tx_id, .. } => tx_id,
        }
    }

    /// What the gateway said, if it was asked.
    pub fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Unknown { source, .. } => Some(source),
            Self::Contested { source: DeliverError::Failed { source, .. }, .. } => Some(source),
            Self::Sign { .. } | Self::Duplicate { .. } | Self::Contested { .. } => None,
        }
    }
}

/// The span of a transaction of which the id alone is known.
fn span(tx_id: &str, channel: &str, msp_id: &str) -> TransactionSpan {
    TransactionSpan::of(tracing::info_span!(
        "transaction",
        tx_id,
        channel,
        msp_id,
        commit_status_us = field::Empty,
        outcome = field::Empty
    ))
}

/// Asks again while the peer is down or busy: asking changes nothing, and the outcome is worth the wait.
async fn asked(
    session: &Session,
    tx_id: &str,
    signed: &SignedCommitStatusRequest,
    until: Instant,
) -> Result<CommitStatus, CommitStatusError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let failure = match session.commit_status(signed.clone(), left(until)).await {
            Ok(response) => {
                return Ok(CommitStatus {
                    tx_id: tx_id.to_owned(),
                    code: verdict(response.result),
                    block_number: response.block_number,
                });
            }
            Err(failure) => failure,
        };
        if !failure.is_retryable() || Instant::now() + pause >= until {
            return Err(CommitStatusError::Unknown { tx_id: tx_id.to_owned(), source: failure });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
