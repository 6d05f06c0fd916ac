//! This workspace's client and chaincode shim beside the official ones for Go: the same contract, the same load, on the
//! same real network, taken in turns within one run.
//!
//! `make bench-client` prints the tables. With `--quick` it takes less than a minute; `BENCH_SECONDS` and
//! `BENCH_ROUNDS` say how long and how often each is measured; words choose what is measured: `submit` (with `evaluate`
//! and the open loop), `zipf`, `bft`.
//!
//! This program is the peers' builder, our side's chaincode and our side's load generator as well: it looks at its
//! first argument.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

mod field;
mod load;
mod order;
mod report;
mod sides;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use caretrail_tests::channel::consortium;
use caretrail_tests::measure::chance::Chance;
use caretrail_tests::measure::rounds::turns;
use caretrail_tests::measure::run::{Found, on_stage, part};
use caretrail_tests::measure::{contract, settings};
use caretrail_tests::{go, roles};

use field::Field;
use order::Order;
use report::{Phase, Report};
use sides::{InGo, SIDES};

/// How many keys are read by evaluations, at most.
const READ_KEYS: u64 = 1000;
/// How many counters are counted, and how many draws are made before they repeat.
const COUNTERS: u32 = 1000;
const DRAWS: usize = 20_000;
/// What any part may take beyond its measurements: a network, exchanges, blocks.
const SLACK: Duration = Duration::from_secs(150);

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
}

impl Settings {
    const CALLERS_ZIPF: usize = 64;
    const CALLERS_BFT: usize = 200;

    fn of(quick: bool) -> Self {
        Self {
            rounds: settings::rounds(if quick { 1.0 } else { 5.0 }),
            seconds: settings::seconds(if quick { 1.0 } else { 6.0 }),
            callers: settings::number("BENCH_CALLERS", 200.0) as usize,
            block: settings::number("BENCH_BLOCK", 100.0) as u32,
            timer_ms: settings::number("BENCH_TIMER_MS", 200.0) as u32,
        }
    }

    /// Callers who each make one call after the other, for a part of the time.
    fn closed(&self, call: &str, callers: usize, part: f64) -> Order {
        let lasts_us = (self.seconds * part * 1e6) as u64;
        Order { call: call.to_owned(), callers, lasts_us, ..Order::default() }
    }

    /// At most so long takes a part with so many orders.
    fn limit(&self, orders: f64) -> Duration {
        SLACK + Duration::from_secs_f64(self.seconds * orders * 3.0)
    }
}

