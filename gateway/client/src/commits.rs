//! All pending transactions, resolved over one stream of filtered blocks per channel.
//!
//! A call for the commit status costs a signature, a round trip and one of the peer's slots for each transaction
//! that waits. A stream costs one signature in all, and tells every verdict as its block is committed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hlf_protos::protos::{FilteredBlock, TxValidationCode};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tracing::{Instrument as _, Span};

use crate::backoff::Backoff;
use crate::deadlines::LIMIT_MAX;
use crate::metrics::microseconds;
use crate::session::Session;
use crate::span::TransactionSpan;
use crate::verdict::{is_doubtful, verdict, weight};
use crate::{
    BlockRange, BlockRequest, CommitStatus, CommitStatusError, DeliverError, Start, Stop, Submitted,
};

/// How long a peer may take to send the first block, which it has.
const FIRST_BLOCK: Duration = Duration::from_secs(10);
/// How long a transaction is held back until the stream has begun.
const BEGUN: Duration = Duration::from_secs(5);
/// How long the stream may be behind what a commit status told.
const BEHIND: Duration = Duration::from_secs(2);
/// How long a peer that refused the stream is left alone: policies change rarely.
const REFUSED: Duration = Duration::from_secs(60);

/// How commits are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// How long a transaction waits for the stream alone before its commit status is asked for as well, at most
    /// half of the time that it may wait. 5 s by default.
    pub ask_after: Duration,
    /// How many transactions may wait on one channel; further ones ask for their commit status, one call each.
    /// 10,000 by default, about 2 MB.
    pub waiting_max: usize,
}

impl Default for Following {
    fn default() -> Self {
        Self { ask_after: Duration::from_secs(5), waiting_max: 10_000 }
    }
}

/// The verdicts of a gateway's channels, one stream each, opened when a channel's first transaction is submitted.
///
/// A stream that breaks is resumed from the last block seen, or from the newest where a block can't be reduced. While it
/// is down or refused, and for what the stream is late to tell, transactions ask for their commit status. A stream that
/// never began, of a channel that isn't there perhaps, ends when nobody waits on it; the others end with the last clone
/// of the gateway.
#[derive(Clone)]
pub struct Commits {
    inner: Arc<Inner>,
}

struct Inner {
    session: Arc<Session>,
    following: Following,
    channels: Mutex<HashMap<String, Arc<Channel>>>,
}

struct Channel {
    waiting: Arc<Waiting>,
    state: watch::Receiver<State>,
    behind: watch::Sender<u64>,
    _task: AbortOnDropHandle<()>,
}

/// Who waits for which transaction.
#[derive(Default)]
struct Waiting {
    by_tx_id: Mutex<HashMap<String, Vec<Waiter>>>,
    next: AtomicU64,
}

struct Waiter {
    number: u64,
    verdict: oneshot::Sender<CommitStatus>,
}

/// How a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No block was seen yet.
    Opening,
    /// All blocks up to this one were seen, and all further ones will be.
    Live(u64),
    /// It broke, or is refused; further verdicts may be late.
    Down,
}

/// A transaction whose verdict is expected: made before it is submitted, so that the verdict can't be missed.
pub struct ExpectedCommit {
    /// To ask, where the stream doesn't tell.
    submitted: Submitted,
    span: TransactionSpan,
    stream: Option<Registered>,
}

struct Registered {
    channel: Arc<Channel>,
    number: u64,
    tx_id: String,
    verdict: oneshot::Receiver<CommitStatus>,
    /// Whether it may be in a block that the stream has passed: only asking tells.
    late: bool,
    ask_after: Duration,
}

impl Commits {
    pub(crate) fn new(session: Arc<Session>, following: Following) -> Self {
        Self { inner: Arc::new(Inner { session, following, channels: Mutex::default() }) }
    }

    /// How commits are followed.
    pub fn following(&self) -> Following {
        self.inner.following
    }

