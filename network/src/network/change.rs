//! A running network's channel: its configuration, and proposals to change it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hlf_gateway::{Credentials, Deadlines, Endorser, EndorserError, MspFolderError, SystemChaincodeError};

use hlf_protos::common::Block;

use super::Network;
use crate::change::{
    AnchorAddress, ChannelConfig, ConfigError, OrganizationDefinition, OrganizationError, Proposal,
    ProposalError, SubmitError,
};
use crate::commands::typed;
use crate::files::{self, FileError};
use crate::node::{self, NodeError};
use crate::operations::OperationsError;
use crate::ordered::OrderedError;
use crate::ports::PortError;
use crate::progress::{Progress, Quiet, Step};
use crate::spec::{Consensus, Organization};
use crate::wait::{self, Look, WaitError};

/// How long an orderer may take to answer.
const SUBMIT_LIMIT: Duration = Duration::from_secs(30);
/// How long the ordering service may be unable to take a change of its nodes.
const TAKE_LIMIT: Duration = Duration::from_secs(120);
/// After how long such a change that was taken, and that nobody has, is taken for lost.
const LOST_AFTER: Duration = Duration::from_secs(20);
/// How long the peers may take to have the block.
const IN_FORCE_LIMIT: Duration = Duration::from_secs(60);

