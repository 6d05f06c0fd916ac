//! The channel made into what the consortium's document says, with one organisation's own keys: what others must sign
//! travels as a proposal.

use std::collections::BTreeSet;

use hlf_protos::protos::AnchorPeers;

use super::super::up::UpError;
use super::super::{ChangeError, Network};
use super::PartError;
use crate::change::{
    ChannelConfig, Edit, MetaRule, OrganizationDefinition, PolicyRule, Proposal, ProposalError, Rejection,
};
use crate::exchange::Description;
use crate::node;
use crate::progress::Progress;
use crate::spec::Endorsement;

/// What the change is called, for those who are asked to sign it.
const TITLE: &str = "the channel as the consortium's document says";

/// What came of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Agreed {
    /// The channel is as the document says.
    Already,
    /// Own signatures were enough, and it is in force.
    InForce(Box<Proposal>),
    /// Others must sign; own signatures are on it.
    ToSign(Box<Proposal>),
}

impl Network {
    /// The change that would make the channel what the consortium's document says, as far as descriptions are here;
    /// `None` when nothing would change. Nothing is done.
    ///
    /// Blocks, endorsement, new members, and own anchor peers are changed so. Nobody is sent away because an old document
    /// does not name them: members and ordering nodes leave by proposals that say so.
    ///
    /// # Errors
    /// [`PartError::Change`] when the channel cannot be looked at, or Fabric would reject the change.
    pub async fn wanted_change(&self) -> Result<Option<Proposal>, PartError> {
        let present = self.channel_config().await?;
        let edits = self.wanted_edits(&present)?;
        match Proposal::new(&present, TITLE, &edits) {
            Ok(proposal) => Ok(Some(proposal)),
            Err(ProposalError::Rejected(Rejection::NothingChanges)) => Ok(None),
            Err(error) => Err(ChangeError::from(error).into()),
        }
    }

    /// Makes the channel what the consortium's document says, when own keys are enough for it; else returns the change,
    /// signed by them, for the others to sign.
    ///
    /// # Errors
    /// [`PartError`] names the step.
    pub async fn agree(&self, progress: &dyn Progress) -> Result<Agreed, PartError> {
        let (_lock, _) = self.take_up()?;
        let Some(mut proposal) = self.wanted_change().await? else { return Ok(Agreed::Already) };
        let present = self.channel_config().await?;
        let own = match self.own_organizations().next() {
            Some(own) => self.admin_credentials(own)?,
            None => self.orderer_credentials()?,
        };
        match proposal.sign(&present, &own).await {
            // What is others' alone to sign is theirs to submit as well.
            Ok(()) | Err(ProposalError::Unwanted { .. }) => {}
            Err(error) => return Err(ChangeError::from(error).into()),
        }
        if !proposal.standing(&present).map_err(ChangeError::from)?.is_complete() {
            return Ok(Agreed::ToSign(Box::new(proposal)));
        }
        self.submit_change(&proposal, &own, progress).await?;
        Ok(Agreed::InForce(Box::new(proposal)))
    }

    fn wanted_edits(&self, present: &ChannelConfig) -> Result<Vec<Edit>, PartError> {
        let channel = &self.spec.channel;
        let rule = match channel.endorsement {
            Endorsement::Any => MetaRule::Any,
            Endorsement::Majority => MetaRule::Majority,
            Endorsement::All => MetaRule::All,
        };
        let mut edits = vec![
            Edit::BatchSize {
                max_message_count: Some(channel.max_message_count),
                absolute_max_bytes: None,
                preferred_max_bytes: None,
            },
            Edit::BatchTimeout { timeout_ms: channel.batch_timeout_ms },
        ];
        edits.extend(["Endorsement", "LifecycleEndorsement"].map(|name| Edit::Policy {
            path: vec!["Application".to_owned(), name.to_owned()],
            rule: PolicyRule::Children { rule, policy: "Endorsement".to_owned() },
        }));
        let members: BTreeSet<String> =
            present.organizations().map_err(ChangeError::from)?.into_iter().collect();
        let known = Description::read_all(&self.layout.imports())?;
        for new in self.spec.organizations.iter().filter(|wanted| !members.contains(&wanted.msp_id)) {
            // One whose description is not here is asked for by `up`.
            if let Some(description) = known.iter().find(|known| known.organization == new.name) {
                let definition = OrganizationDefinition::of_description(description);
                edits.push(Edit::AddOrganization(Box::new(definition)));
            }
        }
        edits.extend(self.own_anchors(present)?);
        Ok(edits)
    }

    /// All own peers are those by which the others find the organisation.
    fn own_anchors(&self, present: &ChannelConfig) -> Result<Option<Edit>, PartError> {
        let Some(own) = self.own_organizations().next() else { return Ok(None) };
        let ports = self.ports().map_err(UpError::from)?;
        let mut peers = Vec::new();
        for peer in &own.peers {
            let address = node::public(&ports, &own.host(peer)).map_err(UpError::from)?;
            peers.push((address.host, address.port));
        }
        let known = present.value::<AnchorPeers>(&["Application", &own.msp_id], "AnchorPeers");
        let known: Vec<(String, i32)> = known
            .map(|known| known.anchor_peers.into_iter().map(|peer| (peer.host, peer.port)).collect())
            .unwrap_or_default();
        let same = known.len() == peers.len()
            && peers.iter().all(|(host, port)| known.contains(&(host.clone(), i32::from(*port))));
        Ok((!same).then(|| Edit::AnchorPeers { msp_id: own.msp_id.clone(), peers }))
    }
}
