//! Known failures of a network, found before or after they hurt, each with its cause and what helps.
//!
//! One check finds one failure, whoever asks: [`Network::doctor`] runs them all, and standing a network up runs those
//! that would keep a node from starting, before a port is bound.

mod chaincode;
mod channel;
mod code;
mod credentials;
mod folder;
mod logs;
mod nodes;
mod ordering;
mod programs;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::vitals::Vitals;
use super::{Network, places};
use crate::commands;
use crate::fabric::Search;
use crate::ports::{PortError, Ports};

pub use code::{Code, Severity, catalogue};

/// Less free space than this keeps a network from being stood up: the nodes' first files alone need more.
const DISK_TO_START_BYTES: u64 = 256 << 20;
/// How soon everything is looked at again when a finding may pass by itself.
const AGAIN: Duration = Duration::from_millis(250);

/// What a doctor looks for, and how long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checkup {
    /// How the operator calls this network's commands, such as `mytool network`; it stands in what helps. What
    /// [`crate::name_commands`] says by default.
    pub command: String,
    /// Where Fabric's programs are looked for; they are not looked for without it.
    pub binaries: Option<Search>,
    /// A spec's file that the network shall be like.
    pub spec: Option<PathBuf>,
    /// Free bytes below which the disk counts as almost full. 1 GiB by default.
    pub disk_free_bytes_min: u64,
    /// Days below which a certificate counts as about to end. 30 by default.
    pub certificate_days_min: i64,
    /// How long it is waited for what may pass by itself, such as a peer that fetches blocks. 10 s by default.
    pub patience: Duration,
}

impl Default for Checkup {
    fn default() -> Self {
        Self {
            command: commands::prefix().to_owned(),
            binaries: None,
            spec: None,
            disk_free_bytes_min: 1 << 30,
            certificate_days_min: 30,
            patience: Duration::from_secs(10),
        }
    }
}

/// One failure that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which known failure it is.
    pub code: Code,
    /// Whom it concerns: a node, user, service, organisation or policy; absent when it is the network or the machine.
    pub node: Option<String>,
    /// What is seen.
    pub symptom: &'static str,
    /// What it comes from.
    pub cause: &'static str,
    /// What helps: a command to paste where there is one.
    pub fix: String,
    /// What exactly was seen: names, numbers, files.
    pub evidence: String,
}

/// Why a network could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
}

/// Failures that keep a network from being stood up.
#[derive(Debug, thiserror::Error)]
pub struct Obstacles {
    /// What was found; one at least.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            write!(f, "{}{finding}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(node) = &self.node {
            write!(f, " of `{node}`")?;
        }
        write!(f, ": {} ({}); cause: {}; what helps: {}", self.symptom, self.evidence, self.cause, self.fix)
    }
}

