//! What of a network runs, and what it says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hlf_gateway::{Deadlines, Endorser};
use serde::Serialize;

use super::reach::client_tls;
use super::{CertificateKind, Network, chaincode_service, package_file};
use crate::channel;
use crate::fabric::Version;
use crate::lifecycle;
use crate::node::{self, ADMIN, OPERATIONS};
use crate::operations::Operations;
use crate::package::Package;
use crate::ports::{PortError, Ports};
use crate::spec::Organization;
use crate::wait;

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
    /// Whether every process runs, every node answers with the channel, and the chaincode is in force.
    pub ready: bool,
    /// Every orderer, peer and chaincode service.
    pub nodes: Vec<NodeStatus>,
    /// The chaincode, when the spec has one.
    pub chaincode: Option<ChaincodeStatus>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A consenter of the ordering service.
    Orderer,
    /// A peer.
    Peer,
    /// A chaincode service.
    Chaincode,
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
    /// Of an orderer: whether it leads; with BFT, as of the newest block that it wrote.
    pub leads: Option<bool>,
    /// What is wrong with it, in words; absent when nothing is.
    pub problem: Option<String>,
    /// Its log.
    pub log: PathBuf,
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

/// Why a network could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
}

pub(super) async fn of(network: &Network) -> Result<Status, StatusError> {
    let ports = network.ports()?;
    let mut nodes = Vec::new();
    let spec = &network.spec;
    for consenter in network.own_consenters() {
        nodes.push(orderer(network, &spec.orderer.host(consenter), &ports).await);
    }
    let mut admin = None;
    for organization in network.own_organizations() {
        for peer in &organization.peers {
            let host = organization.host(peer);
            let (status, endorser) = self::peer(network, organization, host, &ports).await;
            admin = admin.or(endorser.map(|endorser| (status.name.clone(), endorser)));
            nodes.push(status);
        }
    }
    // Whose part has no peers has nothing to do with it.
    let chaincode = match spec.chaincode.as_ref().filter(|_| network.own_organizations().next().is_some()) {
        None => None,
        Some(chaincode) => {
            let committed_sequence = match &admin {
                Some((host, endorser)) => {
                    lifecycle::committed_sequence(&spec.channel.name, &chaincode.name, host, endorser)
                        .await
                        .ok()
                }
                None => None,
            };
            for organization in network.own_organizations() {
                let name = chaincode_service(organization);
                nodes.push(bare(network, name, NodeKind::Chaincode, &organization.msp_id, &ports));
            }
            Some(ChaincodeStatus {
                name: chaincode.name.clone(),
                sequence: chaincode.sequence,
                committed_sequence,
                package_id: package_id(network, &chaincode.label),
                own_package_ids: chaincode
                    .packages
                    .iter()
                    .filter_map(|own| {
                        let organization = spec.organization(&own.organization)?;
                        Some((organization.msp_id.clone(), package_id(network, &own.label)?))
                    })
                    .collect(),
            })
        }
    };
    let defined = chaincode
        .as_ref()
        .is_none_or(|chaincode| chaincode.committed_sequence == Some(i64::from(chaincode.sequence)));
    Ok(Status {
        folder: network.layout.root().to_owned(),
        fabric: spec.fabric,
        channel: spec.channel.name.clone(),
        part: network.part.as_ref().map(|part| part.organization.clone()),
        ready: defined && nodes.iter().all(|node| node.problem.is_none()),
        nodes,
        chaincode,
        first_to_end: first_to_end(network),
    })
}

fn first_to_end(network: &Network) -> Option<FirstToEnd> {
    let found = network.local_certificates().ok()?;
    let first = found.into_iter().min_by_key(|found| found.until)?;
    Some(FirstToEnd { days: first.days, name: first.name, kind: first.kind })
}

/// The id of a package that was made.
fn package_id(network: &Network, label: &str) -> Option<String> {
    let package = Package::of_service(label).ok()?;
    package_file(&network.layout, label).exists().then(|| package.id())
}

/// What is known of a process without asking it.
fn bare(network: &Network, name: String, kind: NodeKind, msp_id: &str, ports: &Ports) -> NodeStatus {
    let pid = network.supervisor.running(&name).map(|running| running.pid);
    NodeStatus {
        kind,
        msp_id: msp_id.to_owned(),
        pid,
        address: node::public(ports, &name).ok().map(|address| address.to_string()),
        height: None,
        leads: None,
        problem: pid.is_none().then(|| "it does not run".to_owned()),
        log: network.layout.log(&name),
        name,
    }
}

async fn orderer(network: &Network, host: &str, ports: &Ports) -> NodeStatus {
    let spec = &network.spec;
    let msp_id = &spec.orderer.msp_id;
    let mut status = bare(network, host.to_owned(), NodeKind::Orderer, msp_id, ports);
    if status.pid.is_none() {
        return status;
    }
    let asked = async {
        let operations = network.orderer_operations().map_err(|e| wait::chain(&e))?;
        let address = |purpose| node::loopback(ports, host, purpose).map_err(|e| wait::chain(&e));
        let channel = operations
            .participation(&address(ADMIN)?, &spec.channel.name)
            .await
            .map_err(|e| wait::chain(&e))?
            .ok_or_else(|| "it has not joined the channel".to_owned())?;
        let leads = operations
            .gauge(&address(OPERATIONS)?, channel::is_leader(spec.orderer.consensus), &spec.channel.name)
            .await
            .map_err(|e| wait::chain(&e))?;
        Ok::<_, String>((channel, leads))
    };
    match asked.await {
        Ok((channel, leads)) => {
            status.height = Some(channel.height);
            status.leads = leads.map(|leads| leads >= 1.0);
            status.problem = (channel.status != "active")
                .then(|| format!("its channel is `{}`, not active", channel.status));
        }
        Err(problem) => status.problem = Some(problem),
    }
    status
}

async fn peer(
    network: &Network,
    organization: &Organization,
    host: String,
    ports: &Ports,
) -> (NodeStatus, Option<Endorser>) {
    let channel = &network.spec.channel.name;
    let msp_id = &organization.msp_id;
    let mut status = bare(network, host.clone(), NodeKind::Peer, msp_id, ports);
    if status.pid.is_none() {
        return (status, None);
    }
    let asked = async {
        let endpoint = network.peer_endpoint(organization, &host, ports).map_err(|e| wait::chain(&e))?;
        let admin = network.admin(organization).map_err(|e| wait::chain(&e))?;
        let endorser = Endorser::connect(&endpoint, admin.into_credentials(), Deadlines::default())
            .await
            .map_err(|e| wait::chain(&e))?;
        let height = channel::height(&endorser, &host, channel).await.map_err(|e| wait::chain(&e))?;
        let user = organization.admin().map_or("", |user| user.name.as_str());
        Operations::new(&client_tls(network.layout.user(organization, user)))
            .map_err(|e| wait::chain(&e))?
            .demand_healthy(&node::loopback(ports, &host, OPERATIONS).map_err(|e| wait::chain(&e))?)
            .await
            .map_err(|e| wait::chain(&e))?;
        Ok::<_, String>((endorser, height))
    };
    match asked.await {
        Ok((endorser, height)) => {
            status.height = Some(height);
            (status, Some(endorser))
        }
        Err(problem) => {
            status.problem = Some(problem);
            (status, None)
        }
    }
}

fn as_text<S: serde::Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}
