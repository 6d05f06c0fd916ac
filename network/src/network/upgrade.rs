//! A running network brought to another release of Fabric: node by node, and the channel's capabilities last.
//!
//! Ordering nodes come first, the one that leads last of them, then the peers in turn, so that two of one organisation
//! never follow each other where there is a choice. Before each all that it leaves behind must be level. The databases
//! of Fabric 2.5 and 3.1 have one format (`common/ledger/dataformat`), so no peer has to rebuild or upgrade any.

use std::cmp::Reverse;

use hlf_gateway::{Deadlines, Endorser};

use super::apply::{StepError, Work};
use super::claim::{self, StateError};
use super::reach::client_tls;
use super::up::{Options, START_LIMIT, UpError};
use super::{ChangeError, Network};
use crate::change::{ChannelConfig, Edit};
use crate::channel;
use crate::commands::typed;
use crate::fabric::{FabricError, Version};
use crate::genesis;
use crate::lock::{FolderLock, LockError};
use crate::node::{self, ADMIN, NodeError, OPERATIONS};
use crate::operations::{Operations, OperationsError};
use crate::ports::{PortError, Ports};
use crate::process::{ProcessError, Service};
use crate::progress::{self, Progress, Step};
use crate::spec::{Organization, SpecError};
use crate::wait::{self, Look};
use crate::{orderer, peer};

/// The sections of a channel's configuration that have capabilities, and the highest that Fabric 3 and 2.5 know.
const CAPABILITIES_3: [(Option<&str>, &str); 3] =
    [(None, "V3_0"), (Some("Orderer"), "V2_0"), (Some("Application"), "V2_5")];
const CAPABILITIES_2_5: [(Option<&str>, &str); 3] =
    [(None, "V2_0"), (Some("Orderer"), "V2_0"), (Some("Application"), "V2_5")];

/// How many other peers of a channel a peer knows.
const KNOWN_PEERS: &str = "gossip_membership_total_peers_known";

