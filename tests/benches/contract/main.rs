//! The contract beside a call that does nothing: what a record's registration and an access check cost on a real
//! network beyond what any transaction and any evaluation cost there.
//!
//! `make bench-contract` prints the tables. With `--quick` it takes less than two minutes; `BENCH_SECONDS` and
//! `BENCH_ROUNDS` say how long and how often each is measured. Words choose networks (`raft`, `bft`) and parts (`submit`,
//! `evaluate`, `open`, which takes its rate from `submit`).
//!
//! This program is the peers' builder and the chaincode as well: it looks at its first argument.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

mod chaincode;
mod report;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use caretrail_tests::measure::chance::Chance;
use caretrail_tests::measure::load::{Load, closed_loop, open_loop};
use caretrail_tests::measure::rounds::turns;
use caretrail_tests::measure::run::{Found, on_stage, part};
use caretrail_tests::measure::verdicts::{Verdicts, next_block};
use caretrail_tests::measure::words::{not_evaluated, not_valid};
use caretrail_tests::measure::{process, settings};
use caretrail_tests::roles;
use hlf_gateway::Contract;
use hlf_network::network::NodeKind;

use chaincode::{KEYS, NO_OP};
use report::{Measured, Ordering, Phase, Report, SIDES, Side};
use world::World;

/// What any part may take beyond its measurements: a network, blocks.
const SLACK: Duration = Duration::from_secs(150);
/// How far apart the numbers of two loads' calls are.
const LOAD_CALLS_MAX: u64 = 10_000_000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Settings {
    rounds: usize,
    seconds: f64,
    callers: usize,
    /// Most transactions in a block.
    block: u32,
    /// When a block is cut that is not full.
    timer_ms: u32,
    /// How many of the contract's keys the call touches that touches them alone.
    keys: usize,
}

impl Settings {
    fn of(quick: bool) -> Self {
        Self {
            rounds: settings::rounds(if quick { 1.0 } else { 5.0 }),
            seconds: settings::seconds(if quick { 1.5 } else { 6.0 }),
            callers: settings::number("BENCH_CALLERS", 200.0) as usize,
            block: settings::number("BENCH_BLOCK", 100.0) as u32,
            timer_ms: settings::number("BENCH_TIMER_MS", 200.0) as u32,
            keys: settings::number("BENCH_KEYS", f64::INFINITY) as usize,
        }
    }

    fn lasting(&self, part: f64) -> Duration {
        Duration::from_secs_f64(self.seconds * part)
    }
}

