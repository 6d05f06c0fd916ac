//! Figures beside the bar that is set for them.

use std::collections::BTreeMap;

use super::rounds::Rounds;

/// A bar that a figure has to be above or below.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    /// At least so much.
    Least(f64),
    /// At most so much.
    Most(f64),
}

impl Bar {
    /// The figure's median, its range, and whether the median reaches the bar.
    pub fn told(self, figure: &Rounds) -> String {
        let (median, (least, most)) = (figure.median(), figure.range());
        format!("{median:.2} ({least:.2}–{most:.2}) {}", self.verdict(median))
    }

    /// The bar, and whether a figure reaches it.
    pub fn verdict(self, figure: f64) -> String {
        let (sign, bar, reached) = match self {
            Self::Least(bar) => ('≥', bar, figure >= bar),
            Self::Most(bar) => ('≤', bar, figure <= bar),
        };
        format!("{sign} {bar}: {}", if reached { "yes" } else { "no" })
    }
}

/// Calls that did not succeed, by what became of them.
pub fn others(counts: &BTreeMap<String, u64>) -> String {
    match counts.is_empty() {
        true => "0".to_owned(),
        false => {
            counts.iter().map(|(words, count)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_reached_by_the_median() {
        let figure = Rounds::from_iter([1.0, 1.25, 1.5]);
        assert_eq!(Bar::Least(1.2).told(&figure), "1.25 (1.00–1.50) ≥ 1.2: yes");
        assert_eq!(Bar::Most(1.2).told(&figure), "1.25 (1.00–1.50) ≤ 1.2: no");
        assert_eq!(Bar::Least(1.0).verdict(f64::NAN), "≥ 1: no");
    }
}