    /// The channels that are followed, in the order of their names.
    pub fn channels(&self) -> Vec<String> {
        let mut names: Vec<_> = locked(&self.inner.channels).keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// How many transactions wait on a channel.
    pub fn waiting(&self, channel: &str) -> usize {
        let channels = locked(&self.inner.channels);
        channels.get(channel).map_or(0, |channel| channel.waiting.len())
    }

    /// Opens a channel's stream, if it isn't open; must be called within a Tokio runtime.
    pub fn follow(&self, channel: &str) {
        self.channel(channel);
    }

    /// Expects a transaction that is not submitted yet; waits until the channel's stream has begun, at most for 5 s, so
    /// that its verdict can't be missed.
    pub async fn expect(&self, channel: &str, tx_id: &str) -> ExpectedCommit {
        let span = TransactionSpan::of(Span::current());
        self.expected(&self.inner.session, channel, tx_id, false, span, BEGUN).await
    }

    /// As [`Self::expect`], and waits no longer than told; `late` says that it may be in a block by now.
    pub(crate) async fn expected(
        &self,
        session: &Arc<Session>,
        channel: &str,
        tx_id: &str,
        late: bool,
        span: TransactionSpan,
        wait: Duration,
    ) -> ExpectedCommit {
        let Following { ask_after, waiting_max } = self.inner.following;
        let followed = self.channel(channel);
        let registered = followed.waiting.register(tx_id, waiting_max);
        let mut stream = registered.map(|(number, verdict)| Registered {
            channel: Arc::clone(&followed),
            number,
            tx_id: tx_id.to_owned(),
            verdict,
            late,
            ask_after,
        });
        // A stream that has not begun may begin behind the transaction's block.
        let mut state = followed.state.clone();
        let begun = state.wait_for(|state| *state != State::Opening);
        if let (Some(registered), Err(_)) = (&mut stream, timeout(wait.min(BEGUN), begun).await) {
            registered.late = true;
        }
        ExpectedCommit { stream, ..ExpectedCommit::asking(session, channel, tx_id, span) }
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        let mut channels = locked(&self.inner.channels);
        if let Some(channel) = channels.get(name) {
            return Arc::clone(channel);
        }
        let waiting = Arc::new(Waiting::default());
        let (state_sender, state) = watch::channel(State::Opening);
        let (behind, told) = watch::channel(0);
        let stream = Stream {
            session: Arc::clone(&self.inner.session),
            channel: name.to_owned(),
            waiting: Arc::clone(&waiting),
            state: state_sender,
            told,
            last: None,
            begun: false,
            commits: Arc::downgrade(&self.inner),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(stream.follow()));
        let channel = Arc::new(Channel { waiting, state, behind, _task: task });
        channels.insert(name.to_owned(), Arc::clone(&channel));
        channel
    }
}

impl fmt::Debug for Commits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Commits").field("following", &self.inner.following).finish_non_exhaustive()
    }
}

impl ExpectedCommit {
    /// Without a stream: the commit status is asked for.
    pub(crate) fn asking(session: &Arc<Session>, channel: &str, tx_id: &str, span: TransactionSpan) -> Self {
        let (channel, tx_id) = (channel.to_owned(), tx_id.to_owned());
        let submitted = Submitted::new(Arc::clone(session), channel, tx_id, span.clone());
        Self { submitted, span, stream: None }
    }

    /// The transaction's id.
    pub fn tx_id(&self) -> &str {
        self.submitted.tx_id()
    }

    /// Waits for the verdict, at most for the given time; can be called again after an error.
    pub async fn commit_status(&mut self, limit: Duration) -> Result<CommitStatus, CommitStatusError> {
        let ask = |limit| self.submitted.commit_status_within(limit);
        let Some(stream) = &mut self.stream else { return ask(limit).await };
        let begun = Instant::now();
        let until = begun + limit.min(LIMIT_MAX);
        let result = stream.verdict(limit, until, ask).instrument(self.span.span()).await;
        self.span.span().record("commit_status_us", microseconds(begun.elapsed()));
        let result = result.unwrap_or_else(|| {
            let source = Status::deadline_exceeded(format!("in no block within {} ms", limit.as_millis()));
            Err(CommitStatusError::Unknown {
                tx_id: self.submitted.tx_id().to_owned(),
                source: source.into(),
            })
        });
        self.span.ends(result.as_ref().map_or("unknown", |status| status.code.as_str_name()));
        result
    }
}