fn main() -> ExitCode {
    if let Some(played) = roles::play_with(chaincode::serve) {
        return played;
    }
    let (options, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    bench(words, Settings::of(options.iter().any(|option| option == "--quick")))
}

#[tokio::main]
async fn bench(words: Vec<String>, settings: Settings) -> ExitCode {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    on_stage(tmp, "bench-contract", |folder| run(folder, words, settings)).await
}

async fn run(folder: PathBuf, words: Vec<String>, settings: Settings) -> Found {
    let mut found = Found { text: String::new(), whole: true };
    for ordering in chosen(&words, [("raft", Ordering::Raft), ("bft", Ordering::Bft)]) {
        let parts = [("submit", Phase::Submit), ("evaluate", Phase::Evaluate), ("open", Phase::Open)];
        let of_network = measure(&folder, ordering, &chosen(&words, parts), settings).await;
        found.text.push_str(&of_network.text);
        found.whole &= of_network.whole;
    }
    found
}

/// What the words name of it; all of it when they name none.
fn chosen<T: Copy, const N: usize>(words: &[String], named: [(&str, T); N]) -> Vec<T> {
    let of = |all: bool| {
        let named = named.iter().filter(|(name, _)| all || words.iter().any(|word| word == name));
        named.map(|(_, one)| *one).collect::<Vec<T>>()
    };
    Some(of(false)).filter(|some| !some.is_empty()).unwrap_or_else(|| of(true))
}

async fn measure(folder: &Path, ordering: Ordering, phases: &[Phase], settings: Settings) -> Found {
    let mut report = Report::new(settings, ordering);
    let standing = Box::pin(World::stand_up(folder, ordering, settings.block, settings.timer_ms));
    let stood = part(&format!("two hospitals, {ordering}"), SLACK, standing).await;
    match stood {
        Err(why) => report.failed(why),
        Ok(world) => {
            let mut bench = Bench { world: Arc::new(world), settings, report, loads: 0 };
            let limit = SLACK + settings.lasting(8.0 * settings.rounds as f64 * SIDES.len() as f64);
            for phase in phases {
                if let Err(why) = part(&phase.to_string(), limit, bench.phase(*phase)).await {
                    bench.report.failed(why);
                }
            }
            let Bench { world, report: measured, .. } = bench;
            report = measured;
            let end = async { Arc::into_inner(world).expect("no call is under way").channel.destroy().await };
            if let Err(why) = part("the end of the network", SLACK, end).await {
                report.failed(why);
            }
        }
    }
    report.found()
}

struct Bench {
    world: Arc<World>,
    settings: Settings,
    report: Report,
    /// How many loads there were.
    loads: u64,
}

impl Bench {
    async fn phase(&mut self, phase: Phase) {
        let rate = match phase {
            Phase::Open => self.report.open_loop_rate().expect("what is submitted of both calls"),
            _ => 0.0,
        };
        self.world.tell_shape(phase == Phase::Evaluate, self.settings.keys).await;
        for round in 0..self.settings.rounds {
            eprintln!("{phase}, round {} of {}", round + 1, self.settings.rounds);
            let arrivals = |part| Chance::new(round as u64).arrivals(rate, self.settings.lasting(part));
            let due = (phase == Phase::Open).then(|| (arrivals(1.0 / 3.0), arrivals(1.0)));
            for side in turns(round, &SIDES) {
                let (short, long) =
                    due.as_ref().map_or((None, None), |(short, long)| (Some(short), Some(long)));
                self.load(phase, *side, 1.0 / 3.0, short.map(Vec::as_slice)).await;
                let measured = self.load(phase, *side, 1.0, long.map(Vec::as_slice)).await;
                self.report.add(phase, *side, measured);
            }
        }
    }

    /// Makes calls of one side for a part of the time, or when they are due.
    async fn load(&mut self, phase: Phase, side: Side, part: f64, due: Option<&[Duration]>) -> Measured {
        self.loads += 1;
        let first = self.loads * LOAD_CALLS_MAX;
        let world = Arc::clone(&self.world);
        let call = move |number: u64| {
            let world = Arc::clone(&world);
            async move {
                let (called, arg) = match phase {
                    Phase::Evaluate => world.access_check(),
                    _ => world.register(number),
                };
                let (function, arg) = match side {
                    Side::Contract => (called, arg),
                    Side::Keys => (KEYS, arg),
                    Side::NoOp => (NO_OP, number.to_string().into_bytes()),
                };
                match phase {
                    Phase::Evaluate => evaluate(&world.contract, function, arg).await,
                    _ => submit(&world.contract, function, arg).await,
                }
            }
        };
        let (admin, channel) = (self.world.admin.clone(), self.world.channel.name().to_owned());
        let block = next_block(&admin, &channel).await;
        let before = Used::now(&self.world).await;
        let load: Load = match due {
            Some(due) => open_loop(due, first, call).await,
            None => closed_loop(self.settings.callers, self.settings.lasting(part), first, call).await,
        };
        let after = Used::now(&self.world).await;
        let valid = match phase {
            Phase::Evaluate => load.latencies.count() as u64,
            _ => {
                let blocks = block..next_block(&admin, &channel).await;
                let verdicts = Verdicts::read(&admin, &channel, blocks, world::number).await;
                verdicts.valid(first..first + LOAD_CALLS_MAX)
            }
        };
        Measured {
            load,
            valid,
            chaincode_cpu: after.chaincodes - before.chaincodes,
            peer_cpu: after.peers - before.peers,
        }
    }
}

/// What the processes have used so far that a call passes through; they run all the time.
#[derive(Clone, Copy)]
struct Used {
    chaincodes: Duration,
    peers: Duration,
}

impl Used {
    async fn now(world: &World) -> Self {
        let nodes = world.channel.status().await.nodes;
        let of = |kind: NodeKind| {
            let nodes = nodes.iter().filter(|node| node.kind == kind);
            nodes.map(|node| process::cpu(node.pid.expect("it runs"))).sum()
        };
        Self { chaincodes: of(NodeKind::Chaincode), peers: of(NodeKind::Peer) }
    }
}

async fn submit(contract: &Contract, function: &str, arg: Vec<u8>) -> Result<(), String> {
    let proposal = contract.proposal(function).arg(arg).build().expect("a proposal");
    contract.submit(proposal).await.map(|_| ()).map_err(|error| not_valid(&error))
}

async fn evaluate(contract: &Contract, function: &str, arg: Vec<u8>) -> Result<(), String> {
    let proposal = contract.proposal(function).arg(arg).build().expect("a proposal");
    proposal.evaluate().await.map(|_| ()).map_err(|error| not_evaluated(&error))
}
