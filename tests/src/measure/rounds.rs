//! Figures that were taken several times.

/// One figure, once for each round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds a round's figure.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// How many rounds there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one, or the mean of the two in the middle; `NaN` when there is none.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.len() % 2) {
            (None, _) => f64::NAN,
            (Some(upper), 0) => f64::midpoint(sorted[middle - 1], *upper),
            (Some(only), _) => *only,
        }
    }

    /// The smallest and the largest.
    pub fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted.first().copied().unwrap_or(f64::NAN), sorted.last().copied().unwrap_or(f64::NAN))
    }

    /// How far the rounds lie apart, as a part of their median: what the machine's noise is.
    pub fn spread(&self) -> f64 {
        let (least, most) = self.range();
        (most - least) / self.median()
    }

    /// This figure as a multiple of another, round by round: drift between rounds cancels.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, others)| own / others).collect())
    }

    /// How much larger this figure is than another, round by round.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, others)| own - others).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

/// The sides of a comparison in the order of their turns in this round: forwards, then backwards, and so on.
///
/// What comes first in one round comes last in the next, so that none always follows the same other one.
pub fn turns<T>(round: usize, sides: &[T]) -> impl Iterator<Item = &T> {
    let last = sides.len().saturating_sub(1);
    (0..sides.len())
        .filter_map(move |turn| sides.get(if round.is_multiple_of(2) { turn } else { last - turn }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends_are_told() {
        let odd = Rounds::from_iter([3.0, 1.0, 2.0]);
        assert_eq!((odd.median(), odd.range(), odd.spread()), (2.0, (1.0, 3.0), 1.0));
        assert_eq!(Rounds::from_iter([4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Rounds::default().median().is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let (quick, slow) = (Rounds::from_iter([20.0, 2.0]), Rounds::from_iter([10.0, 1.0]));
        assert_eq!(quick.over(&slow), Rounds::from_iter([2.0, 2.0]));
        assert_eq!(quick.minus(&slow), Rounds::from_iter([10.0, 1.0]));
    }

    #[test]
    fn turns_go_back_and_forth() {
        let order = |round| turns(round, &["a", "b", "c"]).copied().collect::<String>();
        assert_eq!([order(0), order(1), order(2)], ["abc", "cba", "abc"]);
        assert_eq!(turns(1, &[(); 0]).count(), 0);
    }
}
