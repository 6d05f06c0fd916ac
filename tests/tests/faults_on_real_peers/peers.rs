//! A peer is struck while its organisation's service has transactions of it and of another peer.

use caretrail_tests::fault::Fault;
use caretrail_tests::load::{Load, Report};
use caretrail_tests::until::until;

use crate::world::{BESIDE, PATIENCE, STRUCK, Served};

/// Workers of each caller.
const WORKERS: usize = 6;
/// Windows of a load: before the fault, while it lasts, and after it.
const BEFORE: usize = 0;
const DURING: usize = 1;
const AFTER: usize = 2;

pub(crate) async fn a_peer_is_restarted_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Restarted).await;
}

pub(crate) async fn a_peer_is_killed_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Killed).await;
}

pub(crate) async fn a_peer_is_stopped_while_transactions_run(world: &mut Served) {
    strike(world, Fault::Stopped).await;
}

async fn strike(world: &mut Served, fault: Fault) {
    world.journal.note(&format!("{STRUCK} is to be {fault}"));
    let load = Load::begin(&fault.to_string(), &world.callers, WORKERS);
    ended(&load, 60, "before the fault", |report| report.window == BEFORE).await;

    let struck = fault.strike(world.channel.network(), STRUCK).await;
    load.enter(DURING);
    world.journal.note(&format!("{STRUCK} was {fault}"));
    // The service notices that the peer is gone, and goes on for the other one.
    if fault != Fault::Stopped {
        world.await_streams(1).await;
    }
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
    // Whoever calls the other peer notices nothing.
    for report in world.settle(reports).await.iter().filter(|report| report.peer == BESIDE) {
        let served = report.is_valid() || report.contended;
        assert!(served, "{} at {BESIDE}: {}", report.tx_id, report.told);
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
