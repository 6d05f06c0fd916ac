//! Every known failure, made on a real network, found under its code, and mended as its fix says.
//!
//! Damage, look, repair: each look must find exactly what was damaged, so that no check cries over another's failure.

mod chaincode;
mod files;
mod nodes;
mod people;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hlf_network::Event;
use hlf_network::Quiet;
use hlf_network::network::{Checkup, Code, Network, Options, UpError};
use hlf_network::process::{ProcessError, Service};
use hlf_network::spec::Consortium;

use crate::bench::{Bench, cache_dir, say, told};
use crate::shelf::{edition, shelf, up};

pub(crate) const NORTH: &str = "peer0.north.example.com";
pub(crate) const SOUTH: &str = "peer0.south.example.com";
pub(crate) const ORDERERS: [&str; 3] =
    ["orderer0.orderer.example.com", "orderer1.orderer.example.com", "orderer2.orderer.example.com"];
pub(crate) const NORTHS_CHAINCODE: &str = "chaincode.north.example.com";
pub(crate) const SOUTHS_CHAINCODE: &str = "chaincode.south.example.com";

/// How long it may take until exactly the expected is found: nodes start, elect, and find each other meanwhile.
const FOUND_WITHIN: Duration = Duration::from_secs(90);

/// A network under observation, and how to damage and repair it.
pub(crate) struct Ward {
    pub(crate) network: Network,
    pub(crate) options: Options,
    pub(crate) checkup: Checkup,
}

pub(crate) async fn known_failures_are_found_and_nothing_else_is() {
    let bench = Bench::new("doctor");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    let mut checkup = Checkup::default();
    checkup.patience = Duration::ZERO;
    // How full this machine's disk is, is found by the test of it alone.
    checkup.disk_free_bytes_min = 0;
    let ward = Ward { network, options, checkup };

    let begun = Instant::now();
    let passed = |what: &str| eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f32());
    a_peer_dies_at_its_approval(&ward).await;
    up(&ward.network, &ward.options).await;
    ward.finds(&[]).await;
    passed("healthy");
    watch::a_healthy_network_is_ready_and_measured(&ward).await;
    passed("watched");
    files::of_a_running_network(&ward).await;
    passed("files");
    people::of_a_running_network(&ward).await;
    passed("people");
    chaincode::of_a_running_network(&ward).await;
    passed("chaincode");
    nodes::of_a_running_network(&ward).await;
    passed("nodes");
    people::are_revoked(&ward).await;
    files::of_a_removed_folder(&ward).await;
    files::of_another_network(&ward, &bench).await;
    ward.network.down(&say).await.unwrap();
    files::of_a_stopped_network(&ward).await;
    passed("all");
}

async fn a_peer_dies_at_its_approval(ward: &Ward) {
    let network = &ward.network;
    let kill = |event: &Event<'_>| {
        say(event);
        if matches!(event, Event::Started { step } if step.starts_with("chaincode `shelf`")) {
            let pid = network.supervisor().running(SOUTH).unwrap().pid;
            signal("-9", pid);
            let begun = Instant::now();
            while network.supervisor().running(SOUTH).is_some() {
                assert!(begun.elapsed() < FOUND_WITHIN);
                std::thread::yield_now();
            }
        }
    };
    let error = network.up(&ward.options, &kill).await.unwrap_err();
    let UpError::Process(ProcessError::Died { name, .. }) = &error else { panic!("{}", told(&error)) };
    assert_eq!(name, SOUTH);
    ward.finds(&[
        (Code::PeerDown, Some(SOUTH)),
        (Code::PolicyUnsatisfiable, None),
        (Code::DefinitionDiffers, Some("shelf")),
    ])
    .await;
}

impl Ward {
    /// Demands that exactly these failures are found, once the nodes have come to rest.
    pub(crate) async fn finds(&self, expected: &[(Code, Option<&str>)]) {
        self.finds_by(&self.network, &self.checkup, expected).await;
    }

