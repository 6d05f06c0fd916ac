//! How many calls of this client a peer runs at once: as many as it bears, and never one that it would refuse.
//!
//! A peer counts the calls that each of its services runs, event streams and waits for a commit included, and
//! refuses the next one ("exceeding concurrency limit"). It counts before it looks, so what it refuses so was not
//! run and may be sent again, a submission too.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::deadlines::LIMIT_MAX;
use crate::metrics::Operation;

/// How a peer begins what it says when its limit is reached, and what the limit follows; a service's name is between
/// them. Words further in may be a chaincode's.
const REFUSAL: &str = "too many requests for /";
const REFUSAL_LIMIT: &str = ", exceeding concurrency limit (";

/// How long the limit stays as it is while calls wait, before one more is let through to see whether it may grow.
const TRIED_AGAIN: Duration = Duration::from_secs(5);

/// How long the limit that a peer named is believed: a peer that keeps to it names it again.
const NAMED_FOR: Duration = Duration::from_secs(300);

/// Calls without an answer alone never bring the limit below this: they may have reasons of their own.
const LATE_MIN: usize = 32;

/// Calls are slow when they take this many times as long as they can, and this much longer.
const SLOW_TIMES: f64 = 4.0;
const SLOW_BY: Duration = Duration::from_millis(50);

/// How many calls a client may have under way and waiting, for each service of each peer.
///
/// The number under way adapts: it falls when the peer refuses a call by its concurrency limit, or leaves calls without
/// an answer, and grows again while calls succeed and more are waiting, unless they take several times as long as they
/// can; by one each 5 s while calls wait, whatever becomes of them. Beside the event streams there is always room for
/// one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// The most calls under way. 500 by default, as stock peers take from all their clients together. With an event
    /// stream open, 1 counts as 2.
    pub calls_max: usize,
    /// The most calls that wait for one under way to end; one more fails at once. 10,000 by default.
    pub waiting_max: usize,
    /// How long a stream may wait to be opened. 30 s by default; other calls wait within their own deadline.
    pub stream_wait: Duration,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { calls_max: 500, waiting_max: 10_000, stream_wait: Duration::from_secs(30) }
    }
}

/// The calls of one client to one service of one peer.
#[derive(Debug)]
pub(crate) struct Admission {
    settings: Concurrency,
    /// Whether there are streams alone, which leave no room for calls.
    streams_only: bool,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many calls may be under way.
    limit: usize,
    /// Slots that were taken away while a call held them: the next ones that end give none back.
    owed: usize,
    under_way: usize,
    waiting: usize,
    /// Streams under way, which end by themselves only with their peer.
    streams: usize,
    /// What the peer itself named as its limit, when it refused a call, and when that was.
    named: Option<(usize, Instant)>,
    /// When the limit last changed, and the successes since then.
    changed: Instant,
    successes: usize,
    /// How often the limit fell: many calls that are refused together make it fall once.
    falls: u64,
    pace: [Pace; 3],
}

/// How long one kind of call takes, in seconds: lately, and at best.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    recent: f64,
    floor: f64,
}

/// A look at a peer's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many calls may be under way now.
    pub limit: usize,
    /// How many are.
    pub under_way: usize,
    /// How many of those are event streams.
    pub streams: usize,
    /// How many calls wait.
    pub waiting: usize,
}

/// A call's place among those under way, given back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    slot: Option<OwnedSemaphorePermit>,
    falls: u64,
    stream: bool,
}

impl Admission {
    /// For a service that has calls, and perhaps streams beside them.
    pub(crate) fn new(settings: Concurrency) -> Arc<Self> {
        Self::of(settings, false)
    }

    /// For a service that has streams alone.
    pub(crate) fn of_streams(settings: Concurrency) -> Arc<Self> {
        Self::of(settings, true)
    }

    fn of(settings: Concurrency, streams_only: bool) -> Arc<Self> {
        let limit = calls_max(settings);
        Arc::new(Self {
            settings,
            streams_only,
            slots: Arc::new(Semaphore::new(limit)),
            state: Mutex::new(State {
                limit,
                owed: 0,
                under_way: 0,
                waiting: 0,
                streams: 0,
                named: None,
                changed: Instant::now(),
                successes: 0,
                falls: 0,
                pace: [Pace::default(); 3],
            }),
        })
    }

