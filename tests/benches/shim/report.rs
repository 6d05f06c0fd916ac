//! What was measured, as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use caretrail_tests::measure::bar::{Bar, others};
use caretrail_tests::measure::latency::Latencies;
use caretrail_tests::measure::load::Load;
use caretrail_tests::measure::rounds::Rounds;
use caretrail_tests::measure::settings::processors;
use caretrail_tests::measure::table::Table;

use crate::Settings;
use crate::sides::{GO, GO_BATCHED, Side};
use crate::workload::{Call, Workload};

/// One side in one round.
pub(crate) struct Measured {
    pub(crate) load: Load,
    /// Of the chaincode's process while it was measured.
    pub(crate) cpu: Duration,
    pub(crate) peak_memory_bytes: u64,
}

/// All rounds of one side.
#[derive(Default)]
struct Line {
    per_second: Rounds,
    cpu_us: Rounds,
    peak_mib: Rounds,
    latencies: Latencies,
    others: BTreeMap<String, u64>,
}

pub(crate) struct Report {
    settings: Settings,
    lines: BTreeMap<(&'static Workload, Side), Line>,
    answered: BTreeMap<Side, Rounds>,
    round_trips: Vec<(Call, Side, usize)>,
}

impl Report {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, lines: BTreeMap::new(), answered: BTreeMap::new(), round_trips: Vec::new() }
    }

    pub(crate) fn add(&mut self, workload: &'static Workload, side: Side, measured: Measured) {
        let Measured { load, cpu, peak_memory_bytes } = measured;
        let line = self.lines.entry((workload, side)).or_default();
        line.per_second.add(load.per_second());
        line.cpu_us.add(cpu.as_secs_f64() * 1e6 / load.latencies.count() as f64);
        line.peak_mib.add(peak_memory_bytes as f64 / f64::from(1 << 20));
        line.latencies.merge(load.latencies);
        for (words, count) in load.others {
            *line.others.entry(words).or_default() += count;
        }
    }

    /// How long after its first connection a side whose predecessor was killed had its first success.
    pub(crate) fn answered(&mut self, side: Side, after: Duration) {
        self.answered.entry(side).or_default().add(after.as_secs_f64());
    }

    pub(crate) fn round_trips(&mut self, side: Side, call: Call, count: usize) {
        self.round_trips.push((call, side, count));
    }

    fn measurements(&mut self) -> Table {
        let mut table = Table::new([
            "call",
            "side",
            "tx/s",
            "± %",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "CPU µs/tx",
            "peak MiB",
            "not endorsed",
        ]);
        for ((workload, side), line) in &mut self.lines {
            let mut percentile =
                |hundredths| format!("{:.2}", line.latencies.percentile(hundredths).as_secs_f64() * 1e3);
            table.row([
                workload.to_string(),
                side.name.to_owned(),
                format!("{:.0}", line.per_second.median()),
                format!("{:.0}", line.per_second.spread() * 50.0),
                percentile(50),
                percentile(95),
                percentile(99),
                format!("{:.1}", line.cpu_us.median()),
                format!("{:.1}", line.peak_mib.median()),
                others(&line.others),
            ]);
        }
        table
    }

    /// Ours as a part or a multiple of the others.
    fn ratios(&self) -> Table {
        let mut table = Table::new(["call", "sides", "tx/s", "CPU/tx", "peak memory"]);
        for ((workload, own), ours) in self.lines.iter().filter(|((_, side), _)| side.is_ours()) {
            for other in workload.sides.iter().filter(|side| !side.is_ours()) {
                let theirs = &self.lines[&(*workload, *other)];
                let faster = match (*other, matches!(workload.call, Call::PutMany(_))) {
                    (GO, true) => 4.0,
                    (GO_BATCHED, true) => 1.1,
                    _ => 1.0,
                };
                table.row([
                    workload.to_string(),
                    format!("{} ÷ {}", own.name, other.name),
                    Bar::Least(faster).told(&ours.per_second.over(&theirs.per_second)),
                    Bar::Most(0.5).told(&ours.cpu_us.over(&theirs.cpu_us)),
                    Bar::Most(0.6).told(&ours.peak_mib.over(&theirs.peak_mib)),
                ]);
            }
        }
        table
    }

    fn recoveries(&self) -> Table {
        let mut table =
            Table::new(["after a kill", "seconds from the first connection to the first success", "times"]);
        for (side, seconds) in &self.answered {
            let (_, slowest) = seconds.range();
            let worst = format!("median {:.3}, longest {slowest:.3}", seconds.median());
            let bar = if side.is_ours() {
                format!(" ≤ 2: {}", if slowest <= 2.0 { "yes" } else { "no" })
            } else {
                String::new()
            };
            table.row([side.name.to_owned(), worst + &bar, seconds.count().to_string()]);
        }
        table
    }

    fn counted(&self) -> Table {
        let sides: BTreeSet<_> = self.round_trips.iter().map(|(_, side, _)| *side).collect();
        let mut table = Table::new(
            std::iter::once("round trips of a transaction").chain(sides.iter().map(|side| side.name)),
        );
        let mut rows: BTreeMap<String, BTreeMap<Side, usize>> = BTreeMap::new();
        for (call, side, count) in &self.round_trips {
            rows.entry(call.to_string()).or_default().insert(*side, *count);
        }
        for (call, counts) in rows {
            table.row(std::iter::once(call).chain(counts.values().map(ToString::to_string)));
        }
        table
    }

    /// The report as it is printed.
    pub(crate) fn text(mut self) -> String {
        let Settings { rounds, warm_up, measured } = self.settings;
        let processors = processors();
        format!(
            "Fabric 3.1.1: one organisation, one peer, one Raft orderer; batches and multi-gets of up to 1,000; mutual TLS \
             between peer and chaincode. Calls go to the peer's endorser and are endorsed, not ordered: no block is cut. \
             \"In memory\" is the test peer in place of Fabric's, over the same TLS. Go: fabric-chaincode-go v2.3.0, \
             its own defaults. Ours: one thread; with \"threads\", tokio's default runtime. No side prints. {processors} processors for load, peer and \
             chaincode together. {rounds} rounds in turn, each in a fresh process, {:.2} s after {:.2} s of warm-up. \
             ± is half of the range between rounds.\n\n{}\n{}\n{}\n{}",
            measured.as_secs_f64(),
            warm_up.as_secs_f64(),
            self.measurements(),
            self.ratios(),
            self.recoveries(),
            self.counted(),
        )
    }
}