    pub(crate) async fn finds_by(
        &self,
        network: &Network,
        checkup: &Checkup,
        expected: &[(Code, Option<&str>)],
    ) {
        let expected: BTreeSet<(Code, Option<String>)> =
            expected.iter().map(|(code, node)| (*code, node.map(ToOwned::to_owned))).collect();
        let begun = Instant::now();
        loop {
            let findings = network.doctor(checkup).await.unwrap();
            let found: BTreeSet<_> =
                findings.iter().map(|finding| (finding.code, finding.node.clone())).collect();
            if found == expected {
                eprintln!("{} found after {:.1} s", findings.len(), begun.elapsed().as_secs_f32());
                for finding in &findings {
                    eprintln!("found {finding}");
                    assert!(!finding.fix.contains('{') && !finding.evidence.is_empty(), "{finding}");
                }
                return;
            }
            assert!(
                begun.elapsed() < FOUND_WITHIN,
                "missing: {:#?}\nbeyond: {:#?}\nfound: {findings:#?}",
                expected.difference(&found),
                found.difference(&expected),
            );
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.network.layout().root()
    }

    pub(crate) fn spec(&self) -> &Consortium {
        self.network.spec()
    }

    /// A node's folder of keys.
    pub(crate) fn keys(&self, host: &str) -> PathBuf {
        let (_, domain) = host.split_once('.').unwrap();
        let (side, kind) = if domain.starts_with("orderer") {
            ("ordererOrganizations", "orderers")
        } else {
            ("peerOrganizations", "peers")
        };
        self.root().join("organizations").join(side).join(domain).join(kind).join(host)
    }

    /// A member's folder.
    pub(crate) fn home(&self, organization: &str) -> PathBuf {
        self.network.layout().organization(self.spec().organization(organization).unwrap())
    }

    pub(crate) fn node(&self, host: &str) -> PathBuf {
        self.root().join("nodes").join(host)
    }

    pub(crate) async fn stop(&self, names: &[&str]) {
        for name in names {
            // As a failure would: without a word.
            signal("-9", self.network.supervisor().running(name).unwrap().pid);
            self.network.supervisor().stop(name).await.unwrap();
        }
    }

    /// Starts nodes as they are configured now, without waiting for them.
    pub(crate) async fn start(&self, hosts: &[&str]) {
        let binaries = self.options.binaries.find(&Quiet).await.unwrap();
        for host in hosts {
            let is_orderer = host.starts_with("orderer");
            let service = Service {
                name: (*host).to_owned(),
                program: if is_orderer { binaries.orderer() } else { binaries.peer() },
                args: if is_orderer { Vec::new() } else { vec!["node".into(), "start".into()] },
                env: BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), self.node(host).into())]),
                ports: Vec::new(),
                reads: Vec::new(),
            };
            self.network.supervisor().ensure(&service).await.unwrap();
        }
    }

    /// What helps against most failures.
    pub(crate) async fn mend(&self) {
        up(&self.network, &self.options).await;
        self.finds(&[]).await;
    }

    pub(crate) fn port(&self, name: &str, purpose: &str) -> u16 {
        let ports = fs::read_to_string(self.root().join("ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        u16::try_from(ports[name][purpose].as_u64().unwrap()).unwrap()
    }
}

/// Files that get their content back.
pub(crate) struct Damage(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Damage {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn write(&mut self, path: impl Into<PathBuf>, content: impl AsRef<[u8]>) {
        let path = path.into();
        self.0.push((path.clone(), fs::read(&path).ok()));
        fs::write(path, content).unwrap();
    }

    /// Puts one file's content in another's place.
    pub(crate) fn copy(&mut self, from: impl AsRef<Path>, to: impl Into<PathBuf>) {
        self.write(to, fs::read(from).unwrap());
    }

    /// Changes a text in a file, which must be there.
    pub(crate) fn edit(&mut self, path: impl Into<PathBuf>, from: &str, to: &str) {
        let path = path.into();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{} has no {from}:\n{text}", path.display());
        self.write(path, text.replacen(from, to, 1));
    }

    pub(crate) fn undo(self) {
        for (path, content) in self.0.into_iter().rev() {
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
    }
}

/// The one file of a folder.
pub(crate) fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none(), "{}", folder.display());
    file
}

pub(crate) fn signal(signal: &str, pid: u32) {
    let sent = std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The folder of another Fabric release's programs, built by other tests of this crate.
pub(crate) fn programs_of(release: &str) -> PathBuf {
    let key = format!("{release}-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    cache_dir().join("fabric").join(key).join("bin")
}
