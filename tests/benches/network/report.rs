//! The tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use caretrail_tests::measure::bar::{Bar, others};
use caretrail_tests::measure::latency::Latencies;
use caretrail_tests::measure::rounds::Rounds;
use caretrail_tests::measure::run::Found;
use caretrail_tests::measure::settings;
use caretrail_tests::measure::table::Table;
use caretrail_tests::measure::verdicts::Verdicts;

use crate::steady::{Call, Told};
use crate::world::Steps;

/// Seconds from an empty folder to a committed transaction, and from the spec to a third organisation's.
const STANDS_WITHIN: Bar = Bar::Most(30.0);
const GROWS_WITHIN: Bar = Bar::Most(20.0);
const NONE: Bar = Bar::Most(0.0);

const COLUMNS: [&str; 13] = [
    "what changes, at 50 transactions a second",
    "took s",
    "calls",
    "told VALID",
    "VALID in blocks",
    "told failed",
    "unknown",
    "VALID, told failed",
    "told VALID, and not",
    "more than once",
    "p50 ms",
    "p99 ms",
    "longest ms",
];

pub(crate) struct Report {
    rounds: usize,
    load_before: String,
    stood: Rounds,
    grew: Rounds,
    steps: String,
    changes: Table,
    reasons: BTreeMap<String, u64>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        Self {
            rounds,
            load_before: load(),
            stood: Rounds::default(),
            grew: Rounds::default(),
            steps: String::new(),
            changes: Table::new(COLUMNS),
            reasons: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    pub(crate) fn stood(&mut self, took: Duration, steps: &Steps) {
        eprintln!("first transaction after {:.1} s", took.as_secs_f64());
        self.stood.add(took.as_secs_f64());
        self.steps = format!("Standing up, the last time: {}.", steps.longest());
    }

    pub(crate) fn grew(&mut self, took: Duration, steps: &Steps) {
        eprintln!("the third organisation's first transaction after {:.1} s", took.as_secs_f64());
        self.grew.add(took.as_secs_f64());
        let _ = write!(self.steps, " Growing: {}.", steps.longest());
    }

    pub(crate) fn changed(&mut self, what: &str, took: Duration, calls: &[Call], verdicts: &Verdicts) {
        let all = 0..calls.len() as u64;
        let mut latencies: Latencies =
            calls.iter().filter(|call| call.told == Told::Valid).map(|call| call.took).collect();
        let (mut failed, mut unknown, mut spurious, mut lost) = (0, 0, 0, 0);
        for call in calls {
            let valid = verdicts.is_valid(call.number);
            match &call.told {
                Told::Valid => lost += u64::from(!valid),
                Told::Failed(words) | Told::Unknown(words) => {
                    let is_unknown = matches!(call.told, Told::Unknown(_));
                    if is_unknown {
                        unknown += 1
                    } else {
                        failed += 1
                    }
                    spurious += u64::from(valid && !is_unknown);
                    *self.reasons.entry(words.clone()).or_default() += 1;
                }
            }
        }
        let figure = |count: u64| format!("{count} {}", NONE.verdict(count as f64));
        let ms = |took: Duration| format!("{:.0}", took.as_secs_f64() * 1000.0);
        let count = latencies.count();
        self.changes.row([
            what.to_owned(),
            format!("{:.1}", took.as_secs_f64()),
            calls.len().to_string(),
            count.to_string(),
            verdicts.valid(all.clone()).to_string(),
            figure(failed),
            figure(unknown),
            spurious.to_string(),
            lost.to_string(),
            verdicts.duplicates(all).to_string(),
            ms(latencies.percentile(50)),
            ms(latencies.percentile(99)),
            ms(latencies.percentile(100)),
        ]);
        eprintln!("{what}: {count} of {} VALID, {failed} failed, {unknown} unknown", calls.len());
    }

    pub(crate) fn failed(&mut self, why: String) {
        self.failures.push(why);
    }

    pub(crate) fn found(self) -> Found {
        let mut text = format!(
            "Fabric 3.1.1. {} processors for everything together; load average (1, 5, 15 minutes) {} before and {} after. \
             The library is built without optimisation. {} rounds.\n\n",
            settings::processors(),
            self.load_before,
            load(),
            self.rounds
        );
        if self.stood.count() > 0 {
            let mut table = Table::new(["what", "seconds, median (range)"]);
            let stands =
                "two organisations and four BFT orderers, from an empty folder to a VALID transaction";
            table.row([stands, &STANDS_WITHIN.told(&self.stood)]);
            let grows = "a third organisation joins, until its peer endorses a VALID transaction";
            table.row([grows, &GROWS_WITHIN.told(&self.grew)]);
            let _ = writeln!(text, "{table}\n{}\n", self.steps);
        }
        let _ = write!(text, "{}", self.changes);
        if !self.reasons.is_empty() {
            let _ = write!(text, "\nNot VALID: {}.\n", others(&self.reasons));
        }
        for why in &self.failures {
            let _ = write!(text, "\nNot measured: {why}\n");
        }
        Found { text, whole: self.failures.is_empty() }
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(", ")
}