impl Network {
    /// Looks for every known failure; a network in good health has none.
    ///
    /// It asks and reads and changes nothing, and needs no lock. What needs a running network is not looked for on a
    /// stopped one. A consequence is not told beside its cause.
    ///
    /// # Errors
    /// [`DoctorError`] when the file of ports is damaged.
    pub async fn doctor(&self, checkup: &Checkup) -> Result<Vec<Finding>, DoctorError> {
        let ports = self.ports()?;
        let begun = Instant::now();
        let programs = programs::look(self, checkup).await;
        loop {
            let mut found = Findings::new(&checkup.command, self.layout.root());
            folder::check(self, checkup, &ports, &mut found);
            programs.iter().for_each(|(code, seen)| found.add(*code, None, seen));
            programs::check_builders(self, &mut found);
            self.look(&ports, checkup, &mut found).await;
            let found = found.sorted();
            if begun.elapsed() >= checkup.patience || !found.iter().any(|finding| finding.code.may_pass()) {
                return Ok(found);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn look(&self, ports: &Ports, checkup: &Checkup, found: &mut Findings) {
        let stopped = !self.anything_runs();
        // Asked before anything is judged: what the channel knows decides which identities are good.
        let vitals = if stopped { None } else { Some(Vitals::of(self, ports).await) };
        let config = vitals.as_ref().and_then(|vitals| vitals.config.as_ref());
        credentials::check(self, config, checkup.certificate_days_min, found);
        nodes::check_folders(self, found);
        channel::check_genesis(self, vitals.as_ref(), found);
        chaincode::check_builds(self, found);
        logs::check(self, found);
        match &vitals {
            None if found.has_any(&[Code::PortsForeign, Code::ProcessOrphaned]) => {}
            None if self.layout.marker().exists() => {
                let seen = format!("no process carries `{}`", self.layout.root().display());
                found.add(Code::NetworkStopped, None, seen);
            }
            None => {}
            Some(vitals) => {
                nodes::check_running(self, vitals, found);
                ordering::check(self, ports, vitals, found);
                channel::check(self, vitals, found);
                chaincode::check(self, vitals, found);
            }
        }
    }

    fn anything_runs(&self) -> bool {
        self.processes().any(|name| self.supervisor.running(&name).is_some())
    }

    /// The names of the processes that the spec asks for.
    pub(super) fn processes(&self) -> impl Iterator<Item = String> + '_ {
        let spec = &self.spec;
        let orderers = self.own_consenters().iter().map(|consenter| spec.orderer.host(consenter));
        let peers = self
            .own_organizations()
            .flat_map(|organization| organization.peers.iter().map(|peer| organization.host(peer)));
        let services = self.own_organizations().filter(|_| spec.chaincode.is_some());
        orderers.chain(peers).chain(services.map(|organization| places::in_use(&self.layout, organization)))
    }

    /// Demands that nothing known keeps a node from starting; called before a port is bound.
    pub(super) fn demand_no_obstacle(&self) -> Result<(), Obstacles> {
        let checkup = Checkup::default();
        let mut found = Findings::new(&checkup.command, self.layout.root());
        folder::check_disk(self, DISK_TO_START_BYTES, &mut found);
        credentials::check(self, None, checkup.certificate_days_min, &mut found);
        nodes::check_owners(self, &mut found);
        channel::check_genesis(self, None, &mut found);
        let own: BTreeSet<String> = self.needed_to_start().collect();
        let findings: Vec<Finding> = found
            .sorted()
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            // A user's expired certificate is nobody else's obstacle.
            .filter(|finding| finding.node.as_ref().is_none_or(|node| own.contains(node)))
            .collect();
        if findings.is_empty() { Ok(()) } else { Err(Obstacles { findings }) }
    }

    /// Whoever must have good keys for the network to be stood up: nodes, services, and the admins that act on them.
    fn needed_to_start(&self) -> impl Iterator<Item = String> + '_ {
        let spec = &self.spec;
        let admins = self.own_organizations().filter_map(|organization| {
            organization.admin().map(|admin| format!("{}@{}", admin.name, organization.domain))
        });
        let orderer = format!("{}@{}", super::reach::ORDERER_ADMIN, spec.orderer.domain);
        self.processes().chain(admins).chain([orderer])
    }
}

impl Code {
    /// Whether it may be gone a moment later without anybody's help.
    const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::NoLeader
                | Self::OrdererBehind
                | Self::PeerBehind
                | Self::GossipAlone
                | Self::PeerNotJoined
                | Self::OrdererNotJoined
                | Self::ChaincodeSilent
                | Self::ProcessOrphaned
        )
    }
}

/// What was found so far.
pub(super) struct Findings {
    command: String,
    folder: String,
    found: Vec<Finding>,
}

impl Findings {
    fn new(command: &str, folder: &Path) -> Self {
        Self { command: command.to_owned(), folder: folder.display().to_string(), found: Vec::new() }
    }

    /// Takes a finding; of one failure of one node, what was seen is gathered.
    fn add(&mut self, code: Code, node: Option<&str>, seen: impl fmt::Display) {
        let known = self.found.iter_mut().find(|known| known.code == code && known.node.as_deref() == node);
        if let Some(known) = known {
            known.evidence = format!("{}; {seen}", known.evidence);
            return;
        }
        let fix = code
            .fix()
            .replace("{command}", &self.command)
            .replace("{folder}", &self.folder)
            .replace("{node}", node.unwrap_or("NAME"));
        self.found.push(Finding {
            severity: code.severity(),
            code,
            node: node.map(ToOwned::to_owned),
            symptom: code.symptom(),
            cause: code.cause(),
            fix,
            evidence: seen.to_string(),
        });
    }

    /// Whether something is wrong with somebody, of these failures.
    fn has(&self, codes: &[Code], node: &str) -> bool {
        self.found.iter().any(|known| codes.contains(&known.code) && known.node.as_deref() == Some(node))
    }

    fn has_any(&self, codes: &[Code]) -> bool {
        self.found.iter().any(|known| codes.contains(&known.code))
    }

    /// Whether somebody's keys are such that nothing can be asked with them.
    fn cannot_act(&self, node: &str) -> bool {
        self.has(
            &[
                Code::CertificateUnreadable,
                Code::KeyMismatch,
                Code::CertificateExpired,
                Code::CertificateNotYetValid,
                Code::MspIdWrong,
                Code::MspRootWrong,
                Code::AdminWithoutOu,
                Code::CertificateRevoked,
            ],
            node,
        )
    }

    fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by(|one, other| (one.code, &one.node).cmp(&(other.code, &other.node)));
        self.found
    }
}
