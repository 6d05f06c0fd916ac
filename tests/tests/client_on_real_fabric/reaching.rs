//! Several peers' gateways as one, and a peer that runs few calls at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use caretrail_tests::processes;
use caretrail_tests::until::until;
use futures_util::future::join_all;
use hlf_gateway::protos::gateway::EvaluateRequest;
use hlf_gateway::protos::gateway::gateway_client::GatewayClient;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    After, Committed, Contract, Deadlines, EndorseError, Endpoint, FailureCause, Gateway, Metrics,
    Observation, Operation, Outcome,
};

use crate::world::{NOTES, Notes, told};

/// The peer of North whose gateway runs ten calls at a time.
pub(crate) const NARROW: &str = "peer1.north.example.com";

pub(crate) fn narrow(world: &Notes) -> Endpoint {
    world.profile("north").gateways().unwrap().remove(1)
}

/// Both of North's peers, the narrow one preferred.
async fn both(world: &Notes, deadlines: Deadlines) -> Gateway {
    let mut endpoints = world.profile("north").gateways().unwrap();
    endpoints.reverse();
    Gateway::connect_any(&endpoints, world.credentials("north", "User1"), deadlines).await.unwrap()
}

pub(crate) async fn pid(world: &Notes, host: &str) -> u32 {
    let status = world.network.status().await.unwrap();
    status.nodes.iter().find(|node| node.name == host).unwrap().pid.unwrap()
}

async fn put(notes: &Contract, key: &str) -> Result<Committed, String> {
    let proposal = notes.proposal("Put").args([key, "x"]).build().unwrap();
    notes.submit(proposal).await.map_err(|error| told(&error))
}

#[derive(Default)]
struct Busy(AtomicUsize);