impl fmt::Debug for ExpectedCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExpectedCommit").field("tx_id", &self.tx_id()).finish_non_exhaustive()
    }
}

impl Registered {
    /// The verdict from the stream, or from asking when the stream is late or down; none when time is up.
    async fn verdict<A>(
        &mut self,
        limit: Duration,
        until: Instant,
        ask: impl Fn(Duration) -> A,
    ) -> Option<Result<CommitStatus, CommitStatusError>>
    where
        A: Future<Output = Result<CommitStatus, CommitStatusError>>,
    {
        let mut state = self.channel.state.clone();
        let late = self.late || self.verdict.is_terminated();
        let wait = if late { Duration::ZERO } else { self.ask_after.min(limit / 2) };
        let asking = async {
            tokio::select! {
                () = sleep(wait) => (),
                // It may come up again, but a peer that is asked now may know by then.
                _ = state.wait_for(|state| *state == State::Down) => (),
            }
            ask(until.saturating_duration_since(Instant::now())).await
        };
        tokio::pin!(asking);
        if !self.verdict.is_terminated() {
            tokio::select! {
                biased;
                told = &mut self.verdict => match told {
                    Ok(status) if !is_doubtful(status.code) => return Some(Ok(status)),
                    // A second copy, or another's envelope, says nothing about the first, which the ledger knows.
                    _ => return Some(ask(until.saturating_duration_since(Instant::now())).await),
                },
                asked = &mut asking => match asked {
                    Ok(status) => {
                        self.channel.behind.send_if_modified(|told| {
                            let news = *told < status.block_number;
                            *told = (*told).max(status.block_number);
                            news
                        });
                        return Some(Ok(status));
                    }
                    Err(error) if Instant::now() >= until => return Some(Err(error)),
                    // What the peer refuses to say when asked, its stream may still tell.
                    Err(error) => {
                        return match tokio::time::timeout_at(until, &mut self.verdict).await {
                            Ok(Ok(status)) if !is_doubtful(status.code) => Some(Ok(status)),
                            _ => Some(Err(error)),
                        };
                    }
                },
                () = sleep_until(until) => return None,
            }
        }
        Some(asking.await)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.channel.waiting.forget(&self.tx_id, self.number);
    }
}

impl Waiting {
    fn len(&self) -> usize {
        locked(&self.by_tx_id).len()
    }

    fn register(&self, tx_id: &str, max: usize) -> Option<(u64, oneshot::Receiver<CommitStatus>)> {
        let mut by_tx_id = locked(&self.by_tx_id);
        if by_tx_id.len() >= max {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (verdict, receiver) = oneshot::channel();
        by_tx_id.entry(tx_id.to_owned()).or_default().push(Waiter { number, verdict });
        Some((number, receiver))
    }

    fn forget(&self, tx_id: &str, number: u64) {
        let mut by_tx_id = locked(&self.by_tx_id);
        if let Some(waiters) = by_tx_id.get_mut(tx_id) {
            waiters.retain(|waiter| waiter.number != number);
            if waiters.is_empty() {
                by_tx_id.remove(tx_id);
            }
        }
    }

    /// Tells what a block says of those that wait: of all entries under one id, the one that counts.
    fn tell(&self, block: &FilteredBlock) {
        let mut by_tx_id = locked(&self.by_tx_id);
        let mut verdicts = HashMap::<&str, TxValidationCode>::new();
        for transaction in &block.filtered_transactions {
            if by_tx_id.contains_key(&transaction.txid) {
                let code = verdict(transaction.tx_validation_code);
                let best = verdicts.entry(&transaction.txid).or_insert(code);
                if weight(code) > weight(*best) {
                    *best = code;
                }
            }
        }
        for (tx_id, code) in verdicts {
            for waiter in by_tx_id.remove(tx_id).unwrap_or_default() {
                let status = CommitStatus { tx_id: tx_id.to_owned(), code, block_number: block.number };
                // Who has stopped waiting needs no verdict.
                let _ = waiter.verdict.send(status);
            }
        }
    }
}

/// The task that follows a channel.
struct Stream {
    session: Arc<Session>,
    channel: String,
    waiting: Arc<Waiting>,
    state: watch::Sender<State>,
    /// The highest block that a commit status told of.
    told: watch::Receiver<u64>,
    /// The last block seen, to go on from.
    last: Option<u64>,
    /// Whether any block was seen.
    begun: bool,
    commits: Weak<Inner>,
}

impl Stream {
    async fn follow(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let seen = self.last;
            let ended = self.until_it_ends().await;
            let refused = match &ended {
                Some(error) if self.is_lasting(error) => {
                    tracing::warn!(channel = self.channel, error = %error, "commits can't be followed");
                    true
                }
                Some(error) => {
                    tracing::debug!(channel = self.channel, error = %error, "stream of commits is resumed");
                    false
                }
                None => {
                    tracing::debug!(channel = self.channel, "stream of commits stood still and is resumed");
                    false
                }
            };
            self.state.send_replace(State::Down);
            if self.last != seen {
                backoff.reset();
            } else if ended.as_ref().is_some_and(is_bad_request) {
                // The block after that one can't be reduced, and never will be: who waits for it asks.
                self.last = None;
            }
            sleep(if refused { REFUSED } else { backoff.pause() }).await;
            if !self.begun && self.is_given_up() {
                return;
            }
        }
    }

