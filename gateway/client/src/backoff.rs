//! Pauses that grow, with jitter.

use std::time::Duration;

/// Pauses that double from the first to the last, each drawn between half and all of it, so that callers who
/// failed together don't come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last: last.max(first), next: first }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.last);
        let half = pause / 2;
        half + half.mul_f64(draw())
    }
}

/// A number from 0 to 1; 1 where there is no randomness, which costs only the jitter.
fn draw() -> f64 {
    getrandom::u32().map_or(1.0, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_and_start_over() {
        let (first, last) = (Duration::from_millis(10), Duration::from_millis(35));
        let mut backoff = Backoff::new(first, last);
        for whole in [10, 20, 35, 35] {
            let pause = backoff.pause();
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
