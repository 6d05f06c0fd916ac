//! One network, its load and its faults.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caretrail_tests::channel::Channel;
use caretrail_tests::fault::{Fault, Strike, in_turn};
use caretrail_tests::load::{Caller, Journal, Load, Report, Table, Truth, Way, demand_honest, resolve};
use caretrail_tests::until::until;
use hlf_network::network::NodeKind;
use hlf_network::spec::{Consensus, Consortium};

/// How many faults strike a network, unless `FAULTS` says otherwise: one of each kind.
const FAULTS: usize = 3;
/// Workers of each caller.
const WORKERS: usize = 2;
/// A kill or a stop lasts until so many transactions that began during it are told VALID, or so long.
const VALID_DURING: usize = 40;
const LASTS: Duration = Duration::from_secs(15);
/// How long a network may take until every caller is served again.
const PATIENCE: Duration = Duration::from_secs(150);

/// Stands a network up, has every peer's gateway called all the time, and strikes node after node.
pub(crate) async fn run(stage: &Path, name: &str, spec: Consortium) {
    let journal = Arc::new(Journal::new(&stage.join(format!("{name}.journal.log"))));
    let channel = Channel::stand_up(stage, name, spec, &[]).await;
    let kept = stage.join(format!("{name}.kept"));
    let mut callers = Vec::new();
    for peer in &channel.peers() {
        for way in Way::ALL {
            callers.push(Caller::new(&channel, peer, way, &kept, &journal).await);
        }
    }
    let strikes = in_turn(&orderers(&channel).await, &channel.peers(), faults());

    let load = Load::begin(name, &callers, WORKERS);
    let mut windows = vec!["before".to_owned()];
    served(&load, &callers, 0).await;
    for Strike { fault, node } in strikes {
        let begun = Instant::now();
        let window = windows.len();
        windows.push(format!("{fault:9} {node}"));
        let struck = fault.strike(channel.network(), &node).await;
        load.enter(window);
        journal.note(&format!("{window}: {node} was {fault}"));
        lasts(&load, fault, window).await;
        struck.heal(channel.network()).await;
        channel.await_node(&node).await;
        level(&channel, &journal).await;
        channel.await_blocks(&node).await;
        let window = windows.len();
        windows.push(format!("{:9} {node}", "after it"));
        load.enter(window);
        journal.note(&format!("{window}: {node} is back"));
        served(&load, &callers, window).await;
        journal.note(&format!(
            "{window}: all are served again, {} ms after the fault",
            begun.elapsed().as_millis()
        ));
    }

    let reports = resolve(&callers, load.end().await).await;
    level(&channel, &journal).await;
    journal.note(&format!(
        "faults, and what became of calls that began meanwhile\n{}",
        Table::new(&windows, &reports, |report| Some(report.window))
    ));
    let ways = Way::ALL.map(|way| way.to_string());
    let way = |report: &Report| Way::ALL.iter().position(|way| *way == report.way);
    journal.note(&format!("ways to use the client\n{}", Table::new(&ways, &reports, way)));
    let truth = Truth::of(&channel).await;
    let acknowledged = demand_honest(&truth, reports.iter());
    journal.note(&format!(
        "{} calls, {acknowledged} told VALID at once, {} transactions VALID in the blocks of all {} peers",
        reports.len(),
        truth.valid(),
        channel.peers().len()
    ));
    channel.destroy().await;
}

/// Waits for as long as a fault lasts: a restart is over at once.
async fn lasts(load: &Load, fault: Fault, window: usize) {
    if fault == Fault::Restarted {
        return;
    }
    let begun = Instant::now();
    let enough = || load.count(|r| r.window == window && r.is_valid()) >= VALID_DURING;
    until("the fault's end", PATIENCE, async || (enough() || begun.elapsed() >= LASTS).then_some(())).await;
}

/// Waits until transactions of every caller that began in a window are told VALID.
async fn served(load: &Load, callers: &[Arc<Caller>], window: usize) {
    let valid = |caller: &str| load.count(|r| r.window == window && r.caller == caller && r.is_valid());
    until("every caller to be served", PATIENCE, async || {
        callers.iter().all(|caller| valid(caller.name()) >= 2).then_some(())
    })
    .await;
}

/// Waits until every orderer has all blocks, so that the next fault is the only one: of BFT of four, one that is behind and
/// one that is away are one too many.
///
/// A BFT orderer of Fabric 3.1 that fetches blocks from others just when it decides on one itself may stand still for good,
/// which a busy machine makes likely. It is restarted, as whoever runs it would, and the journal says so.
async fn level(channel: &Channel, journal: &Journal) {
    for orderer in orderers(channel).await {
        if channel.catches_up(&orderer).await {
            continue;
        }
        let consensus = channel.network().spec().orderer.consensus;
        assert_eq!(consensus, Consensus::Bft, "`{orderer}` does not have all blocks");
        journal.note(&format!("{orderer} stands still, and is restarted"));
        Fault::Restarted.strike(channel.network(), &orderer).await.heal(channel.network()).await;
        channel.await_node(&orderer).await;
        channel.await_blocks(&orderer).await;
    }
}

/// The orderers, the one that leads first.
async fn orderers(channel: &Channel) -> Vec<String> {
    let mut nodes = channel.status().await.nodes;
    nodes.retain(|node| node.kind == NodeKind::Orderer);
    nodes.sort_by_key(|node| node.leads != Some(true));
    nodes.into_iter().map(|node| node.name).collect()
}

fn faults() -> usize {
    std::env::var("FAULTS").map_or(FAULTS, |faults| faults.parse().expect("`FAULTS` is a number"))
}
