//! A running network becomes another one by its spec, on real Fabric processes, while transactions run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hlf_gateway::{Committed, Deadlines, Endorser, Gateway, TransactionError};
use hlf_network::Event;
use hlf_network::network::{ApplyError, JoinError, Network, StateError, UpError};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT};
use hlf_protos::common::{Block, ChannelHeader, Envelope, HeaderType, Payload};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;

use crate::bench::{Bench, marked, say, told};
use crate::shelf::{edition, gateway_with, has, put, ready, shelf, up};

/// The organisations of the clients that write at the same time.
pub(crate) const WRITERS: [&str; 6] = ["north", "south", "north", "south", "north", "south"];

/// Once told to stop, a writer tries this often until one of its transactions is acknowledged: those of the beginning
/// may all have been lost with a leader that left.
const LAST_TRIES: usize = 20;

/// How long a peer may take to have what another has.
const LEVEL_WITHIN: Duration = Duration::from_secs(60);

/// How long a writer waits for a block, before it goes on with another transaction.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What came of transactions that were sent one after the other.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Ids of those that were said to be committed and valid.
    pub(crate) acknowledged: Vec<String>,
    /// Why others were not endorsed or not taken.
    pub(crate) failed: Vec<String>,
    /// Ids and reasons of those of which nothing is known.
    pub(crate) unknown: Vec<(String, String)>,
}

/// Puts values until it is told to stop, and one at least.
pub(crate) async fn write(network: Arc<Network>, organization: &'static str, stop: Arc<AtomicBool>) -> Sent {
    let deadlines = Deadlines { commit_status: PATIENCE, ..Deadlines::default() };
    write_by(gateway_with(&network, organization, deadlines).await, organization.to_owned(), stop).await
}

/// The same through a gateway.
pub(crate) async fn write_by(gateway: Gateway, name: String, stop: Arc<AtomicBool>) -> Sent {
    let contract = gateway.contract("consortium", "shelf");
    let mut sent = Sent::default();
    let mut tries = 0..LAST_TRIES;
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) && (!sent.acknowledged.is_empty() || tries.next().is_none()) {
            break;
        }
        let proposal = contract.proposal("Put").arg(format!("{name} {number}"));
        sent.take(contract.submit(proposal.build().unwrap()).await);
    }
    sent
}

impl Sent {
    pub(crate) fn take(&mut self, came: Result<Committed, TransactionError>) {
        match came {
            Ok(committed) => self.acknowledged.push(committed.tx_id),
            Err(error @ TransactionError::Unknown { .. }) => {
                let TransactionError::Unknown { tx_id, .. } = &error else { unreachable!() };
                self.unknown.push((tx_id.clone(), told(&error)));
            }
            Err(error) => self.failed.push(told(&error)),
        }
    }
}

/// How many transactions came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) acknowledged: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
}

/// Ids of the valid transactions on an organisation's first peer, in order, read block by block.
pub(crate) async fn ledger(network: &Network, organization: &str) -> Vec<String> {
    let organization = network.spec().organization(organization).unwrap();
    let profile = network.profile(organization).unwrap();
    let endpoint = profile.gateway().unwrap();
    let admin = network.admin_credentials(organization).unwrap();
    let endorser = Endorser::connect(&endpoint, admin, Deadlines::default()).await.unwrap();
    let status = network.status().await.unwrap();
    let height = status.nodes.iter().find(|node| node.name == profile.peers[0].host).unwrap().height.unwrap();
    let mut found = Vec::new();
    for number in 0..height {
        let call = endorser.call("consortium", "qscc", "GetBlockByNumber").arg("consortium");
        let bytes = call.arg(number.to_string()).send().await.unwrap();
        let block = Block::decode(bytes.as_slice()).unwrap();
        let codes = block.metadata.unwrap().metadata[2].clone();
        for (bytes, code) in block.data.unwrap().data.iter().zip(codes) {
            let envelope = Envelope::decode(bytes.as_slice()).unwrap();
            let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
            let header = ChannelHeader::decode(payload.header.unwrap().channel_header.as_slice()).unwrap();
            if header.r#type == i32::from(HeaderType::EndorserTransaction)
                && i32::from(code) == i32::from(TxValidationCode::Valid)
            {
                found.push(header.tx_id);
            }
        }
    }
    found
}

