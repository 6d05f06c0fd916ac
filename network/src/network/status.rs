//! What of a network runs, and what it says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::vitals::{ElsewhereVitals, OrdererVitals, PeerVitals, Vitals};
use super::{CertificateKind, CertificateStatus, Network, package_file};
use crate::fabric::Version;
use crate::fabric_ca::Server;
use crate::node;
use crate::package::Package;
use crate::ports::{PortError, Ports};
use crate::spec::CertificateSource;

/// A look at a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The state folder.
    pub folder: PathBuf,
    /// Fabric's release in the spec.
    #[serde(serialize_with = "as_text")]
    pub fabric: Version,
    /// The channel.
    pub channel: String,
    /// The organisation whose own part this is; absent when all of the consortium is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Whether every process runs, every node answers with the channel, an ordering node is reached, and the chaincode is in
    /// force.
    pub ready: bool,
    /// Every orderer, peer and chaincode service.
    pub nodes: Vec<NodeStatus>,
    /// Ordering nodes of somebody else's, as this member reaches them; empty where the ordering organisation's own are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ordering: Vec<OrderingNodeStatus>,
    /// The chaincode, when the spec has one.
    pub chaincode: Option<ChaincodeStatus>,
    /// What is installed, approved and served for each peer, when the spec has a chaincode.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<ChaincodeOnPeer>,
    /// The certificate in the folder that ends first; absent when one cannot be read, which
    /// [`Network::certificates`] tells of.
    pub first_to_end: Option<FirstToEnd>,
}

/// The certificate that ends first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FirstToEnd {
    /// Whole days until then.
    pub days: i64,
    /// Its common name.
    pub name: String,
    /// What it is for.
    pub kind: CertificateKind,
}

/// What kind of process a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A consenter of the ordering service.
    Orderer,
    /// A peer.
    Peer,
    /// A chaincode service.
    Chaincode,
    /// An organisation's Fabric CA.
    FabricCa,
}

/// A look at one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: NodeKind,
    /// Its organisation's MSP id.
    pub msp_id: String,
    /// Its process id, when it runs.
    pub pid: Option<u32>,
    /// Its main address, `HOST:PORT`.
    pub address: Option<String>,
    /// Number of blocks of the channel, of peers and orderers that have joined.
    pub height: Option<u64>,
    /// How many blocks it is behind the node that has most, ordering nodes of somebody else's included; absent when
    /// a member reaches none of those.
    pub lag: Option<u64>,
    /// Of a peer: how many others of the channel it knows.
    pub known_peers: Option<u64>,
    /// Whole days until the first of its own certificates ends.
    pub certificate_days: Option<i64>,
    /// Of an orderer: whether it leads. With BFT, `None` also while another one leads than when its newest block was
    /// written: which one, it says with the next block.
    pub leads: Option<bool>,
    /// What is wrong with it, in words; absent when nothing is.
    pub problem: Option<String>,
    /// Its log.
    pub log: PathBuf,
}

/// A look at an ordering node that another organisation runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OrderingNodeStatus {
    /// Its name.
    pub name: String,
    /// Where it is found, `HOST:PORT`.
    pub address: String,
    /// Number of blocks of the channel.
    pub height: Option<u64>,
    /// Why it is not reached, in words; absent when it answers.
    pub problem: Option<String>,
}

/// A look at the chaincode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChaincodeStatus {
    /// Its name.
    pub name: String,
    /// The sequence in the spec.
    pub sequence: u32,
    /// The sequence in force, 0 for none; absent when no peer could be asked.
    pub committed_sequence: Option<i64>,
    /// The id of the package.
    pub package_id: Option<String>,
    /// Ids of packages of organisations that have one of their own, by MSP id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub own_package_ids: BTreeMap<String, String>,
}

