//! Faults and what callers were told meanwhile, for people.

use std::collections::BTreeMap;
use std::fmt;

use super::{Outcome, Report};

/// Outcomes of calls, by the fault during which they began or by who made them.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<(String, Row)>,
}

/// Outcomes of some calls. What was unknown at first counts by what it is known to be in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    valid: usize,
    invalid: usize,
    not_submitted: usize,
    unknown_then_valid: usize,
    unknown_then_invalid: usize,
    still_unknown: usize,
    hung: usize,
}

impl Table {
    /// Rows of these names, each of the reports that have its number, and one for all.
    pub fn new(names: &[String], reports: &[Report], row: impl Fn(&Report) -> Option<usize>) -> Self {
        let mut counted = BTreeMap::<usize, Row>::new();
        let mut all = Row::default();
        for report in reports {
            if let Some(row) = row(report) {
                counted.entry(row).or_default().count(report);
            }
            all.count(report);
        }
        let counted = |(index, name): (usize, &String)| {
            (name.clone(), counted.get(&index).copied().unwrap_or_default())
        };
        let mut rows: Vec<_> = names.iter().enumerate().map(counted).collect();
        rows.push(("all".to_owned(), all));
        Self { rows }
    }
}

impl Row {
    fn count(&mut self, report: &Report) {
        let cell = match (&report.told, report.known()) {
            (Outcome::Unknown { .. }, Outcome::Valid { .. }) => &mut self.unknown_then_valid,
            (Outcome::Unknown { .. }, Outcome::Invalid { .. }) => &mut self.unknown_then_invalid,
            (Outcome::Unknown { .. }, _) => &mut self.still_unknown,
            (Outcome::Valid { .. }, _) => &mut self.valid,
            (Outcome::Invalid { .. }, _) => &mut self.invalid,
            (Outcome::NotSubmitted { .. }, _) => &mut self.not_submitted,
            (Outcome::Hung, _) => &mut self.hung,
        };
        *cell += 1;
    }

    fn cells(&self) -> [usize; 7] {
        let Self {
            valid,
            invalid,
            not_submitted,
            unknown_then_valid,
            unknown_then_invalid,
            still_unknown,
            hung,
        } = *self;
        [valid, invalid, not_submitted, unknown_then_valid, unknown_then_invalid, still_unknown, hung]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEADS: [&str; 7] =
            ["valid", "invalid", "not submitted", "?→valid", "?→invalid", "still unknown", "hung"];
        let wide = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        write!(formatter, "{:wide$}", "")?;
        for head in HEADS {
            write!(formatter, "  {head}")?;
        }
        for (name, row) in &self.rows {
            write!(formatter, "\n{name:wide$}")?;
            for (cell, head) in row.cells().into_iter().zip(HEADS) {
                write!(formatter, "  {cell:>width$}", width = head.chars().count())?;
            }
        }
        Ok(())
    }
}
