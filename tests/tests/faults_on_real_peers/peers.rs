//! A peer is struck while its organisation's service has transactions of it and of another peer.

use std::time::Duration;

use caretrail_tests::fault::Fault;
use caretrail_tests::load::{Load, Report};
use caretrail_tests::until::until;

use crate::world::{BESIDE, PATIENCE, STRUCK, Served};

/// Workers of each caller.
const WORKERS: usize = 6;
/// How long a service may take to find out that a peer does not answer: a ping a minute, and time to answer it.
const PINGED: Duration = Duration::from_secs(150);
/// Windows of a load: before the fault, from it to the other peer's first block since, while it lasts, and after it.
const BEFORE: usize = 0;
const SINCE: usize = 1;
const DURING: usize = 2;
const AFTER: usize = 3;

pub(crate) async fn a_peer_is_restarted_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Restarted).await;
}

pub(crate) async fn a_peer_is_killed_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Killed).await;
}

pub(crate) async fn a_peer_is_stopped_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Stopped).await;
}

/// A stopped peer says nothing and answers no ping of the service's, which comes once a minute.
pub(crate) async fn a_peer_is_stopped_until_the_service_ends_its_stream(world: &mut Served) {
    let before = world.channel.state(STRUCK).await;
    world.await_streams(2).await;
    let struck = Fault::Stopped.strike(world.channel.network(), STRUCK).await;
    until("the service to end the stream", PINGED, async || {
        (world.channel.figure(STRUCK, "chaincode_streams", "") == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(world.channel.state(BESIDE).await, before);
    struck.heal(world.channel.network()).await;
    world.channel.await_node(STRUCK).await;
    assert_eq!(world.channel.state(STRUCK).await, before);
    world.await_streams(2).await;
}

async fn strike(world: &mut Served, fault: Fault) {
    world.journal.note(&format!("{STRUCK} is to be {fault}"));
    let load = Load::begin(&fault.to_string(), &world.callers, WORKERS);
    ended(&load, 60, "before the fault", |report| report.window == BEFORE).await;

    let struck = fault.strike(world.channel.network(), STRUCK).await;
    load.enter(SINCE);
    world.journal.note(&format!("{STRUCK} was {fault}"));
    // The service notices that the peer is gone, and goes on for the other one.
    if fault != Fault::Stopped {
        world.await_streams(1).await;
    }
    // A gateway has the peer endorse that has most blocks: from here on that is not the one that was struck.
    ended(&load, 1, "beside it", |report| report.window == SINCE && is_valid_at(report, BESIDE)).await;
    load.enter(DURING);
    ended(&load, 60, "beside it", |report| report.window == DURING && is_valid_at(report, BESIDE)).await;

    struck.heal(world.channel.network()).await;
    world.channel.await_node(STRUCK).await;
    load.enter(AFTER);
    world.journal.note(&format!("{STRUCK} is back"));
    ended(&load, 40, "through it", |report| report.window == AFTER && is_valid_at(report, STRUCK)).await;
    world.await_streams(2).await;
    ended(&load, 200, "in all", |_| true).await;

    let reports = load.end().await;
    world.await_idle().await;
    // Whoever calls the other peer meanwhile notices nothing.
    let reports = world.settle(reports).await;
    for report in reports.iter().filter(|report| report.peer == BESIDE && report.window == DURING) {
        let served = report.is_valid() || report.contended;
        assert!(served, "{} at {BESIDE}: {}", report.call, report.told);
    }
}

async fn ended(load: &Load, count: usize, what: &str, such: impl Fn(&Report) -> bool) {
    until(&format!("{count} transactions {what}"), PATIENCE, async || {
        (load.count(&such) >= count).then_some(())
    })
    .await;
}

fn is_valid_at(report: &Report, peer: &str) -> bool {
    report.peer == peer && report.is_valid()
}
