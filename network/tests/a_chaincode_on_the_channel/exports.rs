//! What is exported for other supervisors runs as it stands there, and is what those supervisors take.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::export::{Export, ExportError, Format};
use hlf_network::network::{Network, Options};
use hlf_network::process::MARKER;
use hlf_network::spec::{Chaincode, Consortium};

use crate::bench::{Bench, cache_dir, document, told};
use crate::shelf::{ask, edition, has, put, shelf, try_put, up};

/// How long nodes may take from their start until they answer.
const START: Duration = Duration::from_secs(120);

/// The default consortium, whose nodes have addresses of their own.
fn addressed() -> Consortium {
    // Held together, so that no port is drawn twice.
    let drawn: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = drawn.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    let endpoints = |node: &str, port: u16| format!("endpoints = {{ {node} = \"127.0.0.1:{port}\" }}");
    let mut text = document();
    let consenters = "consenters = [\"orderer0\"]";
    text = text.replacen(consenters, &format!("{consenters}\n{}", endpoints("orderer0", ports[0])), 1);
    let (north, south) = text.split_once("name = \"south\"").unwrap();
    let peers = "peers = [\"peer0\"]";
    let with = |part: &str, port| part.replacen(peers, &format!("{peers}\n{}", endpoints("peer0", port)), 1);
    text = format!("{}name = \"south\"{}", with(north, ports[1]), with(south, ports[2]));
    let mut spec = Consortium::parse(&text).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    spec
}

fn export(options: &Options, format: Format) -> Export {
    let mut export = Export::new(format, "3.1.1", options.builder.clone());
    export.chaincode = options.chaincode.clone();
    export
}

pub(crate) async fn exported_units_run_the_network_and_manifests_are_taken() {
    let bench = Bench::new("exports");
    let spec = addressed();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "exported");
    up(&network, &options).await;
    put(&network, "north", "before").await;
    has(&network, "south", "before").await;
    // An upgrade is served at the other one of two places, and stays there.
    let mut chaincode = Chaincode::new("shelf", "shelf_2");
    chaincode.sequence = 2;
    let mut spec = spec;
    spec.set_chaincode(chaincode).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    up(&network, &options).await;

    manifests_are_taken(&network, &options, &bench.folder.join("exported"));

    // As units say, on a machine whose paths are others.
    let machine = bench.folder.join("machine");
    let mut units = export(&options, Format::Systemd);
    units.paths.config = machine.join("etc");
    units.paths.data = machine.join("data");
    units.paths.programs = machine.join("bin");
    units.paths.keys = machine.join("credentials");
    let folder = bench.folder.join("exported/units");
    let exported = network.export(&units, &folder).unwrap();
    let nodes = ["orderer0.orderer.example.com", "peer0.north.example.com", "peer0.south.example.com"];
    assert_eq!(exported.only_on_this_machine, nodes);
    assert!(matches!(network.export(&units, &folder), Err(ExportError::NotEmpty(_))));

    for process in &exported.processes {
        let unit = fs::read_to_string(folder.join(format!("systemd/hlf-{process}.service"))).unwrap();
        let families = unit.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();
        // A peer asks for this machine's addresses.
        assert_eq!(families.contains("AF_NETLINK"), process.starts_with("peer"), "{process}: {families}");
        if let Some(domain) = process.strip_prefix("chaincode.") {
            let member = spec.organizations.iter().find(|member| member.domain == domain).unwrap();
            let address = network.profile(member).unwrap().chaincode_service.unwrap().address;
            assert!(unit.contains(&format!("CHAINCODE_SERVER_ADDRESS={address}")), "{address}:\n{unit}");
        }
    }

    network.down(&crate::bench::say).await.unwrap();
    fs::create_dir_all(&units.paths.data).unwrap();
    for node in nodes {
        let data = network.layout().root().join("nodes").join(node).join("data");
        let moved = units.paths.data.join(node);
        fs::rename(data, &moved).unwrap();
        // Built packages stay behind, as the page in the folder says.
        let _ = fs::remove_dir_all(moved.join("externalbuilder"));
    }
    copy(&folder.join("config"), &units.paths.config);
    link_programs(&network, &units.paths.programs);
    let running: Vec<Running> = exported
        .processes
        .iter()
        .map(|process| start(&folder, &units.paths.keys, process, &bench.folder))
        .collect();
    assert_eq!(running.len(), 5);
    for organization in ["north", "south"] {
        await_gateway(&network, organization).await;
        assert_eq!(ask(&network, organization, "Value").await, "before");
    }
    put_once_peers_know_each_other(&network, "south", "after").await;
    has(&network, "north", "after").await;
    assert_eq!(ask(&network, "north", "Edition").await, "exported");
    drop(running);
}

