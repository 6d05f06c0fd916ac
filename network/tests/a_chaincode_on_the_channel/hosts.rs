//! Every organisation's part on a host of its own, with an address of its own: links are cut and become slow, and mend.
//!
//! The hosts are network namespaces, so that nothing reaches anything by 127.0.0.1 but what is on one host. Ordering nodes have
//! hosts of their own as well, and the ordering organisation's operator another one, from which it starts and asks them.

mod agent;
mod lan;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hlf_network::Quiet;
use hlf_network::fabric::{Binaries, Search};
use hlf_network::spec::{Consortium, NodeAddress, ORDERING};
use serde_json::Value;

use crate::bench::{Bench, cache_dir};
use crate::shelf::shelf;
use lan::{Lan, namespace};

pub(crate) use agent::act;

const MEMBERS: [&str; 3] = ["north", "south", "east"];
const CONSENTERS: [&str; 3] = ["orderer0", "orderer1", "orderer2"];

/// How long what a link was cut or mended for may take.
const WITHIN: Duration = Duration::from_secs(120);

fn address(host: &str) -> Ipv4Addr {
    let all = [ORDERING].into_iter().chain(CONSENTERS).chain(MEMBERS);
    let number = all.into_iter().position(|known| known == host).unwrap();
    Ipv4Addr::new(10, 77, 0, u8::try_from(number + 10).unwrap())
}

/// Ordering nodes are found by addresses, north's and south's peers by names.
fn consortium() -> Consortium {
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    spec.set_organizations(&MEMBERS).unwrap();
    let place = |host: String, port| NodeAddress { host, port };
    for name in CONSENTERS {
        spec.orderer.endpoints.insert(name.to_owned(), place(address(name).to_string(), 7050));
    }
    for member in &mut spec.organizations {
        let host = match member.name.as_str() {
            "east" => address("east").to_string(),
            _ => member.host("peer0"),
        };
        member.endpoints.insert("peer0".to_owned(), place(host, 7051));
    }
    Consortium::parse(&spec.to_toml().unwrap()).unwrap()
}

/// The hosts, the folders of their operators, and the cables between them.
struct Hosts {
    lan: Lan,
    bench: Bench,
}

/// A load that runs until it is told to stop.
struct Load(Child);

impl Hosts {
    fn new(spec: &Consortium, programs: &Binaries) -> Self {
        let mut lan = Lan::new();
        let bench = Bench::new("hosts");
        for host in [ORDERING].into_iter().chain(CONSENTERS).chain(MEMBERS) {
            lan.plug(host, address(host));
        }
        lan.name(&[
            ("peer0.north.example.com", address("north")),
            ("peer0.south.example.com", address("south")),
        ]);
        lan.allow_foreign_addresses(ORDERING);
        let hosts = Self { lan, bench };
        for name in spec.parts() {
            let home = hosts.home(name);
            fs::create_dir_all(&home).unwrap();
            fs::write(home.join(agent::CONSORTIUM), spec.to_toml().unwrap()).unwrap();
            let mut part = spec.part_document(name, agent::CONSORTIUM, "state");
            if name == "south" {
                // Found by a name, it listens at the one address alone.
                part.push_str(&format!("[nodes.peer0]\nlisten = \"{}:7051\"\n", address(name)));
            }
            if name == ORDERING {
                for name in CONSENTERS {
                    let at = address(name);
                    part.push_str(&format!(
                        "[nodes.{name}]\noperations = \"{at}:9443\"\nadmin = \"{at}:9444\"\n"
                    ));
                }
            }
            fs::write(home.join(agent::PART), part).unwrap();
        }
        hosts.spread_orderers(programs);
        hosts
    }

