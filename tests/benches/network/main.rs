//! How long a consortium's network takes to stand and to grow, and what its changes cost those who use it meanwhile.
//!
//! `make bench-network` prints the tables. With `--quick` each is done once; words choose parts (`stand`, `renewal`, `upgrade`,
//! `raft`, `bft`); `BENCH_ROUNDS` says how often a network is stood up.
//!
//! This program is the peers' builder and the chaincode as well: it looks at its first argument.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

mod report;
mod steady;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use caretrail_tests::measure::contract;
use caretrail_tests::measure::run::{Found, on_stage, part};
use caretrail_tests::measure::settings;
use caretrail_tests::roles;
use hlf_network::network::{Network, Renewal, RenewedKeys};
use hlf_network::spec::Consortium;

use report::Report;
use steady::Steady;
use world::{Steps, World, consortium};

/// What a part may take at most.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    if let Some(played) = roles::play_with(contract::serve) {
        return played;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let quick = std::env::args().any(|word| word == "--quick");
    bench(words, settings::rounds(if quick { 1.0 } else { 3.0 }))
}

#[tokio::main]
async fn bench(words: Vec<String>, rounds: usize) -> ExitCode {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    on_stage(tmp, "bench-network", |folder| run(folder, words, rounds)).await
}

async fn run(folder: PathBuf, words: Vec<String>, rounds: usize) -> Found {
    let mut report = Report::new(rounds);
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for round in (0..rounds).filter(|_| chosen("stand")) {
        let at = folder.join(format!("stand-{round}"));
        if let Err(why) = part("stand", LIMIT, Box::pin(stand_and_grow(&at, &mut report))).await {
            report.failed(why);
        }
    }
    for change in Change::ALL.into_iter().filter(|change| chosen(change.word())) {
        let at = folder.join(change.word());
        let changed = change.under_load(&at, &mut report);
        if let Err(why) = part(change.word(), LIMIT, Box::pin(changed)).await {
            report.failed(why);
        }
    }
    report.found()
}

/// Two organisations and four BFT orderers from an empty folder to a transaction, then a third organisation.
async fn stand_and_grow(folder: &Path, report: &mut Report) {
    world::programs().await;
    let spec = consortium("bft:4", &["north", "south"], 1);
    let steps = Steps::default();
    let begun = Instant::now();
    let world = World::stand_up(folder, &spec, &steps).await;
    world.create(&["NorthMSP", "SouthMSP"]).await;
    report.stood(begun.elapsed(), &steps);

    let three = consortium("bft:4", &["north", "south", "east"], 1);
    let steps = Steps::default();
    let begun = Instant::now();
    let world = world.apply(&three, &steps).await;
    world.create(&["EastMSP", "NorthMSP"]).await;
    report.grew(begun.elapsed(), &steps);
    world.end().await;
}

/// What happens to a network that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Every certificate anew, with new keys.
    Renewal,
    /// Another package of the chaincode and the next sequence of its definition.
    Upgrade,
    /// The ordering node that leads gives its place to another one.
    RaftLeader,
    /// The same with BFT.
    BftLeader,
}

impl Change {
    const ALL: [Self; 4] = [Self::Upgrade, Self::RaftLeader, Self::BftLeader, Self::Renewal];

    fn word(self) -> &'static str {
        match self {
            Self::Renewal => "renewal",
            Self::Upgrade => "upgrade",
            Self::RaftLeader => "raft",
            Self::BftLeader => "bft",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Renewal => "every certificate renewed with a new key, three Raft orderers, two peers each",
            Self::Upgrade => "chaincode upgraded, three Raft orderers",
            Self::RaftLeader => "leader of three Raft orderers replaced",
            Self::BftLeader => "leader of four BFT orderers replaced",
        }
    }

    fn spec(self) -> Consortium {
        let orderers = if self == Self::BftLeader { "bft:4" } else { "raft:3" };
        // While one peer is started anew the organisation's other one serves.
        consortium(orderers, &["north", "south"], if self == Self::Renewal { 2 } else { 1 })
    }

    async fn under_load(self, folder: &Path, report: &mut Report) {
        world::programs().await;
        let world = World::stand_up(folder, &self.spec(), &Steps::default()).await;
        let counted_from = world.next_block().await;
        let steady = Steady::begin(&world).await;
        let begun = Instant::now();
        let world = self.make(world).await;
        let took = begun.elapsed();
        let calls = steady.end().await;
        let verdicts = world.verdicts(counted_from).await;
        report.changed(self.told(), took, &calls, &verdicts);
        world.end().await;
    }

    async fn make(self, world: World) -> World {
        let steps = Steps::default();
        match self {
            Self::Renewal => {
                let renewal = Renewal::Within(1_000);
                let renewed =
                    world.network.renew_certificates(&renewal, RenewedKeys::New, &world.options, &steps);
                let renewed = renewed.await.unwrap_or_else(|error| panic!("{}", world::told(&error)));
                eprintln!("{} renewed", renewed.len());
                world
            }
            Self::Upgrade => {
                let spec = world::with_chaincode(self.spec(), "bench_2", 2);
                let network = Network::new(world.network.layout().root(), spec).unwrap();
                let up = network.up(&world.options, &steps).await;
                up.unwrap_or_else(|error| panic!("{}", world::told(&error)));
                World { network, ..world }
            }
            Self::RaftLeader | Self::BftLeader => {
                let leader = world.leader().await;
                let mut target = self.spec();
                let consenters = &mut target.orderer.consenters;
                let next = format!("orderer{}", consenters.len());
                consenters.retain(|name| *name != leader);
                consenters.push(next);
                world.apply(&target, &steps).await
            }
        }
    }
}
