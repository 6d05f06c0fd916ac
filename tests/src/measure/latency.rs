//! How long calls took.

use std::time::Duration;

/// The durations of successful calls.
#[derive(Debug, Default)]
pub struct Latencies {
    nanoseconds: Vec<u64>,
    sorted: bool,
}

impl Latencies {
    /// Adds a call.
    pub fn add(&mut self, took: Duration) {
        self.nanoseconds.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.sorted = false;
    }

    /// Takes over another's calls.
    pub fn merge(&mut self, mut other: Self) {
        self.nanoseconds.append(&mut other.nanoseconds);
        self.sorted = false;
    }

    /// The calls' durations, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Duration> {
        self.nanoseconds.iter().copied().map(Duration::from_nanos)
    }

    /// How many calls there are.
    pub fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// The duration within which this many of a hundred calls ended; zero when there are none.
    ///
    /// It is a duration that occurred: the nearest rank, never one between two.
    pub fn percentile(&mut self, hundredths: u32) -> Duration {
        if !self.sorted {
            self.nanoseconds.sort_unstable();
            self.sorted = true;
        }
        let rank = (self.nanoseconds.len() * hundredths as usize).div_ceil(100);
        let at = self.nanoseconds.get(rank.saturating_sub(1));
        Duration::from_nanos(at.copied().unwrap_or_default())
    }
}

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(calls: I) -> Self {
        let mut latencies = Self::default();
        calls.into_iter().for_each(|took| latencies.add(took));
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(99), Duration::ZERO);
        let later = (1..=50).map(Duration::from_millis).collect();
        (51..=200).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        latencies.merge(later);
        let found = [1, 50, 95, 99, 100].map(|hundredths| latencies.percentile(hundredths).as_millis());
        assert_eq!((latencies.count(), found), (200, [2, 100, 190, 198, 200]));
    }
}
