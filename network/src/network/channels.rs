//! Channels beyond the spec's one.

use super::Network;
use super::joining;
use super::up::{Options, Stand, UpError};
use crate::genesis;
use crate::lock::FolderLock;
use crate::process::Supervisor;
use crate::progress::Progress;

impl Network {
    /// Opens a further channel on a network that is up: of the same members, orderers, policies and settings as the
    /// spec's, and under another name. Every node joins it.
    ///
    /// It stays as it is: [`Network::up`] and [`Network::status`] concern the spec's channel alone, and chaincode is
    /// brought onto it by Fabric's own command line, see [`Network::peer_environment`].
    ///
    /// # Errors
    /// [`UpError`] names the step; [`UpError::Channel`] when a node does not join, [`UpError::Spec`] for a name that
    /// no channel may have.
    pub async fn open_channel(
        &self,
        name: &str,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<(), UpError> {
        let spec = self.spec.on_channel(name)?;
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let binaries = options.binaries.find(progress).await?;
        genesis::demand_consensus(&spec, &binaries)?;
        let layout = self.layout.clone();
        let network =
            Network { spec, part: self.part.clone(), supervisor: Supervisor::new(layout.clone()), layout };
        let stand = Stand { network: &network, options, progress, binaries };
        let ports = network.keep_ports(stand.wanted_ports())?;
        stand.make_genesis(&ports)?;
        let members = stand.start_nodes(&ports).await?;
        Ok(joining::demand_none(&stand.join(&ports, &members).await?)?)
    }
}