/// Every acknowledged transaction is in the ledger once; what was unknown is told honestly.
pub(crate) async fn assert_nothing_lost(network: &Network, organization: &str, sent: &[Sent]) -> Counted {
    // Another organisation's peer may have told of a block before this one's has it.
    let begun = Instant::now();
    let once = loop {
        let ledger = ledger(network, organization).await;
        let length = ledger.len();
        let once: BTreeSet<String> = ledger.into_iter().collect();
        assert_eq!(once.len(), length, "a transaction is valid twice");
        let mut ids = sent.iter().flat_map(|sent| &sent.acknowledged);
        if begun.elapsed() > LEVEL_WITHIN || ids.all(|id| once.contains(id)) {
            break once;
        }
    };
    let acknowledged: usize = sent.iter().map(|sent| sent.acknowledged.len()).sum();
    for sent in sent {
        for id in &sent.acknowledged {
            assert!(once.contains(id), "{id} was acknowledged and is not in the ledger");
        }
        for (id, reason) in &sent.unknown {
            let there = once.contains(id);
            eprintln!("unknown, and {}committed: {reason}", if there { "" } else { "not " });
        }
    }
    // In their first words, which differ by no id.
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in sent.iter().flat_map(|sent| &sent.failed) {
        let cause = reason.lines().last().unwrap_or_default();
        *reasons.entry(cause).or_default() += 1;
    }
    for (reason, count) in reasons {
        eprintln!("{count} failed: {reason}");
    }
    let failed: usize = sent.iter().map(|sent| sent.failed.len()).sum();
    let unknown: usize = sent.iter().map(|sent| sent.unknown.len()).sum();
    eprintln!("{acknowledged} acknowledged, all in the ledger; {failed} failed, {unknown} unknown");
    assert!(acknowledged > 0);
    Counted { acknowledged, failed, unknown }
}

async fn apply(network: Network, target: &Consortium) -> Network {
    let options = edition(target, std::env::current_exe().unwrap(), "first");
    let begun = Instant::now();
    let network = match network.apply(Some(target), &options, &say).await {
        Ok(network) => network,
        Err(error) => panic!("{}", told(&error)),
    };
    eprintln!("applied in {:?}", begun.elapsed());
    ready(&network).await;
    assert!(network.plan(Some(target)).unwrap().changes.is_empty());
    assert_eq!(Network::existing(network.layout().root()).unwrap().spec(), target);
    network
}

/// Applies while each of two organisations writes, and counts from the blocks.
async fn apply_under_load(network: Network, target: &Consortium, counted_at: &str) -> Network {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Network::existing(network.layout().root()).unwrap());
    let writers = WRITERS.map(|name| tokio::spawn(write(seen.clone(), name, stop.clone())));
    let network = apply(network, target).await;
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    assert_nothing_lost(&network, counted_at, &sent).await;
    network
}

pub(crate) async fn a_running_network_grows_and_shrinks() {
    let bench = Bench::new("growth");
    let first = shelf();
    let network = Network::new(&bench.folder, first.clone()).unwrap();
    up(&network, &edition(&first, std::env::current_exe().unwrap(), "first")).await;
    put(&network, "north", "of two").await;

    // A third organisation; `up` says that this is not its work.
    let mut three = first.clone();
    three.set_organizations(&["north", "south", "east"]).unwrap();
    let plan = network.plan(Some(&three)).unwrap();
    let words: Vec<String> = plan.changes.iter().map(|planned| planned.change.to_string()).collect();
    assert_eq!(words, ["`east` joins the channel, with its peers"]);
    let other = Network::new(&bench.folder, three.clone()).unwrap();
    let options = edition(&three, std::env::current_exe().unwrap(), "first");
    let error = other.up(&options, &say).await.unwrap_err();
    assert!(matches!(error, UpError::State(StateError::Changed { .. })), "{}", told(&error));
    let begun = Instant::now();
    let network = apply(network, &three).await;
    eprintln!("a third organisation joined a running channel in {:?}", begun.elapsed());
    put(&network, "east", "of three").await;
    has(&network, "north", "of three").await;

    // The one consenter is replaced while two organisations write; a peer comes too.
    let mut moved = three.clone();
    moved.orderer.consenters = vec!["orderer1".to_owned()];
    moved.organizations[0].peers.push("peer1".to_owned());
    moved.channel.max_message_count = 50;
    let network = apply_under_load(network, &moved, "south").await;
    let config = network.channel_config().await.unwrap();
    assert_eq!(config.consenters().unwrap().len(), 1);
    assert!(!network.layout().root().join("nodes/orderer0.orderer.example.com").exists());

    // Who joins now finds none of the orderers that the first block names.
    let mut four = moved.clone();
    four.set_organizations(&["north", "south", "east", "west"]).unwrap();
    let network = apply(network, &four).await;
    put(&network, "west", "of four").await;

    // The other way round.
    let mut two = moved.clone();
    two.organizations.retain(|organization| organization.name != "east");
    two.organizations[0].peers.retain(|peer| peer != "peer0");
    let network = apply(network, &two).await;
    assert_eq!(network.channel_config().await.unwrap().organizations().unwrap(), ["NorthMSP", "SouthMSP"]);
    put(&network, "north", "of two again").await;
    has(&network, "south", "of two again").await;
    assert_eq!(marked(&bench.folder).len(), 1 + 2 + 2);
    network.destroy(&say).await.unwrap();
}

