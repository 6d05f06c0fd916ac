//! Organisations and peers that come and go.

use hlf_protos::protos::AnchorPeers;

use super::super::{Network, places};
use super::{StepError, Work};
use crate::change::{ChannelConfig, Edit};
use crate::network::ChangeError;
use crate::network::up::UpError;
use crate::node;
use crate::spec::Organization;

/// Where a channel's configuration keeps members and their anchor peers.
const APPLICATION: &str = "Application";
const ANCHOR_PEERS: &str = "AnchorPeers";

impl Work<'_> {
    /// An organisation's keys are made, and the members let it in; its nodes come with the rest of the spec.
    pub(super) async fn add_organization(&self, name: &str) -> Result<(), StepError> {
        let stand = self.stand();
        let ports = self.after.keep_ports(stand.wanted_ports()).map_err(UpError::from)?;
        stand.issue(&ports).await?;
        let Some(organization) = self.after.spec.organization(name) else { return Ok(()) };
        let definition = self.after.organization_definition(organization)?;
        self.change(self.at, &format!("`{name}` becomes a member"), |present| {
            Ok(if is_member(present, organization)? {
                Vec::new()
            } else {
                vec![Edit::AddOrganization(Box::new(definition.clone()))]
            })
        })
        .await
    }

    /// An organisation leaves the channel, and then its processes end. Its keys and ledgers stay: should it come back,
    /// its peers alone have the private data of its own, which nobody could give to empty ones.
    pub(super) async fn remove_organization(&self, name: &str) -> Result<(), StepError> {
        let Some(organization) = self.at.spec.organization(name) else { return Ok(()) };
        let msp_id = organization.msp_id.clone();
        self.change(self.after, &format!("`{name}` is a member no longer"), |present| {
            Ok(if is_member(present, organization)? {
                vec![Edit::RemoveOrganization { msp_id: msp_id.clone() }]
            } else {
                Vec::new()
            })
        })
        .await?;
        for peer in &organization.peers {
            self.at.supervisor.stop(&organization.host(peer)).await.map_err(UpError::from)?;
        }
        for place in places::places(organization) {
            self.at.supervisor.stop(&place).await.map_err(UpError::from)?;
        }
        let profile = self.at.layout.profile(&organization.name);
        match std::fs::remove_file(&profile) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::files::FileError::new(&profile, "removed", e).into())
            }
            _ => Ok(()),
        }
    }

    /// Nobody is told to look for a peer that goes; its ledger stays.
    pub(super) async fn remove_peer(&self, organization: &str, peer: &str) -> Result<(), StepError> {
        self.anchors(self.after, organization).await?;
        let Some(organization) = self.at.spec.organization(organization) else { return Ok(()) };
        self.at.supervisor.stop(&organization.host(peer)).await.map_err(UpError::from)?;
        Ok(())
    }

    /// All peers of a member are those by which the others find it.
    pub(super) async fn anchors(&self, seen_by: &Network, name: &str) -> Result<(), StepError> {
        let stand = self.stand();
        let ports = self.after.keep_ports(stand.wanted_ports()).map_err(UpError::from)?;
        let Some(organization) = self.after.spec.organization(name) else { return Ok(()) };
        let mut peers = Vec::new();
        for peer in &organization.peers {
            let address = node::public(&ports, &organization.host(peer)).map_err(UpError::from)?;
            peers.push((address.host, address.port));
        }
        let msp_id = &organization.msp_id;
        self.change(seen_by, &format!("`{name}` is found by its peers"), |present| {
            let known = present.value::<AnchorPeers>(&[APPLICATION, msp_id], ANCHOR_PEERS);
            let known: Vec<(String, i32)> = known
                .map(|known| known.anchor_peers.into_iter().map(|peer| (peer.host, peer.port)).collect())
                .unwrap_or_default();
            let same = known.len() == peers.len()
                && peers.iter().all(|(host, port)| known.contains(&(host.clone(), i32::from(*port))));
            Ok(if same {
                Vec::new()
            } else {
                vec![Edit::AnchorPeers { msp_id: msp_id.clone(), peers: peers.clone() }]
            })
        })
        .await
    }
}

fn is_member(present: &ChannelConfig, organization: &Organization) -> Result<bool, StepError> {
    let members = present.organizations().map_err(ChangeError::from)?;
    Ok(members.contains(&organization.msp_id))
}
