//! What peers and orderers have in common: their ports and their folders.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::builder::BuilderError;
use crate::fabric::Version;
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::overlay::OverlayError;
use crate::ports::Ports;
#[cfg(test)]
use crate::spec::Consortium;
use crate::spec::{NodeAddress, reached_from_here};

/// The purpose of a node's main port.
pub(crate) const LISTEN: &str = "listen";
/// The purpose of the port for health and metrics.
pub(crate) const OPERATIONS: &str = "operations";
/// The purpose of an orderer's port for channel participation.
pub(crate) const ADMIN: &str = "admin";
/// The purpose of a peer's port for chaincode that dials it, which none here does.
pub(crate) const CHAINCODE: &str = "chaincode";

/// The file in a node's folder that names the release that it runs with.
const RELEASE: &str = "fabric-version";
/// What an orderer listens for, and what a peer does.
pub(crate) const OF_ORDERER: &[&str] = &[LISTEN, OPERATIONS, ADMIN];
pub(crate) const OF_PEER: &[&str] = &[LISTEN, OPERATIONS, CHAINCODE];

/// Every node's ports.
#[cfg(test)]
pub(crate) fn wanted_ports(
    spec: &Consortium,
) -> impl Iterator<Item = (String, &'static [&'static str])> + '_ {
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
    /// The node ran with a newer release.
    #[error(
        "`{host}` has run with Fabric {ran}, and the programs are of {found}: what a newer release wrote an older one \
         may not read; use programs of {ran} or newer (`fabric` in the spec, or the folder of programs)"
    )]
    Downgrade {
        /// The node.
        host: String,
        /// The newest release that it was started with.
        ran: Version,
        /// The release of the programs.
        found: Version,
    },
    /// The ledger in its folder is somebody else's.
    #[error(
        "`{folder}` is of {owner}, and not of `{host}`; move it away and restore the node's own, or let it fetch the ledger"
    )]
    Foreign {
        /// The node.
        host: String,
        /// Its data folder.
        folder: PathBuf,
        /// Whose the data is.
        owner: String,
    },
    /// A file cannot be read or written.
    #[error("the node's folder cannot be used")]
    File(#[from] FileError),
}

/// The newest release that a node was started with, when that is known.
pub(crate) fn release(node: &Path) -> Option<Version> {
    files::read(&node.join(RELEASE)).ok()?.trim().parse().ok()
}

/// Notes the release that a node is to be started with, which is never older than the last one.
pub(crate) fn note_release(node: &Path, host: &str, found: Version) -> Result<(), NodeError> {
    match release(node) {
        Some(ran) if found < ran => Err(NodeError::Downgrade { host: host.to_owned(), ran, found }),
        Some(ran) if found == ran => Ok(()),
        _ => Ok(files::replace(&node.join(RELEASE), files::PUBLIC, found.to_string().as_bytes())?),
    }
}

/// Whose a node's ledger is, noted beside it: Fabric itself opens whatever lies there.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    host: String,
    msp_id: String,
}

/// Notes whose a node's ledger is, or demands that it is the node's.
pub(crate) fn own_data(layout: &Layout, host: &str, msp_id: &str) -> Result<(), NodeError> {
    if let Some(owner) = other_owner(layout, host, msp_id) {
        let folder = layout.node(host).join("data");
        return Err(NodeError::Foreign { host: host.to_owned(), folder, owner });
    }
    let path = owner_file(layout, host);
    if path.exists() {
        return Ok(());
    }
    let owner = Owner { host: host.to_owned(), msp_id: msp_id.to_owned() };
    let text = serde_json::to_string(&owner).unwrap_or_default();
    Ok(files::replace(&path, files::PUBLIC, text.as_bytes())?)
}

/// The owner of a node's ledger, when it is another than the node.
pub(crate) fn other_owner(layout: &Layout, host: &str, msp_id: &str) -> Option<String> {
    let text = files::read(&owner_file(layout, host)).ok()?;
    let owner: Owner = serde_json::from_str(&text).ok()?;
    (owner.host != host || owner.msp_id != msp_id).then(|| format!("`{}` of `{}`", owner.host, owner.msp_id))
}

fn owner_file(layout: &Layout, host: &str) -> PathBuf {
    layout.node(host).join("data/owner.json")
}

/// Where a node of this machine listens.
pub(crate) fn listen(ports: &Ports, host: &str, purpose: &'static str) -> Result<SocketAddr, NodeError> {
    if let Some(address) = ports.place(host).and_then(|place| place.listens.get(purpose)) {
        return Ok(*address);
    }
    let port = ports.port(host, purpose);
    let port = port.ok_or_else(|| NodeError::Port { host: host.to_owned(), purpose })?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// How this machine reaches what a node of it listens on, for what is not for others: `127.0.0.1:PORT` mostly.
pub(crate) fn loopback(ports: &Ports, host: &str, purpose: &'static str) -> Result<String, NodeError> {
    Ok(reached_from_here(listen(ports, host, purpose)?).to_string())
}

/// Where a peer or orderer, of any organisation, is found.
pub(crate) fn public(ports: &Ports, host: &str) -> Result<NodeAddress, NodeError> {
    if let Some(address) = ports.place(host).and_then(|place| place.public.as_ref()) {
        return Ok(address.clone());
    }
    let address = reached_from_here(listen(ports, host, LISTEN)?);
    Ok(NodeAddress { host: address.ip().to_string(), port: address.port() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_never_goes_back_to_an_older_release() {
        let home = tempfile::tempdir().unwrap();
        let note = |found: &str| note_release(home.path(), "peer0", found.parse().unwrap());
        assert_eq!(release(home.path()), None);
        note("2.5.9").unwrap();
        note("2.5.9").unwrap();
        note("3.1.1").unwrap();
        assert_eq!(release(home.path()), Some(Version::new(3, 1, 1)));
        for older in ["3.1.0", "2.5.9"] {
            let refused = note(older).unwrap_err();
            assert!(matches!(refused, NodeError::Downgrade { .. }));
            assert!(refused.to_string().contains("3.1.1"), "{refused}");
        }
    }
}
