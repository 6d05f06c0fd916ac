//! From a signed transaction to its outcome.
//!
//! Once a transaction was sent, only a verdict is a no. Everything else, the gateway's own errors included, leaves
//! it unknown, and is resolved by asking and by sending the identical envelope again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hlf_protos::protos::TxValidationCode;
use tonic::Status;
use tracing::{Instrument as _, field};

use crate::backoff::Backoff;
use crate::commits::{Commits, ExpectedCommit};
use crate::contract::{Committed, Stage, TransactionError, UnknownCause};
use crate::deadlines::{left, until};
use crate::session::Session;
use crate::span::TransactionSpan;
use crate::{
    CallFailure, CommitStatus, CommitStatusError, Deadlines, DeliverError, Gateway, Retry, SignedTransaction,
    SubmitError,
};

/// How long a peer may take to find a transaction that it has in a block.
const KNOWN_ALREADY: Duration = Duration::from_secs(2);

impl Gateway {
    /// Finds out what became of a signed transaction, and sends it again while that isn't known: never another
    /// one, so this is safe at any time, by any process, any number of times.
    ///
    /// Of `retry`, pauses and deadline count. At the deadline the outcome is [`TransactionError::Unknown`], and the
    /// transaction is to be kept: it may be in a block later all the same.
    pub async fn settle(
        &self,
        transaction: &SignedTransaction,
        retry: &Retry,
    ) -> Result<Committed, TransactionError> {
        let span = tracing::info_span!(
            "transaction",
            tx_id = transaction.tx_id(),
            channel = transaction.channel(),
            msp_id = self.session().msp_id(),
            submit_us = field::Empty,
            commit_status_us = field::Empty,
            outcome = field::Empty
        );
        let span = TransactionSpan::of(span);
        let until = until(retry.deadline);
        let wait = left(until) / 2;
        let mut sent = Sent::expected(self.session(), self.commits(), transaction, true, &span, wait).await;
        if let Some(status) = sent.found_already(until).await {
            return sent.outcome(status);
        }
        sent.again_and_again(retry, until).await
    }
}

/// A transaction that is being sent, and whose verdict is expected from before that.
pub(crate) struct Sent<'a> {
    session: &'a Arc<Session>,
    transaction: &'a SignedTransaction,
    expected: ExpectedCommit,
    span: TransactionSpan,
}

/// What sending once led to, other than a verdict.
struct Lost {
    submit: Option<CallFailure>,
    status: CommitStatusError,
}

impl<'a> Sent<'a> {
    /// Gets ready to send: the verdict is expected over the channel's stream if commits are followed, else by asking.
    /// `late` says that it may have been sent before; for the stream to begin it is waited as long as told.
    pub(crate) async fn expected(
        session: &'a Arc<Session>,
        commits: Option<&Commits>,
        transaction: &'a SignedTransaction,
        late: bool,
        span: &TransactionSpan,
        wait: Duration,
    ) -> Self {
        let (channel, tx_id) = (transaction.channel(), transaction.tx_id());
        let expected = match commits {
            Some(commits) => commits.expected(session, channel, tx_id, late, span.clone(), wait).await,
            None => ExpectedCommit::asking(session, channel, tx_id, span.clone()),
        };
        Self { session, transaction, expected, span: span.clone() }
    }

    /// Sends it once, which may take the given time, and waits for the verdict.
    pub(crate) async fn once(mut self, limit: Duration) -> Result<Committed, TransactionError> {
        let Deadlines { lost_submit, .. } = self.session.deadlines;
        match self.send(limit, None, lost_submit).await {
            Ok(status) => self.outcome(status),
            Err(lost) => Err(self.unknown(lost)),
        }
    }

