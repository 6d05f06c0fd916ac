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

/// The contract's call, one that only touches its keys, and one that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Contract,
    Keys,
    NoOp,
}

pub(crate) const SIDES: [Side; 3] = [Side::Contract, Side::Keys, Side::NoOp];

/// Who puts transactions in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordering {
    /// One Raft orderer: the network that `caretrail network up` makes when it is not told otherwise.
    Raft,
    /// Four BFT orderers, the fewest that agree although one of them lies.
    Bft,
}

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
    /// Of both hospitals' peers together.
    pub(crate) peer_cpu: Duration,
}

/// All rounds of one side.
#[derive(Default)]
struct Line {
    per_second: Rounds,
    chaincode_cpu_us: Rounds,
    peer_cpu_us: Rounds,
    p99_ms: Rounds,
    latencies: Latencies,
    told_valid: u64,
    valid: u64,
    others: BTreeMap<String, u64>,
}

pub(crate) struct Report {
    settings: Settings,
    ordering: Ordering,
    lines: BTreeMap<(Phase, Side), Line>,
    /// Calls a second in the open loop.
    rate: Option<f64>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(settings: Settings, ordering: Ordering) -> Self {
        Self { settings, ordering, lines: BTreeMap::new(), rate: None, failures: Vec::new() }
    }

    pub(crate) fn add(&mut self, phase: Phase, side: Side, measured: Measured) {
        let Measured { mut load, valid, chaincode_cpu, peer_cpu } = measured;
        let per_second = valid as f64 / load.elapsed.as_secs_f64();
        let line = self.lines.entry((phase, side)).or_default();
        line.per_second.add(per_second);
        line.chaincode_cpu_us.add(chaincode_cpu.as_secs_f64() * 1e6 / valid as f64);
        line.peer_cpu_us.add(peer_cpu.as_secs_f64() * 1e6 / valid as f64);
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
        let rate = 0.6 * of(Side::Contract)?.min(of(Side::Keys)?).min(of(Side::NoOp)?);
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
            "peers' CPU µs each",
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
                format!("{:.0}", line.peer_cpu_us.median()),
                counted(line.told_valid),
                counted(line.valid),
                others(&line.others),
            ]);
        }
        table
    }

    /// The contract's calls beside those that do nothing, and beside those that touch its keys alone.
    fn comparison(&self) -> Table {
        let mut table =
            Table::new(["figure", "contract, no-op", "contract, its keys alone", "its keys alone, no-op"]);
        let mut compare = |title: &str, phase, bar: Bar, figure: fn(&Line, &Line) -> Rounds| {
            let [Some(contract), Some(keys), Some(no_op)] = SIDES.map(|side| self.lines.get(&(phase, side)))
            else {
                return;
            };
            table.row([
                title.to_owned(),
                bar.told(&figure(contract, no_op)),
                plain(&figure(contract, keys)),
                plain(&figure(keys, no_op)),
            ]);
        };
        let per_second: fn(&Line, &Line) -> Rounds = |ours, other| ours.per_second.over(&other.per_second);
        compare("VALID transactions a second, ÷", Phase::Submit, Bar::Least(0.90), per_second);
        compare("evaluations a second, ÷", Phase::Evaluate, Bar::Least(0.92), per_second);
        compare("p99 in the open loop, ms, −", Phase::Open, Bar::Most(5.0), |ours, other| {
            ours.p99_ms.minus(&other.p99_ms)
        });
        table
    }

    /// The report as it is printed.
    pub(crate) fn found(mut self) -> Found {
        let Self { settings: Settings { rounds, seconds, callers, block, timer_ms, keys }, ordering, .. } =
            self;
        let keys = match keys {
            usize::MAX => "all".to_owned(),
            keys => format!("{keys} of its reads and {keys} of its writes"),
        };
        let rate = self.rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}"));
        let mut text = format!(
            "Fabric 3.1.1, two hospitals with one peer each, both endorse; {ordering}. Blocks of at most {block} \
             transactions, cut after {timer_ms} ms. {} processors for everything together. {callers} callers over one \
             connection; the open loop is {rate} transactions a second by chance (Poisson), the same moments for all calls. \
             Its keys alone: {keys}. \
             {rounds} rounds in turn, {seconds} s after a warm-up of a third of it. ± is half of the range between rounds.\n\n{}\n{}\n",
            processors(),
            self.measurements(),
            self.comparison(),
        );
        for failure in &self.failures {
            text.push_str(&format!("Not measured: {failure}\n\n"));
        }
        Found { text, whole: self.failures.is_empty() }
    }
}

/// A figure's median and range.
fn plain(figure: &Rounds) -> String {
    let (least, most) = figure.range();
    format!("{:.2} ({least:.2}–{most:.2})", figure.median())
}

fn title(phase: Phase, side: Side) -> &'static str {
    match (phase, side) {
        (Phase::Evaluate, Side::Contract) => "access check",
        (_, Side::Contract) => "register",
        (_, Side::Keys) => "its keys alone",
        (_, Side::NoOp) => "no-op",
    }
}

impl fmt::Display for Ordering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Raft => "one Raft orderer",
            Self::Bft => "four BFT orderers",
        })
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
