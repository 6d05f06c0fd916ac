//! What was measured, as tables.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use caretrail_tests::measure::bar::{Bar, others};
use caretrail_tests::measure::latency::Latencies;
use caretrail_tests::measure::load::Load;
use caretrail_tests::measure::rounds::Rounds;
use caretrail_tests::measure::run::Found;
use caretrail_tests::measure::settings::processors;
use caretrail_tests::measure::table::Table;

use crate::Settings;

/// The contract's call, and the one that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Contract,
    NoOp,
}

pub(crate) const SIDES: [Side; 2] = [Side::Contract, Side::NoOp];

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Submit,
    Evaluate,
    Open,
}

/// One side in one round.
pub(crate) struct Measured {
    pub(crate) load: Load,
    /// Calls with a VALID transaction in the blocks of a peer; evaluations that were answered.
    pub(crate) valid: u64,
    /// Of both hospitals' chaincodes together.
    pub(crate) chaincode_cpu: Duration,
}

/// All rounds of one side.
#[derive(Default)]
struct Line {
    per_second: Rounds,
    chaincode_cpu_us: Rounds,
    p99_ms: Rounds,
    latencies: Latencies,
    told_valid: u64,
    valid: u64,
    others: BTreeMap<String, u64>,
}

pub(crate) struct Report {
    settings: Settings,
    lines: BTreeMap<(Phase, Side), Line>,
    /// Calls a second in the open loop.
    rate: Option<f64>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, lines: BTreeMap::new(), rate: None, failures: Vec::new() }
    }

    pub(crate) fn add(&mut self, phase: Phase, side: Side, measured: Measured) {
        let Measured { mut load, valid, chaincode_cpu } = measured;
        let per_second = valid as f64 / load.elapsed.as_secs_f64();
        let line = self.lines.entry((phase, side)).or_default();
        line.per_second.add(per_second);
        line.chaincode_cpu_us.add(chaincode_cpu.as_secs_f64() * 1e6 / valid as f64);
        line.p99_ms.add(load.latencies.percentile(99).as_secs_f64() * 1e3);
        line.told_valid += load.latencies.count() as u64;
        line.valid += valid;
        line.latencies.merge(load.latencies);
        for (words, count) in load.others {
            *line.others.entry(words).or_default() += count;
        }
        eprintln!("  {}: {per_second:.0}/s", title(phase, side));
    }

    pub(crate) fn failed(&mut self, why: String) {
        self.failures.push(why);
    }

    /// 60 % of what is submitted of the slower call; kept for the report.
    pub(crate) fn open_loop_rate(&mut self) -> Option<f64> {
        let of = |side| Some(self.lines.get(&(Phase::Submit, side))?.per_second.median());
        let rate = 0.6 * of(Side::Contract)?.min(of(Side::NoOp)?);
        self.rate = rate.is_finite().then_some(rate);
        self.rate
    }

    fn measurements(&mut self) -> Table {
        let mut table = Table::new([
            "what",
            "call",
            "a second",
            "± %",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "chaincodes' CPU µs each",
            "told VALID",
            "VALID in blocks",
            "other outcomes",
        ]);
        for ((phase, side), line) in &mut self.lines {
            let mut percentile =
                |hundredths| format!("{:.1}", line.latencies.percentile(hundredths).as_secs_f64() * 1e3);
            let counted = |count: u64| match phase {
                Phase::Evaluate => "-".to_owned(),
                _ => count.to_string(),
            };
            table.row([
                phase.to_string(),
                title(*phase, *side).to_owned(),
                format!("{:.0}", line.per_second.median()),
                format!("{:.0}", line.per_second.spread() * 50.0),
                percentile(50),
                percentile(95),
                percentile(99),
                format!("{:.0}", line.chaincode_cpu_us.median()),
                counted(line.told_valid),
                counted(line.valid),
                others(&line.others),
            ]);
        }
        table
    }

    /// The contract's calls beside those that do nothing.
    fn comparison(&self) -> Table {
        let mut table = Table::new(["the contract beside a no-op", "figure"]);
        let both = |phase| SIDES.map(|side| self.lines.get(&(phase, side)));
        if let [Some(register), Some(no_op)] = both(Phase::Submit) {
            let told = Bar::Least(0.90).told(&register.per_second.over(&no_op.per_second));
            table.row(["VALID transactions a second, ÷".to_owned(), told]);
        }
        if let [Some(check), Some(no_op)] = both(Phase::Evaluate) {
            let told = Bar::Least(0.92).told(&check.per_second.over(&no_op.per_second));
            table.row(["evaluations a second, ÷".to_owned(), told]);
        }
        if let [Some(register), Some(no_op)] = both(Phase::Open) {
            let told = Bar::Most(5.0).told(&register.p99_ms.minus(&no_op.p99_ms));
            table.row(["p99 in the open loop, ms, −".to_owned(), told]);
        }
        table
    }

    /// The report as it is printed.
    pub(crate) fn found(mut self) -> Found {
        let Settings { rounds, seconds, callers, block, timer_ms, .. } = self.settings;
        let rate = self.rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}"));
        let mut text = format!(
            "Fabric 3.1.1, two hospitals with one peer each, both endorse; one Raft orderer. Blocks of at most {block} \
             transactions, cut after {timer_ms} ms. {} processors for everything together. {callers} callers over one \
             connection; the open loop is {rate} transactions a second by chance (Poisson), the same moments for both calls. \
             {rounds} rounds in turn, {seconds} s after a warm-up of a third of it. ± is half of the range between rounds.\n\n{}\n{}",
            processors(),
            self.measurements(),
            self.comparison(),
        );
        for failure in &self.failures {
            text.push_str(&format!("\nNot measured: {failure}\n"));
        }
        Found { text, whole: self.failures.is_empty() }
    }
}

fn title(phase: Phase, side: Side) -> &'static str {
    match (phase, side) {
        (Phase::Evaluate, Side::Contract) => "access check",
        (_, Side::Contract) => "register",
        (_, Side::NoOp) => "no-op",
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Submit => "submit",
            Self::Evaluate => "evaluate",
            Self::Open => "submit, open loop",
        })
    }
}
