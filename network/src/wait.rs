//! Waiting for a condition, with an end and with words for what is awaited.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::progress::Step;

const POLL: Duration = Duration::from_millis(100);
/// How often an operator hears that something is still awaited.
const REPORT_EVERY: Duration = Duration::from_secs(3);

/// What a look at a condition saw.
pub(crate) enum Look<T> {
    /// It holds.
    Holds(T),
    /// Not yet, and this is the last that was heard.
    NotYet(String),
}

/// A condition that did not come to hold in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {seconds} s for {what}, in vain; last: {last}")]
pub struct WaitError {
    what: String,
    seconds: u64,
    last: String,
}

/// Looks again and again until the condition holds; an error of a look ends the wait.
pub(crate) async fn until<T, E, F, L>(
    step: &Step<'_>,
    what: &str,
    limit: Duration,
    mut look: L,
) -> Result<T, E>
where
    E: From<WaitError>,
    L: FnMut() -> F,
    F: Future<Output = Result<Look<T>, E>>,
{
    let begun = Instant::now();
    let mut told = None::<Instant>;
    loop {
        let last = match look().await? {
            Look::Holds(value) => return Ok(value),
            Look::NotYet(last) => last,
        };
        if begun.elapsed() >= limit {
            return Err(WaitError { what: what.to_owned(), seconds: limit.as_secs(), last }.into());
        }
        if told.is_none_or(|told| told.elapsed() >= REPORT_EVERY) {
            step.waiting(what);
            told = Some(Instant::now());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        at = cause.source();
    }
    text
}
