//! Transactions that are tried again, only when that is safe.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hlf_protos::protos::TxValidationCode;
use sha2::{Digest as _, Sha256};

use crate::backoff::Backoff;
use crate::contract::{Committed, Contract, TransactionError};
use crate::deadlines::{left, until};
use crate::kept::{Kept, StoreError, TransactionStore};
use crate::outcome::Sent;
use crate::{
    Deadlines, EndorseError, FailureCause, Proposal, ProposalBuilder, ProposalError, SignedTransaction,
};

/// How often, how long and under which key a transaction is tried.
#[derive(Clone)]
pub struct Retry {
    /// How many transactions are made at most, one after the other; the first one counts. 10 by default.
    pub attempts: u32,
    /// The first pause; each further one is twice as long, and a random part of up to half is taken off. 50 ms by
    /// default.
    pub first_pause: Duration,
    /// The longest pause. 2 s by default.
    pub last_pause: Duration,
    /// After this, nothing is begun: no attempt, no sending, no asking. Endorsing and signing end by it, and what has
    /// been sent ends by its stage's own deadline. 2 min by default, so that a transaction which an orderer took and lost
    /// is sent once more.
    pub deadline: Duration,
    /// What makes repeated calls one, see [`Self::idempotent`]. None by default.
    pub key: Option<IdempotencyKey>,
}

/// A name that stands for one effect, and the store that says which transaction that is.
#[derive(Clone)]
pub struct IdempotencyKey {
    /// The name, chosen by the caller, such as an order's number.
    pub name: String,
    /// Where its transaction is kept.
    pub store: Arc<dyn TransactionStore>,
}

/// Why a transaction was tried no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// The proposal can't be made.
    #[error("no transaction could be proposed")]
    Proposal(#[from] ProposalError),
    /// The last attempt failed for good, or was the last that the policy allows.
    #[error("transaction failed after {attempts} attempts")]
    Failed {
        /// How many transactions were made for this call; none, if an earlier one under the key is still unknown.
        attempts: u32,
        /// How the last one ended. If it's unknown, the store keeps it.
        source: TransactionError,
    },
    /// The key stands for another call.
    #[error(
        "idempotency key `{key}` stands for another call, transaction `{tx_id}`: use a new key for a new call"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The transaction of the other call.
        tx_id: String,
    },
    /// What is stored under the key can't be read or written; no new transaction was submitted.
    #[error("transaction under idempotency key `{key}` can't be kept, so none was submitted")]
    Store {
        /// The key.
        key: String,
        /// What the store reports.
        source: StoreError,
    },
}

/// A call that is committed and VALID, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The transaction that took effect.
    pub committed: Committed,
    /// How many transactions were made; 0 if an earlier call under the same key had made it.
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 10,
            first_pause: Duration::from_millis(50),
            last_pause: Duration::from_secs(2),
            deadline: Duration::from_secs(120),
            key: None,
        }
    }
}

