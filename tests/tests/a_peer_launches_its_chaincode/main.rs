//! Chaincode that dials a real peer. First one that the peer launches: its external builder's `run` is a
//! program on this workspace's shim, which dials the peer over mutual TLS with what the peer's `chaincode.json`
//! says. Then one that dials a peer in development mode, which knows no certificates.
//!
//! This program is the builder and the chaincode too: it looks at its first argument.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use caretrail_records::failure::chain;
use caretrail_tests::processes;
use caretrail_tests::until::until;
use hlf_chaincode::{
    Contract, DialConfig, DialError, Dialled, Failure, LedgerError, Metrics, Response, Transaction, dial,
    stop_signal,
};
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::Event;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{Network, Options};
use hlf_network::spec::{Consortium, DEFAULT};

const NAME: &str = "a_peer_launches_its_chaincode";
const CHANNEL: &str = "consortium";
const CHAINCODE: &str = "launched";
const PACKAGE: &str = "launched.tgz";
/// Long enough for a machine that does other things.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match words.as_slice() {
        // Every package is this builder's, there is nothing to build, and no service to connect to.
        ["builder", ..] => ExitCode::SUCCESS,
        ["launched", metadata] => runtime.block_on(launched(Path::new(metadata))),
        words if words.contains(&"--list") => {
            eprintln!("{NAME}: test");
            ExitCode::SUCCESS
        }
        words if words.iter().any(|word| !word.starts_with('-') && !NAME.contains(word)) => ExitCode::SUCCESS,
        _ => {
            runtime.block_on(test());
            eprintln!("test {NAME} ... ok");
            ExitCode::SUCCESS
        }
    }
}

