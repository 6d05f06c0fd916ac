//! A network in use is backed up, lost, and brought back onto an empty machine, on real Fabric processes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hlf_gateway::{Deadlines, Endorser, Gateway, MspFolder};
use hlf_network::ArchiveError;
use hlf_network::network::{
    Backup, BackupError, Comparison, Keys, Manifest, Network, NodeKind, Options, RestoreError, SnapshotError,
    Whose,
};
use hlf_protos::common::Payload;
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{ChaincodeActionPayload, Transaction};

use crate::bad_days::{everything_is_killed_at_once, level};
use crate::bench::{Bench, marked, say, told};
use crate::growth::{WRITERS, assert_nothing_lost, ledger, write_by};
use crate::shelf::{edition, gateway, has, put, shelf, try_put, up};

/// How long a restored peer may take to fetch what it has missed.
const LEVEL_WITHIN: Duration = Duration::from_secs(90);

pub(crate) async fn a_backup_is_restored_onto_an_empty_machine() {
    let bench = Bench::new("backed-up");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    let network = Arc::new(Network::new(&bench.folder, spec).unwrap());
    up(&network, &options).await;
    let mut before = Vec::new();
    for number in 0..5 {
        before.push(try_put(&network, "north", &[], &format!("before {number}")).await.unwrap().tx_id);
    }

    // While transactions run: none of them fails.
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in WRITERS {
        let gateway = gateway(&network, writer).await;
        writers.push(tokio::spawn(write_by(gateway, writer.to_owned(), Arc::clone(&stop))));
    }
    let whole = bench.folder.with_extension("whole.backup");
    let manifest = back_up(&network, &Whose::All, Keys::Included, &whole).await;
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    for sent in &sent {
        assert_eq!(sent.failed, Vec::<String>::new());
        assert_eq!(sent.unknown, Vec::<(String, String)>::new());
    }
    assert_nothing_lost(&network, "north", &sent).await;
    let heights = |kind| -> Vec<u64> {
        let nodes = manifest.nodes.iter().filter(|node| node.kind == kind);
        nodes.map(|node| node.ledgers["consortium"].height).collect()
    };
    let (peers, orderers) = (heights(NodeKind::Peer), heights(NodeKind::Orderer));
    assert_eq!((peers.len(), orderers.len()), (2, 3));
    assert!(peers.iter().max() <= orderers.iter().max(), "{peers:?} {orderers:?}");
    // Nothing of the images is left, and no file is ever written over.
    assert!(!bench.folder.join("images.draft").exists());
    let again = network.back_up(&Whose::All, Keys::Included, &whole, &say).await.unwrap_err();
    assert!(matches!(again, BackupError::Archive(ArchiveError::Exists(_))), "{}", told(&again));

    // The machine is lost.
    let network = Arc::into_inner(network).unwrap();
    network.destroy(&say).await.unwrap();
    assert_damage_is_found(&whole);
    let new = Bench::new("restored");
    fs::create_dir_all(&new.folder).unwrap();
    fs::write(new.folder.join("thesis.txt"), "years of work").unwrap();
    let refused = Network::restore(&whole, &new.folder, &say).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty { found, .. } if found == "thesis.txt"));
    fs::remove_file(new.folder.join("thesis.txt")).unwrap();
    let restored = Network::restore(&whole, &new.folder, &say).unwrap();
    assert!(restored.missing_keys.is_empty());
    let network = restored.network;
    up(&network, &options).await;
    assert_equal(&network, Some(&manifest)).await;
    let there = ledger(&network, "south").await;
    assert!(before.iter().all(|id| there.contains(id)));
    put(&network, "south", "after the restore").await;
    has(&network, "north", "after the restore").await;

    let network = a_peer_joins_by_a_snapshot(network, &options).await;
    let network = everything_is_killed_at_once(network, &options).await;
    one_organization_is_restored(&network, &new, &options).await;
    network.destroy(&say).await.unwrap();
    fs::remove_file(whole).unwrap();
}

