//! Chance that comes out the same in every run: both sides of a comparison get the very same calls.

use std::time::Duration;

/// A small generator of numbers (SplitMix64 of Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number of 0 ≤ x < 1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// When calls are due that come by chance, so many a second on average, for so long: a Poisson process.
    pub fn arrivals(&mut self, per_second: f64, lasting: Duration) -> Vec<Duration> {
        let mut due = Vec::new();
        let mut at = 0.0;
        loop {
            at -= (1.0 - self.unit()).ln() / per_second;
            if at >= lasting.as_secs_f64() {
                return due;
            }
            due.push(Duration::from_secs_f64(at));
        }
    }

    /// So many draws of 0 ≤ x < `items` where the i-th is drawn in proportion to 1 ÷ (i + 1)^`exponent`: Zipf's law.
    pub fn zipf(&mut self, items: u32, exponent: f64, draws: usize) -> Vec<u32> {
        let mut sum = 0.0;
        let upto: Vec<f64> = (0..items)
            .map(|item| {
                sum += f64::from(item + 1).powf(-exponent);
                sum
            })
            .collect();
        let draw = |at: f64| upto.partition_point(|upto| *upto <= at).min(upto.len() - 1);
        (0..draws).map(|_| u32::try_from(draw(self.unit() * sum)).expect("an item")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_as_often_as_asked_and_the_same_again() {
        let arrivals = || Chance::new(7).arrivals(500.0, Duration::from_secs(20));
        let due = arrivals();
        assert!((9_500..10_500).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted() && due.last().is_some_and(|last| *last < Duration::from_secs(20)));
        assert_eq!(due, arrivals());
    }

    #[test]
    fn the_first_item_is_drawn_as_often_as_zipf_says() {
        let draws = Chance::new(7).zipf(1000, 0.99, 100_000);
        let of = |item| draws.iter().filter(|drawn| **drawn == item).count();
        // 1 ÷ the sum of all weights, 7.73, and half of that.
        assert!((12_400..13_500).contains(&of(0)), "{}", of(0));
        assert!((6_100..7_000).contains(&of(1)), "{}", of(1));
        assert!(draws.iter().all(|drawn| *drawn < 1000));
    }
}