/// What the peer runs: it ends when its stream does.
async fn launched(metadata: &Path) -> ExitCode {
    let config = DialConfig::from_run_metadata(metadata).expect("what a peer writes");
    let contract = Shelf { peer_msp_id: config.peer_msp_id.clone().unwrap_or_default() };
    match dial(config, contract, stop_signal()).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Keeps values, many at once.
struct Shelf {
    peer_msp_id: String,
}

impl Contract for Shelf {
    async fn invoke(&self, tx: &Transaction) -> Response {
        self.answer(tx).await.unwrap_or_else(|error| Failure::from(error).into())
    }
}

impl Shelf {
    async fn answer(&self, tx: &Transaction) -> Result<Response, LedgerError> {
        let keys: Vec<_> = (0..250).map(|n| format!("k{n:03}")).collect();
        Ok(match (tx.function(), tx.args()) {
            (Some("Fill"), [value]) => {
                for key in &keys {
                    tx.put(key.as_str(), value.as_slice())?;
                }
                Response::ok(tx.round_trips().to_string())
            }
            (Some("Count"), []) => {
                let scanned = tx.range("", "").await?.collect().await?.len();
                let got = tx.states(&keys).await?.into_iter().flatten().count();
                Response::ok(format!("{scanned} {got} {}", tx.round_trips()))
            }
            // Only evaluated: peers differ in it.
            (Some("Peer"), []) => Response::ok(self.peer_msp_id.as_str()),
            (Some("Panic"), []) => panic!("the test wants it"),
            _ => Response::error(404, "NO_SUCH_CALL"),
        })
    }
}

/// The run's folder; its processes end with the test, its logs stay when it fails.
struct Run(PathBuf);

impl Drop for Run {
    fn drop(&mut self) {
        for id in processes::marked(&self.0) {
            processes::crash(id);
        }
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

async fn test() {
    let run = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{NAME}-{}", std::process::id()));
    fs::create_dir_all(&run).unwrap();
    let run = Run(run.canonicalize().unwrap());
    let spec = match std::env::var("HLF_NETWORK_FABRIC") {
        Ok(release) => DEFAULT.replacen("3.1.1", &release, 1),
        Err(_) => DEFAULT.to_owned(),
    };
    let spec = Consortium::parse(&spec).unwrap();
    let itself = std::env::current_exe().unwrap();
    let options = Options {
        binaries: Search::from_environment(
            spec.fabric,
            default_cache_dir().expect("HOME or HLF_NETWORK_CACHE"),
        ),
        builder: BuilderProgram { program: itself.clone(), args: vec!["builder".to_owned()] },
        chaincode: None,
        chaincode_of: BTreeMap::new(),
    };
    let network = Network::new(&run.0, spec).unwrap();
    let say = |event: &Event<'_>| eprintln!("{event:?}");
    network.up(&options, &say).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    for organization in &network.spec().organizations {
        let folder =
            PathBuf::from(&network.peer_environment(organization).unwrap().variables["FABRIC_CFG_PATH"]);
        let script = folder.join("builder/bin/run");
        fs::write(&script, format!("#!/bin/sh\nexec '{}' launched \"$2\"\n", itself.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    deploy(&network, &run.0);

    let submitted =
        until("the first transaction", DEADLINE, async || submit(&network, "Fill", &["1"]).await.ok());
    assert_eq!(submitted.await, "0", "writes wait until the contract has returned");
    for organization in network.spec().organizations.iter().map(|organization| organization.name.as_str()) {
        let count = until("what was committed", DEADLINE, async || {
            evaluate(&network, organization, "Count").await.ok().filter(|count| count.starts_with("250 250"))
        });
        // Three hundreds of a scan, and one multi-get where the peer takes them.
        let release_3 = network.spec().fabric.to_string().starts_with('3');
        assert_eq!(count.await, if release_3 { "250 250 4" } else { "250 250 253" });
        let msp_id = &network.spec().organization(organization).unwrap().msp_id;
        assert_eq!(evaluate(&network, organization, "Peer").await.unwrap(), *msp_id);
        let panicked = evaluate(&network, organization, "Panic").await.unwrap_err();
        assert!(panicked.contains("CONTRACT_PANICKED"), "{panicked}");
    }

    let before = chaincode_processes();
    assert_eq!(before.len(), 2, "one for each peer");
    for id in &before {
        processes::crash(*id);
    }
    let again =
        until("the peers to launch it anew", DEADLINE, async || submit(&network, "Fill", &["2"]).await.ok());
    assert_eq!(again.await, "0");
    let after = chaincode_processes();
    assert!(after.len() == 2 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");

    network.down(&say).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    until("the chaincode to end with its peers", DEADLINE, async || {
        chaincode_processes().is_empty().then_some(())
    })
    .await;
    development_mode(&network, &run.0).await;
}

/// One peer alone on what it has committed, in development mode and so without TLS. It launches what is
/// installed also then; what is not it waits for, by name and version.
async fn development_mode(network: &Network, folder: &Path) {
    let organization = &network.spec().organizations[0];
    let environment = network.peer_environment(organization).unwrap();
    let program = environment.programs.clone().expect("the folder of Fabric's programs").join("peer");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).envs(&environment.variables).env("CORE_PEER_TLS_ENABLED", "false");
        // By which the run's end finds it.
        command.env(hlf_network::process::MARKER, folder);
        command
    };
    let node = Path::new(&environment.variables["FABRIC_CFG_PATH"]);
    fs::remove_dir_all(node.join("data/lifecycle/chaincodes")).unwrap();
    let log = fs::File::create(folder.join("logs/development_mode.log")).unwrap();
    // The environment names the admin's keys; the peer has its own.
    let mut peer = command(&["node", "start", "--peer-chaincodedev"])
        .env_remove("CORE_PEER_MSPCONFIGPATH")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let core = fs::read_to_string(node.join("core.yaml")).unwrap();
    let address = core.lines().find_map(|line| line.trim().strip_prefix("chaincodeAddress:"));
    let address = address.expect("the peer's chaincode address").trim().trim_matches(['\'', '"']).to_owned();
    let lookup = |key: &str| match key {
        "CORE_CHAINCODE_ID_NAME" => Some(format!("{CHAINCODE}:1")),
        "CORE_PEER_ADDRESS" => Some(address.clone()),
        "CORE_PEER_TLS_ENABLED" => Some("false".to_owned()),
        _ => None,
    };
    let config = DialConfig::from_lookup(lookup, []).unwrap();
    let dialled = until("the peer to listen for chaincode", DEADLINE, async || {
        let contract = Shelf { peer_msp_id: "in development".to_owned() };
        Dialled::connect(config.clone(), contract, Metrics::default()).await.ok()
    });
    let chaincode = tokio::spawn(dialled.await.run(std::future::pending()));
    let ask = |function: &str| {
        let arguments = format!(r#"{{"Args":["{function}"]}}"#);
        command(&["chaincode", "query", "-C", CHANNEL, "-n", CHAINCODE, "-c", &arguments]).output().unwrap()
    };
    let answer = until("the peer to ask the chaincode", DEADLINE, async || {
        let output = tokio::task::block_in_place(|| ask("Peer"));
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    assert_eq!(answer.await.trim(), "in development");
    let count = tokio::task::block_in_place(|| ask("Count"));
    assert!(String::from_utf8(count.stdout).unwrap().starts_with("250 250"));
    peer.kill().unwrap();
    peer.wait().unwrap();
    let ended = tokio::time::timeout(DEADLINE, chaincode).await.expect("the chaincode ends with its peer");
    assert!(matches!(ended.unwrap(), Err(DialError::StreamLost)));
}

/// Installs, approves and commits the chaincode with Fabric's own command line.
fn deploy(network: &Network, folder: &Path) {
    write_package(folder);
    let package = folder.join(PACKAGE);
    let package = package.to_str().unwrap();
    let organizations = &network.spec().organizations;
    let first = &organizations[0];
    let id = package_id(network, folder);
    for organization in organizations {
        peer(network, &organization.name, &["install", package]);
        let approve = ["approveformyorg", "--package-id", &id];
        peer(network, &organization.name, &[&approve[..], &definition()].concat());
    }
    // Each waited for its own peer, and the definition is endorsed by all.
    for organization in organizations {
        let ready = ["checkcommitreadiness", "--output", "json"];
        let begun = Instant::now();
        while peer(network, &organization.name, &[&ready[..], &definition()].concat()).contains("false") {
            assert!(begun.elapsed() < Duration::from_secs(60), "`{}` lacks an approval", organization.name);
        }
    }
    let environments: Vec<_> = organizations
        .iter()
        .map(|organization| network.peer_environment(organization).unwrap().variables)
        .collect();
    let mut commit = vec!["commit"];
    for environment in &environments {
        commit.extend(["--peerAddresses", environment["CORE_PEER_ADDRESS"].to_str().unwrap()]);
        commit.extend(["--tlsRootCertFiles", environment["CORE_PEER_TLS_ROOTCERT_FILE"].to_str().unwrap()]);
    }
    peer(network, &first.name, &[&commit[..], &definition()].concat());
}

fn package_id(network: &Network, folder: &Path) -> String {
    let first = &network.spec().organizations[0];
    let package = folder.join(PACKAGE);
    peer(network, &first.name, &["calculatepackageid", package.to_str().unwrap()]).trim().to_owned()
}

fn definition() -> [&'static str; 8] {
    ["--channelID", CHANNEL, "--name", CHAINCODE, "--version", "1", "--sequence", "1"]
}

/// `peer lifecycle chaincode …` as an organisation's admin.
fn peer(network: &Network, organization: &str, arguments: &[&str]) -> String {
    let organization = network.spec().organization(organization).unwrap();
    let environment = network.peer_environment(organization).unwrap();
    let program = environment.programs.clone().expect("the folder of Fabric's programs").join("peer");
    let mut command = Command::new(program);
    command.args(["lifecycle", "chaincode"]).args(arguments).envs(&environment.variables);
    if ["approveformyorg", "commit"].contains(&arguments[0]) {
        command.arg("--orderer").arg(&environment.variables["ORDERER_ADDRESS"]);
        command.arg("--tls").arg("--cafile").arg(&environment.variables["ORDERER_CA"]);
    }
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{words}");
    String::from_utf8(output.stdout).unwrap()
}

/// A package of a type of its own, without code: the builder brings the program.
fn write_package(folder: &Path) {
    let inside = folder.join("package");
    fs::create_dir_all(inside.join("code")).unwrap();
    fs::write(inside.join("code/none.txt"), "the builder brings the program\n").unwrap();
    fs::write(inside.join("metadata.json"), r#"{"type":"program","label":"launched_1"}"#).unwrap();
    let tar = |archive: &Path, of: &[&str]| {
        let done = Command::new("tar").arg("-C").arg(&inside).arg("-czf").arg(archive).args(of).status();
        assert!(done.expect("`tar` on the PATH").success());
    };
    tar(&inside.join("code.tar.gz"), &["code"]);
    tar(&folder.join(PACKAGE), &["metadata.json", "code.tar.gz"]);
}

async fn contract(network: &Network, organization: &str) -> hlf_gateway::Contract {
    let organization = network.spec().organization(organization).unwrap();
    let profile = network.profile(organization).unwrap();
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    let endpoint = profile.gateway().unwrap();
    let gateway = Gateway::connect(&endpoint, msp.into_credentials(), Deadlines::default()).await.unwrap();
    gateway.contract(CHANNEL, CHAINCODE)
}

async fn submit(network: &Network, function: &str, arguments: &[&str]) -> Result<String, String> {
    let contract = contract(network, &network.spec().organizations[0].name).await;
    let proposal =
        arguments.iter().fold(contract.proposal(function), |proposal, argument| proposal.arg(*argument));
    let committed = contract.submit(proposal.build().unwrap()).await.map_err(|error| chain(&error))?;
    Ok(String::from_utf8(committed.result).unwrap())
}

async fn evaluate(network: &Network, organization: &str, function: &str) -> Result<String, String> {
    let msp_id = network.spec().organization(organization).unwrap().msp_id.clone();
    let contract = contract(network, organization).await;
    let proposal = contract.proposal(function).endorsing_organizations([msp_id]).build().unwrap();
    let value = proposal.evaluate().await.map_err(|error| chain(&error))?;
    Ok(String::from_utf8(value).unwrap())
}

/// The processes of this program that peers launched.
fn chaincode_processes() -> Vec<u32> {
    let itself = std::env::current_exe().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        if words.first().is_some_and(|program| Path::new(program.as_ref()) == itself)
            && words.get(1).is_some_and(|word| word == "launched")
        {
            found.push(id);
        }
    }
    found
}
