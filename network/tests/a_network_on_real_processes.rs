//! The default network on real Fabric processes: up, again, killed, found again, down, destroyed.
//!
//! Fabric's programs come from `FABRIC_BIN`, `PATH`, or the cache in `HLF_NETWORK_CACHE` (by default
//! `hlf-network` in the user's cache folder), where they are built once with Go. Without programs and without
//! Go this fails and says what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hlf_gateway::{Deadlines, Endorser, Gateway, MspFolder};
use hlf_network::fabric::Search;
use hlf_network::network::{DownError, Network, NodeKind, Options, StateError, UpError};
use hlf_network::package::Package;
use hlf_network::process::{Ensured, MARKER, ProcessError, Service};
use hlf_network::spec::{Consortium, DEFAULT};
use hlf_network::{Event, LockError, PortError, Quiet};

use bench::{Bench, cache_dir, document, marked, no_chaincode, say, told};

/// Three organisations, one of them with two peers, and three consenters.
fn larger_document(release: &str) -> String {
    let east = r#"
        [[organizations]]
        name = "east"
        msp_id = "EastMSP"
        domain = "east.example.com"
        peers = ["peer0", "peer1"]

        [[organizations.users]]
        name = "Admin"
        node_ou = "admin"
    "#;
    let consenters = r#"["orderer0", "orderer1", "orderer2"]"#;
    DEFAULT.replacen("3.1.1", release, 1).replacen(r#"["orderer0"]"#, consenters, 1) + east
}

fn network_of(bench: &Bench, document: &str) -> Network {
    Network::new(&bench.folder, Consortium::parse(document).unwrap()).unwrap()
}

async fn height(network: &Network) -> u64 {
    let status = network.status().await.unwrap();
    assert!(status.ready, "{status:#?}");
    status
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Peer)
        .map(|node| node.height.unwrap())
        .min()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_network_stands_is_found_again_and_ends() {
    let bench = Bench::new("default");
    let network = network_of(&bench, &document());
    let options: Options = no_chaincode(network.spec());

    // From nothing.
    let begun = Instant::now();
    if let Err(error) = network.up(&options, &say).await {
        panic!("{}", told(&error));
    }
    eprintln!("up from nothing: {:?}", begun.elapsed());
    assert_eq!(height(&network).await, 1);
    let processes = network.supervisor().marked();
    assert_eq!(processes.len(), 3, "an orderer and two peers");

    // Again: nothing is started, nothing is issued.
    let key = network.layout().root().join("organizations/peerOrganizations/north.example.com/ca/priv_sk");
    let before = fs::read(&key).unwrap();
    let events = Mutex::new(Vec::new());
    network
        .up(&options, &|event: &Event<'_>| {
            events.lock().unwrap().push(format!("{event:?}"));
        })
        .await
        .unwrap();
    assert_eq!(network.supervisor().marked(), processes);
    assert_eq!(fs::read(&key).unwrap(), before);
    let events = events.into_inner().unwrap().join("\n");
    assert!(events.contains("all 3 were running"), "{events}");

    // Only an organisation's admins see whole blocks; its clients see filtered ones.
    whole_blocks_are_for_block_readers(&network).await;
    whole_blocks_of_an_orderer_too(&network, &options).await;

    // Of two operators at once, one is told that the other is at work.
    let second = network_of(&bench, &document());
    let (one, other) = tokio::join!(network.up(&options, &Quiet), second.up(&options, &Quiet));
    assert!(one.is_ok(), "{one:?}");
    assert!(matches!(other, Err(UpError::Lock(LockError::Held { .. }))), "{other:?}");

    // A spec of something else is refused in this folder.
    let other = network_of(&bench, &document().replacen("SouthMSP", "WestMSP", 1));
    assert!(matches!(
        other.up(&options, &Quiet).await,
        Err(UpError::State(StateError::Changed { field })) if field == "organizations[1]"
    ));

    // The starter is lost, with one node killed: another one starts just that node.
    let victim = network.supervisor().running("peer0.south.example.com").unwrap();
    drop(network);
    assert!(Command::new("kill").args(["-9", &victim.pid.to_string()]).status().unwrap().success());
    let network = Network::existing(&bench.folder).unwrap();
    until_gone(victim.pid).await;
    assert!(!network.status().await.unwrap().ready);
    network.up(&options, &say).await.unwrap();
    let now = network.supervisor().marked();
    assert_eq!(now.len(), 3);
    assert_eq!(now.iter().filter(|pid| processes.contains(pid)).count(), 2);

    // A further service lives and ends with the network, and is found by its name.
    let daemon = Service {
        name: "daemon.north.example.com".to_owned(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), "exec sleep 1000".into()],
        env: BTreeMap::new(),
        ports: vec![network.service_port("daemon.north.example.com").unwrap()],
        reads: Vec::new(),
    };
    assert_eq!(network.ensure_service(&daemon).await.unwrap(), Ensured::Started);
    assert_eq!(network.ensure_service(&daemon).await.unwrap(), Ensured::Running);
    drop(network);

    // Down after the starter is lost, records and all; a stranger's process stays.
    fs::remove_dir_all(bench.folder.join("run")).unwrap();
    let mut stranger = Command::new("sleep").arg("1000").env(MARKER, "/elsewhere").spawn().unwrap();
    let network = Network::existing(&bench.folder).unwrap();
    assert_eq!(network.down(&say).await.unwrap(), 4);
    assert!(marked(&bench.folder).is_empty());
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(network.down(&Quiet).await.unwrap(), 0);

    // A port that somebody else took is named with its holder.
    let port = fs::read_to_string(bench.folder.join("ports.json")).unwrap();
    let ports: serde_json::Value = serde_json::from_str(&port).unwrap();
    let port = ports["peer0.north.example.com"]["listen"].as_u64().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    let error = network.up(&options, &Quiet).await.unwrap_err();
    let UpError::Process(ProcessError::Port { source: PortError::InUse { .. }, .. }) = &error else {
        panic!("{}", told(&error));
    };
    assert!(told(&error).contains(&format!("process {}", std::process::id())), "{}", told(&error));
    assert!(marked(&bench.folder).is_empty(), "all ports are looked at before anything starts");
    drop(taken);

    // Up after down: the same ledger.
    network.up(&options, &say).await.unwrap();
    assert_eq!(height(&network).await, 1);

    // Destroyed: processes and folder are gone; what is not a network is left alone.
    let root = network.layout().root().to_owned();
    network.destroy(&say).await.unwrap();
    assert!(marked(&bench.folder).is_empty() && !root.exists());
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("mine"), "precious").unwrap();
    let foreign = network_of(&bench, &document());
    assert!(matches!(foreign.destroy(&Quiet).await, Err(DownError::State(StateError::None(_)))));
    assert!(root.join("mine").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_consortium_of_fabric_3_stands_and_survives_its_leader() {
    a_larger_consortium_stands_and_survives_its_leader("3.1.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_consortium_of_fabric_2_5_stands_and_survives_its_leader() {
    a_larger_consortium_stands_and_survives_its_leader("2.5.9").await;
}

async fn a_larger_consortium_stands_and_survives_its_leader(release: &str) {
    let bench = Bench::new(&format!("larger-{release}"));
    let network = network_of(&bench, &larger_document(release));
    let options = no_chaincode(network.spec());
    if let Err(error) = network.up(&options, &say).await {
        panic!("{}", told(&error));
    }
    let status = network.status().await.unwrap();
    assert!(status.ready, "{status:#?}");
    assert_eq!(status.nodes.len(), 3 + 4);
    let leaders: Vec<_> = status.nodes.iter().filter(|node| node.leads == Some(true)).collect();
    assert_eq!(leaders.len(), 1, "{status:#?}");

    // The leader is lost: the others elect a new one, and `up` brings the lost one back.
    let lost = leaders[0].name.clone();
    assert!(network.supervisor().stop(&lost).await.unwrap());
    network.up(&options, &say).await.unwrap();
    let status = network.status().await.unwrap();
    assert!(status.ready, "{status:#?}");
    assert_eq!(network.down(&say).await.unwrap(), 7);
}

async fn until_gone(pid: u32) {
    let begun = Instant::now();
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z")) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
}

async fn whole_blocks_are_for_block_readers(network: &Network) {
    let north = network.spec().organization("north").unwrap();
    let profile = network.profile(north).unwrap();
    for (user, sees_whole) in [("Admin", true), ("User1", false)] {
        let msp = MspFolder::open(profile.msp_folder(user).unwrap(), &profile.msp_id).unwrap();
        let endpoint = profile.gateway().unwrap();
        let credentials = msp.into_credentials();
        let gateway = Gateway::connect(&endpoint, credentials.clone(), Deadlines::default()).await.unwrap();
        let mut filtered = gateway.filtered_blocks(&profile.channel, 0..=0).await.unwrap();
        assert!(filtered.next().await.unwrap().is_some(), "{user}");
        let whole = async {
            let mut blocks = gateway.blocks(&profile.channel, 0..=0).await?;
            blocks.next().await
        };
        assert_eq!(whole.await.is_ok(), sees_whole, "{user}");
        let endorser = Endorser::connect(&endpoint, credentials, Deadlines::default()).await.unwrap();
        let asked = endorser
            .call(&profile.channel, "qscc", "GetBlockByNumber")
            .args([profile.channel.as_bytes(), b"0"])
            .send()
            .await;
        assert_eq!(asked.is_ok(), sees_whole, "{user}");
    }
}

/// Asked with Fabric's own command line, which works on this network by its configuration files alone.
async fn whole_blocks_of_an_orderer_too(network: &Network, options: &Options) {
    let binaries = options.binaries.find(&Quiet).await.unwrap();
    let root = network.layout().root();
    let ports = fs::read_to_string(root.join("ports.json")).unwrap();
    let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
    let orderer = format!("127.0.0.1:{}", ports["orderer0.orderer.example.com"]["listen"]);
    let tls =
        "organizations/ordererOrganizations/orderer.example.com/tlsca/tlsca.orderer.example.com-cert.pem";
    let north = network.spec().organization("north").unwrap();
    for (user, sees_whole) in [("Admin", true), ("User1", false)] {
        let output = Command::new(binaries.peer())
            .args(["channel", "fetch", "0", "fetched.block", "-c", "consortium", "--tls", "-o"])
            .arg(&orderer)
            .arg("--cafile")
            .arg(root.join(tls))
            .current_dir(root)
            .env("FABRIC_CFG_PATH", binaries.sample_config())
            .env("CORE_PEER_LOCALMSPID", "NorthMSP")
            .env("CORE_PEER_MSPCONFIGPATH", network.layout().user(north, user).join("msp"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), sees_whole, "{user}: {said}");
        assert_eq!(said.contains("FORBIDDEN"), !sees_whole, "{user}: {said}");
    }
}

#[tokio::test]
async fn a_packages_id_is_the_one_that_fabric_computes() {
    let spec = Consortium::parse(&document()).unwrap();
    let binaries = Search::from_environment(spec.fabric, cache_dir())
        .find(&say)
        .await
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    let home = tempfile::tempdir().unwrap();
    let package = Package::of_service("basic_1.0").unwrap();
    let file = home.path().join("basic.tar.gz");
    fs::write(&file, package.bytes()).unwrap();
    let output = Command::new(binaries.peer())
        .args(["lifecycle", "chaincode", "calculatepackageid"])
        .arg(&file)
        .env("FABRIC_CFG_PATH", binaries.sample_config())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), package.id());
}