/// Run when it is asked for by name, for it needs the package `systemd`: `make test-systemd`.
pub(crate) async fn systemd_takes_exported_units() {
    let bench = Bench::new("units");
    let spec = shelf();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "verified");
    up(&network, &options).await;
    let mut units = export(&options, Format::Systemd);
    units.paths.programs = bench.folder.join("bin");
    let folder = bench.folder.join("exported");
    let exported = network.export(&units, &folder).unwrap();
    link_programs(&network, &units.paths.programs);
    for process in exported.processes {
        let unit = folder.join("systemd").join(format!("hlf-{process}.service"));
        systemd_analyze(&["verify", "--man=no"], &unit);
        // 0 is least exposed, 100 is most.
        systemd_analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"], &unit);
    }
}

fn systemd_analyze(args: &[&str], unit: &Path) {
    let output = Command::new("systemd-analyze").args(args).arg(unit).output();
    let output = output.expect("this test needs systemd-analyze: install the package `systemd`");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", unit.display(), String::from_utf8_lossy(&said));
}

/// Puts programs where units look for them.
fn link_programs(network: &Network, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let north = network.spec().organization("north").unwrap();
    let fabric = network.profile(north).unwrap().programs.unwrap();
    for program in [fabric.join("peer"), fabric.join("orderer"), std::env::current_exe().unwrap()] {
        std::os::unix::fs::symlink(&program, folder.join(program.file_name().unwrap())).unwrap();
    }
}

pub(crate) async fn what_cannot_be_exported_is_named() {
    let bench = Bench::new("no-exports");
    let spec = shelf();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "unexported");
    let folder = bench.folder.join("exported");
    let error = network.export(&export(&options, Format::Compose), &folder).unwrap_err();
    let ExportError::NoEndpoint { host, field, port } = &error else { panic!("{}", told(&error)) };
    assert_eq!((host.as_str(), *port), ("orderer0.orderer.example.com", 7050));
    assert_eq!(field, "orderer.endpoints.orderer0");
    let mut of_west = export(&options, Format::Systemd);
    of_west.organization = Some("west".to_owned());
    assert!(
        matches!(network.export(&of_west, &folder), Err(ExportError::Organization(name)) if name == "west")
    );
    let never_up = network.export(&export(&options, Format::Systemd), &folder).unwrap_err();
    assert!(told(&never_up).contains("stand the network up"), "{}", told(&never_up));
    assert!(!folder.exists());
}