impl Retry {
    /// Makes calls under a key idempotent: at most one transaction of a key ever takes effect.
    ///
    /// Each transaction is put into the store before it is sent. A call that finds one there under its key, from
    /// before a crash or from a concurrent call, settles that one first: if it's VALID then its result is
    /// returned, if its outcome stays unknown then that is reported, and only if its verdict is a no
    /// is another one made. This holds as far as the store keeps what it took, and for as long as it does.
    #[must_use]
    pub fn idempotent(mut self, key: impl Into<String>, store: Arc<dyn TransactionStore>) -> Self {
        self.key = Some(IdempotencyKey { name: key.into(), store });
        self
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("first_pause", &self.first_pause)
            .field("last_pause", &self.last_pause)
            .field("deadline", &self.deadline)
            .field("key", &self.key)
            .finish()
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IdempotencyKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RetryError {
    /// How the last transaction ended, if there was one.
    pub fn transaction(&self) -> Option<&TransactionError> {
        match self {
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Contract {
    /// Endorses, submits and waits for the block, and tries again when that is safe:
    ///
    /// - endorsers differed, were down or busy: nothing was sent, so a new transaction is made (at once the first
    ///   time that endorsers differ, since one may be a block behind);
    /// - the outcome got lost: the identical transaction is sent and asked for again, and no other one is made;
    /// - the verdict is a conflict (MVCC, phantom): a new transaction is made.
    ///
    /// Everything else is final, the chaincode's own errors included.
    ///
    /// Dropping the returned future leaves unknown what was sent; [`Retry::idempotent`] keeps it for a later call.
    pub async fn submit_retrying(&self, call: ProposalBuilder, retry: &Retry) -> Result<Retried, RetryError> {
        let until = until(retry.deadline);
        let mut trying = Trying { contract: self, retry, until, attempts: 0, stored: None };
        match &retry.key {
            Some(key) => trying.under_key(&call, &key.name, key.store.as_ref()).await,
            None => trying.afresh(&call, None).await,
        }
    }
}

struct Trying<'a> {
    contract: &'a Contract,
    retry: &'a Retry,
    until: Instant,
    attempts: u32,
    /// What the store holds under the key, as far as known.
    stored: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Key<'a> {
    name: &'a str,
    store: &'a dyn TransactionStore,
}

impl Key<'_> {
    fn failed(self, source: StoreError) -> RetryError {
        RetryError::Store { key: self.name.to_owned(), source }
    }
}

impl Trying<'_> {
    async fn under_key(
        &mut self,
        call: &ProposalBuilder,
        name: &str,
        store: &dyn TransactionStore,
    ) -> Result<Retried, RetryError> {
        let key = Key { name, store };
        let call_digest = digest(&call.clone().build()?);
        self.stored = store.load(name).await.map_err(|source| key.failed(source))?;
        loop {
            // What is there is settled before anything new is made.
            if let Some(bytes) = self.stored.take() {
                let kept = Kept::from_bytes(&bytes).map_err(|source| key.failed(source))?;
                if kept.call != call_digest {
                    let tx_id = kept.tx_id().to_owned();
                    return Err(RetryError::KeyReused { key: name.to_owned(), tx_id });
                }
                self.stored = Some(bytes);
                if let Some(committed) = self.settled(&kept, key).await? {
                    return Ok(Retried { committed, attempts: self.attempts });
                }
            }
            match self.afresh(call, Some((key, call_digest))).await {
                // Somebody else put a transaction there, and this one was not sent.
                Err(RetryError::Store { source, .. }) if source.is_taken() => {
                    self.stored = store.load(name).await.map_err(|source| key.failed(source))?;
                }
                result => return result,
            }
        }
    }

    /// What became of a kept transaction; none if its verdict is a no.
    async fn settled(&mut self, kept: &Kept, key: Key<'_>) -> Result<Option<Committed>, RetryError> {
        let transaction = match kept.outcome() {
            Ok(committed) => return Ok(Some(committed)),
            Err(transaction) => transaction,
        };
        let left = Retry { deadline: self.left(), key: None, ..self.retry.clone() };
        match self.contract.gateway().settle(transaction, &left).await {
            Ok(committed) => {
                self.remember(key, kept.call, &committed).await;
                Ok(Some(committed))
            }
            Err(TransactionError::Invalid { .. }) => Ok(None),
            Err(source) => Err(RetryError::Failed { attempts: self.attempts, source }),
        }
    }

    /// Makes new transactions until one is VALID.
    async fn afresh(
        &mut self,
        call: &ProposalBuilder,
        key: Option<(Key<'_>, [u8; 32])>,
    ) -> Result<Retried, RetryError> {
        let mut backoff = Backoff::new(self.retry.first_pause, self.retry.last_pause);
        let mut differed = false;
        loop {
            let proposal = call.clone().build()?;
            if self.left().is_zero() {
                let source = TransactionError::TooLate { tx_id: proposal.tx_id().to_owned() };
                return Err(RetryError::Failed { attempts: self.attempts, source });
            }
            self.attempts += 1;
            let error = match self.attempt(proposal, key).await? {
                Ok(committed) => return Ok(Retried { committed, attempts: self.attempts }),
                Err(error) => error,
            };
            let again = Again::after(&error);
            let pause = match again {
                Again::AtOnce if !differed => Duration::ZERO,
                Again::AtOnce | Again::Later => backoff.pause(),
                Again::Never => Duration::MAX,
            };
            differed |= matches!(again, Again::AtOnce);
            if pause > self.left() || self.attempts >= self.retry.attempts {
                return Err(RetryError::Failed { attempts: self.attempts, source: error });
            }
            tracing::debug!(error = %error, pause_ms = pause.as_millis(), "a new transaction is made");
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes one transaction all the way; it is in the store before it is sent.
    async fn attempt(
        &mut self,
        proposal: Proposal,
        key: Option<(Key<'_>, [u8; 32])>,
    ) -> Result<Result<Committed, TransactionError>, RetryError> {
        let commits = self.contract.gateway().commits();
        let (deadlines, left) = (proposal.session.deadlines, self.left());
        let proposal = if left < deadlines.endorse {
            proposal.with_deadlines(Deadlines { endorse: left, ..deadlines })
        } else {
            proposal
        };
        let endorsed = match proposal.endorse().await {
            Ok(endorsed) => endorsed,
            Err(error) => return Ok(Err(error.into())),
        };
        if let Some(commits) = commits {
            commits.follow(self.contract.channel());
        }
        let tx_id = || endorsed.tx_id().to_owned();
        let transaction = match endorsed.signed_by(until(deadlines.submit).min(self.until)).await {
            Ok(transaction) => transaction,
            Err(source) => return Ok(Err(TransactionError::NotSubmitted { tx_id: tx_id(), source })),
        };
        let (session, span, wait) = (&endorsed.session, &endorsed.span, self.left() / 2);
        let sent = Sent::expected(session, commits, &transaction, false, span, wait).await;
        // Once it is kept, another call may send it: it could only be called unknown.
        if self.left().is_zero() {
            return Ok(Err(TransactionError::TooLate { tx_id: tx_id() }));
        }
        if let Some((key, call)) = key {
            self.keep(key, call, &transaction).await?;
        }
        let outcome = sent.again_and_again(self.retry, self.until).await;
        if let (Some((key, call)), Ok(committed)) = (key, &outcome) {
            self.remember(key, call, committed).await;
        }
        Ok(outcome)
    }

    /// Puts a transaction that is about to be sent into the place of the one that is known to be void.
    async fn keep(
        &mut self,
        key: Key<'_>,
        call: [u8; 32],
        transaction: &SignedTransaction,
    ) -> Result<(), RetryError> {
        let bytes = Kept::sent(call, transaction.clone()).to_bytes();
        let replaced = key.store.replace(key.name, self.stored.as_deref(), &bytes).await;
        if replaced.map_err(|source| key.failed(source))? {
            self.stored = Some(bytes);
            return Ok(());
        }
        Err(key.failed(StoreError::taken()))
    }

    /// Notes an outcome, so that it needn't be asked for again; without the note it would be.
    async fn remember(&mut self, key: Key<'_>, call: [u8; 32], committed: &Committed) {
        let bytes = Kept::committed(call, committed.clone()).to_bytes();
        if let Err(error) = key.store.replace(key.name, self.stored.as_deref(), &bytes).await {
            tracing::warn!(key = key.name, tx_id = committed.tx_id, error = %error, "outcome is not noted");
        }
    }

    fn left(&self) -> Duration {
        left(self.until)
    }
}

/// When a new transaction may be made after one that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    AtOnce,
    Later,
    Never,
}

impl Again {
    fn after(error: &TransactionError) -> Self {
        use TxValidationCode::{MvccReadConflict, PhantomReadConflict};
        match error {
            TransactionError::Endorse(EndorseError::Failed { source, .. })
                if source.cause() == Some(FailureCause::ResultsDiffer) =>
            {
                Self::AtOnce
            }
            TransactionError::Endorse(EndorseError::Failed { source, .. }) if source.is_retryable() => {
                Self::Later
            }
            TransactionError::Invalid { code: MvccReadConflict | PhantomReadConflict, .. } => Self::Later,
            _ => Self::Never,
        }
    }
}

/// What makes two calls the same one: channel, chaincode, function and arguments. Transient values don't count: a
/// plain digest of a secret would help to guess it.
fn digest(proposal: &Proposal) -> [u8; 32] {
    let channel = proposal.channel().as_bytes();
    Sha256::new()
        .chain_update((channel.len() as u64).to_be_bytes())
        .chain_update(channel)
        .chain_update(&proposal.input)
        .finalize()
        .into()
}
