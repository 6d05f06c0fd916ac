//! How a network's nodes are reached, and as whom.

use std::path::PathBuf;

use hlf_gateway::{Endpoint, MspFolder, MspFolderError};

use super::Network;
use crate::ca::TlsFiles;
use crate::files;
use crate::node::{self, NodeError};
use crate::operations::{Operations, OperationsError};
use crate::ports::Ports;
use crate::spec::Organization;

/// The ordering organisation's admin, who makes orderers join channels.
pub(super) const ORDERER_ADMIN: &str = "Admin";

impl Network {
    pub(super) fn orderer_operations(&self) -> Result<Operations, OperationsError> {
        let orderer = &self.spec.orderer;
        let home = self.layout.ordering_organization(orderer);
        let user = format!("{ORDERER_ADMIN}@{}", orderer.domain);
        Operations::new(&client_tls(home.join("users").join(user)))
    }

    pub(super) fn peer_endpoint(
        &self,
        organization: &Organization,
        host: &str,
        ports: &Ports,
    ) -> Result<Endpoint, NodeError> {
        let address = node::public(ports, host)?.to_string();
        let roots = files::read(&self.tls_ca(organization))?;
        Ok(Endpoint::tls(address, roots))
    }

    /// The identity that acts on an organisation's peers.
    pub(super) fn admin(&self, organization: &Organization) -> Result<MspFolder, MspFolderError> {
        let name = organization.admin().map_or("", |user| user.name.as_str());
        let folder = self.layout.user(organization, name).join("msp");
        MspFolder::open(folder, &organization.msp_id)
    }

    /// The identity that acts on the ordering organisation's nodes.
    pub(super) fn orderer_admin(&self) -> Result<MspFolder, MspFolderError> {
        let orderer = &self.spec.orderer;
        let user = format!("{ORDERER_ADMIN}@{}", orderer.domain);
        let home = self.layout.ordering_organization(orderer);
        MspFolder::open(home.join("users").join(user).join("msp"), &orderer.msp_id)
    }

    pub(super) fn orderer_tls_ca(&self) -> PathBuf {
        let orderer = &self.spec.orderer;
        let home = self.layout.ordering_organization(orderer);
        home.join("tlsca").join(format!("tlsca.{}-cert.pem", orderer.domain))
    }

    pub(super) fn tls_ca(&self, organization: &Organization) -> PathBuf {
        self.layout
            .organization(organization)
            .join("tlsca")
            .join(format!("tlsca.{}-cert.pem", organization.domain))
    }
}

/// A user's TLS client certificate.
pub(super) fn client_tls(user: PathBuf) -> TlsFiles {
    let tls = user.join("tls");
    TlsFiles { certificate: tls.join("client.crt"), key: tls.join("client.key"), roots: tls.join("ca.crt") }
}