/// Kubernetes' own types and Compose's own schema take what is exported for them, and no key is where none belongs.
fn manifests_are_taken(network: &Network, options: &Options, folder: &Path) {
    let kubernetes = folder.join("for-kubernetes");
    network.export(&export(options, Format::Kubernetes), &kubernetes).unwrap();
    let compose = folder.join("for-compose");
    network.export(&export(options, Format::Compose), &compose).unwrap();

    let said = manifests("kubernetes", &files(&kubernetes.join("kubernetes")));
    let mut wanted = Vec::new();
    for node in ["orderer0-orderer-example-com", "peer0-north-example-com", "peer0-south-example-com"] {
        wanted.extend(
            ["ConfigMap {}-config", "NetworkPolicy {}", "Secret {}-keys", "Service {}", "StatefulSet {}"]
                .map(|line| line.replace("{}", node)),
        );
    }
    wanted.sort();
    assert_eq!(said, wanted);
    let wanted = [
        "chaincode.north.example.com",
        "chaincode.south.example.com",
        "orderer0.orderer.example.com",
        "peer0.north.example.com",
        "peer0.south.example.com",
    ];
    assert_eq!(manifests("compose", &[compose.join("compose.yaml")]), wanted);

    let mut keys = 0;
    for path in files(folder) {
        let holds = String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("PRIVATE KEY");
        let is_for = path.components().any(|part| part.as_os_str() == "keys");
        assert_eq!(holds, is_for, "{}", path.display());
        if is_for || path.to_string_lossy().ends_with(".keys.yaml") {
            keys += 1;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }
    // For Compose: orderer 2, peers 3 each, services 1 each; for Kubernetes the secrets of three pods.
    assert_eq!(keys, 10 + 3);

    // One organisation's, without keys.
    let mut of_north = export(options, Format::Kubernetes);
    of_north.organization = Some("north".to_owned());
    of_north.keys = false;
    let only = folder.join("of-north");
    let exported = network.export(&of_north, &only).unwrap();
    assert_eq!(exported.processes, ["peer0.north.example.com", "chaincode.north.example.com"]);
    assert_eq!(files(&only.join("kubernetes")), [only.join("kubernetes/peer0.north.example.com.yaml")]);
    assert_eq!(files(&only).len(), 2, "and a page to read");
}

/// What the checker in `tests/go/manifests` says, sorted.
fn manifests(command: &str, paths: &[PathBuf]) -> Vec<String> {
    let program = cache_dir().join("tests/manifests");
    let go = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).output();
        let output =
            output.expect("this test needs Go 1.25 or later on the PATH: install it from https://go.dev/dl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/manifests");
    go(Command::new("go").args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(source));
    let mut lines: Vec<String> =
        go(Command::new(&program).arg(command).args(paths)).lines().map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

/// A process started as its unit says; it ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does what systemd would, by the lines of a unit.
fn start(exported: &Path, credentials: &Path, process: &str, marker: &Path) -> Running {
    let unit = format!("hlf-{process}.service");
    let text = fs::read_to_string(exported.join("systemd").join(&unit)).unwrap();
    let values = |key: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(ToOwned::to_owned)
            .collect()
    };
    let shown = credentials.join(&unit);
    fs::create_dir_all(&shown).unwrap();
    for line in values("LoadCredential") {
        let (name, source) = line.split_once(':').unwrap();
        let source = source.strip_prefix("/etc/hlf-network-keys").unwrap();
        fs::copy(exported.join("keys").join(source.trim_start_matches('/')), shown.join(name)).unwrap();
    }
    let [line] = values("ExecStart").try_into().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let env: BTreeMap<String, String> = values("Environment")
        .into_iter()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let log = fs::File::create(marker.join("logs").join(format!("unit-{process}.log"))).unwrap();
    let child = Command::new(words[0])
        .args(&words[1..])
        .env_clear()
        .envs(env)
        .env("PATH", "/usr/bin:/bin")
        .env(MARKER, marker)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Running(child)
}

/// Puts a value as soon as gossip has formed again and an orderer leads: until then nothing is endorsed, or nothing taken.
async fn put_once_peers_know_each_other(network: &Network, organization: &str, value: &str) {
    let begun = Instant::now();
    while let Err(error) = try_put(network, organization, &[], value).await {
        assert!(begun.elapsed() < START, "{}", told(&error));
        tokio::task::yield_now().await;
    }
}

async fn await_gateway(network: &Network, organization: &str) {
    let spec = network.spec().organization(organization).unwrap();
    let profile = network.profile(spec).unwrap();
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    let credentials = msp.into_credentials();
    let begun = Instant::now();
    loop {
        let endpoint = profile.gateway().unwrap();
        let why = match Gateway::connect(&endpoint, credentials.clone(), Deadlines::default()).await {
            Ok(gateway) => {
                let proposal = gateway.contract("consortium", "shelf").proposal("Value").build().unwrap();
                match proposal.evaluate().await {
                    Ok(_) => return,
                    Err(error) => told(&error),
                }
            }
            Err(error) => told(&error),
        };
        assert!(begun.elapsed() < START, "{organization}: {why}");
        tokio::task::yield_now().await;
    }
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A link leads to a folder of the machine that runs the units.
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match fs::read_link(&path) {
            Ok(to) => std::os::unix::fs::symlink(to, target).unwrap(),
            Err(_) => drop(fs::copy(path, target).unwrap()),
        }
    }
}
