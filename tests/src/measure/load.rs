//! Calls: by callers who each make one after the other, or at given times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::latency::Latencies;

/// What came of a load.
#[derive(Debug, Default)]
pub struct Load {
    /// From the first call's start to the last one's end.
    pub elapsed: Duration,
    /// Of the successful calls.
    pub latencies: Latencies,
    /// What became of the others, and how often.
    pub others: BTreeMap<String, u64>,
}

impl Load {
    /// Successful calls a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64()
    }

    fn add(&mut self, started: Instant, ended: Result<(), String>) {
        match ended {
            Ok(()) => self.latencies.add(started.elapsed()),
            Err(words) => *self.others.entry(words).or_default() += 1,
        }
    }

    /// The parts together, once all have ended.
    async fn of(running: JoinSet<Self>, begun: Instant) -> Self {
        let mut all = Self::default();
        for own in running.join_all().await {
            all.latencies.merge(own.latencies);
            for (words, count) in own.others {
                *all.others.entry(words).or_default() += count;
            }
        }
        all.elapsed = begun.elapsed();
        all
    }
}

/// Makes calls for a while: each of `callers` starts one as soon as its last one has ended.
///
/// Calls are numbered from `first` on; no two have the same number. A call that fails says in a few words how, without
/// what differs from call to call: those words are counted. What is under way at the end is awaited.
///
/// # Panics
/// When a call does.
pub async fn closed_loop<Call, Ending>(callers: usize, lasting: Duration, first: u64, call: Call) -> Load
where
    Call: Fn(u64) -> Ending + Send + Sync + 'static,
    Ending: Future<Output = Result<(), String>> + Send,
{
    let call = Arc::new(call);
    let next = Arc::new(AtomicU64::new(first));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (call, next) = (Arc::clone(&call), Arc::clone(&next));
        running.spawn(async move {
            let mut own = Load::default();
            while begun.elapsed() < lasting {
                let started = Instant::now();
                let ended = call(next.fetch_add(1, Ordering::Relaxed)).await;
                own.add(started, ended);
            }
            own
        });
    }
    Load::of(running, begun).await
}

/// Starts each call when it is due, counted from now, whether or not earlier ones have ended: what waits is seen.
///
/// A call's time is counted from when it was due. Otherwise as [`closed_loop`].
///
/// # Panics
/// When a call does.
pub async fn open_loop<Call, Ending>(due: &[Duration], first: u64, call: Call) -> Load
where
    Call: Fn(u64) -> Ending,
    Ending: Future<Output = Result<(), String>> + Send + 'static,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    let mut clock = clock(begun, due.to_vec());
    for number in first.. {
        let Some(due) = clock.recv().await else { break };
        let call = call(number);
        running.spawn(async move {
            let mut own = Load::default();
            let ended = call.await;
            own.add(due, ended);
            own
        });
    }
    Load::of(running, begun).await
}

/// Tells moments when they have come, from a thread of its own: tokio's timers go by whole milliseconds and are late by
/// one, which would be counted as the calls' own time.
fn clock(begun: Instant, due: Vec<Duration>) -> UnboundedReceiver<Instant> {
    let (tell, told) = unbounded_channel();
    std::thread::spawn(move || {
        for due in due {
            let due = begun + due;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tell.send(due).is_err() {
                return;
            }
        }
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[tokio::test]
    async fn every_call_is_counted_once_by_how_it_ended() {
        let seen: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
        let numbers = Arc::clone(&seen);
        let load = closed_loop(4, Duration::from_millis(20), 100, move |number| {
            assert!(numbers.lock().unwrap().insert(number), "{number} was given out twice");
            async move {
                tokio::task::yield_now().await;
                if number % 3 == 0 { Err("a third".to_owned()) } else { Ok(()) }
            }
        })
        .await;
        let seen = seen.lock().unwrap();
        let thirds = seen.iter().filter(|number| *number % 3 == 0).count();
        assert_eq!(seen.first(), Some(&100));
        assert_eq!(load.others, BTreeMap::from([("a third".to_owned(), thirds as u64)]));
        assert_eq!(load.latencies.count(), seen.len() - thirds);
        assert!(load.elapsed >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn calls_start_when_they_are_due_and_wait_for_none() {
        let begun = Arc::new(AtomicU64::new(0));
        let due = [0, 1, 1, 3].map(Duration::from_millis);
        let calls = Arc::clone(&begun);
        let load = open_loop(&due, 7, move |number| {
            let begun = Arc::clone(&calls);
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                // None ends before all have begun.
                while begun.load(Ordering::Relaxed) < 4 {
                    tokio::task::yield_now().await;
                }
                if number == 10 { Err("the last".to_owned()) } else { Ok(()) }
            }
        })
        .await;
        assert_eq!((load.latencies.count(), load.others["the last"]), (3, 1));
        assert!(load.elapsed >= due[3]);
    }
}