/// A further peer has the state, no block before it, and endorses.
async fn a_peer_joins_by_a_snapshot(network: Network, options: &Options) -> Network {
    let snapshot = network.make_snapshot("peer0.south.example.com", &say).await.unwrap();
    let listed = network.snapshots().await.unwrap();
    assert_eq!((listed.made.as_slice(), listed.pending.len()), ([snapshot.clone()].as_slice(), 0));
    put(&network, "south", "after the snapshot").await;

    let peer = "peer1.north.example.com";
    // One that was damaged on its way, and a peer that has joined, are refused.
    let copy = network.layout().root().with_extension("snapshot");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(&snapshot.folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let damaged = copy.join("txids.data");
    let mut bytes = fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let refused = network.join_by_snapshot(peer, &copy, &say).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Folder { .. }), "{}", told(&refused));
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let refused = network.join_by_snapshot("peer0.north.example.com", &copy, &say).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Joined(_)), "{}", told(&refused));

    let mut target = network.spec().clone();
    target.organizations[0].peers.push("peer1".to_owned());
    network.join_by_snapshot(peer, &copy, &say).await.unwrap();
    let network = match network.apply(Some(&target), options, &say).await {
        Ok(network) => network,
        Err(error) => panic!("{}", told(&error)),
    };
    fs::remove_dir_all(copy).unwrap();
    level(&network).await;
    let compared = network.compare_ledgers(None, &say).await.unwrap();
    let joined = compared.peers.iter().find(|found| found.name == peer).unwrap();
    assert_eq!(joined.first_block, Some(snapshot.block + 1), "{compared:#?}");

    // By its own gateway its own endorsement is asked for; it has the state of before it joined.
    let profile = network.profile(&network.spec().organizations[0]).unwrap();
    let endpoint = profile.gateways().unwrap().remove(1);
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    // It may not know the others yet.
    let deadlines = Deadlines { endorse: LEVEL_WITHIN, gossip: LEVEL_WITHIN, ..Deadlines::default() };
    let gateway = Gateway::connect(&endpoint, msp.into_credentials(), deadlines).await.unwrap();
    let contract = gateway.contract("consortium", "shelf");
    let value = contract.proposal("Value").endorsing_organizations(["NorthMSP"]).build().unwrap();
    assert_eq!(value.evaluate().await.unwrap(), b"after the snapshot");
    let proposal = contract.proposal("Put").arg("endorsed by the new peer").build().unwrap();
    let committed = contract.submit(proposal).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    assert!(
        endorsers(&network, &committed.tx_id).await.iter().any(|pem| *pem == certificate(&network, peer))
    );
    has(&network, "south", "endorsed by the new peer").await;
    network
}

/// The certificates of those who endorsed a transaction, as the block has them.
async fn endorsers(network: &Network, tx_id: &str) -> Vec<String> {
    let south = network.spec().organization("south").unwrap();
    let endpoint = network.profile(south).unwrap().gateway().unwrap();
    let admin = network.admin_credentials(south).unwrap();
    let endorser = Endorser::connect(&endpoint, admin, Deadlines::default()).await.unwrap();
    has(network, "south", "endorsed by the new peer").await;
    let found = endorser.ledger("consortium").transaction(tx_id).await.unwrap();
    let payload = Payload::decode(found.transaction_envelope.unwrap().payload.as_slice()).unwrap();
    let actions = Transaction::decode(payload.data.as_slice()).unwrap().actions;
    let action = ChaincodeActionPayload::decode(actions[0].payload.as_slice()).unwrap().action.unwrap();
    let identity = |endorser: &[u8]| SerializedIdentity::decode(endorser).unwrap().id_bytes;
    let endorsers = action.endorsements.iter().map(|endorsement| identity(&endorsement.endorser));
    endorsers.map(|pem| String::from_utf8(pem).unwrap()).collect()
}

fn certificate(network: &Network, peer: &str) -> String {
    let home = network.layout().organization(&network.spec().organizations[0]);
    fs::read_to_string(home.join(format!("peers/{peer}/msp/signcerts/{peer}-cert.pem"))).unwrap()
}

