//! A running network is brought from Fabric's LTS release to the newest one, on real Fabric processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hlf_gateway::{Deadlines, Gateway, MspFolder, Retry};
use hlf_network::fabric::Version;
use hlf_network::network::{Network, Options, UpError, UpgradeError};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT};
use hlf_network::{Event, NodeError};
use tokio::sync::Notify;

use crate::bench::{Bench, say, told};
use crate::growth::{Sent, assert_nothing_lost};
use crate::shelf::{edition, has, put, ready, up};

const LTS: Version = Version::new(2, 5, 9);
const NEWEST: Version = Version::new(3, 1, 1);

fn spec(orderers: &str, peers: usize) -> Consortium {
    let mut spec = Consortium::parse(&DEFAULT.replacen("3.1.1", "2.5.9", 1)).unwrap();
    assert_eq!(spec.fabric, LTS);
    spec.set_orderers(orderers.parse().unwrap()).unwrap();
    spec.set_peers(peers).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    spec
}

fn options(spec: &Consortium, release: Version) -> Options {
    let mut options = edition(spec, std::env::current_exe().unwrap(), "first");
    options.binaries.version = release;
    options
}

async fn stand_up(bench: &Bench, spec: &Consortium) -> Network {
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    up(&network, &options(spec, LTS)).await;
    network
}

async fn upgrade(network: &Network) -> Network {
    let begun = Instant::now();
    match network.upgrade(NEWEST, &options(network.spec(), NEWEST), &say).await {
        Ok(network) => {
            eprintln!("upgraded in {:?}", begun.elapsed());
            network
        }
        Err(error) => panic!("{}", told(&error)),
    }
}

/// Every node says that it is of a release.
async fn assert_all_are(network: &Network, release: Version) {
    for node in network.status().await.unwrap().nodes {
        if node.height.is_some() {
            assert_eq!(network.release_of(&node.name).await, Some(release), "{}", node.name);
        }
    }
}

/// The channel's own capability, as its configuration shows it.
async fn capability(network: &Network) -> String {
    let config = network.channel_config().await.unwrap();
    config.capabilities(None).unwrap().join(", ")
}

pub(crate) async fn a_network_is_upgraded_node_by_node() {
    let bench = Bench::new("upgraded");
    let spec = spec("raft:1", 1);
    let network = stand_up(&bench, &spec).await;
    put(&network, "north", "of the old release").await;
    assert_all_are(&network, LTS).await;
    assert_eq!(capability(&network).await, "V2_0");

    // It is interrupted in its midst: some nodes are of the new release, and no capability is raised.
    let reached = Arc::new(Notify::new());
    let told_of = Arc::clone(&reached);
    let watch = move |event: &Event<'_>| {
        say(event);
        if matches!(event, Event::Started { step } if step.starts_with("`peer0.south")) {
            told_of.notify_one();
        }
    };
    let newest = options(&spec, NEWEST);
    tokio::select! {
        ended = network.upgrade(NEWEST, &newest, &watch) => panic!("it was not interrupted: {ended:?}"),
        () = reached.notified() => {}
    }
    assert_eq!(network.release_of("peer0.north.example.com").await, Some(NEWEST));
    assert_eq!(capability(&network).await, "V2_0");
    // What ran with the new release is not started with the old one.
    let refused = network.up(&options(&spec, LTS), &say).await.unwrap_err();
    assert!(matches!(refused, UpError::Node(NodeError::Downgrade { .. })), "{}", told(&refused));
    // Another change waits for it.
    let mut bigger = spec.clone();
    bigger.channel.max_message_count = 9;
    let refused = network.plan(Some(&bigger)).unwrap_err();
    assert!(told(&refused).contains("half done"), "{}", told(&refused));

    let network = upgrade(&network).await;
    assert_eq!(network.spec().fabric, NEWEST);
    assert_all_are(&network, NEWEST).await;
    assert_eq!(capability(&network).await, "V3_0");
    has(&network, "south", "of the old release").await;
    put(&network, "south", "of the new release").await;
    has(&network, "north", "of the new release").await;
    ready(&network).await;

    // Again there is nothing to do, and no way back.
    let before = network.supervisor().marked();
    let network = upgrade(&network).await;
    assert_eq!(network.supervisor().marked(), before);
    let refused = network.upgrade(LTS, &options(&spec, LTS), &say).await.unwrap_err();
    assert!(matches!(refused, UpgradeError::Downgrade { .. }), "{}", told(&refused));
    let refused = network.upgrade(Version::new(3, 9, 0), &newest, &say).await.unwrap_err();
    assert!(matches!(refused, UpgradeError::Programs { .. }), "{}", told(&refused));
    assert!(network.unfinished().unwrap().is_none());
    up(&network, &newest).await;
    network.destroy(&say).await.unwrap();
}

/// How many callers write at the same time.
const CALLERS: usize = 16;

/// How long a caller waits for a block, before it asks again and sends the very same transaction once more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Three ordering nodes, and two peers of each organisation: nobody who writes meanwhile is refused. What a leader took
/// and lost with its office, the client sends once more.
pub(crate) async fn a_network_is_upgraded_under_load() {
    let bench = Bench::new("upgraded-under-load");
    let spec = spec("raft:3", 2);
    let network = stand_up(&bench, &spec).await;
    put(&network, "north", "of the old release").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for (number, organization) in ["north", "south"].into_iter().cycle().take(CALLERS).enumerate() {
        let gateway = gateways(&network, organization).await;
        let name = format!("{organization} {number}");
        writers.push(tokio::spawn(write_retrying(gateway, name, Arc::clone(&stop))));
    }
    let begun = Instant::now();
    let network = upgrade(&network).await;
    stop.store(true, Ordering::Relaxed);
    let lasted = begun.elapsed();
    let mut sent: Vec<Sent> = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    assert_nothing_lost(&network, "south", &sent).await;
    let acknowledged: usize = sent.iter().map(|sent| sent.acknowledged.len()).sum();
    eprintln!("{acknowledged} transactions by {CALLERS} callers, {lasted:?} of upgrade");
    for sent in &sent {
        assert_eq!((&sent.failed, &sent.unknown), (&Vec::new(), &Vec::new()));
    }
    assert_all_are(&network, NEWEST).await;
    assert_eq!(capability(&network).await, "V3_0");
    let compared = network.compare_ledgers(None, &say).await.unwrap();
    assert_eq!(compared.differences, Vec::<String>::new());
    network.destroy(&say).await.unwrap();
}

/// Puts values until it is told to stop, each until it is acknowledged.
pub(crate) async fn write_retrying(gateway: Gateway, name: String, stop: Arc<AtomicBool>) -> Sent {
    let contract = gateway.contract("consortium", "shelf");
    let mut sent = Sent::default();
    let retry = Retry::default();
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let call = contract.proposal("Put").arg(format!("{name} {number}"));
        match contract.submit_retrying(call, &retry).await {
            Ok(retried) => sent.acknowledged.push(retried.committed.tx_id),
            Err(error) => sent.failed.push(told(&error)),
        }
    }
    sent
}

/// All peers of an organisation as one gateway.
pub(crate) async fn gateways(network: &Network, organization: &str) -> Gateway {
    let organization = network.spec().organization(organization).unwrap();
    let profile = network.profile(organization).unwrap();
    let folder = profile.msp_folder("User1").unwrap();
    let msp = MspFolder::open(folder, &profile.msp_id).unwrap();
    let deadlines = Deadlines { commit_status: PATIENCE, ..Deadlines::default() };
    Gateway::connect_any(&profile.gateways().unwrap(), msp.into_credentials(), deadlines).await.unwrap()
}
