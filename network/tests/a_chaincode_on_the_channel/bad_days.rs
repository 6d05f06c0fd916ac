//! Everything is killed at once, and disks are full: what was acknowledged stays, on real Fabric processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hlf_gateway::{Gateway, Retry};
use hlf_network::network::{Network, Options, UpError};
use hlf_network::process::ProcessError;
use tokio::task::JoinHandle;

use crate::bench::{Bench, marked, say, told};
use crate::growth::{Sent, WRITERS, assert_nothing_lost, write, write_by};
use crate::shelf::{edition, gateway, has, put, ready, shelf, try_put, up};
use crate::upgrades::gateways;

/// How long a node may take to meet a full disk, or to have what others have.
const PATIENCE: Duration = Duration::from_secs(120);
/// The size of the disk of a node that will be full, with room for an orderer's write-ahead log.
const DISK: &str = "size=400m";

/// Kills every process of a network in the midst of its work, and stands it up again.
pub(crate) async fn everything_is_killed_at_once(network: Network, options: &Options) -> Network {
    let network = Arc::new(network);
    let stop = Arc::new(AtomicBool::new(false));
    let writers = WRITERS.map(|name| tokio::spawn(write(Arc::clone(&network), name, Arc::clone(&stop))));
    // In the midst of blocks: one transaction of each organisation has just been acknowledged.
    let mut before = Vec::new();
    for organization in ["north", "south"] {
        before.push(try_put(&network, organization, &[], "just before").await.unwrap().tx_id);
    }
    let pids = marked(network.layout().root());
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    assert!(Command::new("kill").arg("-9").args(&words).status().unwrap().success());
    stop.store(true, Ordering::Relaxed);
    eprintln!("killed {} processes", pids.len());
    until("nothing to run", || marked(network.layout().root()).is_empty()).await;
    up(&network, options).await;
    let mut sent = joined(writers.into()).await;
    sent.push(Sent { acknowledged: before, ..Sent::default() });
    for organization in ["north", "south"] {
        put(&network, organization, &format!("{organization} after the kill")).await;
        has(&network, "north", &format!("{organization} after the kill")).await;
        has(&network, "south", &format!("{organization} after the kill")).await;
        assert_nothing_lost(&network, organization, &sent).await;
    }
    let compared = network.compare_ledgers(None, &say).await.unwrap();
    assert_eq!(compared.differences, Vec::<String>::new());
    Arc::into_inner(network).unwrap()
}

/// It runs itself where it may mount file systems that nobody else sees, and that vanish with it.
pub(crate) async fn full_disks_lose_nothing() {
    let itself = std::env::current_exe().unwrap();
    let ran = Command::new("unshare")
        .args(["--mount", "--user", "--map-root-user"])
        .arg(itself)
        .arg("full-disks")
        .status()
        .expect("`unshare` of util-linux");
    assert!(ran.success(), "{ran}");
}

/// First the disk of one of two peers of an organisation is full, then that of one of three orderers.
pub(crate) async fn fill_disks() {
    let bench = Bench::new("full-disk");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    spec.set_peers(2).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    let network = Network::new(&bench.folder, spec).unwrap();
    up(&network, &options).await;
    put(&network, "north", "with room").await;
    for node in ["peer1.north.example.com", "orderer2.orderer.example.com"] {
        network.down(&say).await.unwrap();
        let disk = Disk::under(&network, node);
        up(&network, &options).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for organization in ["north", "south"] {
            // By the peer that has room.
            let gateway: Gateway = gateway(&network, organization).await;
            writers.push(tokio::spawn(write_by(gateway, organization.to_owned(), Arc::clone(&stop))));
        }
        let filled = disk.fill();
        eprintln!("{filled} bytes filled the disk of `{node}`");
        until(&format!("`{node}` to end"), || network.supervisor().running(node).is_none()).await;
        // The others go on without it, and it is named with its reason.
        put_at_last(&network, "south", &format!("without {node}")).await;
        let status = network.status().await.unwrap();
        let problem = status.nodes.into_iter().find(|found| found.name == node).unwrap().problem.unwrap();
        assert!(problem.contains("the disk is full"), "{problem}");
        let refused = network.up(&options, &say).await.unwrap_err();
        assert!(
            told(&refused).contains("disk is full") || told(&refused).contains("no space"),
            "{}",
            told(&refused)
        );
        assert!(!matches!(&refused, UpError::Process(ProcessError::Died { name, .. }) if name != node));
        stop.store(true, Ordering::Relaxed);
        let sent = joined(writers).await;
        // Room again.
        disk.clear();
        up(&network, &options).await;
        put_at_last(&network, "north", &format!("{node} has room")).await;
        for organization in ["north", "south"] {
            assert_nothing_lost(&network, organization, &sent).await;
        }
        level(&network).await;
        ready(&network).await;
    }
    // Any peer of an organisation serves again.
    let contract = gateways(&network, "north").await.contract("consortium", "shelf");
    contract.submit(contract.proposal("Put").arg("last").build().unwrap()).await.unwrap();
    network.down(&say).await.unwrap();
}

/// Puts a value, once more if a leader that ended took it along.
async fn put_at_last(network: &Network, organization: &str, value: &str) {
    let contract = gateway(network, organization).await.contract("consortium", "shelf");
    let call = contract.proposal("Put").arg(value);
    if let Err(error) = contract.submit_retrying(call, &Retry::default()).await {
        panic!("{}", told(&error));
    }
}

/// A file system of its own under a node's data.
struct Disk {
    data: PathBuf,
}

impl Disk {
    /// Moves a node's data, which nothing uses, onto a disk of its own.
    fn under(network: &Network, node: &str) -> Self {
        let data = network.layout().root().join("nodes").join(node).join("data");
        let moved = data.with_extension("moved");
        fs::rename(&data, &moved).unwrap();
        fs::create_dir(&data).unwrap();
        run(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), DISK.as_ref(), "none".as_ref(), &data],
        );
        run("cp", &["-a".as_ref(), &moved.join("."), &data]);
        fs::remove_dir_all(moved).unwrap();
        Self { data }
    }

    /// Writes until nothing fits any more.
    fn fill(&self) -> u64 {
        let mut ballast = fs::File::create(self.data.join("ballast")).unwrap();
        let mut written = 0;
        for size in [1 << 20, 1 << 12, 1] {
            let chunk = vec![7; size];
            while std::io::Write::write_all(&mut ballast, &chunk).is_ok() {
                written += size as u64;
            }
        }
        written
    }

    fn clear(&self) {
        fs::remove_file(self.data.join("ballast")).unwrap();
    }
}

fn run(program: &str, args: &[&Path]) {
    let ran = Command::new(program).args(args).status().unwrap();
    assert!(ran.success(), "{program} {args:?}");
}

async fn joined(writers: Vec<JoinHandle<Sent>>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    sent
}

/// Waits until every peer has the same blocks, and holds them against each other.
pub(crate) async fn level(network: &Network) {
    let begun = Instant::now();
    loop {
        let compared = network.compare_ledgers(None, &say).await.unwrap();
        assert_eq!(compared.differences, Vec::<String>::new());
        let first = compared.peers[0].height;
        if first.is_some() && compared.peers.iter().all(|peer| peer.height == first) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{compared:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
