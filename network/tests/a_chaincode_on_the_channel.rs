//! A chaincode as an external service of two organisations, deployed, used, changed and upgraded on real Fabric
//! processes.
//!
//! This program is the peers' builder and the chaincode too: it looks at its first argument.
//! Fabric's programs are found or built as in `a_network_on_real_processes`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use hlf_chaincode::{Config, Contract, Response, Service, Transaction, stop_signal};
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::builder::{self, BuilderProgram};
use hlf_network::network::{ChaincodeProgram, Network, Options, UpError};
use hlf_network::process::ProcessError;
use hlf_network::spec::{Chaincode, Consortium};
use hlf_network::{Event, LifecycleError};

use bench::{Bench, document, marked, no_chaincode, say, told};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["builder", phase, "--config", config, folders @ ..] => {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            let phase = phase.parse().expect("a phase");
            if let Err(error) = builder::run(phase, config.as_ref(), &folders) {
                eprintln!("{}", told(&error));
                std::process::exit(1);
            }
        }
        ["chaincode"] => runtime().block_on(serve()),
        ["up", folder] => runtime().block_on(stand_up_aloud(folder.as_ref())),
        // Called to list its tests: they have no names to choose them by.
        words if words.contains(&"--list") => {}
        _ => {
            runtime().block_on(a_chaincode_is_deployed_used_and_upgraded());
            println!("a_chaincode_is_deployed_used_and_upgraded ... ok");
            runtime().block_on(up_is_killed_at_every_event_and_goes_on());
            println!("up_is_killed_at_every_event_and_goes_on ... ok");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// Keeps one value, and tells which build of it answers.
struct Shelf {
    edition: String,
}

impl Contract for Shelf {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match (tx.function(), tx.args()) {
            (Some("Put"), [value]) => match tx.put("value", value.as_slice()) {
                Ok(()) => Response::ok(Vec::new()),
                Err(_) => Response::error(500, "NOT_PUT"),
            },
            (Some("Value"), []) => match tx.state("value").await {
                Ok(value) => Response::ok(value.unwrap_or_default()),
                Err(_) => Response::error(500, "NOT_READ"),
            },
            (Some("Edition"), []) => Response::ok(self.edition.clone().into_bytes()),
            _ => Response::error(404, "NO_SUCH_CALL"),
        }
    }
}

async fn serve() {
    let edition = std::env::var("EDITION").expect("EDITION");
    let config = Config::from_env().expect("CHAINCODE_*");
    let service = Service::new(config, Shelf { edition });
    let listening = service.bind().await.expect("a port");
    listening.serve(stop_signal()).await.expect("served");
}

/// Options for an edition of the chaincode, whose program is a file of its own.
fn edition(spec: &Consortium, program: PathBuf, edition: &str) -> Options {
    let itself = std::env::current_exe().unwrap();
    Options {
        builder: BuilderProgram { program: itself, args: vec!["builder".to_owned()] },
        chaincode: Some(ChaincodeProgram {
            program,
            args: vec!["chaincode".into()],
            env: BTreeMap::from([("EDITION".to_owned(), edition.into())]),
        }),
        ..no_chaincode(spec)
    }
}

async fn up(network: &Network, options: &Options) {
    let begun = Instant::now();
    if let Err(error) = network.up(options, &say).await {
        panic!("{}", told(&error));
    }
    eprintln!("up: {:?}", begun.elapsed());
}

/// A client's gateway, of the organisation's own peer.
async fn gateway(network: &Network, organization: &str) -> Gateway {
    let organization = network.spec().organization(organization).unwrap();
    let profile = network.profile(organization).unwrap();
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    let endpoint = profile.gateway().unwrap();
    Gateway::connect(&endpoint, msp.into_credentials(), Deadlines::default()).await.unwrap()
}

async fn put(network: &Network, organization: &str, value: &str) {
    let contract = gateway(network, organization).await.contract("consortium", "shelf");
    let proposal = contract.proposal("Put").arg(value).build().unwrap();
    if let Err(error) = contract.submit(proposal).await {
        panic!("{}", told(&error));
    }
}

async fn ask(network: &Network, organization: &str, call: &str) -> String {
    let msp_id = &network.spec().organization(organization).unwrap().msp_id;
    let contract = gateway(network, organization).await.contract("consortium", "shelf");
    // Its own peer, and so its own service, answers.
    let proposal = contract.proposal(call).endorsing_organizations([msp_id.clone()]).build().unwrap();
    match proposal.evaluate().await {
        Ok(value) => String::from_utf8(value).unwrap(),
        Err(error) => panic!("{}", told(&error)),
    }
}

async fn a_chaincode_is_deployed_used_and_upgraded() {
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
    assert_eq!(ask(&network, "north", "Value").await, "from north");
    put(&network, "south", "from south").await;
    assert_eq!(ask(&network, "south", "Edition").await, "first");
    let status = network.status().await.unwrap();
    assert!(status.ready, "{status:#?}");
    assert_eq!(status.nodes.len(), 5);
    assert_eq!(status.chaincode.unwrap().committed_sequence, Some(1));
    assert_no_key_in_packages(&network);

    // Again: nothing is done.
    let begun = Instant::now();
    let before = network.supervisor().marked();
    up(&network, &edition(&spec, program.clone(), "first")).await;
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
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
    assert_eq!(ask(&network, "south", "Value").await, "from south");

    // A new package and definition, the ledger goes on.
    let mut upgraded = spec.clone();
    let mut definition = Chaincode::new("shelf", "shelf_2");
    definition.sequence = 2;
    upgraded.set_chaincode(definition.clone()).unwrap();
    let network = Network::new(&bench.folder, upgraded.clone()).unwrap();
    up(&network, &edition(&upgraded, program.clone(), "third")).await;
    assert_eq!(ask(&network, "south", "Edition").await, "third");
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
    up(&network, &edition(&upgraded, program.clone(), "third")).await;
    assert_eq!(ask(&network, "north", "Value").await, "after the upgrade");
    network.destroy(&say).await.unwrap();
    fs::remove_file(&program).unwrap();
}

/// `up` in a process of its own, which prints a line for every event.
async fn stand_up_aloud(folder: &Path) {
    let spec = shelf();
    let network = Network::new(folder, spec.clone()).unwrap();
    let itself = std::env::current_exe().unwrap();
    let aloud = |event: &Event<'_>| println!("{event:?}");
    if let Err(error) = network.up(&edition(&spec, itself, "first"), &aloud).await {
        eprintln!("{}", told(&error));
        std::process::exit(1);
    }
}

async fn up_is_killed_at_every_event_and_goes_on() {
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
    let status = network.status().await.unwrap();
    assert!(status.ready, "{status:#?}");
    // Not one process too many, and the ledger is usable.
    assert_eq!(marked(&bench.folder).len(), 5);
    put(&network, "south", "after all").await;
    assert_eq!(ask(&network, "north", "Value").await, "after all");
    assert_eq!(network.down(&say).await.unwrap(), 5);
    assert!(marked(&bench.folder).is_empty());
}

fn shelf() -> Consortium {
    let mut spec = Consortium::parse(&document()).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    spec
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
