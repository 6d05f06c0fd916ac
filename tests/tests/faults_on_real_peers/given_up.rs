//! A peer gives a transaction up after its execute timeout and tells the service nothing.

use std::path::Path;

use caretrail_tests::channel::CHAINCODE;
use caretrail_tests::fault::Process;
use caretrail_tests::load::{Load, Report, deadlines};
use caretrail_tests::tally::{Gate, HOLD, TRANSACTION_LIMIT_MS};
use caretrail_tests::until::until;
use hlf_gateway::{Endorser, EndorserError};
use tokio::task::JoinHandle;

use crate::world::{LIMIT_MS, PATIENCE, SERVICE, STRUCK, Served};

/// The peer's own setting, in the place of 30 s.
const EXECUTE_TIMEOUT: (&str, &str) = ("CORE_CHAINCODE_EXECUTETIMEOUT", "2s");
const IN_FLIGHT: &str = "chaincode_transactions_in_flight";

/// A transaction that its contract holds.
struct Held {
    gate: Gate,
    answer: JoinHandle<Result<Vec<u8>, EndorserError>>,
}

pub(crate) async fn what_a_peer_gave_up_is_released_when_its_contract_asks_again(world: &mut Served) {
    limit(world, "600000").await;
    start_anew(world, Some(EXECUTE_TIMEOUT)).await;
    let held = hold(world, "asks").await;
    given_up(world, held.answer).await;
    // The service cannot know it yet; all others proceed.
    assert_eq!(world.channel.figure(STRUCK, IN_FLIGHT, ""), Some(1.0));
    let reports = others_proceed(world, "beside-held").await;
    assert_eq!(world.channel.figure(STRUCK, IN_FLIGHT, ""), Some(1.0));

    held.gate.open();
    let read = until("the contract to ask", PATIENCE, async || held.gate.read()).await;
    assert!(read.starts_with("refused: the peer refused a GET_STATE"), "{read}");
    world.await_idle().await;
    world.settle(reports).await;
    limit(world, LIMIT_MS).await;
}

pub(crate) async fn what_a_peer_gave_up_is_released_by_the_services_own_limit(world: &mut Served) {
    limit(world, "20000").await;
    start_anew(world, Some(EXECUTE_TIMEOUT)).await;
    let ended =
        |world: &Served| world.channel.figure(STRUCK, "chaincode_transactions_total", "\"timed_out\"");
    let before = ended(world).expect("figures");
    let held = hold(world, "silent").await;
    given_up(world, held.answer).await;
    assert_eq!(world.channel.figure(STRUCK, IN_FLIGHT, ""), Some(1.0));
    world.await_idle().await;
    until("it to be counted", PATIENCE, async || (ended(world) == Some(before + 1.0)).then_some(())).await;
    assert_eq!(held.gate.read(), None, "the contract never asked");

    let reports = others_proceed(world, "after-held").await;
    limit(world, LIMIT_MS).await;
    start_anew(world, None).await;
    world.settle(reports).await;
}

/// Has North's service end transactions of its own accord after so many milliseconds.
async fn limit(world: &Served, milliseconds: &str) {
    let network = world.channel.network();
    let service = Process::of(network, SERVICE);
    service.end(network).await;
    service.with(TRANSACTION_LIMIT_MS, milliseconds).start(network).await;
}

/// Starts the peer again, with a setting or as it was first started.
async fn start_anew(world: &Served, setting: Option<(&str, &str)>) {
    let network = world.channel.network();
    let peer = Process::of(network, STRUCK);
    peer.end(network).await;
    match setting {
        Some((name, value)) => peer.with(name, value).start(network).await,
        None => peer.without(EXECUTE_TIMEOUT.0).start(network).await,
    }
    world.channel.await_node(STRUCK).await;
    // It dials its service at its first proposal.
    world.channel.state(STRUCK).await;
    world.await_idle().await;
}

/// Has the peer itself, and no gateway that would try elsewhere, run what its contract holds.
async fn hold(world: &Served, name: &str) -> Held {
    let folder = world.channel.network().layout().root().parent().expect("the stage").join(name);
    let gate = Gate::new(folder);
    let endorser = world.channel.gateway(STRUCK, "User1", deadlines()).endorser();
    let answer = tokio::spawn(ask(endorser, world.channel.name().to_owned(), gate.folder().to_owned()));
    until("the contract to hold it", PATIENCE, async || gate.is_reached().then_some(())).await;
    Held { gate, answer }
}

async fn ask(
    endorser: Endorser,
    channel: String,
    gate: impl AsRef<Path> + Send,
) -> Result<Vec<u8>, EndorserError> {
    let folder = serde_json::to_vec(gate.as_ref()).expect("a path");
    endorser.call(channel, CHAINCODE, HOLD).arg(folder).send().await
}

/// The caller hears from the peer that it gave up, before the caller's own deadline.
async fn given_up(world: &Served, answer: JoinHandle<Result<Vec<u8>, EndorserError>>) {
    let error = answer.await.expect("an answer").expect_err("nobody opened the gate");
    let said = caretrail_records::failure::chain(&error);
    world.journal.note(&format!("the peer gave up: {said}"));
    assert!(said.contains("timeout expired while executing transaction"), "{said}");
}

/// Transactions of every caller end VALID, those of the same peer among them.
async fn others_proceed(world: &Served, name: &str) -> Vec<Report> {
    let load = Load::begin(name, &world.callers, 2);
    until("others to proceed", PATIENCE, async || {
        let valid = |peer| load.count(|report| report.peer == peer && report.is_valid()) >= 10;
        world.callers.iter().all(|caller| valid(caller.peer())).then_some(())
    })
    .await;
    load.end().await
}
