//! What an operator sees while steps run.

use std::time::{Duration, Instant};

/// One thing worth telling an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step began.
    Started {
        /// What the step makes true, as an imperative phrase.
        step: &'a str,
    },
    /// A step is still running, and this is what it waits for or does.
    Waiting {
        /// The step that is running.
        step: &'a str,
        /// What is awaited or worked on, and why it may take long.
        what: &'a str,
        /// Time since the step began.
        elapsed: Duration,
    },
    /// A step reached its end.
    Done {
        /// The step that ended.
        step: &'a str,
        /// What is true now.
        result: &'a str,
        /// Time the step took.
        elapsed: Duration,
    },
    /// A step had nothing to do.
    Skipped {
        /// The step that was not needed.
        step: &'a str,
        /// What already makes it true.
        reason: &'a str,
    },
}

/// A receiver of [`Event`]s: a progress bar, a log, a test.
///
/// Closures over `&Event` are receivers.
pub trait Progress: Send + Sync {
    /// Takes one event; must not block for long, the step waits for it.
    fn report(&self, event: &Event<'_>);
}

impl<F> Progress for F
where
    F: Fn(&Event<'_>) + Send + Sync,
{
    fn report(&self, event: &Event<'_>) {
        self(event);
    }
}

/// A receiver that shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn report(&self, _event: &Event<'_>) {}
}

/// A running step, which knows its name and when it began.
pub(crate) struct Step<'a> {
    progress: &'a dyn Progress,
    name: String,
    begun: Instant,
}

impl<'a> Step<'a> {
    pub(crate) fn begin(progress: &'a dyn Progress, name: impl Into<String>) -> Self {
        Self::begun_at(progress, name, Instant::now())
    }

    /// A step of which only now is known that there was something to do.
    pub(crate) fn begun_at(progress: &'a dyn Progress, name: impl Into<String>, begun: Instant) -> Self {
        let name = name.into();
        progress.report(&Event::Started { step: &name });
        Self { progress, name, begun }
    }

    pub(crate) fn waiting(&self, what: &str) {
        self.progress.report(&Event::Waiting { step: &self.name, what, elapsed: self.begun.elapsed() });
    }

    pub(crate) fn done(self, result: &str) {
        self.progress.report(&Event::Done { step: &self.name, result, elapsed: self.begun.elapsed() });
    }
}

/// Reports a step that had nothing to do.
pub(crate) fn skipped(progress: &dyn Progress, step: &str, reason: &str) {
    progress.report(&Event::Skipped { step, reason });
}