    /// Takes a place at once, if nothing waits for one.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Admitted> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(self.entered(slot))
    }

    /// Waits for a place; the error says whether too many wait already, or none came free in time.
    pub(crate) async fn enter(self: &Arc<Self>, address: &str, until: Instant) -> Result<Admitted, Status> {
        self.wait(address, until, "make another").await
    }

    /// Takes a place for a stream. Where the service has calls too, streams take half of all at most, so that they leave
    /// room: they don't end by themselves. One call has room beside them however low the limit is.
    pub(crate) async fn enter_stream(self: &Arc<Self>, address: &str) -> Result<Admitted, Status> {
        {
            let mut state = self.state();
            let most = if self.streams_only { state.limit } else { (state.limit / 2).max(1) };
            if state.streams >= most {
                return Err(Status::resource_exhausted(format!(
                    "{most} streams of this client are open at `{address}`, as many as it may take of the {} calls \
                     that run there: close one, or share one between their readers",
                    state.limit
                )));
            }
            state.streams += 1;
            if state.limit < self.least(&state) {
                let least = self.least(&state);
                self.resize(&mut state, least);
            }
        }
        let guard = StreamCount(Some(self));
        let until = Instant::now() + self.settings.stream_wait.min(LIMIT_MAX);
        let mut admitted = self.wait(address, until, "open a stream").await?;
        guard.handed_over();
        admitted.stream = true;
        Ok(admitted)
    }

    pub(crate) fn load(&self) -> Load {
        let state = self.state();
        Load {
            limit: state.limit,
            under_way: state.under_way,
            streams: state.streams,
            waiting: state.waiting,
        }
    }

    async fn wait(self: &Arc<Self>, address: &str, until: Instant, what: &str) -> Result<Admitted, Status> {
        if let Some(admitted) = self.try_enter() {
            return Ok(admitted);
        }
        let waiting = Waiting::new(self).map_err(|load| {
            Status::resource_exhausted(format!(
                "`{address}` runs {} calls of this client, as many as it takes, and {} more wait: make fewer \
                 calls at once, or raise `Concurrency::waiting_max`",
                load.limit, load.waiting
            ))
        })?;
        let slot = tokio::time::timeout_at(until.into(), self.slot()).await;
        drop(waiting);
        match slot {
            Ok(Ok(slot)) => Ok(self.entered(slot)),
            _ => Err(Status::deadline_exceeded(format!(
                "none of the {} calls that `{address}` takes of this client ended in time to {what}",
                self.load().limit,
            ))),
        }
    }

    /// The next place, in turn; the limit is tried one higher from time to time, for it might be too low for any of the
    /// calls under way to end and to raise it.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let mut slot = pin!(Arc::clone(&self.slots).acquire_owned());
        loop {
            let again = self.tried_again();
            tokio::select! {
                biased;
                slot = &mut slot => return slot,
                () = tokio::time::sleep_until(again.into()) => (),
            }
        }
    }

    /// Raises the limit by one if it has been the same for long; says when to look again.
    fn tried_again(&self) -> Instant {
        let mut state = self.state();
        let now = Instant::now();
        if now.saturating_duration_since(state.changed) >= TRIED_AGAIN {
            let more = state.limit.saturating_add(1);
            self.resize(&mut state, more);
        }
        state.changed + TRIED_AGAIN
    }

    fn entered(self: &Arc<Self>, slot: OwnedSemaphorePermit) -> Admitted {
        let mut state = self.state();
        state.under_way += 1;
        Admitted { admission: Arc::clone(self), slot: Some(slot), falls: state.falls, stream: false }
    }

    /// Changes the limit; a place that is taken is taken away when its call ends.
    fn resize(&self, state: &mut State, limit: usize) {
        let now = Instant::now();
        let named = state.named.filter(|(_, at)| now.saturating_duration_since(*at) < NAMED_FOR);
        let ceiling = named.map_or(usize::MAX, |(named, _)| named).clamp(1, calls_max(self.settings));
        let limit = limit.min(ceiling).max(self.least(state)).min(Semaphore::MAX_PERMITS);
        if limit > state.limit {
            let more = limit - state.limit;
            let forgiven = more.min(state.owed);
            state.owed -= forgiven;
            self.slots.add_permits(more - forgiven);
        } else {
            let fewer = state.limit - limit;
            state.owed += fewer - self.slots.forget_permits(fewer);
        }
        state.limit = limit;
        state.changed = now;
        state.successes = 0;
    }

    /// The lowest that the limit may be: with one call beside the streams, which would not end to make room for it.
    fn least(&self, state: &State) -> usize {
        if self.streams_only { 1 } else { state.streams.saturating_add(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The call was run, and took this long.
    pub(crate) fn ran(&self, operation: Operation, took: Duration) {
        let mut state = self.admission.state();
        let slow = state.is_slow(operation, took);
        state.successes += 1;
        let limit = state.limit;
        if !slow && state.under_way >= limit && state.successes >= limit {
            self.admission.resize(&mut state, limit + 1);
        }
    }

    /// The call was left without an answer.
    pub(crate) fn late(&self) {
        let mut state = self.admission.state();
        if state.limit > LATE_MIN {
            self.fall(&mut state, LATE_MIN);
        }
    }

    /// The peer refused the call by its limit, which it may have named.
    pub(crate) fn refused(&self, named: Option<usize>) {
        let mut state = self.admission.state();
        if let Some(named) = named {
            state.named = Some((named, Instant::now()));
        }
        self.fall(&mut state, 1);
    }

    /// Lowers the limit; what was sent before it fell says nothing about the new one.
    fn fall(&self, state: &mut State, least: usize) {
        if self.falls == state.falls {
            state.falls += 1;
            let fallen = (state.limit * 7 / 10).max(least);
            self.admission.resize(state, fallen);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.under_way -= 1;
        if self.stream {
            state.streams -= 1;
        }
        if state.owed > 0
            && let Some(slot) = self.slot.take()
        {
            state.owed -= 1;
            slot.forget();
        }
    }
}

impl State {
    /// Takes note of a call's time; waits for a block or for events say nothing of the peer.
    fn is_slow(&mut self, operation: Operation, took: Duration) -> bool {
        let pace = match operation {
            Operation::Evaluate => 0,
            Operation::Endorse => 1,
            Operation::Submit => 2,
            _ => return false,
        };
        let Some(pace) = self.pace.get_mut(pace) else { return false };
        let took = took.as_secs_f64();
        if pace.recent == 0.0 {
            *pace = Pace { recent: took, floor: took };
            return false;
        }
        pace.recent = pace.recent * 0.9 + took * 0.1;
        // It rises slowly, so that a peer that is slower for good is taken as it is.
        pace.floor = (pace.floor * 1.001).min(pace.recent);
        pace.recent > pace.floor * SLOW_TIMES + SLOW_BY.as_secs_f64()
    }
}

/// The limit that a peer names when it refuses a call by it; `None` when that is not why it refuses.
pub(crate) fn refusal(message: &str) -> Option<Option<usize>> {
    let (_, named) = message.strip_prefix(REFUSAL)?.split_once(REFUSAL_LIMIT)?;
    let digits: String = named.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().ok())
}

/// The most calls that the caller allows.
fn calls_max(settings: Concurrency) -> usize {
    settings.calls_max.clamp(1, Semaphore::MAX_PERMITS)
}

/// Counts a call that waits for as long as it does.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn new(admission: &'a Admission) -> Result<Self, Load> {
        {
            let mut state = admission.state();
            if state.waiting < admission.settings.waiting_max {
                state.waiting += 1;
                return Ok(Self(admission));
            }
        }
        Err(admission.load())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// Counts a stream until its place does.
struct StreamCount<'a>(Option<&'a Arc<Admission>>);

impl StreamCount<'_> {
    fn handed_over(mut self) {
        self.0 = None;
    }
}

impl Drop for StreamCount<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.0 {
            admission.state().streams -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