fn main() -> ExitCode {
    if let Some(played) = roles::play_with(contract::serve) {
        return played;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["load", profile, user] = words.as_slice() {
        load::serve(profile, user);
        return ExitCode::SUCCESS;
    }
    let (options, filters): (Vec<&str>, Vec<&str>) =
        words.iter().copied().partition(|word: &&str| word.starts_with("--"));
    let filters = filters.into_iter().map(str::to_owned).collect();
    bench(filters, Settings::of(options.contains(&"--quick")))
}

#[tokio::main]
async fn bench(filters: Vec<String>, settings: Settings) -> ExitCode {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let go = InGo {
        client: go::program(tmp, "gateway-client").await,
        chaincode: go::program(tmp, "bench-chaincode").await,
    };
    on_stage(tmp, "bench-client", |folder| run(folder, go, filters, settings)).await
}

async fn run(folder: PathBuf, go: InGo, filters: Vec<String>, settings: Settings) -> Found {
    let wanted = |word: &str| filters.is_empty() || filters.iter().any(|filter| filter == word);
    let mut bench = Bench { report: Report::new(settings), settings, orders: 0 };
    if wanted("submit") || wanted("zipf") {
        let stood = part("one Raft orderer", SLACK, field(&folder, "raft", 1, go.clone(), settings)).await;
        if let Some(field) = bench.noted(stood) {
            if wanted("submit") {
                let limit = settings.limit(4.0 * settings.rounds as f64);
                let done = part("submit and evaluate", limit, bench.submit_and_evaluate(&field)).await;
                bench.noted(done);
                let done = part("open loop", limit, bench.open_loop(&field)).await;
                bench.noted(done);
            }
            if wanted("zipf") {
                let done = part("Zipf", settings.limit(8.0), bench.zipf(&field)).await;
                bench.noted(done);
            }
            let ended = part("the end of the network", SLACK, field.end()).await;
            bench.noted(ended);
        }
    }
    if wanted("bft") {
        let stood = part("four BFT orderers", SLACK, field(&folder, "bft", 4, go, settings)).await;
        if let Some(field) = bench.noted(stood) {
            let limit = settings.limit(8.0 * settings.rounds as f64);
            let done = part("BFT", limit, bench.bft(&field)).await;
            bench.noted(done);
        }
    }
    bench.report.found()
}

/// Two organisations with one peer each, and so many consenters.
async fn field(folder: &Path, consensus: &str, consenters: usize, go: InGo, settings: Settings) -> Field {
    let mut spec = consortium(consensus, consenters, 1, 1);
    spec.channel.max_message_count = settings.block;
    spec.channel.batch_timeout_ms = settings.timer_ms;
    Field::stand_up(folder, consensus, spec, go).await
}

struct Bench {
    report: Report,
    settings: Settings,
    /// How many orders were given.
    orders: u64,
}

impl Bench {
    fn noted<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.report.failed(why)).ok()
    }

    /// New keys are put, and then read: by callers who wait.
    async fn submit_and_evaluate(&mut self, field: &Field) {
        let (settings, shelf) = (self.settings, field.shelf());
        for round in 0..settings.rounds {
            eprintln!("submit and evaluate, round {} of {}", round + 1, settings.rounds);
            for side in turns(round, &SIDES) {
                let mut turn = field.turn(&shelf, *side).await;
                let create = |part| settings.closed("Create", settings.callers, part);
                turn.make(&mut self.orders, create(1.0 / 3.0)).await;
                let made = turn.make(&mut self.orders, create(1.0)).await;
                let picks = made.read_keys(READ_KEYS);
                self.report.add(Phase::Submit, *side, made);
                let get =
                    |part| Order { picks: picks.clone(), ..settings.closed("Get", settings.callers, part) };
                turn.make(&mut self.orders, get(1.0 / 6.0)).await;
                let made = turn.make(&mut self.orders, get(0.5)).await;
                self.report.add(Phase::Evaluate, *side, made);
            }
        }
    }

    /// New keys are put at given moments, so many a second that neither side is busy.
    async fn open_loop(&mut self, field: &Field) {
        let (settings, shelf) = (self.settings, field.shelf());
        let rate = self.report.open_loop_rate().expect("what both sides submit");
        for round in 0..settings.rounds {
            eprintln!("open loop at {rate:.0}/s, round {} of {}", round + 1, settings.rounds);
            let due = Chance::new(round as u64).arrivals(rate, Duration::from_secs_f64(settings.seconds));
            let due_us = |due: &[Duration]| due.iter().map(|due| due.as_micros() as u64).collect();
            for side in turns(round, &SIDES) {
                let mut turn = field.turn(&shelf, *side).await;
                let create = |due: &[Duration]| Order {
                    call: "Create".to_owned(),
                    due_us: due_us(due),
                    ..Order::default()
                };
                turn.make(&mut self.orders, create(&due[..due.len() / 3])).await;
                let made = turn.make(&mut self.orders, create(&due)).await;
                self.report.add(Phase::Open, *side, made);
            }
        }
    }

    /// Few counters are counted by many.
    async fn zipf(&mut self, field: &Field) {
        let (settings, shelf) = (self.settings, field.shelf());
        let picks: Vec<u64> =
            Chance::new(99).zipf(COUNTERS, 0.99, DRAWS).into_iter().map(u64::from).collect();
        for side in SIDES {
            eprintln!("Zipf 0.99");
            let mut turn = field.turn(&shelf, side).await;
            let count = |part| Order {
                picks: picks.clone(),
                ..settings.closed("Count", Settings::CALLERS_ZIPF, part)
            };
            turn.make(&mut self.orders, count(0.5)).await;
            let made = turn.make(&mut self.orders, count(2.0)).await;
            self.report.add(Phase::Zipf, side, made);
        }
    }

    /// New keys are put by more callers than an ordering service of four serves with ease.
    async fn bft(&mut self, field: &Field) {
        let (settings, shelf) = (self.settings, field.shelf());
        let rounds = settings.rounds.div_ceil(2);
        for round in 0..rounds {
            eprintln!("four BFT orderers, round {} of {rounds}", round + 1);
            for side in turns(round, &SIDES) {
                let mut turn = field.turn(&shelf, *side).await;
                let create = |part| settings.closed("Create", Settings::CALLERS_BFT, part);
                turn.make(&mut self.orders, create(1.0 / 3.0)).await;
                let made = turn.make(&mut self.orders, create(2.0)).await;
                self.report.add(Phase::Bft, *side, made);
            }
        }
    }
}
