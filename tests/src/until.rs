//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks at a condition until it gives something.
///
/// # Panics
/// When the deadline passes before that; `what` says what was awaited.
pub async fn until<T>(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut looks = tokio::time::interval(PAUSE);
    loop {
        looks.tick().await;
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < deadline, "after {deadline:?} still waiting for {what}");
    }
}

/// This machine's clock, in Unix milliseconds.
///
/// # Panics
/// When the clock stands before 1970.
pub fn now_unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(elapsed.as_millis()).expect("a clock before the year 500,000,000")
}
