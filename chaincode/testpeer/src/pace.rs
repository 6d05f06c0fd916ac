//! When a transaction that is run again gets its answers: not when it got them the first time.

use std::time::Duration;

/// Time between two runs, so that a clock of milliseconds has moved on.
pub(crate) const BETWEEN_RUNS: Duration = Duration::from_millis(2);
/// Longest delay of an answer, microseconds.
const DELAY_US_MAX: u64 = 500;

/// Delays that look random and are the same for the same seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(u64);

impl Pace {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next answer's delay; every other one, about, has none.
    pub(crate) fn delay(&mut self) -> Duration {
        // Xorshift, which never comes to zero.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let drawn = self.0 >> 32;
        if drawn.is_multiple_of(2) { Duration::ZERO } else { Duration::from_micros(drawn % DELAY_US_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_differ_from_run_to_run_and_are_repeatable() {
        let of = |seed| {
            let mut pace = Pace::new(seed);
            (0..100).map(|_| pace.delay()).collect::<Vec<_>>()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let none = of(1).iter().filter(|delay| delay.is_zero()).count();
        assert!((20..80).contains(&none) && of(1).iter().all(|delay| delay.as_micros() < 500), "{none}");
    }
}
