//! Processes that are down, and that come back.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use caretrail_tests::caretrail::Failure;
use caretrail_tests::hospitals::{Node, Status, text};
use caretrail_tests::processes;
use caretrail_tests::until::until;

use crate::world::Ward;

/// How long two peers may take to endorse.
const ENDORSED_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn a_second_up_starts_nothing(ward: &mut Ward) {
    let (before, marked) = (ward.status().await, processes::marked(ward.caretrail.state()));
    assert_eq!(marked.len(), 5, "an orderer, two peers, two chaincode services");
    let status = ward.caretrail.run("network up").await.done();
    assert_eq!(status["ready"], true);
    assert_eq!(pids(&ward.status().await), pids(&before));
    assert_eq!(processes::marked(ward.caretrail.state()), marked);
    assert_eq!(heights(&ward.status().await), heights(&before), "nothing was approved or committed again");
}

pub(crate) async fn a_peer_down_at_endorsement_is_named_and_comes_back(ward: &mut Ward) {
    let (before, running) = (ward.transactions().await, ward.status().await);
    ward.crash("peer0.south.example.com").await;
    let status = ward.caretrail.run("network status").await;
    assert_eq!(status.exit, Some(1), "{status:?}");
    let down = ward.node("peer0.south.example.com").await;
    assert!(down.problem.as_deref().is_some_and(|problem| problem.contains("not run")), "{down:?}");

    // North's peer is there, South's endorsement is missing. As soon as North's peer notices that South's is gone,
    // it asks nobody any more and so names nobody.
    let failure = ward.run_as("north/ada", &ward.add()).await.failed("NOT_ENDORSED");
    assert_eq!((failure.stage.as_str(), failure.retryable), ("endorse", true), "{failure:?}");
    if failure.address.is_some() {
        assert_names(&failure, "endorse", &down);
    }
    assert!(failure.fix.contains("peer"), "{}", failure.fix);
    // South's own people do not reach theirs.
    let failure = ward.run_as("south/ben", &ward.request()).await.failed("PEER_UNREACHABLE");
    assert_eq!(failure.address, down.address);
    assert!(failure.retryable && failure.fix.contains("network status"), "{failure:?}");
    assert_eq!(ward.transactions().await, before, "nothing was submitted");

    ward.caretrail.run("network up").await.done();
    let restarted = ward.status().await;
    assert_eq!(changed(&running, &restarted), ["peer0.south.example.com"]);
    let heights = heights(&restarted);
    assert!(heights.iter().all(|(_, height)| *height == heights[0].1), "the ledgers agree: {heights:?}");
    ward.demand_health().await;
}

pub(crate) async fn a_chaincode_service_down_is_named_and_comes_back(ward: &mut Ward) {
    let (before, running) = (ward.transactions().await, ward.status().await);
    ward.crash("chaincode.south.example.com").await;
    let peer = ward.node("peer0.south.example.com").await;
    for (identity, line) in [("north/ada", ward.add()), ("south/ben", ward.request())] {
        let failure = ward.run_as(identity, &line).await.failed("NOT_ENDORSED");
        assert_names(&failure, "endorse", &peer);
        assert!(failure.fix.contains("can't reach the chaincode"), "{}", failure.fix);
        assert!(failure.retryable);
    }
    let failure = ward.run_as("south/auditor", "policy show").await.failed("NOT_EVALUATED");
    assert_names(&failure, "evaluate", &peer);
    assert!(failure.fix.contains("can't reach the chaincode"), "{}", failure.fix);
    assert_eq!(ward.transactions().await, before, "nothing was submitted");

    ward.caretrail.run("network up").await.done();
    assert_eq!(changed(&running, &ward.status().await), ["chaincode.south.example.com"]);
    ward.demand_health().await;
}

pub(crate) async fn an_orderer_down_leaves_the_outcome_unknown(ward: &mut Ward) {
    let (before, running) = (ward.transactions().await, ward.status().await);
    who_interrupts_a_transaction_is_told_its_id(ward).await;
    ward.crash("orderer0.orderer.example.com").await;
    let line = format!("{} --request {}", ward.request(), "9".repeat(32));
    let failure = ward.run_as("south/ben", &line).await.unknown();
    assert_eq!(failure.stage, "submit");
    assert!(failure.fix.contains("by its id"), "{}", failure.fix);
    let tx_id = failure.tx_id.unwrap();
    assert!(tx_id.len() == 64 && failure.message.contains(&tx_id), "{}", failure.message);

    // The peers come anew with it: one that outlived the orderer would dial it again only when it sees fit.
    ward.caretrail.run("network up").await.done();
    let restarted = ["orderer0.orderer.example.com", "peer0.north.example.com", "peer0.south.example.com"];
    assert_eq!(changed(&running, &ward.status().await), restarted);
    // Asked again under the same id it is decided now, and only now: what was unknown had reached no block.
    let decided = ward.run_as("south/ben", &line).await.denied();
    assert_eq!(decided["decision"], decided["tx_id"]);
    assert_ne!(text(&decided["decision"]), tx_id);
    assert_eq!(ward.transactions().await, before + 1);
    ward.demand_health().await;
}