/// How soon the peers know each other again is gossip's affair, and takes minutes at times.
pub(crate) async fn an_organization_that_left_comes_back() {
    let bench = Bench::new("comes-back");
    let two = shelf();
    let mut three = two.clone();
    three.set_organizations(&["north", "south", "east"]).unwrap();
    let network = Network::new(&bench.folder, three.clone()).unwrap();
    up(&network, &edition(&three, std::env::current_exe().unwrap(), "first")).await;
    put(&network, "east", "of three").await;
    let network = apply(network, &two).await;
    put(&network, "north", "of two").await;
    let network = apply(network, &three).await;
    put(&network, "east", "back").await;
    network.destroy(&say).await.unwrap();
}

/// The network that the interrupted apply leads to.
fn grown() -> Consortium {
    let mut target = shelf();
    target.set_organizations(&["north", "east"]).unwrap();
    target.organizations[0].peers.push("peer1".to_owned());
    target.orderer.consenters.push("orderer1".to_owned());
    target
}

/// Applies in a process of its own, which prints a line for every event.
pub(crate) async fn apply_aloud(folder: &Path) {
    let target = grown();
    let network = Network::existing(folder).unwrap();
    let options = edition(&target, std::env::current_exe().unwrap(), "first");
    let aloud = |event: &Event<'_>| println!("{event:?}");
    if let Err(error) = network.apply(Some(&target), &options, &aloud).await {
        eprintln!("{}", told(&error));
        std::process::exit(1);
    }
}

pub(crate) async fn an_apply_is_killed_and_goes_on() {
    let bench = Bench::new("apply-killed");
    let network = Network::new(&bench.folder, shelf()).unwrap();
    up(&network, &edition(&shelf(), std::env::current_exe().unwrap(), "first")).await;
    let mut kills = 0;
    // Each run gets further than the one before.
    for events in (3..).step_by(7) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("apply")
            .arg(&bench.folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard = lines.take(events).count();
        if heard == events {
            child.kill().unwrap();
            kills += 1;
        }
        let status = child.wait().unwrap();
        if heard < events {
            assert!(status.success());
            break;
        }
        // Another spec is refused until this one is true.
        let network = Network::existing(&bench.folder).unwrap();
        if network.unfinished().unwrap().is_some() {
            let refused = network.plan(Some(&shelf())).unwrap_err();
            assert!(told(&refused).contains("half done"), "{}", told(&refused));
        }
    }
    eprintln!("killed {kills} times");
    assert!(kills > 3);
    let network = Network::existing(&bench.folder).unwrap();
    assert_eq!(network.spec(), &grown());
    assert!(network.unfinished().unwrap().is_none());
    ready(&network).await;
    assert_eq!(marked(&bench.folder).len(), 2 + 3 + 2);
    put(&network, "east", "after all").await;
    has(&network, "north", "after all").await;
    network.destroy(&say).await.unwrap();
}

