//! One chaincode's life: deployed, used, changed, upgraded, and stood up under fire.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hlf_network::network::{ChaincodeError, Network, UpError};
use hlf_network::package::Package;
use hlf_network::process::ProcessError;
use hlf_network::spec::Chaincode;
use hlf_network::{Event, LifecycleError};

use crate::bench::{Bench, marked, say, told};
use crate::growth::{WRITERS, assert_nothing_lost};
use crate::shelf::{ask, edition, gateway, has, put, ready, shelf, up};
use crate::upgrades::write_retrying;

pub(crate) async fn a_chaincode_is_deployed_used_and_upgraded() {
    let bench = Bench::new("chaincode");
    let spec = shelf();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    fs::create_dir_all(bench.folder.parent().unwrap()).unwrap();
    let program = bench.folder.with_extension("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();

    // A program that ends by itself is told with its last words.
    let mut broken = edition(&spec, program.clone(), "first");
    broken.chaincode.as_mut().unwrap().env.clear();
    let error = network.up(&broken, &say).await.unwrap_err();
    let UpError::Process(ProcessError::Died { tail, .. }) = &error else { panic!("{}", told(&error)) };
    assert!(tail.contains("EDITION"), "{tail}");
    network.down(&say).await.unwrap();
    assert!(marked(&bench.folder).is_empty());
    network.destroy(&say).await.unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();

    // Deployed from nothing, used through both organisations.
    up(&network, &edition(&spec, program.clone(), "first")).await;
    put(&network, "north", "from north").await;
    has(&network, "north", "from north").await;
    put(&network, "south", "from south").await;
    assert_eq!(ask(&network, "south", "Edition").await, "first");
    let status = ready(&network).await;
    assert_eq!(status.nodes.len(), 5);
    assert_eq!(status.chaincode.unwrap().committed_sequence, Some(1));
    assert_no_key_in_packages(&network);

    // Again: nothing is done.
    let before = network.supervisor().marked();
    up(&network, &edition(&spec, program.clone(), "first")).await;
    assert_eq!(network.supervisor().marked(), before);

    // Another program under the same definition: only the services are started anew.
    fs::remove_file(&program).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut changed = fs::read(&program).unwrap();
    changed.extend_from_slice(b"changed");
    fs::write(&program, changed).unwrap();
    up(&network, &edition(&spec, program.clone(), "second")).await;
    let after = network.supervisor().marked();
    assert_eq!(after.iter().filter(|pid| before.contains(pid)).count(), 3);
    assert_eq!(ask(&network, "north", "Edition").await, "second");
    has(&network, "south", "from south").await;

    // A new package and definition while transactions run: the ledger goes on, and nobody is refused.
    let mut upgraded = spec.clone();
    let mut definition = Chaincode::new("shelf", "shelf_2");
    definition.sequence = 2;
    upgraded.set_chaincode(definition.clone()).unwrap();
    let network = Arc::new(Network::new(&bench.folder, upgraded.clone()).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    // What is endorsed before the definition and ordered after it conflicts with it, and is made once more.
    let mut writers = Vec::new();
    for name in WRITERS.into_iter().chain(WRITERS) {
        let gateway = gateway(&network, name).await;
        writers.push(tokio::spawn(write_retrying(gateway, name.to_owned(), Arc::clone(&stop))));
    }
    let begun = Instant::now();
    up(&network, &edition(&upgraded, program.clone(), "third")).await;
    for organization in ["north", "south"] {
        assert_eq!(ask(&network, organization, "Edition").await, "third");
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    let acknowledged: usize = sent.iter().map(|sent| sent.acknowledged.len()).sum();
    eprintln!("{acknowledged} acknowledged in {:?} around the upgrade", begun.elapsed());
    for sent in &sent {
        assert_eq!((&sent.failed, &sent.unknown), (&Vec::new(), &Vec::new()));
    }
    assert_nothing_lost(&network, "north", &sent).await;
    let network = Arc::into_inner(network).unwrap();
    let second = Package::of_service("shelf_2").unwrap().id();
    for ids in network.chaincode_ids().await.unwrap() {
        assert_eq!(ids.problems, Vec::<String>::new());
        assert_eq!((ids.installed.len(), ids.committed_sequence), (2, Some(2)));
        assert_eq!((ids.approved.as_ref(), ids.served.as_ref()), (Some(&second), Some(&second)));
        // What was built of the first package leads to where nobody serves any more.
        assert_eq!(ids.builds.iter().filter(|build| build.stale.is_some()).count(), 1);
    }
    let refused = network.remove_stale_builds().await.unwrap_err();
    assert!(matches!(refused, ChaincodeError::InUse { .. }), "{}", told(&refused));
    put(&network, "south", "after the upgrade").await;

    // A sequence that Fabric would refuse is refused before anything is approved.
    definition.sequence = 7;
    let mut skipped = spec.clone();
    skipped.set_chaincode(definition).unwrap();
    let wrong = Network::new(&bench.folder, skipped.clone()).unwrap();
    let error =
        wrong.up(&edition(&skipped, program.clone(), "third"), &|_: &Event<'_>| {}).await.unwrap_err();
    assert!(
        matches!(error, UpError::Lifecycle(LifecycleError::Sequence { committed: 2, next: 3, .. })),
        "{}",
        told(&error)
    );

    assert_eq!(Network::existing(&bench.folder).unwrap().spec(), &upgraded);

    // Down and up: everything is there again.
    let network = Network::new(&bench.folder, upgraded.clone()).unwrap();
    assert_eq!(network.down(&say).await.unwrap(), 5);
    assert_eq!(network.remove_stale_builds().await.unwrap().len(), 2);
    up(&network, &edition(&upgraded, program.clone(), "third")).await;
    has(&network, "north", "after the upgrade").await;
    network.destroy(&say).await.unwrap();
    fs::remove_file(&program).unwrap();
}

/// `up` in a process of its own, which prints a line for every event.
pub(crate) async fn stand_up_aloud(folder: &Path) {
    let spec = shelf();
    let network = Network::new(folder, spec.clone()).unwrap();
    let itself = std::env::current_exe().unwrap();
    let aloud = |event: &Event<'_>| println!("{event:?}");
    if let Err(error) = network.up(&edition(&spec, itself, "first"), &aloud).await {
        eprintln!("{}", told(&error));
        std::process::exit(1);
    }
}

pub(crate) async fn up_is_killed_at_every_event_and_goes_on() {
    let bench = Bench::new("killed");
    fs::create_dir_all(bench.folder.parent().unwrap()).unwrap();
    let mut kills = 0;
    for events in 1.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("up")
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
    }
    eprintln!("killed {kills} times");
    let network = Network::existing(&bench.folder).unwrap();
    ready(&network).await;
    // Not one process too many, and the ledger is usable.
    assert_eq!(marked(&bench.folder).len(), 5);
    put(&network, "south", "after all").await;
    has(&network, "north", "after all").await;
    assert_eq!(network.down(&say).await.unwrap(), 5);
    assert!(marked(&bench.folder).is_empty());
}

/// Every package that was installed, on every peer, is free of private keys.
fn assert_no_key_in_packages(network: &Network) {
    let mut seen = 0;
    for node in fs::read_dir(network.layout().root().join("nodes")).unwrap() {
        let packages = node.unwrap().path().join("data/lifecycle/chaincodes");
        for package in fs::read_dir(packages).into_iter().flatten() {
            let bytes = fs::read(package.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.contains("{{.client_key}}") && !text.contains("PRIVATE KEY"));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}
