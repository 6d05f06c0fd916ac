//! The third stage: a submitted transaction, to be found in a block.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hlf_protos::gateway::{CommitStatusRequest, SignedCommitStatusRequest};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;
use tracing::{Instrument as _, Span};

use crate::session::Session;
use crate::{CallFailure, Endorsed, SignError};

/// How long a peer that is down or busy is left alone before it is asked again, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// A transaction on its way into a block.
pub struct Submitted {
    session: Arc<Session>,
    channel: String,
    tx_id: String,
    span: Span,
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
}

impl Submitted {
    /// The transaction as if it had reached the orderers.
    pub(crate) fn assumed(endorsed: &Endorsed) -> Self {
        Self {
            session: Arc::clone(&endorsed.session),
            channel: endorsed.channel.clone(),
            tx_id: endorsed.tx_id.clone(),
            span: endorsed.span.clone(),
        }
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
    pub async fn commit_status(&self) -> Result<CommitStatus, CommitStatusError> {
        let limit = self.session.deadlines.commit_status;
        commit_status(&self.session, &self.channel, &self.tx_id, limit, &self.span).await
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
            Self::Sign { tx_id, .. } | Self::Unknown { tx_id, .. } | Self::Duplicate { tx_id, .. } => tx_id,
        }
    }

    /// What the gateway said, if it was asked.
    pub fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Unknown { source, .. } => Some(source),
            Self::Sign { .. } | Self::Duplicate { .. } => None,
        }
    }
}

/// Asks for a verdict within the given time and records it.
pub(crate) async fn commit_status(
    session: &Session,
    channel: &str,
    tx_id: &str,
    limit: Duration,
    span: &Span,
) -> Result<CommitStatus, CommitStatusError> {
    let result = first_verdict(session, channel, tx_id, limit).instrument(span.clone()).await;
    span.record("outcome", result.as_ref().map_or("unknown", |status| status.code.as_str_name()));
    result
}

/// Asks for a verdict until it is the first copy's, within the given time.
async fn first_verdict(
    session: &Session,
    channel: &str,
    tx_id: &str,
    limit: Duration,
) -> Result<CommitStatus, CommitStatusError> {
    let message = CommitStatusRequest {
        transaction_id: tx_id.to_owned(),
        channel_id: channel.to_owned(),
        identity: session.creator.clone(),
    }
    .encode_to_vec();
    let signature = session
        .sign(&message)
        .await
        .map_err(|source| CommitStatusError::Sign { tx_id: tx_id.to_owned(), source })?;
    let signed = SignedCommitStatusRequest { request: message, signature };

    let until = Instant::now() + limit;
    let first = asked(session, tx_id, &signed, until).await?;
    if first.code != TxValidationCode::DuplicateTxid {
        return Ok(first);
    }
    // A waiting gateway reports the copy that its next block holds; the ledger itself knows the first one.
    let second = asked(session, tx_id, &signed, until).await?;
    if second.code == TxValidationCode::DuplicateTxid {
        return Err(CommitStatusError::Duplicate {
            tx_id: tx_id.to_owned(),
            block_number: second.block_number,
        });
    }
    Ok(second)
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
        let limit = until.saturating_duration_since(Instant::now());
        let failure = match session.commit_status(signed.clone(), limit).await {
            Ok(response) => {
                let code = TxValidationCode::try_from(response.result)
                    .unwrap_or(TxValidationCode::InvalidOtherReason);
                return Ok(CommitStatus {
                    tx_id: tx_id.to_owned(),
                    code,
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