/// Why a network is not yet of another release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// The folder is no network's, or its note cannot be written.
    #[error("the state folder does not serve")]
    State(#[from] StateError),
    /// The release is older than the network's.
    #[error(
        "the network is of Fabric {from}, and {to} is older: nodes of {to} would meet capabilities and ledgers that \
         they may not read; nothing was changed. To go back, restore a backup that was made before"
    )]
    Downgrade {
        /// The network's release.
        from: Version,
        /// The one that was asked for.
        to: Version,
    },
    /// An apply, or an upgrade to another release, is half done.
    #[error("{what} is half done; finish it first: the same command again goes on; nothing was changed")]
    Unfinished {
        /// What was interrupted.
        what: String,
    },
    /// The spec is not valid with the release.
    #[error("the spec is not valid with that release; nothing was changed")]
    Spec(#[from] SpecError),
    /// The release's programs cannot be had.
    #[error("the programs of that release cannot be had; nothing was changed")]
    Fabric(#[from] FabricError),
    /// The programs are of another release.
    #[error("the programs that were found are of Fabric {found}, not {to}; name a folder with those of {to}")]
    Programs {
        /// The release that was asked for.
        to: Version,
        /// The release that was found.
        found: Version,
    },
    /// A node is not of the new release and level with the others; those before it are.
    #[error("`{node}` is not upgraded yet; the same command again goes on from there")]
    Node {
        /// The node.
        node: String,
        /// What failed.
        source: Box<StepError>,
    },
    /// The capabilities were not raised.
    #[error(
        "every node is upgraded, and the channel's capabilities are not raised yet; the same command again goes on"
    )]
    Capabilities(#[source] Box<StepError>),
    /// The network of the new release is not whole.
    #[error("the network is upgraded and not whole; {} makes it so", typed("up"))]
    Whole(#[source] Box<StepError>),
}

/// A node that is to run with other programs.
enum Node<'a> {
    Orderer { consenter: &'a str, host: String },
    Peer { organization: &'a Organization, peer: &'a str, host: String },
}

impl Network {
    /// Brings every node of a running network to a release of Fabric, one after the other, then raises the channel's
    /// capabilities to those of the release; returns the network with its new spec.
    ///
    /// The options' programs are those of the new release. Interrupted at any point it goes on when it is called again.
    /// Where every organisation has two peers, and the ordering service several nodes, transactions go on meanwhile.
    ///
    /// # Errors
    /// [`UpgradeError`] names the node; [`UpgradeError::Downgrade`] and others say that nothing was changed.
    pub async fn upgrade(
        &self,
        to: Version,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, UpgradeError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        claim::demand_whole(&self.layout)?;
        let made = Self::existing(self.layout.root())?;
        let from = made.spec.fabric;
        let target = made.spec.with(|spec| spec.fabric = to)?;
        match made.unfinished()? {
            Some(unfinished) if unfinished.fabric == from => {
                return Err(UpgradeError::Unfinished { what: "an apply of another spec".to_owned() });
            }
            Some(unfinished) if unfinished != target => {
                let what = format!("an upgrade to Fabric {}", unfinished.fabric);
                return Err(UpgradeError::Unfinished { what });
            }
            _ => {}
        }
        if to < from {
            return Err(UpgradeError::Downgrade { from, to });
        }
        let after = made.with_spec(target);
        if to == from {
            progress::skipped(progress, "upgrade", "the network is of that release");
            return Ok(after);
        }
        let binaries = options.binaries.find(progress).await?;
        if binaries.version() != to {
            return Err(UpgradeError::Programs { to, found: binaries.version() });
        }
        claim::begin(&made.layout, &made.spec, &after.spec)?;
        let work = Work { at: &made, after: &after, options, progress, binaries, leaving: Vec::new() };
        work.replace_all().await?;
        work.raise_capabilities(to).await.map_err(|source| UpgradeError::Capabilities(Box::new(source)))?;
        let whole = |source| UpgradeError::Whole(Box::new(source));
        genesis::note_release(&after.layout, to).map_err(|error| whole(UpError::from(error).into()))?;
        work.stand().settle().await.map_err(|error| whole(error.into()))?;
        claim::finish(&after.layout, &after.spec)?;
        Ok(after)
    }

    /// The release that a node says it is of, by its operations endpoint; `None` when it does not answer.
    pub async fn release_of(&self, node: &str) -> Option<Version> {
        let ports = self.ports().ok()?;
        let address = node::loopback(&ports, node, OPERATIONS).ok()?;
        self.operations_of(node).ok()?.version(&address).await.ok()
    }

    /// Who may ask a node's operations endpoint.
    fn operations_of(&self, node: &str) -> Result<Operations, OperationsError> {
        for organization in &self.spec.organizations {
            if organization.peers.iter().any(|peer| organization.host(peer) == node) {
                let user = organization.admin().map_or("", |user| user.name.as_str());
                return Operations::new(&client_tls(self.layout.user(organization, user)));
            }
        }
        self.orderer_operations()
    }
}

impl Work<'_> {
    async fn replace_all(&self) -> Result<(), UpgradeError> {
        for node in self.in_order().await {
            let replaced = match &node {
                Node::Orderer { consenter, host } => self.replace_orderer(consenter, host).await,
                Node::Peer { organization, peer, host } => self.replace_peer(organization, peer, host).await,
            };
            let (Node::Orderer { host, .. } | Node::Peer { host, .. }) = &node;
            replaced.map_err(|source| UpgradeError::Node { node: host.clone(), source: Box::new(source) })?;
        }
        Ok(())
    }

    /// Orderers, those that are down first and the leader last; then each organisation's first peer, each one's second,
    /// and so on.
    async fn in_order(&self) -> Vec<Node<'_>> {
        let spec = &self.after.spec;
        let nodes = self.at.status().await.map(|status| status.nodes).unwrap_or_default();
        let standing = |host: &str| {
            let found = nodes.iter().find(|node| node.name == host);
            found.map(|node| (node.pid.is_some(), node.leads == Some(true)))
        };
        let mut orderers: Vec<(String, &str)> =
            spec.orderer.consenters.iter().map(|name| (spec.orderer.host(name), name.as_str())).collect();
        orderers.sort_by_key(|(host, _)| standing(host));
        let mut peers = Vec::new();
        for organization in &spec.organizations {
            for (place, peer) in organization.peers.iter().enumerate() {
                let host = organization.host(peer);
                let is_down = standing(&host).is_some_and(|(runs, _)| !runs);
                peers.push((Reverse(is_down), place, Node::Peer { organization, peer, host }));
            }
        }
        peers.sort_by_key(|(is_down, place, _)| (*is_down, *place));
        let orderers = orderers.into_iter().map(|(host, consenter)| Node::Orderer { consenter, host });
        orderers.chain(peers.into_iter().map(|(_, _, peer)| peer)).collect()
    }

    async fn replace_orderer(&self, consenter: &str, host: &str) -> Result<(), StepError> {
        let stand = self.stand();
        let ports = self.ports()?;
        let runs = self.at.supervisor.running(host).is_some();
        if runs {
            self.await_level(self.at).await?;
        }
        let spec = &self.after.spec;
        let service = orderer::prepare(&spec.orderer, consenter, &self.after.layout, &ports, &self.binaries)?;
        let step = Step::begin(self.progress, format!("`{host}` with Fabric {}", spec.fabric));
        self.start(&service).await?;
        let operations = self.after.orderer_operations().map_err(UpError::from)?;
        let admin = node::loopback(&ports, host, ADMIN)?;
        wait::until(&step, "it to take part", START_LIMIT, || async {
            self.after.supervisor.demand_alive(host).map_err(UpError::from)?;
            Ok::<_, StepError>(match operations.participation(&admin, &spec.channel.name).await {
                Ok(Some(node)) if node.consensus_relation == "consenter" && node.status == "active" => {
                    Look::Holds(())
                }
                Ok(node) => Look::NotYet(format!("{node:?}")),
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await?;
        step.done("it takes part");
        stand.await_leader(&ports, self.at).await?;
        self.await_level(self.at).await
    }

    async fn replace_peer(
        &self,
        organization: &Organization,
        peer: &str,
        host: &str,
    ) -> Result<(), StepError> {
        let ports = self.ports()?;
        self.await_acquainted(&ports).await?;
        let (spec, layout) = (&self.after.spec, &self.after.layout);
        let builder = &self.options.builder;
        let service =
            peer::prepare(organization, peer, &spec.peer, layout, &ports, &self.binaries, builder, None)?;
        let channel = &spec.channel.name;
        let step = Step::begin(self.progress, format!("`{host}` with Fabric {}", spec.fabric));
        self.start(&service).await?;
        let endpoint = self.after.peer_endpoint(organization, host, &ports)?;
        let credentials = self.after.admin(organization).map_err(UpError::from)?.into_credentials();
        let endorser = wait::until(&step, "it to answer", START_LIMIT, || async {
            self.after.supervisor.demand_alive(host).map_err(UpError::from)?;
            let asked = Endorser::connect(&endpoint, credentials.clone(), Deadlines::default()).await;
            Ok::<_, StepError>(match asked {
                Ok(endorser) => Look::Holds(endorser),
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await?;
        let status =
            self.at.status().await.map_err(|super::StatusError::Port(error)| UpError::from(error))?;
        let highest = status.nodes.iter().filter_map(|node| node.height).max().unwrap_or_default();
        channel::await_height(&step, &endorser, host, (channel, highest)).await.map_err(UpError::from)?;
        step.done("level with the others");
        self.await_acquainted(&ports).await
    }

    /// Starts a node with other programs, in place of the process that it has.
    async fn start(&self, service: &Service) -> Result<(), StepError> {
        self.after.supervisor.ensure(service).await.map(drop).map_err(|error| UpError::from(error).into())
    }

    /// Waits until every peer that runs knows all the others that run: a proposal finds its endorsers by that.
    async fn await_acquainted(&self, ports: &Ports) -> Result<(), StepError> {
        let step = Step::begin(self.progress, "the peers know each other");
        let spec = &self.after.spec;
        let running: Vec<(&Organization, String)> = spec
            .organizations
            .iter()
            .flat_map(|member| member.peers.iter().map(move |peer| (member, member.host(peer))))
            .filter(|(_, host)| self.after.supervisor.running(host).is_some())
            .collect();
        let others = running.len().saturating_sub(1);
        for (_, host) in &running {
            let operations = self.after.operations_of(host).map_err(UpError::from)?;
            let address = node::loopback(ports, host, OPERATIONS)?;
            wait::until(&step, &format!("`{host}` to know {others} others"), START_LIMIT, || async {
                self.after.supervisor.demand_alive(host).map_err(UpError::from)?;
                Ok::<_, StepError>(match operations.gauge(&address, KNOWN_PEERS, &spec.channel.name).await {
                    // It counts those that stopped a moment ago too.
                    Ok(Some(known)) if known >= count(others) => Look::Holds(()),
                    Ok(known) => Look::NotYet(format!("it knows {}", known.unwrap_or_default())),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
        }
        step.done(&format!("{} peers", running.len()));
        Ok(())
    }

    async fn raise_capabilities(&self, to: Version) -> Result<(), StepError> {
        let step = Step::begin(self.progress, "every node's release");
        for node in self.at.status().await.map(|status| status.nodes).unwrap_or_default() {
            if node.kind == super::NodeKind::Chaincode {
                continue;
            }
            let what = format!("`{}` to say that it is of Fabric {to}", node.name);
            wait::until(&step, &what, START_LIMIT, || async {
                Ok::<_, StepError>(match self.after.release_of(&node.name).await {
                    Some(found) if found >= to => Look::Holds(()),
                    Some(found) => Look::NotYet(format!("it is of {found}")),
                    None => Look::NotYet("it does not answer".to_owned()),
                })
            })
            .await?;
        }
        step.done(&format!("each says {to}"));
        self.change(
            self.after,
            "capabilities",
            |present| Ok(raising(present, to).map_err(ChangeError::from)?),
        )
        .await
    }

    fn ports(&self) -> Result<Ports, StepError> {
        self.after.ports().map_err(|error| UpError::from(error).into())
    }
}

/// A small number as metrics have them.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

/// What raises a channel's capabilities to those of a release; what is as high or higher stays.
fn raising(present: &ChannelConfig, to: Version) -> Result<Vec<Edit>, crate::change::ConfigError> {
    let wanted = if to.is_v3() { CAPABILITIES_3 } else { CAPABILITIES_2_5 };
    let mut edits = Vec::new();
    for (section, name) in wanted {
        let known = present.capabilities(section)?;
        let highest = known.iter().filter_map(|name| level(name)).max();
        if highest < level(name) {
            edits.push(Edit::Capability { section: section.map(str::to_owned), name: name.to_owned() });
        }
    }
    Ok(edits)
}

/// A capability's numbers: `V1_4_3` is above `V1_4_2`.
fn level(name: &str) -> Option<Vec<u32>> {
    name.strip_prefix('V')?.split('_').map(|number| number.parse().ok()).collect()
}

impl From<NodeError> for StepError {
    fn from(error: NodeError) -> Self {
        Self::Up(error.into())
    }
}

impl From<ProcessError> for StepError {
    fn from(error: ProcessError) -> Self {
        Self::Up(error.into())
    }
}

impl From<PortError> for StepError {
    fn from(error: PortError) -> Self {
        Self::Up(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_compared_by_their_numbers() {
        assert!(level("V2_5") < level("V3_0"));
        assert!(level("V1_4_2") < level("V1_4_3"));
        assert!(level("V1_4_3") < level("V2_0"));
        assert_eq!(level("V1_1_PVTDATA_EXPERIMENTAL"), None);
        assert!(None < level("V2_0"));
    }
}
