//! What peers and orderers have in common: their ports and their folders.

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
    let orderers = spec
        .orderer
        .consenters
        .iter()
        .map(|consenter| (spec.orderer.host(consenter), OF_ORDERER));
    let peers = spec.organizations.iter().flat_map(|organization| {
        organization
            .peers
            .iter()
            .map(|peer| (organization.host(peer), OF_PEER))
    });
    orderers.chain(peers)
}