pub(crate) async fn a_bft_consenter_is_replaced_under_load() {
    let bench = Bench::new("bft-replaced");
    let consenters = r#"["orderer0", "orderer1", "orderer2", "orderer3"]"#;
    let text = DEFAULT.replacen("\"raft\"", "\"bft\"", 1).replacen(r#"["orderer0"]"#, consenters, 1);
    let mut spec = Consortium::parse(&text).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    up(&network, &edition(&spec, std::env::current_exe().unwrap(), "first")).await;
    put(&network, "north", "with four").await;

    // The leader, when all began together, is the first one.
    let mut target = spec.clone();
    target.orderer.consenters.remove(0);
    target.orderer.consenters.push("orderer4".to_owned());
    let network = apply_under_load(network, &target, "north").await;
    put(&network, "south", "with another four").await;
    has(&network, "north", "with another four").await;
    assert_eq!(network.channel_config().await.unwrap().consenters().unwrap().len(), 4);

    // The leader again, while nobody writes: until the next block the nodes tell of the one that has left.
    let led = network.status().await.unwrap().nodes.into_iter().find(|node| node.leads == Some(true));
    let led = led.expect("a leader, as of the newest block").name;
    let service = target.orderer.clone();
    target.orderer.consenters.retain(|name| service.host(name) != led);
    target.orderer.consenters.push("orderer5".to_owned());
    let network = apply(network, &target).await;
    let readiness = network.readiness().await.unwrap();
    assert!(readiness.ready, "{readiness:#?}");
    put(&network, "north", "under whoever leads now").await;
    network.destroy(&say).await.unwrap();
}

/// A target that Fabric would never take is left for another one; what was done on the way to it stays.
pub(crate) async fn an_apply_that_cannot_succeed_is_given_up() {
    let bench = Bench::new("apply-instead");
    let network = Network::new(&bench.folder, shelf()).unwrap();
    let options = edition(&shelf(), std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    let mut wanted = shelf();
    wanted.organizations[0].peers.push("peer1".to_owned());
    let mut vain = wanted.clone();
    let mut chaincode = Chaincode::new("shelf", "shelf_1");
    chaincode.sequence = 7;
    vain.set_chaincode(chaincode).unwrap();
    for target in [Some(&vain), None] {
        let network = Network::existing(&bench.folder).unwrap();
        let error = network.apply(target, &options, &say).await.unwrap_err();
        assert!(matches!(error, ApplyError::Step { .. }), "{}", told(&error));
    }
    let network = Network::existing(&bench.folder).unwrap();
    let refused = network.plan(Some(&wanted)).unwrap_err();
    assert!(told(&refused).contains("--instead"), "{}", told(&refused));
    assert_eq!(network.plan_instead(&wanted).unwrap().changes.len(), 0);
    // A third one, which goes back on what was done.
    let network = network.apply_instead(&shelf(), &options, &say).await;
    let network = network.unwrap_or_else(|error| panic!("{}", told(&error)));
    assert!(network.unfinished().unwrap().is_none());
    assert_eq!(marked(&bench.folder).len(), 1 + 2 + 2);
    ready(&network).await;
    put(&network, "north", "after all").await;
    network.destroy(&say).await.unwrap();
}

/// One whose disk is empty is not let in again under its old identity; another one takes its place.
pub(crate) async fn an_ordering_node_that_lost_its_ledger_gives_way() {
    let three = ["orderer0", "orderer1", "orderer2"];
    let bench = Bench::new("raft-lost");
    let network = without_the_ledger_of_one(&bench, "raft", &three, "data").await;
    // Raft lets it go first: of three nodes two are too few to add a fourth.
    let network =
        replaced(network, &[&["orderer0", "orderer2"], &["orderer0", "orderer2", "orderer1"]]).await;
    network.destroy(&say).await.unwrap();
}

/// With BFT of four another one comes first. Nothing in the node's folder tells that it took part.
pub(crate) async fn a_bft_node_that_lost_its_folder_gives_way() {
    let four = ["orderer0", "orderer1", "orderer2", "orderer3"];
    let bench = Bench::new("bft-lost");
    let network = without_the_ledger_of_one(&bench, "bft", &four, "").await;
    let network = replaced(network, &[&["orderer0", "orderer2", "orderer3", "orderer4"]]).await;
    network.destroy(&say).await.unwrap();
}

async fn without_the_ledger_of_one(bench: &Bench, consensus: &str, nodes: &[&str], lost: &str) -> Network {
    let text = DEFAULT.replacen("\"raft\"", &format!("{consensus:?}"), 1);
    let mut spec = Consortium::parse(&text.replacen(r#"["orderer0"]"#, &format!("{nodes:?}"), 1)).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    put(&network, "north", "with all").await;
    let host = spec.orderer.host(nodes[1]);
    network.supervisor().stop(&host).await.unwrap();
    std::fs::remove_dir_all(bench.folder.join("nodes").join(&host).join(lost)).unwrap();
    let error = network.up(&options, &say).await.unwrap_err();
    let UpError::Join(JoinError::Lost { hosts }) = &error else { panic!("{}", told(&error)) };
    assert_eq!(*hosts, [host]);
    // The others serve meanwhile.
    put(&network, "south", "without one").await;
    network
}

async fn replaced(mut network: Network, steps: &[&[&str]]) -> Network {
    for consenters in steps {
        let mut target = network.spec().clone();
        target.orderer.consenters = consenters.iter().map(|name| (*name).to_owned()).collect();
        network = apply(network, &target).await;
        put(&network, "north", &format!("ordered by {consenters:?}")).await;
        assert_eq!(network.channel_config().await.unwrap().consenters().unwrap().len(), consenters.len());
    }
    network
}