/// A chaincode as one peer has it: when all is well the three ids are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChaincodeOnPeer {
    /// The peer.
    pub peer: String,
    /// Whether the chaincode answers a test call through it; absent when it could not be asked.
    pub answers: Option<bool>,
    /// The organisation's package when it is on the peer.
    pub installed: Option<String>,
    /// The package that the organisation approved for the definition in force.
    pub approved: Option<String>,
    /// The package id that the organisation's service was started with.
    pub served: Option<String>,
}

/// Why a network could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
}

pub(super) async fn of(network: &Network) -> Result<Status, StatusError> {
    let ports = network.ports()?;
    let vitals = Vitals::of(network, &ports).await;
    let spec = &network.spec;
    // Of nothing else is told here when one cannot be read: `certificates` and `doctor` name it.
    let certificates = network.local_certificates().unwrap_or_default();
    // Who reaches no ordering node does not know how far behind its own nodes are.
    let highest = vitals.height().filter(|_| vitals.unordered().is_none());
    let look = Look { network, ports: &ports, certificates: &certificates, highest };
    let mut nodes: Vec<NodeStatus> = vitals.orderers.iter().map(|orderer| look.orderer(orderer)).collect();
    nodes.extend(vitals.peers.iter().map(|peer| look.peer(peer)));
    for service in &vitals.services {
        let msp_id = spec.organization(&service.organization).map_or("", |organization| &organization.msp_id);
        nodes.push(look.bare(&service.name, NodeKind::Chaincode, msp_id, service.pid));
    }
    let members = network.own_organizations().map(|member| (member.ca, &member.domain, &member.msp_id));
    let ordering =
        network.holds_ordering().then_some((spec.orderer.ca, &spec.orderer.domain, &spec.orderer.msp_id));
    for (source, domain, msp_id) in ordering.into_iter().chain(members) {
        if source == CertificateSource::FabricCa {
            let name = Server::name(domain);
            let pid = network.supervisor.running(&name).map(|running| running.pid);
            nodes.push(look.bare(&name, NodeKind::FabricCa, msp_id, pid));
        }
    }
    let chaincode = look.chaincode(&vitals);
    let defined = chaincode
        .as_ref()
        .is_none_or(|chaincode| chaincode.committed_sequence == Some(i64::from(chaincode.sequence)));
    let first = certificates.iter().min_by_key(|found| found.until);
    Ok(Status {
        folder: network.layout.root().to_owned(),
        fabric: spec.fabric,
        channel: spec.channel.name.clone(),
        part: network.part.as_ref().map(|part| part.organization.clone()),
        ready: defined && vitals.unordered().is_none() && nodes.iter().all(|node| node.problem.is_none()),
        nodes,
        ordering: vitals.elsewhere.iter().map(OrderingNodeStatus::of).collect(),
        registrations: look.registrations(&vitals),
        chaincode,
        first_to_end: first.map(|first| FirstToEnd {
            days: first.days,
            name: first.name.clone(),
            kind: first.kind,
        }),
    })
}

impl OrderingNodeStatus {
    fn of(seen: &ElsewhereVitals) -> Self {
        Self {
            name: seen.host.clone(),
            address: seen.address.clone(),
            height: seen.height.as_ref().ok().copied(),
            problem: seen.height.as_ref().err().cloned(),
        }
    }
}

/// What was seen, and what it is told of by.
struct Look<'a> {
    network: &'a Network,
    ports: &'a Ports,
    certificates: &'a [CertificateStatus],
    highest: Option<u64>,
}