    /// Has each ordering node run on its own host, whose name it is called by.
    fn spread_orderers(&self, programs: &Binaries) {
        let folder = self.home(ORDERING).join(agent::PROGRAMS);
        fs::create_dir_all(&folder).unwrap();
        for program in [programs.peer(), programs.configtxgen()] {
            symlink(&program, folder.join(program.file_name().unwrap())).unwrap();
        }
        symlink(programs.sample_config(), folder.parent().unwrap().join("config")).unwrap();
        let on_its_host = format!(
            "#!/bin/sh\nnode=$(basename \"$FABRIC_CFG_PATH\")\nexec ip netns exec \"{}${{node%%.*}}\" \"{}\" \"$@\"\n",
            namespace(""),
            programs.orderer().display()
        );
        let orderer = folder.join("orderer");
        fs::write(&orderer, on_its_host).unwrap();
        fs::set_permissions(&orderer, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn home(&self, host: &str) -> PathBuf {
        self.bench.folder.join(host)
    }

    fn agent(&self, host: &str, action: &[&str]) -> std::process::Command {
        let mut command = self.lan.command(host, &std::env::current_exe().unwrap());
        command.arg("host").arg(self.home(host)).args(action);
        command
    }

    /// What an operator's action on a host answers.
    fn ask(&self, host: &str, action: &[&str]) -> Value {
        self.try_ask(host, action).unwrap_or_else(|| panic!("{host} cannot {action:?}"))
    }

    fn try_ask(&self, host: &str, action: &[&str]) -> Option<Value> {
        let output = self.agent(host, action).stderr(Stdio::inherit()).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Whom an organisation's `up` waits for.
    fn up(&self, host: &str) -> Vec<String> {
        let standing = self.ask(host, &["up"]);
        let awaited = standing["waiting_for"].as_array().unwrap().iter();
        awaited.map(|awaited| awaited["from"].as_str().unwrap().to_owned()).collect()
    }

    /// Transactions that are sent until they are told to stop, or as many as are wanted.
    fn load(&self, host: &str, action: &[&str]) -> Load {
        let mut command = self.agent(host, action);
        Load(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Asks again until the answer is as it ought to be.
    fn until(&self, host: &str, action: &[&str], what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.try_ask(host, action).unwrap_or_default();
            if holds(&answer) {
                eprintln!("{host}: {what} after {:.1} s", begun.elapsed().as_secs_f32());
                return answer;
            }
            assert!(begun.elapsed() < WITHIN, "{host}: not {what}: {answer:#}");
        }
    }

    /// Waits until all members' peers end with the same block.
    fn level(&self) {
        let begun = Instant::now();
        loop {
            let newest = MEMBERS.map(|member| self.ask(member, &["newest"]));
            if newest.iter().all(|one| *one == newest[0]) {
                eprintln!("level at {} after {:.1} s", newest[0], begun.elapsed().as_secs_f32());
                return;
            }
            assert!(begun.elapsed() < WITHIN, "not level: {newest:?}");
        }
    }

    /// Transactions that come after one another, all of which commit.
    fn puts(&self, host: &str, label: &str, times: usize) -> Vec<Value> {
        let came = self.load(host, &["put", label, &times.to_string()]).stop();
        assert!(came.iter().all(|one| one["outcome"] == "committed"), "{host}: {came:#?}");
        came
    }

    fn ready(&self, host: &str) {
        self.until(host, &["status"], "ready", |status| status["ready"] == true);
    }
}

impl Load {
    fn stop(mut self) -> Vec<Value> {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().unwrap();
        assert!(output.status.success());
        let came: Value = serde_json::from_slice(&output.stdout).unwrap();
        came.as_array().unwrap().clone()
    }
}

/// How many of a list came to an outcome.
fn count(came: &[Value], outcome: &str) -> usize {
    came.iter().filter(|one| one["outcome"] == outcome).count()
}

pub(crate) async fn hosts_lose_links_and_no_transaction() {
    let spec = consortium();
    let programs = Search::from_environment(spec.fabric, cache_dir()).find(&Quiet).await.unwrap();
    let hosts = Hosts::new(&spec, &programs);
    stand_up(&hosts, &spec);
    let before = valid(&hosts, "north").len();
    let mut came = Vec::new();
    for member in MEMBERS {
        came.extend(hosts.puts(member, "first", 1));
    }
    hosts.level();
    came.extend(a_member_is_cut_off(&hosts));
    came.extend(the_leader_is_cut_off(&hosts));
    came.extend(a_member_is_far_away(&hosts));

    // Whoever was told that a transaction is valid finds it, on every peer; whoever was told that it failed finds none.
    let ledgers = MEMBERS.map(|member| valid(&hosts, member));
    assert!(ledgers.iter().all(|ledger| *ledger == ledgers[0]));
    let there = |one: &&Value| ledgers[0].iter().any(|id| one["tx_id"] == id.as_str());
    let of = |outcome: &'static str| came.iter().filter(move |one| one["outcome"] == outcome);
    assert_eq!(of("committed").filter(there).count(), of("committed").count());
    let settled_later = of("unknown").filter(there).count();
    assert_eq!(
        ledgers[0].len() - before,
        of("committed").count() + settled_later,
        "one that failed is valid"
    );
    eprintln!(
        "{} committed, {} failed, {} unknown, of which {settled_later} committed",
        of("committed").count(),
        of("failed").count(),
        of("unknown").count()
    );
}

fn valid(hosts: &Hosts, member: &str) -> Vec<String> {
    serde_json::from_value(hosts.ask(member, &["ledger"])).unwrap()
}

/// By files alone, as on machines of their own.
fn stand_up(hosts: &Hosts, spec: &Consortium) {
    let post = hosts.bench.folder.join("post");
    fs::create_dir(&post).unwrap();
    let parts: Vec<&str> = spec.parts().collect();
    let told = |path: &Path| path.to_str().unwrap().to_owned();
    let files: Vec<String> = parts
        .iter()
        .map(|part| hosts.ask(part, &["describe", &told(&post)]).as_str().unwrap().to_owned())
        .collect();
    for part in &parts {
        for file in &files {
            hosts.ask(part, &["import", file]);
        }
    }
    let block = told(&post.join("consortium.block"));
    hosts.ask(ORDERING, &["genesis", &block]);
    for member in MEMBERS {
        hosts.ask(member, &["import", &block]);
    }
    let begun = Instant::now();
    assert_eq!(hosts.up(ORDERING), [""; 0]);
    assert_ne!(hosts.up("north"), [""; 0], "two of three have to approve");
    for host in ["south", "east", "north", ORDERING] {
        assert_eq!(hosts.up(host), [""; 0], "{host}");
    }
    eprintln!("four parts stood up in {:.1} s", begun.elapsed().as_secs_f32());
    for part in &parts {
        hosts.ready(part);
    }
}

/// The others go on; it is told what it does not reach, and catches up.
fn a_member_is_cut_off(hosts: &Hosts) -> Vec<Value> {
    hosts.lan.cut("south");
    // At once, and when its peer knows of no other any more.
    let alone = hosts.load("south", &["try", "alone", "2"]);
    let mut came = hosts.puts("north", "without south", 5);
    came.extend(hosts.puts("east", "without south", 5));
    let alone = alone.stop();
    assert_eq!(count(&alone, "failed"), 2, "{alone:#?}");
    // Whom it does not reach, or, once its peer has given them up, that it knows of too few.
    for one in &alone {
        let told = one["told"].as_str().unwrap();
        assert!(told.contains(":7051") || told.contains("too few peers know of each other"), "{told}");
    }
    assert!(alone[0]["told"].as_str().unwrap().contains(":7051"), "{alone:#?}");
    came.extend(alone);
    let status = hosts.ask("south", &["status"]);
    let ordering = status["ordering"].as_array().unwrap();
    assert_eq!(ordering.len(), CONSENTERS.len());
    assert!(
        status["ready"] == false && ordering.iter().all(|node| node["problem"].is_string()),
        "{status:#}"
    );
    hosts.lan.mend("south");
    hosts.level();
    hosts.ready("south");
    came.extend(hosts.puts("south", "back", 2));
    hosts.level();
    came
}

/// Another ordering node leads, and nobody's transaction is lost.
fn the_leader_is_cut_off(hosts: &Hosts) -> Vec<Value> {
    let leader = |status: &Value, but: &str| {
        let nodes = status["nodes"].as_array()?;
        let leads = |node: &&Value| node["leads"] == true && node["name"] != but;
        Some(nodes.iter().find(leads)?["name"].as_str().unwrap().to_owned())
    };
    let status = hosts.until(ORDERING, &["status"], "one leads", |status| leader(status, "").is_some());
    let first = leader(&status, "").unwrap();
    let host = first.split('.').next().unwrap();
    let load = MEMBERS.map(|member| hosts.load(member, &["load", "without the leader"]));
    hosts.lan.cut(host);
    let seen = hosts.until(ORDERING, &["status"], "another leads", |status| leader(status, &first).is_some());
    let problem = |status: &Value| {
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|node| node["name"] == first.as_str()).unwrap()["problem"].clone()
    };
    assert!(problem(&seen).is_string() && seen["ready"] == false, "{seen:#}");
    let mut came = Vec::new();
    for member in MEMBERS {
        came.extend(hosts.puts(member, "under another leader", 3));
    }
    hosts.lan.mend(host);
    hosts.ready(ORDERING);
    for load in load {
        let loaded = load.stop();
        assert!(count(&loaded, "committed") > 0);
        came.extend(loaded);
    }
    hosts.until(ORDERING, &["status"], "level", |status| {
        status["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(|node| node["lag"] == 0))
    });
    hosts.level();
    came
}

/// Its transactions take longer and commit, and it says how far it is behind.
fn a_member_is_far_away(hosts: &Hosts) -> Vec<Value> {
    hosts.lan.slow_down("east");
    let load = ["north", "south"].map(|member| hosts.load(member, &["load", "beside one far away"]));
    let mut came = hosts.puts("east", "from far away", 3);
    let burden = hosts.load("north", &["burden", "for one far away", "NorthMSP", "SouthMSP"]);
    let lags = |status: &Value| {
        let nodes = status["nodes"].as_array();
        let peer = nodes.and_then(|nodes| nodes.iter().find(|node| node["name"] == "peer0.east.example.com"));
        peer.and_then(|peer| peer["lag"].as_u64()).is_some_and(|lag| lag > 0)
    };
    hosts.until("east", &["status"], "behind", lags);
    for load in load.into_iter().chain([burden]) {
        let loaded = load.stop();
        assert_eq!(count(&loaded, "committed"), loaded.len(), "{loaded:#?}");
        came.extend(loaded);
    }
    hosts.lan.speed_up("east");
    hosts.level();
    for part in [ORDERING].into_iter().chain(MEMBERS) {
        hosts.ready(part);
    }
    came
}