impl Metrics for Busy {
    fn observed(&self, observation: &Observation<'_>) {
        if observation.outcome == Outcome::Busy {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) async fn a_narrow_peer_serves_many_callers(world: &mut Notes) {
    let credentials = world.credentials("north", "User1");
    let gateway = Gateway::connect(&narrow(world), credentials, Deadlines::default()).await.unwrap();
    let read = || gateway.contract(world.channel(), NOTES).proposal("Get").arg("none").build().unwrap();

    // A plain client, which sends what it has, is refused.
    let channel = narrow(world).connect(Duration::from_secs(10)).await.unwrap();
    let calls = (0..200).map(async |_| {
        let proposal = read();
        let request = EvaluateRequest {
            transaction_id: proposal.tx_id().to_owned(),
            channel_id: world.channel().to_owned(),
            proposed_transaction: Some(proposal.signed().await.unwrap()),
            target_organizations: vec!["NorthMSP".to_owned()],
        };
        GatewayClient::new(channel.clone()).evaluate(request).await
    });
    let refused = join_all(calls).await.into_iter().filter_map(Result::err);
    let refused: Vec<_> = refused.map(|status| status.message().to_owned()).collect();
    assert!(!refused.is_empty());
    assert!(
        refused.iter().all(|message| message.contains("exceeding concurrency limit (10)")),
        "{refused:?}"
    );

    // 1,000 calls of 200 callers, a transaction among them each, and none of them fails.
    let busy = Arc::new(Busy::default());
    let gateway = gateway.with_metrics(busy.clone());
    let notes = gateway.contract(world.channel(), NOTES);
    let callers = (0..200).map(async |caller| {
        for _ in 0..4 {
            let proposal = notes.proposal("Get").arg("none").build().unwrap();
            proposal.evaluate().await.map_err(|error| told(&error))?;
        }
        put(&notes, &format!("narrow{caller}")).await
    });
    let results: Vec<Result<Committed, String>> = join_all(callers).await;
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let load = gateway.peers()[0].gateway;
    eprintln!(
        "refusals of {NARROW} while its limit was learnt: {}; {load:?}",
        busy.0.load(Ordering::Relaxed)
    );
    assert!((1..=10).contains(&load.limit), "{load:?}");
}

pub(crate) async fn a_stopped_and_a_killed_peer_are_gone_round(world: &mut Notes) {
    let soon = Duration::from_secs(30);
    let deadlines = Deadlines { evaluate: soon, endorse: soon, submit: soon, ..Deadlines::default() };
    let gateway = both(world, deadlines).await;
    let notes = gateway.contract(world.channel(), NOTES);
    let answers = |wanted: bool| {
        let gateway = gateway.clone();
        async move {
            until("the peer's state to be seen", Duration::from_secs(60), async || {
                (gateway.peers()[0].answers == wanted).then_some(())
            })
            .await;
        }
    };
    let transactions = async |name: &str| {
        let callers = (0..10).map(async |caller| {
            let mut done = Vec::new();
            for number in 0..4 {
                done.push(put(&notes, &format!("{name}{caller}-{number}")).await);
            }
            done
        });
        join_all(callers).await.into_iter().flatten().collect::<Vec<_>>()
    };

    put(&notes, "first").await.unwrap();
    let pid_before = pid(world, NARROW).await;
    processes::pause(pid_before);
    let mut all = transactions("stopped").await;
    answers(false).await;
    processes::resume(pid_before);
    answers(true).await;
    all.extend(transactions("resumed").await);

    processes::crash(pid_before);
    all.extend(transactions("killed").await);
    answers(false).await;
    world.up().await;
    answers(true).await;
    all.extend(transactions("restarted").await);

    // Each is on the chain, VALID, and once.
    assert_eq!(all.len(), 160);
    let admin = world.gateway("south", "Admin").await;
    let (first, last) = {
        let blocks = all.iter().map(|done| done.as_ref().unwrap().block_number);
        (blocks.clone().min().unwrap(), blocks.max().unwrap())
    };
    let mut seen = Vec::new();
    let mut blocks = admin.filtered_blocks(world.channel(), first..=last).await.unwrap();
    while let Some(block) = blocks.next().await.unwrap() {
        for transaction in block.filtered_transactions {
            if transaction.tx_validation_code() == TxValidationCode::Valid {
                seen.push((transaction.txid, block.number));
            }
        }
    }
    for done in all.iter().map(|done| done.as_ref().unwrap()) {
        let times = seen.iter().filter(|(tx_id, block)| *tx_id == done.tx_id && *block == done.block_number);
        assert_eq!(times.count(), 1, "{}", done.tx_id);
    }
}

pub(crate) async fn what_was_written_is_read_at_another_peer(world: &mut Notes) {
    let north = world.notes().await;
    let south = world.gateway("south", "User1").await.contract(world.channel(), NOTES);
    for round in 0..20 {
        let value = round.to_string();
        let proposal = north.proposal("Put").args(["handed over", &value]).build().unwrap();
        let done = north.submit(proposal).await.unwrap();
        let after = if round % 2 == 0 { After::from(&done) } else { After::Transaction(done.tx_id.clone()) };
        let read = south.proposal("Get").arg("handed over").build().unwrap();
        assert_eq!(read.evaluate_after(&after).await.unwrap(), value.as_bytes());
    }
}

/// How often a gateway refused an endorsement.
#[derive(Default)]
struct Refusals(AtomicUsize);

impl Metrics for Refusals {
    fn observed(&self, observation: &Observation<'_>) {
        if observation.operation == Operation::Endorse && matches!(observation.outcome, Outcome::Refused(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) async fn an_endorser_that_was_away_is_waited_for(world: &mut Notes) {
    let patience = Duration::from_secs(120);
    let gateway = world.gateway("north", "User1").await;
    let at = |gateway: &Gateway, gossip| {
        let deadlines = Deadlines { endorse: patience, gossip, ..Deadlines::default() };
        gateway.with_deadlines(deadlines).contract(world.channel(), NOTES)
    };
    let call = |notes: &Contract| notes.proposal("Put").args(["away", "x"]).build().unwrap();
    let south = world.profile("south").peers[0].address.clone();
    processes::crash(pid(world, "peer0.south.example.com").await);

    // Whoever does not wait is told that South's peer is away: first by the call that fails on it, and then, by its
    // address or without, by a gateway that knows it.
    let impatient = at(&gateway, Duration::ZERO);
    until("the gateway to know", patience, async || {
        let Err(EndorseError::Failed { source, .. }) = call(&impatient).endorse().await else {
            panic!("endorsed by one")
        };
        assert!(source.is_retryable(), "{source}");
        match source.cause() {
            Some(FailureCause::NodeUnreachable) => {
                assert!(source.peers().iter().any(|peer| peer.address == south), "{source}");
                None
            }
            Some(FailureCause::TooFewEndorsers) => Some(()),
            _ => panic!("{source}"),
        }
    })
    .await;

    let refusals = Arc::new(Refusals::default());
    let notes = at(&gateway.with_metrics(refusals.clone()), patience);
    let proposal = call(&notes);
    let tx_id = proposal.tx_id().to_owned();
    let waiting = tokio::spawn(async move { notes.submit(proposal).await });
    until("the call to be refused", patience, async || {
        (refusals.0.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    world.up().await;
    let committed = waiting.await.unwrap().unwrap_or_else(|error| panic!("{}", told(&error)));
    assert_eq!(committed.tx_id, tx_id, "the very transaction");
}