/// An orderer that stands still keeps the transaction waiting; it is killed with what it has not read.
async fn who_interrupts_a_transaction_is_told_its_id(ward: &mut Ward) {
    let orderer = ward.node("orderer0.orderer.example.com").await;
    processes::pause(orderer.pid.unwrap());
    let log = ward.caretrail.network_folder().join("logs/peer0.south.example.com.log");
    let endorsed = || fs::read_to_string(&log).unwrap().matches("grpc.method=Endorse").count();
    let before = endorsed();
    let line = format!("{} --request {} --identity south/ben", ward.request(), "8".repeat(32));
    let mut command = ward.caretrail.command(&line);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the transaction to be endorsed", ENDORSED_WITHIN, async || (endorsed() > before).then_some(()))
        .await;
    processes::interrupt(child.id().unwrap());
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let failure: Failure = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(failure.code, "OUTCOME_UNKNOWN");
    let tx_id = failure.tx_id.unwrap();
    assert!(failure.fix.contains(&format!("caretrail tx status {tx_id}")), "{}", failure.fix);
}

pub(crate) async fn down_and_up_keep_the_ledgers(ward: &mut Ward) {
    let before = ward.status().await;
    let blocks = ward.chain().await.blocks().to_vec();
    ward.caretrail.run("network down").await;
    assert_eq!(processes::marked(ward.caretrail.state()), [0_u32; 0]);
    let status = ward.status().await;
    assert!(!status.ready && status.nodes.iter().all(|node| node.pid.is_none()), "{status:?}");
    // Down twice is down.
    let again = ward.caretrail.run("network down").await;
    assert_eq!(again.exit, Some(0), "{again:?}");

    ward.caretrail.run("network up").await.done();
    let after = ward.status().await;
    assert_eq!(heights(&after), heights(&before));
    assert_eq!(changed(&before, &after).len(), 5, "all were started");
    assert_eq!(addresses(&after), addresses(&before));
    assert_eq!(ward.chain().await.blocks(), blocks);
    ward.demand_health().await;
}

pub(crate) async fn a_port_in_use_is_named_with_its_holder(ward: &mut Ward) {
    let address = ward.node("peer0.south.example.com").await.address.unwrap();
    ward.caretrail.run("network down").await;
    let taken = TcpListener::bind(&address).unwrap();
    let failure = ward.caretrail.run("network up").await.failed("NETWORK_FAILED");
    let port = taken.local_addr().unwrap().port().to_string();
    let holder = format!("process {}", std::process::id());
    for expected in [port.as_str(), "peer0.south.example.com", holder.as_str(), "stop that process"] {
        assert!(failure.message.contains(expected), "{expected}: {}", failure.message);
    }
    drop(taken);
    ward.caretrail.run("network up").await.done();
    ward.demand_health().await;
}

/// The failure names the node that did not do its part.
fn assert_names(failure: &Failure, stage: &str, node: &Node) {
    assert_eq!((failure.stage.as_str(), failure.msp_id.as_deref()), (stage, Some("SouthMSP")), "{failure:?}");
    assert_eq!(failure.address, node.address, "{failure:?}");
}

fn pids(status: &Status) -> Vec<(&str, Option<u32>)> {
    status.nodes.iter().map(|node| (node.name.as_str(), node.pid)).collect()
}

fn addresses(status: &Status) -> Vec<Option<&str>> {
    status.nodes.iter().map(|node| node.address.as_deref()).collect()
}

fn heights(status: &Status) -> Vec<(&str, u64)> {
    status.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.height?))).collect()
}

/// The nodes that are other processes than before.
fn changed<'s>(before: &Status, after: &'s Status) -> Vec<&'s str> {
    let before = pids(before);
    pids(after)
        .into_iter()
        .filter(|node| node.1.is_some() && !before.contains(node))
        .map(|(name, _)| name)
        .collect()
}
