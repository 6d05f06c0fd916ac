//! What was measured, as tables.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use caretrail_tests::measure::bar::{Bar, others};
use caretrail_tests::measure::latency::Latencies;
use caretrail_tests::measure::rounds::Rounds;
use caretrail_tests::measure::run::Found;
use caretrail_tests::measure::settings::processors;
use caretrail_tests::measure::table::Table;

use crate::Settings;
use crate::field::Measured;
use crate::sides::{ALL, Side};

/// What a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Submit,
    Evaluate,
    Open,
    Zipf,
    Bft,
}

/// All rounds of one side in one phase.
#[derive(Default)]
struct Line {
    per_second: Rounds,
    client_cpu_us: Rounds,
    chaincode_cpu_us: Rounds,
    peak_mib: Rounds,
    p99_ms: Rounds,
    latencies: Latencies,
    /// Until it is endorsed, then until it is submitted, then until its verdict.
    stages: [Latencies; 3],
    calls: u64,
    told_valid: u64,
    valid: u64,
    spurious: u64,
    untrue: u64,
    duplicates: u64,
    proposed: u64,
    transactions: u64,
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
        let line = self.lines.entry((phase, side)).or_default();
        let Measured { came, valid, .. } = measured;
        let each_us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / valid as f64;
        let mut latencies: Latencies = came.latencies_us.iter().copied().map(Duration::from_micros).collect();
        line.per_second.add(valid as f64 * 1e6 / came.elapsed_us as f64);
        line.client_cpu_us.add(each_us(measured.client_cpu));
        line.chaincode_cpu_us.add(each_us(measured.chaincode_cpu));
        line.peak_mib.add(measured.client_peak_bytes as f64 / f64::from(1 << 20));
        line.p99_ms.add(latencies.percentile(99).as_secs_f64() * 1e3);
        line.latencies.merge(latencies);
        for stages in &came.stages_us {
            for (all, took) in line.stages.iter_mut().zip(stages) {
                all.add(Duration::from_micros(*took));
            }
        }
        line.calls += came.calls();
        line.told_valid += came.latencies_us.len() as u64;
        line.valid += valid;
        line.spurious += measured.spurious;
        line.untrue += came.latencies_us.len() as u64 + measured.spurious - valid;
        line.duplicates += measured.duplicates;
        line.proposed += came.proposed;
        line.transactions += measured.transactions;
        for (words, count) in came.counted() {
            *line.others.entry(words).or_default() += count;
        }
        eprintln!("  {}: {:.0}/s", side.name(), valid as f64 * 1e6 / came.elapsed_us as f64);
    }

    pub(crate) fn failed(&mut self, why: String) {
        self.failures.push(why);
    }

    /// 60 % of what the slowest side submits; kept for the report.
    pub(crate) fn open_loop_rate(&mut self) -> Option<f64> {
        let of = |side| Some(self.lines.get(&(Phase::Submit, side))?.per_second.median());
        let per_second: Vec<f64> = ALL.into_iter().map(of).collect::<Option<_>>()?;
        let rate = 0.6 * per_second.into_iter().fold(f64::INFINITY, f64::min);
        self.rate = rate.is_finite().then_some(rate);
        self.rate
    }

    fn measurements(&mut self) -> Table {
        let mut table = Table::new([
            "what",
            "side",
            "a second",
            "± %",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "client CPU µs each",
            "chaincodes' CPU µs each",
            "client's peak MiB",
            "other outcomes",
        ]);
        for ((phase, side), line) in &mut self.lines {
            let mut percentile =
                |hundredths| format!("{:.1}", line.latencies.percentile(hundredths).as_secs_f64() * 1e3);
            table.row([
                phase.to_string(),
                side.name().to_owned(),
                format!("{:.0}", line.per_second.median()),
                format!("{:.0}", line.per_second.spread() * 50.0),
                percentile(50),
                percentile(95),
                percentile(99),
                format!("{:.0}", line.client_cpu_us.median()),
                format!("{:.0}", line.chaincode_cpu_us.median()),
                format!("{:.1}", line.peak_mib.median()),
                others(&line.others),
            ]);
        }
        table
    }

    /// Where transactions spend their time.
    fn stages(&mut self) -> Table {
        const STAGES: [&str; 3] = ["endorse", "submit", "verdict"];
        let names = STAGES.iter().flat_map(|stage| [50, 99].map(|at| format!("{stage} p{at} ms")));
        let mut table = Table::new(["what", "side"].map(str::to_owned).into_iter().chain(names));
        for ((phase, side), line) in &mut self.lines {
            if line.stages.iter().any(|stage| stage.count() == 0) {
                continue;
            }
            let took = line.stages.iter_mut().flat_map(|stage| [50, 99].map(|at| stage.percentile(at)));
            let took = took.map(|took| format!("{:.1}", took.as_secs_f64() * 1e3));
            table.row([phase.to_string(), side.name().to_owned()].into_iter().chain(took));
        }
        table
    }

    /// Ours as a part or a multiple of Go's.
    fn ratios(&self) -> Table {
        type Figure = fn(&Line) -> &Rounds;
        let mut table = Table::new(["figure", "ours ÷ Go", "ours, threads ÷ Go"]);
        let rows: [(&str, Phase, Figure, Option<Bar>); 8] = [
            ("VALID transactions a second", Phase::Submit, |line| &line.per_second, Some(Bar::Least(1.15))),
            (
                "client CPU for a VALID transaction",
                Phase::Submit,
                |line| &line.client_cpu_us,
                Some(Bar::Most(0.6)),
            ),
            ("client's peak memory", Phase::Submit, |line| &line.peak_mib, None),
            ("evaluations a second", Phase::Evaluate, |line| &line.per_second, Some(Bar::Least(1.1))),
            ("client CPU for an evaluation", Phase::Evaluate, |line| &line.client_cpu_us, None),
            ("p99 in the open loop", Phase::Open, |line| &line.p99_ms, Some(Bar::Most(1.0))),
            ("VALID transactions a second, four BFT orderers", Phase::Bft, |line| &line.per_second, None),
            (
                "client CPU for a VALID transaction, four BFT orderers",
                Phase::Bft,
                |line| &line.client_cpu_us,
                None,
            ),
        ];
        for (name, phase, figure, bar) in rows {
            let of = |side| self.lines.get(&(phase, side)).map(figure);
            let Some(go) = of(Side::Go) else { continue };
            let told = |own| {
                let ratio = match of(own) {
                    Some(ours) => ours.over(go),
                    None => return "-".to_owned(),
                };
                let (least, most) = ratio.range();
                match bar {
                    Some(bar) => bar.told(&ratio),
                    None => format!("{:.2} ({least:.2}–{most:.2})", ratio.median()),
                }
            };
            table.row([name.to_owned(), told(Side::Ours), told(Side::OursOnMany)]);
        }
        table
    }

    /// What callers were told, beside what the blocks say.
    fn counted(&self) -> Table {
        let mut table = Table::new([
            "what",
            "side",
            "calls",
            "told VALID",
            "VALID in blocks",
            "goodput",
            "VALID, told otherwise",
            "told VALID, and not",
            "more than once",
            "transactions proposed",
            "in blocks",
        ]);
        for ((phase, side), line) in self.lines.iter().filter(|((phase, _), _)| *phase != Phase::Evaluate) {
            let bar = |wanted: bool, figure: f64, bar: Bar| match wanted && side.is_ours() {
                true => format!(" {}", bar.verdict(figure)),
                false => String::new(),
            };
            let goodput = line.valid as f64 / line.calls as f64;
            let zero = |wanted, count: u64| format!("{count}{}", bar(wanted, count as f64, Bar::Most(0.0)));
            table.row([
                phase.to_string(),
                side.name().to_owned(),
                line.calls.to_string(),
                line.told_valid.to_string(),
                line.valid.to_string(),
                format!(
                    "{:.2} %{}",
                    goodput * 100.0,
                    bar(*phase == Phase::Zipf, goodput * 100.0, Bar::Least(99.0))
                ),
                zero(*phase == Phase::Bft, line.spurious),
                zero(true, line.untrue),
                zero(*phase == Phase::Zipf, line.duplicates),
                line.proposed.to_string(),
                line.transactions.to_string(),
            ]);
        }
        table
    }

    /// The report as it is printed.
    pub(crate) fn found(mut self) -> Found {
        let Settings { rounds, seconds, callers, block, timer_ms, .. } = self.settings;
        let rate = self.rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}"));
        let mut text = format!(
            "Fabric 3.1.1, two organisations with one peer each, both endorse; one Raft orderer, and for the last rows four BFT \
             orderers. Blocks of at most {block} transactions, cut after {timer_ms} ms. {} processors for everything together. \
             {callers} callers, in the rows of Zipf {} and of BFT {}; the open loop is {rate} transactions a second by chance \
             (Poisson), the same moments for all sides. {rounds} rounds in turn, chaincodes and clients in fresh processes each \
             time, {seconds} s after a warm-up of a third of it. Both clients call the same peer over one connection. \
             ± is half of the range between rounds.\n\n{}\n{}\n{}\n{}",
            processors(),
            Settings::CALLERS_ZIPF,
            Settings::CALLERS_BFT,
            self.measurements(),
            self.stages(),
            self.ratios(),
            self.counted(),
        );
        for failure in &self.failures {
            text.push_str(&format!("\nNot measured: {failure}\n"));
        }
        Found { text, whole: self.failures.is_empty() }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Submit => "submit",
            Self::Evaluate => "evaluate",
            Self::Open => "submit, open loop",
            Self::Zipf => "count, Zipf 0.99",
            Self::Bft => "submit, four BFT orderers",
        })
    }
}
