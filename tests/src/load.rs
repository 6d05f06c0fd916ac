//! Steady load on a channel by callers who wait for outcomes, every call reported as its caller was told.

mod caller;
mod journal;
mod outcome;
mod table;
mod truth;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::tally::{Counting, Entry};

pub use caller::{Caller, Way, deadlines, resolve};
pub use journal::Journal;
pub use outcome::{Kept, Outcome, Report};
pub use table::Table;
pub use truth::{Truth, demand_honest};

/// How often each worker makes a call, unless its last one still runs.
const PACE: Duration = Duration::from_millis(100);
/// One in so many calls counts up a counter that all callers share, so that some conflict.
const COUNTS: usize = 24;

/// Calls that are made again and again until the load is ended.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    reports: Mutex<Vec<Report>>,
    /// The window in which calls begin now.
    window: AtomicUsize,
    next: AtomicUsize,
}

/// What a worker has the chaincode do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Put(Entry),
    Count(Counting),
}

impl Call {
    /// What tells it from every other call: it stands in each of its transactions.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Count(counting) => &counting.call,
        }
    }
}

impl Load {
    /// Begins to call: so many workers for each caller. Keys are told apart by the name of the load.
    pub fn begin(name: &str, callers: &[Arc<Caller>], workers: usize) -> Self {
        let shared = Arc::new(Shared {
            reports: Mutex::default(),
            window: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let mut load = Self { shared, stop, workers: JoinSet::new() };
        for caller in callers {
            for _ in 0..workers {
                let worker =
                    work(name.to_owned(), Arc::clone(caller), Arc::clone(&load.shared), stopped.clone());
                load.workers.spawn(worker);
            }
        }
        load
    }

    /// From now on calls begin in another window.
    pub fn enter(&self, window: usize) {
        self.shared.window.store(window, Ordering::SeqCst);
    }

    /// How many of the reports so far are such.
    pub fn count(&self, such: impl Fn(&Report) -> bool) -> usize {
        self.shared.reports().iter().filter(|report| such(report)).count()
    }

    /// Makes no more calls, and gives all reports once the last caller was told.
    ///
    /// # Panics
    /// When a worker does.
    pub async fn end(mut self) -> Vec<Report> {
        self.stop.send_replace(true);
        while let Some(worker) = self.workers.join_next().await {
            worker.expect("a worker's end");
        }
        std::mem::take(&mut *self.shared.reports())
    }
}

impl Shared {
    fn reports(&self) -> MutexGuard<'_, Vec<Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work(name: String, caller: Arc<Caller>, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut paces = interval(PACE);
    paces.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = paces.tick() => {}
        }
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let call = if number.is_multiple_of(COUNTS) {
            let (counter, call) = (format!("counter/{name}"), format!("count/{name}/{number}"));
            Call::Count(Counting { counter, call })
        } else {
            let value = format!("{number} by {}", caller.name());
            Call::Put(Entry { key: format!("put/{name}/{number}"), value })
        };
        let window = shared.window.load(Ordering::SeqCst);
        let report = caller.make(call, window).await;
        shared.reports().push(report);
    }
}
