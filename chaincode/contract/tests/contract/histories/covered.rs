//! What histories came to, so that a generator that has gone blind is noticed.

use std::collections::BTreeMap;

/// How often each thing happened, by its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Covered(BTreeMap<String, u64>);

impl Covered {
    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (what, number) in other.0 {
            *self.0.entry(what).or_default() += number;
        }
    }

    /// Demands so many of each for every hundred histories.
    pub(crate) fn demand(&self, histories: u64, of_a_hundred: &[(&str, u64)]) {
        let of = |what: &str| self.0.get(what).copied().unwrap_or_default();
        let rare: Vec<_> = of_a_hundred
            .iter()
            .map(|(what, least)| (*what, of(what), least * histories / 100))
            .filter(|(_, number, least)| number < least)
            .collect();
        assert!(rare.is_empty(), "too seldom, with how often they should be: {rare:?}\nof {self:#?}");
    }
}