impl Look<'_> {
    /// What is known of a process without asking it.
    fn bare(&self, name: &str, kind: NodeKind, msp_id: &str, pid: Option<u32>) -> NodeStatus {
        let folder = std::ffi::OsStr::new(name);
        let own = self.certificates.iter().filter(|found| {
            found.file.as_ref().is_some_and(|file| file.components().any(|part| part.as_os_str() == folder))
        });
        NodeStatus {
            kind,
            msp_id: msp_id.to_owned(),
            pid,
            address: node::public(self.ports, name).ok().map(|address| address.to_string()),
            height: None,
            lag: None,
            known_peers: None,
            certificate_days: own.map(|found| found.days).min(),
            leads: None,
            problem: pid.is_none().then(|| match self.network.supervisor.cause_of_end(name) {
                Some(cause) => format!("it does not run: {cause}"),
                None => "it does not run".to_owned(),
            }),
            log: self.network.layout.log(name),
            name: name.to_owned(),
        }
    }

    fn orderer(&self, orderer: &OrdererVitals) -> NodeStatus {
        let msp_id = &self.network.spec.orderer.msp_id;
        let mut status = self.bare(&orderer.host, NodeKind::Orderer, msp_id, orderer.pid);
        status.leads = orderer.leads();
        self.level(&mut status, orderer.height());
        status.problem = match (&orderer.channel, &orderer.operations) {
            (None, _) => status.problem,
            (Some(Err(error)), _) | (_, Some(Err(error))) => Some(error.clone()),
            (Some(Ok(None)), _) => Some("it has not joined the channel".to_owned()),
            (Some(Ok(Some(channel))), _) => (channel.status != "active")
                .then(|| format!("its channel is `{}`, not active", channel.status)),
        };
        status
    }

    fn peer(&self, peer: &PeerVitals) -> NodeStatus {
        let mut status = self.bare(&peer.host, NodeKind::Peer, &peer.msp_id, peer.pid);
        status.known_peers = peer.known_peers;
        self.level(&mut status, peer.height());
        status.problem = match (&peer.answers, &peer.operations) {
            (None, _) => status.problem,
            (Some(Err(error)), _) | (_, Some(Err(error))) => Some(error.clone()),
            (Some(Ok(answers)), _) => (!answers.joined).then(|| "it has not joined the channel".to_owned()),
        };
        status
    }

    fn level(&self, status: &mut NodeStatus, height: Option<u64>) {
        status.height = height;
        status.lag = self.highest.zip(height).map(|(highest, height)| highest.saturating_sub(height));
    }

    fn chaincode(&self, vitals: &Vitals) -> Option<ChaincodeStatus> {
        let spec = &self.network.spec;
        // Whose part has no peers has nothing to do with it.
        let chaincode = spec.chaincode.as_ref().filter(|_| !vitals.peers.is_empty())?;
        let definition = vitals.definition.as_ref();
        Some(ChaincodeStatus {
            name: chaincode.name.clone(),
            sequence: chaincode.sequence,
            committed_sequence: definition
                .map(|definition| definition.as_ref().map_or(0, |definition| definition.sequence)),
            package_id: package_id(self.network, &chaincode.label),
            own_package_ids: chaincode
                .packages
                .iter()
                .filter_map(|own| {
                    let organization = spec.organization(&own.organization)?;
                    Some((organization.msp_id.clone(), package_id(self.network, &own.label)?))
                })
                .collect(),
        })
    }

    fn registrations(&self, vitals: &Vitals) -> Vec<ChaincodeOnPeer> {
        let Some(chaincode) = &self.network.spec.chaincode else { return Vec::new() };
        let on_peers = vitals.peers.iter().map(|peer| {
            let wanted =
                Package::of_service(chaincode.label_of(&peer.organization)).map(|package| package.id());
            let answers = peer.answered();
            let installed = answers.and_then(|answers| {
                answers.installed.iter().find(|id| wanted.as_ref().is_ok_and(|wanted| wanted == *id))
            });
            let service = vitals.services.iter().find(|service| service.organization == peer.organization);
            ChaincodeOnPeer {
                peer: peer.host.clone(),
                answers: answers.and_then(|answers| answers.chaincode.as_ref()).map(Result::is_ok),
                installed: installed.cloned(),
                approved: answers.and_then(|answers| answers.approved.clone()),
                served: service.and_then(|service| service.serves.clone()),
            }
        });
        on_peers.collect()
    }
}

/// The id of a package that was made.
fn package_id(network: &Network, label: &str) -> Option<String> {
    let package = Package::of_service(label).ok()?;
    package_file(&network.layout, label).exists().then(|| package.id())
}

fn as_text<S: serde::Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}