/// Why a channel's configuration was not read or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The file of ports is damaged, or a node has none.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// A node's address or certificate cannot be had.
    #[error("a node cannot be reached")]
    Node(#[from] NodeError),
    /// An organisation's admin cannot be read.
    #[error("the admin of `{organization}` cannot be used")]
    Admin {
        /// The organisation.
        organization: String,
        /// What is wrong.
        source: MspFolderError,
    },
    /// No peer gives the configuration.
    #[error("no peer gives the channel's configuration; see {}", typed("status"))]
    NoPeer(#[source] Option<EndorserError>),
    /// A peer's answer is not a configuration.
    #[error("a peer gives no readable configuration")]
    Config(#[from] ConfigError),
    /// The proposal cannot be judged or signed.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// The proposal was not submitted, or its outcome is not known.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The orderer took it and not all peers have it.
    #[error("the ordering service took the change; not every peer has it yet, see {}", typed("status"))]
    NotEverywhere(#[from] WaitError),
    /// An organisation's definition cannot be made.
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    /// The ordering service gives no configuration.
    #[error("the ordering service gives no configuration")]
    Ordered(#[from] OrderedError),
    /// A proposal brings an ordering node that is not here.
    #[error(
        "the proposal makes `{0}` an ordering node, and none of this folder's is there; name it in the consortium's document \
         and run {up} first, so that it has the ledger before it counts",
        up = typed("up")
    )]
    OrdererElsewhere(String),
    /// Ordering nodes cannot be asked how far they are.
    #[error("the ordering nodes cannot be asked how far they are")]
    Operations(#[from] OperationsError),
    /// An ordering node has not what the others have.
    #[error(
        "the ordering service's nodes are not level, so its nodes were not changed; see {}, and submit it when they are",
        typed("status")
    )]
    NotLevel(#[source] WaitError),
    /// The ordering service takes no change of its nodes for now.
    #[error(
        "the ordering service's nodes were not changed; see {}, and submit it again later",
        typed("status")
    )]
    NotTaken(#[source] WaitError),
    /// A file cannot be read.
    #[error("a certificate cannot be read")]
    File(#[from] FileError),
}

impl Network {
    /// The channel's configuration as the first own peer that answers has it; of the ordering organisation's own part,
    /// which has no peers, as an orderer has it.
    ///
    /// # Errors
    /// [`ChangeError::NoPeer`] when none answers.
    pub async fn channel_config(&self) -> Result<ChannelConfig, ChangeError> {
        if self.own_organizations().next().is_none() {
            return Ok(ChannelConfig::of_block(&self.ordered().await?.config)?);
        }
        let mut last = None;
        for organization in self.own_organizations() {
            for peer in &organization.peers {
                match self.peer_config(organization, &organization.host(peer)).await {
                    Ok(config) => return Ok(config),
                    Err(ChangeError::NoPeer(error)) => last = error,
                    Err(error) => return Err(error),
                }
            }
        }
        Err(ChangeError::NoPeer(last))
    }

    /// The identity that signs and submits changes for an organisation.
    ///
    /// # Errors
    /// [`ChangeError::Admin`] when its keys are not here.
    pub fn admin_credentials(&self, organization: &Organization) -> Result<Credentials, ChangeError> {
        let folder = self
            .admin(organization)
            .map_err(|source| ChangeError::Admin { organization: organization.name.clone(), source })?;
        Ok(folder.into_credentials())
    }

    /// The identity of the ordering organisation's admin.
    ///
    /// # Errors
    /// [`ChangeError::Admin`] when its keys are not here.
    pub fn orderer_credentials(&self) -> Result<Credentials, ChangeError> {
        let orderer = &self.spec.orderer;
        self.orderer_admin()
            .map(|folder| folder.into_credentials())
            .map_err(|source| ChangeError::Admin { organization: orderer.domain.clone(), source })
    }

    /// What an organisation hands over to the members of a channel that it wants to join.
    ///
    /// # Errors
    /// [`ChangeError`] when its keys were never made, or it has no port yet.
    pub fn organization_definition(
        &self,
        organization: &Organization,
    ) -> Result<OrganizationDefinition, ChangeError> {
        let ports = self.ports()?;
        let mut anchors = Vec::new();
        for peer in &organization.peers {
            let host = organization.host(peer);
            if let Ok(address) = node::public(&ports, &host) {
                anchors.push(AnchorAddress { host: address.host, port: address.port });
            }
        }
        let msp = self.layout.organization(organization).join("msp");
        Ok(OrganizationDefinition::of_msp_folder(&organization.msp_id, &msp, anchors)?)
    }

    /// Submits a proposal that everybody who is needed has signed, and waits until every running peer has it.
    ///
    /// Where the ordering organisation's nodes are here, one that comes must be level first, and those that stay.
    ///
    /// # Errors
    /// [`ChangeError`]; what was sent and not answered is [`SubmitError::Unknown`].
    pub async fn submit_change(
        &self,
        proposal: &Proposal,
        credentials: &Credentials,
        progress: &dyn Progress,
    ) -> Result<(), ChangeError> {
        if !self.demand_level(proposal, progress).await? {
            return self.submit_change_within(proposal, credentials, IN_FORCE_LIMIT, progress).await;
        }
        // Nodes that are level may elect their leader still, which takes no change of the nodes before it hears them all; and
        // what a leader took that then hands its office over can get lost.
        let step = Step::begin(progress, "change the ordering service's nodes");
        let sent = AtomicBool::new(false);
        let taken = wait::until(&step, "the ordering service to take the change", TAKE_LIMIT, || async {
            if sent.swap(true, Ordering::Relaxed)
                && let Ok(present) = self.channel_config().await
                && proposal.is_in_force(&present)
            {
                return Ok(Look::Holds(self.await_in_force(proposal, IN_FORCE_LIMIT, &Quiet).await));
            }
            Ok(match self.submit_change_within(proposal, credentials, LOST_AFTER, &Quiet).await {
                Err(ChangeError::Submit(error)) if error.is_for_now() => Look::NotYet(wait::chain(&error)),
                Err(error @ ChangeError::NotEverywhere(_)) => Look::NotYet(wait::chain(&error)),
                done => Look::Holds(done),
            })
        });
        taken.await.map_err(ChangeError::NotTaken)??;
        step.done("in force");
        Ok(())
    }

    /// The same, with a limit to how long each peer may take to have it.
    pub(super) async fn submit_change_within(
        &self,
        proposal: &Proposal,
        credentials: &Credentials,
        limit: Duration,
        progress: &dyn Progress,
    ) -> Result<(), ChangeError> {
        let present = self.channel_config().await?;
        let step = Step::begin(progress, "submit the change");
        let ports = self.ports()?;
        let orderer = &self.spec.orderer;
        // An orderer that can't be reached was sent nothing, and one without a leader took nothing, so the next one is asked.
        // Of BFT all are sent it, as Fabric's gateway does: one that is not level with the others takes it and hands it to
        // nobody.
        let everywhere = orderer.consensus == Consensus::Bft;
        let mut taken = 0_usize;
        let (mut unreached, mut unable, mut refused) = (None, None, None);
        for consenter in &orderer.consenters {
            let address = node::public(&ports, &orderer.host(consenter))?.to_string();
            let roots = files::read(&self.orderer_tls_ca())?;
            let endpoint = hlf_gateway::Endpoint::tls(address, roots);
            match proposal.submit(&present, &endpoint, credentials, SUBMIT_LIMIT).await {
                Ok(()) => taken = taken.saturating_add(1),
                Err(error @ SubmitError::Connect(_)) => unreached = Some(error),
                Err(error) if error.is_unavailable() => unable = Some(error),
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
            if !everywhere && (taken > 0 || refused.is_some()) {
                break;
            }
        }
        if taken > 0 {
            step.done(if everywhere { "the ordering service took it" } else { "an orderer took it" });
            return self.await_in_force(proposal, limit, progress).await;
        }
        Err(refused.or(unable).or(unreached).map_or(ChangeError::NoPeer(None), ChangeError::Submit))
    }

    async fn await_in_force(
        &self,
        proposal: &Proposal,
        limit: Duration,
        progress: &dyn Progress,
    ) -> Result<(), ChangeError> {
        if self.own_organizations().next().is_none() {
            let step = Step::begin(progress, "wait for the orderers");
            wait::until(&step, "an orderer to have the new configuration", limit, || async {
                match self.channel_config().await {
                    Ok(config) if proposal.is_in_force(&config) => Ok(Look::Holds(())),
                    Ok(config) => Ok(Look::NotYet(format!("it has number {}", config.sequence()))),
                    Err(error) => Ok::<_, ChangeError>(Look::NotYet(wait::chain(&error))),
                }
            })
            .await?;
            step.done("one has it");
            return Ok(());
        }
        let step = Step::begin(progress, "wait for the peers");
        for organization in self.own_organizations() {
            for peer in &organization.peers {
                let host = organization.host(peer);
                if self.supervisor.running(&host).is_none() {
                    continue;
                }
                let what = format!("`{host}` to have the new configuration");
                wait::until(&step, &what, limit, || async {
                    match self.peer_config(organization, &host).await {
                        Ok(config) if proposal.is_in_force(&config) => Ok(Look::Holds(())),
                        Ok(config) => Ok(Look::NotYet(format!("it has number {}", config.sequence()))),
                        Err(error) => Ok::<_, ChangeError>(Look::NotYet(wait::chain(&error))),
                    }
                })
                .await?;
            }
        }
        step.done("all that run have it");
        Ok(())
    }

    /// The channel's newest configuration block, from the first peer that answers.
    pub(super) async fn channel_config_block(&self) -> Result<Block, ChangeError> {
        let mut last = None;
        for organization in self.own_organizations() {
            for peer in &organization.peers {
                match self.peer_config_block(organization, &organization.host(peer)).await {
                    Ok(block) => return Ok(block),
                    Err(ChangeError::NoPeer(error)) => last = error,
                    Err(error) => return Err(error),
                }
            }
        }
        Err(ChangeError::NoPeer(last))
    }

    async fn peer_config(
        &self,
        organization: &Organization,
        host: &str,
    ) -> Result<ChannelConfig, ChangeError> {
        Ok(ChannelConfig::of_block(&self.peer_config_block(organization, host).await?)?)
    }

    async fn peer_config_block(&self, organization: &Organization, host: &str) -> Result<Block, ChangeError> {
        let ports = self.ports()?;
        let endpoint = self.peer_endpoint(organization, host, &ports)?;
        let credentials = self.admin_credentials(organization)?;
        let connected = Endorser::connect(&endpoint, credentials, Deadlines::default()).await;
        let Ok(endorser) = connected else { return Err(ChangeError::NoPeer(None)) };
        let channel = &self.spec.channel.name;
        endorser.channels().config_block(channel).await.map_err(|error| match error {
            SystemChaincodeError::Call { source, .. } => ChangeError::NoPeer(Some(source)),
            SystemChaincodeError::Answer { source, .. } => {
                ConfigError::Unreadable { what: "the block".to_owned(), source }.into()
            }
        })
    }
}
