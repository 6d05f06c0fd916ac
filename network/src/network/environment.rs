//! What Fabric's own command line needs to know to work as an organisation's admin.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::Network;
use crate::node::{self, NodeError};
use crate::ports::PortError;
use crate::profile::ProfileError;
use crate::spec::Organization;

/// The variables that `peer` reads, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerEnvironment {
    /// `FABRIC_CFG_PATH` and `CORE_PEER_…` of the organisation's admin and first peer; also `ORDERER_ADDRESS` and
    /// `ORDERER_CA`, which `peer` takes as `--orderer` and `--cafile`.
    pub variables: BTreeMap<&'static str, OsString>,
    /// The folder of Fabric's programs that the network was stood up with.
    pub programs: Option<PathBuf>,
}

/// Why there is no environment for an organisation.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The network was never up.
    #[error("the network was not stood up yet")]
    Profile(#[from] ProfileError),
    /// The file of ports cannot be used.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// A node was never given a port.
    #[error("the network was stood up from another spec")]
    Node(#[from] NodeError),
}

impl Network {
    /// The environment in which Fabric's `peer` acts as an organisation's admin, on the organisation's first peer.
    ///
    /// # Errors
    /// [`EnvironmentError`] when the network was never up.
    pub fn peer_environment(&self, organization: &Organization) -> Result<PeerEnvironment, EnvironmentError> {
        let profile = self.profile(organization)?;
        let peer = profile.first_peer()?;
        let ports = self.ports()?;
        let orderer = &self.spec.orderer;
        let consenter = orderer.consenters.first().map(|name| orderer.host(name)).unwrap_or_default();
        let admin = organization.admin().map_or("", |user| user.name.as_str());
        let orderer_ca = self
            .layout
            .ordering_organization(orderer)
            .join("tlsca")
            .join(format!("tlsca.{}-cert.pem", orderer.domain));
        let variables = BTreeMap::from([
            ("FABRIC_CFG_PATH", self.layout.node(&peer.host).into()),
            ("CORE_PEER_ADDRESS", peer.address.clone().into()),
            ("CORE_PEER_LOCALMSPID", organization.msp_id.clone().into()),
            ("CORE_PEER_MSPCONFIGPATH", self.layout.user(organization, admin).join("msp").into()),
            ("CORE_PEER_TLS_ENABLED", "true".into()),
            ("CORE_PEER_TLS_ROOTCERT_FILE", profile.tls_ca.clone().into()),
            ("ORDERER_ADDRESS", node::public(&ports, &consenter)?.to_string().into()),
            ("ORDERER_CA", orderer_ca.into()),
        ]);
        Ok(PeerEnvironment { variables, programs: profile.programs })
    }
}
