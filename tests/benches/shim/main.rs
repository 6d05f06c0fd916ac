//! This workspace's chaincode shim beside the official Go shim: the same contract on both, behind the same real peer,
//! taken in turns within one run.
//!
//! `make bench-shim` prints the table. With `--quick` it takes a minute; `BENCH_SECONDS` and `BENCH_ROUNDS` say how long
//! and how often each is measured; words choose what is measured by its title.
//!
//! This program is the peer's builder and our side's chaincode as well: it looks at its first argument.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

mod fabric;
mod memory;
mod report;
mod sides;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use caretrail_tests::channel::Channel;
use caretrail_tests::measure::load::{Load, closed_loop};
use caretrail_tests::measure::rounds::turns;
use caretrail_tests::measure::run::{Found, on_stage};
use caretrail_tests::measure::shelf::Shelf;
use caretrail_tests::measure::{contract, process, settings};
use caretrail_tests::{go, roles};
use hlf_gateway::Endorser;

use memory::Memory;
use report::{Measured, Report};
use sides::{GO, GO_BATCHED, OURS, Side};
use workload::{Call, Through, WORKLOADS, Workload};

/// How long a chaincode that listens may take until a transaction succeeds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// The calls whose round trips are told.
const COUNTED: [Call; 3] = [Call::Put, Call::GetMany(1000), Call::PutMany(1000)];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Settings {
    rounds: usize,
    warm_up: Duration,
    measured: Duration,
}

impl Settings {
    fn of(quick: bool) -> Self {
        let seconds = settings::seconds(if quick { 0.3 } else { 1.0 });
        Self {
            rounds: settings::rounds(if quick { 2.0 } else { 5.0 }),
            warm_up: Duration::from_secs_f64(seconds / 3.0),
            measured: Duration::from_secs_f64(seconds),
        }
    }
}

fn main() -> ExitCode {
    if let Some(played) = roles::play_with(contract::serve) {
        return played;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (options, filters): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|word: &&str| word.starts_with("--"));
    let wanted = WORKLOADS.iter().filter(|workload| {
        let title = workload.to_string();
        filters.is_empty() || filters.iter().any(|filter| title.contains(*filter))
    });
    bench(wanted.collect(), Settings::of(options.contains(&"--quick")))
}

#[tokio::main]
async fn bench(workloads: Vec<&'static Workload>, settings: Settings) -> ExitCode {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let go = go::program(tmp, "bench-chaincode").await;
    on_stage(tmp, "bench-shim", |folder| run(folder, go, workloads, settings)).await
}

async fn run(folder: PathBuf, go: PathBuf, workloads: Vec<&'static Workload>, settings: Settings) -> Found {
    let channel = Channel::stand_up(&folder, "network", fabric::spec(), &[]).await;
    let bench =
        Bench { endorser: fabric::endorser(&channel), shelf: Shelf::new(channel.network()), go, settings };
    let mut report = Report::new(settings);
    for side in [OURS, GO_BATCHED, GO] {
        bench.count_round_trips(side, &mut report).await;
    }
    for (index, workload) in workloads.iter().enumerate() {
        eprintln!("measuring {} of {}: {workload}", index + 1, workloads.len());
        for round in 0..settings.rounds {
            for side in turns(round, workload.sides) {
                let measured = bench.measure(workload, *side, &mut report).await;
                report.add(workload, *side, measured);
            }
        }
    }
    Found { text: report.text(), whole: true }
}

/// What is called, and the address where sides take turns.
struct Bench<'n> {
    endorser: Arc<Endorser>,
    shelf: Shelf<'n>,
    go: PathBuf,
    settings: Settings,
}

impl Bench<'_> {
    /// Starts a side in a fresh process, warms it up, and measures.
    async fn measure(&self, workload: &Workload, side: Side, report: &mut Report) -> Measured {
        let started = self.shelf.exchange(&side.process(&self.go)).await;
        let pid = started.pids[0];
        let Workload { call, callers, .. } = *workload;
        match workload.through {
            Through::Fabric => {
                while fabric::endorse(&self.endorser, Call::NoOp, 0).await.is_err() {
                    assert!(started.listened.elapsed() < ANSWERS_WITHIN, "{} does not answer", side.name);
                }
                report.answered(side, started.listened.elapsed());
                let endorser = Arc::clone(&self.endorser);
                let endorse = move |number| {
                    let endorser = Arc::clone(&endorser);
                    async move { fabric::endorse(&endorser, call, number).await }
                };
                self.load(pid, callers, endorse).await
            }
            Through::Memory => {
                let peer = self.memory().await;
                let invoke = move |number| {
                    let peer = Arc::clone(&peer);
                    async move { peer.invoke(call, number).await }
                };
                self.load(pid, callers, invoke).await
            }
        }
    }

    /// The peer in memory, at the address of the one organisation's chaincode.
    async fn memory(&self) -> Arc<Memory> {
        let place = &self.shelf.places()[0];
        Memory::connect(&place.address, &place.client).await
    }

    async fn load<C, E>(&self, pid: u32, callers: usize, call: C) -> Measured
    where
        C: Fn(u64) -> E + Clone + Send + Sync + 'static,
        E: Future<Output = Result<(), String>> + Send,
    {
        const MEASURED_FROM: u64 = 1_000_000_000;
        closed_loop(callers, self.settings.warm_up, 0, call.clone()).await;
        let before = process::cpu(pid);
        let load: Load = closed_loop(callers, self.settings.measured, MEASURED_FROM, call).await;
        Measured { cpu: process::cpu(pid) - before, peak_memory_bytes: process::peak_memory_bytes(pid), load }
    }

    async fn count_round_trips(&self, side: Side, report: &mut Report) {
        self.shelf.exchange(&side.process(&self.go)).await;
        let peer = self.memory().await;
        for (number, call) in (0..).zip(COUNTED) {
            let requests = peer.requests(call, number).await.expect("it succeeds");
            report.round_trips(side, call, requests.len());
        }
    }
}