    /// Gives up a stream that never began and that nobody waits on: the next transaction opens it again. Names of
    /// channels come from callers, and may be wrong.
    fn is_given_up(&self) -> bool {
        let Some(commits) = self.commits.upgrade() else { return true };
        let mut channels = locked(&commits.channels);
        let unused = self.waiting.len() == 0;
        if unused {
            channels.remove(&self.channel);
        }
        unused
    }

    /// Whether asking again soon would be refused again; of a stream that began, a bad request is about one block.
    fn is_lasting(&self, error: &DeliverError) -> bool {
        use hlf_protos::common::Status::Forbidden;
        matches!(error, DeliverError::Refused { status: Forbidden, .. })
            || !self.begun && is_bad_request(error)
    }

    /// Tells verdicts until the stream fails, or stands still (none).
    async fn until_it_ends(&mut self) -> Option<DeliverError> {
        // From a block that the peer has, so that its first message shows that the stream stands.
        let start = self.last.map_or(Start::Newest, Start::Number);
        let range = BlockRange { start, stop: Stop::Never };
        let request = BlockRequest::new(Arc::clone(&self.session), &self.channel, range);
        // That is to sign the request and to send it: what is answered comes later.
        let mut blocks = match timeout(FIRST_BLOCK, request.filtered_blocks()).await {
            Ok(Ok(blocks)) => blocks,
            Ok(Err(error)) => return Some(error),
            Err(_) => return None,
        };
        let mut begun = false;
        loop {
            let seen = self.last;
            let stalled = async {
                if !begun {
                    return sleep(FIRST_BLOCK).await;
                }
                // The task ends before those who tell it what it misses.
                if self.told.wait_for(|told| Some(*told) > seen).await.is_err() {
                    std::future::pending::<()>().await;
                }
                sleep(BEHIND).await;
            };
            let block = tokio::select! {
                biased;
                block = blocks.next() => block,
                () = stalled => return None,
            };
            match block {
                Ok(Some(block)) => {
                    self.waiting.tell(&block);
                    self.last = Some(block.number);
                    begun = true;
                    self.begun = true;
                    self.state.send_replace(State::Live(block.number));
                }
                Ok(None) => return Some(DeliverError::Closed { channel: self.channel.clone() }),
                Err(error) => return Some(error),
            }
        }
    }
}

/// Whether the peer found something wrong with the request, or with a block that it was to send.
fn is_bad_request(error: &DeliverError) -> bool {
    matches!(error, DeliverError::Refused { status: hlf_protos::common::Status::BadRequest, .. })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept under these locks is whole after each step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
