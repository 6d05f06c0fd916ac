//! What peers and orderers have in common: their ports and their folders.

use crate::builder::BuilderError;
use crate::files::FileError;
use crate::overlay::OverlayError;
use crate::ports::Ports;
use crate::spec::Consortium;

/// The purpose of a node's main port.
pub(crate) const LISTEN: &str = "listen";
/// The purpose of the port for health and metrics.
pub(crate) const OPERATIONS: &str = "operations";
/// The purpose of an orderer's port for channel participation.
pub(crate) const ADMIN: &str = "admin";
/// The purpose of a peer's port for chaincode that dials it, which none here does.
pub(crate) const CHAINCODE: &str = "chaincode";

/// Every node's ports.
pub(crate) fn wanted_ports(
    spec: &Consortium,
) -> impl Iterator<Item = (String, &'static [&'static str])> + '_ {
    const OF_ORDERER: &[&str] = &[LISTEN, OPERATIONS, ADMIN];
    const OF_PEER: &[&str] = &[LISTEN, OPERATIONS, CHAINCODE];
    let orderers = spec.orderer.consenters.iter().map(|consenter| (spec.orderer.host(consenter), OF_ORDERER));
    let peers = spec
        .organizations
        .iter()
        .flat_map(|organization| organization.peers.iter().map(|peer| (organization.host(peer), OF_PEER)));
    orderers.chain(peers)
}

/// Why a node's folder could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A port was never chosen.
    #[error("`{host}` has no port for {purpose}")]
    Port {
        /// The node.
        host: String,
        /// What the port is for.
        purpose: &'static str,
    },
    /// The sample configuration does not serve.
    #[error("Fabric's sample configuration does not serve")]
    Config(#[from] OverlayError),
    /// The builder's scripts could not be written.
    #[error("the external builder cannot be written")]
    Builder(#[source] Box<BuilderError>),
    /// A file cannot be read or written.
    #[error("the node's folder cannot be used")]
    File(#[from] FileError),
}

pub(crate) fn port(ports: &Ports, host: &str, purpose: &'static str) -> Result<u16, NodeError> {
    ports.port(host, purpose).ok_or_else(|| NodeError::Port { host: host.to_owned(), purpose })
}

/// A node's address on this machine, `127.0.0.1:PORT`.
pub(crate) fn loopback(ports: &Ports, host: &str, purpose: &'static str) -> Result<String, NodeError> {
    port(ports, host, purpose).map(|port| format!("127.0.0.1:{port}"))
}