/// One organisation's machine is lost, and what it missed is fetched from the others.
async fn one_organization_is_restored(network: &Network, bench: &Bench, options: &Options) {
    let file = bench.folder.with_extension("north.backup");
    let whose = network.whose("NorthMSP").unwrap();
    let manifest = back_up(network, &whose, Keys::Included, &file).await;
    assert_eq!(manifest.nodes.len(), 2);
    let bare = bench.folder.with_extension("bare.backup");
    let without = back_up(network, &whose, Keys::LeftOut, &bare).await;
    assert!(without.left_out.iter().any(|path| path.ends_with("peer0.north.example.com/tls/server.key")));
    put(network, "north", "missed by the backup").await;
    has(network, "south", "missed by the backup").await;
    for process in ["peer0.north.example.com", "peer1.north.example.com", "chaincode.north.example.com"] {
        assert!(network.supervisor().stop(process).await.unwrap());
    }

    let keyless = Bench::new("keyless");
    let restored = Network::restore(&bare, &keyless.folder, &say).unwrap();
    assert_eq!(restored.missing_keys.len(), without.left_out.len());
    assert!(keys_below(&keyless.folder).is_empty());
    let machine = Bench::new("machine-of-north");
    let restored = Network::restore(&file, &machine.folder, &say).unwrap();
    // Not one key of anybody else.
    let foreign = ["south.example.com", "orderer.example.com"];
    let keys = keys_below(&machine.folder);
    assert!(!keys.is_empty() && keys.iter().all(|path| foreign.iter().all(|name| !path.contains(name))));
    let north = restored.network;
    let standing = north.up_part(options, &say).await.unwrap();
    assert!(standing.complete, "{standing:#?}");
    assert_eq!(marked(&machine.folder).len(), 3, "north's peers and service, and nobody else's");
    assert_equal(&north, Some(&manifest)).await;
    has(&north, "north", "missed by the backup").await;
    put(&north, "north", "after all").await;
    has(network, "south", "after all").await;
    assert_equal(&north, Some(&manifest)).await;
    // No key was made meanwhile; those in the peers' builds are copies.
    let after = keys_below(&machine.folder).into_iter().filter(|path| !path.contains("externalbuilder"));
    assert_eq!(after.collect::<Vec<_>>(), keys);
    north.down(&say).await.unwrap();
    for file in [file, bare] {
        fs::remove_file(file).unwrap();
    }
}

async fn back_up(network: &Network, whose: &Whose, keys: Keys, to: &Path) -> Manifest {
    match network.back_up(whose, keys, to, &say).await {
        Ok(manifest) => {
            assert_eq!(Backup::open(to, &say).unwrap().manifest(), &manifest);
            manifest
        }
        Err(error) => panic!("{}", told(&error)),
    }
}

/// Waits until all peers have the same blocks; they are never other ones than those of a backup.
async fn assert_equal(network: &Network, manifest: Option<&Manifest>) -> Comparison {
    let begun = Instant::now();
    loop {
        let compared = network.compare_ledgers(manifest, &say).await.unwrap();
        assert_eq!(compared.differences, Vec::<String>::new());
        let first = compared.peers[0].height;
        if first.is_some() && compared.peers.iter().all(|peer| peer.height == first) {
            assert_eq!(Some(compared.blocks_compared), first);
            return compared;
        }
        assert!(begun.elapsed() < LEVEL_WITHIN, "{compared:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Every kind of place in a backup is damaged once; the bytes of a small one all are, in the library's own tests.
fn assert_damage_is_found(file: &Path) {
    let whole = fs::read(file).unwrap();
    let damaged = file.with_extension("damaged");
    for at in [0, 3, 9, 100, whole.len() / 3, whole.len() / 2, whole.len() - 90, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        fs::write(&damaged, changed).unwrap();
        let folder = file.with_extension("never");
        let refused = Network::restore(&damaged, &folder, &|_: &hlf_network::Event<'_>| {}).unwrap_err();
        assert!(matches!(refused, RestoreError::Backup(BackupError::Archive(_))), "{at}: {}", told(&refused));
        assert!(!folder.exists());
    }
    fs::remove_file(damaged).unwrap();
}

/// Files with a private key in them.
fn keys_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(keys_below(&path));
            found.sort();
        } else {
            let text = fs::read(&path).unwrap();
            if text.windows(11).any(|window| window == b"PRIVATE KEY") {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