    /// Sends it until there is a verdict or the time is up; not at all if it is.
    pub(crate) async fn again_and_again(
        mut self,
        retry: &Retry,
        until: Instant,
    ) -> Result<Committed, TransactionError> {
        let mut backoff = Backoff::new(retry.first_pause, retry.last_pause);
        let limit = self.session.deadlines.submit;
        if left(until).is_zero() {
            return Err(self.unknown(self.over()));
        }
        loop {
            // A pause is no idle time: the verdict may come within it.
            let lost = match self.send(limit, Some(until), backoff.pause()).await {
                Ok(status) => return self.outcome(status),
                Err(lost) => lost,
            };
            if Instant::now() >= until || !lost.may_pass() {
                return Err(self.unknown(lost));
            }
            tracing::debug!(parent: &self.span.span(), "the identical transaction is sent again");
        }
    }

    /// The verdict, if the transaction is in a block by now.
    async fn found_already(&mut self, until: Instant) -> Option<CommitStatus> {
        let left = left(until);
        if left.is_zero() {
            return None;
        }
        let Deadlines { lost_submit, .. } = self.session.deadlines;
        self.expected.commit_status(KNOWN_ALREADY.min(lost_submit).min(left)).await.ok()
    }

    /// Sends it, which may take `limit`, and waits for the verdict: as long as for any transaction if an orderer has it,
    /// else for `if_lost`.
    async fn send(
        &mut self,
        limit: Duration,
        until: Option<Instant>,
        if_lost: Duration,
    ) -> Result<CommitStatus, Lost> {
        let session = self.session;
        let submit =
            session.submit(self.transaction.request(), limit).instrument(self.span.span()).await.err();
        self.span.ends(if submit.is_none() { "submitted" } else { "unknown" });
        let ordered = submit.as_ref().is_none_or(CallFailure::says_ordered);
        if let Some(failure) = &submit {
            // The message itself may carry what the chaincode was told.
            tracing::debug!(parent: &self.span.span(), ordered, code = ?failure.code(), "submission failed");
        }
        let limit = if ordered { session.deadlines.commit_status } else { if_lost };
        let limit = until.map_or(limit, |until| limit.min(left(until)));
        let begun = Instant::now();
        let status = match self.expected.commit_status(limit).await {
            Ok(status) => return Ok(status),
            Err(status) => status,
        };
        // Whoever would send again at once after a quick refusal would only add to what is wrong.
        if until.is_some() {
            tokio::time::sleep(limit.min(if_lost).saturating_sub(begun.elapsed())).await;
        }
        Err(Lost { submit: submit.filter(|_| !ordered), status })
    }

    fn outcome(&self, status: CommitStatus) -> Result<Committed, TransactionError> {
        let CommitStatus { tx_id, code, block_number } = status;
        if code == TxValidationCode::Valid {
            return Ok(Committed { tx_id, block_number, result: self.transaction.result().to_vec() });
        }
        Err(TransactionError::Invalid { tx_id, code, block_number })
    }

    /// What is known of it when there was no time to send it or to ask for it.
    fn over(&self) -> Lost {
        let tx_id = self.transaction.tx_id().to_owned();
        let source = Status::deadline_exceeded("the time was over before it could be sent or asked for");
        Lost { submit: None, status: CommitStatusError::Unknown { tx_id, source: source.into() } }
    }

    fn unknown(&self, lost: Lost) -> TransactionError {
        let tx_id = self.transaction.tx_id().to_owned();
        let (stage, source) = match lost.submit {
            Some(source) => {
                let submit = SubmitError::Unknown { tx_id: tx_id.clone(), source };
                (Stage::Submit, UnknownCause::Submit(Box::new(submit)))
            }
            None => (Stage::CommitStatus, UnknownCause::CommitStatus(Box::new(lost.status))),
        };
        TransactionError::Unknown { tx_id, stage, source, transaction: Box::new(self.transaction.clone()) }
    }
}

impl Lost {
    /// Whether sending and asking again may help.
    fn may_pass(&self) -> bool {
        match &self.status {
            CommitStatusError::Sign { .. } => false,
            CommitStatusError::Duplicate { .. } => true,
            CommitStatusError::Contested { source, .. } => {
                !matches!(source, DeliverError::Refused { .. } | DeliverError::Sign { .. })
            }
            CommitStatusError::Unknown { source, .. } => self.submit.is_some() || source.is_retryable(),
        }
    }
}
