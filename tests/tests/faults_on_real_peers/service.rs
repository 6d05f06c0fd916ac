//! The service of two peers is killed and started again.

use caretrail_tests::fault::Fault;
use caretrail_tests::load::{Load, Outcome};
use caretrail_tests::until::until;

use crate::world::{BESIDE, PATIENCE, SERVICE, STRUCK, Served};

/// Each peer's very next proposal is served: no proposal in between finds out for it that the service is back.
pub(crate) async fn a_killed_service_serves_the_next_proposals_once_it_is_back(world: &mut Served) {
    let before = world.channel.state(STRUCK).await;
    let struck = Fault::Killed.strike(world.channel.network(), SERVICE).await;
    struck.heal(world.channel.network()).await;
    // It answers with figures of its own once it listens: nothing was asked of it yet.
    world.await_streams(0).await;
    for (peer, streams) in [(STRUCK, 1), (BESIDE, 2)] {
        assert_eq!(world.channel.state(peer).await, before, "{peer}");
        world.await_streams(streams).await;
    }
}

pub(crate) async fn a_service_is_killed_while_transactions_run(world: &mut Served) {
    let load = Load::begin("service", &world.callers, 4);
    until("transactions before the fault", PATIENCE, async || {
        (load.count(|report| report.is_valid()) >= 30).then_some(())
    })
    .await;
    let struck = Fault::Killed.strike(world.channel.network(), SERVICE).await;
    load.enter(1);
    world.journal.note("the service was killed");
    let refused = |told: &Outcome| matches!(told, Outcome::NotSubmitted { .. });
    until("callers at every peer to be told", PATIENCE, async || {
        let told = |peer| load.count(|report| report.peer == peer && refused(&report.told)) >= 3;
        world.callers.iter().all(|caller| told(caller.peer())).then_some(())
    })
    .await;
    struck.heal(world.channel.network()).await;
    until("the service to answer", PATIENCE, async || world.channel.figure(STRUCK, "chaincode_streams", ""))
        .await;
    load.enter(2);
    world.journal.note("the service is back");
    until("every caller to be served again", PATIENCE, async || {
        let served = |peer| load.count(|r| r.window == 2 && r.peer == peer && r.is_valid()) >= 10;
        world.callers.iter().all(|caller| served(caller.peer())).then_some(())
    })
    .await;
    world.await_streams(2).await;
    let reports = load.end().await;
    world.await_idle().await;
    // It failed while it was endorsed, or it was endorsed: what a service loses leaves nothing in doubt.
    for report in world.settle(reports).await {
        let known = !matches!(report.told, Outcome::Unknown { .. } | Outcome::Hung);
        assert!(known, "{}: {}", report.call, report.told);
    }
}
