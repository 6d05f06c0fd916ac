//! Nodes that join the channel, and ordering nodes that must not do so a second time.

use std::path::Path;

use hlf_protos::common::Block;
use hlf_protos::prost::Message as _;

use super::up::{Stand, UpError};
use super::{ChangeError, Network, read_bytes};
use crate::change::{ChannelConfig, ConfigError, Consenter};
use crate::channel::{self, ChannelError};
use crate::commands::typed;
use crate::files::{self, FileError};
use crate::lifecycle::Member;
use crate::node::{self, ADMIN};
use crate::operations::Operations;
use crate::ports::Ports;
use crate::progress::Step;

/// Why an ordering node does not join the channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Nodes took part in the channel, and have no ledger now.
    #[error(
        "{} took part in the channel and has no ledger now, so it does not join again, and was stopped: with the ledger it \
         lost what it had voted for, and under its old identity it could let blocks that are committed be lost or written \
         anew. Remove it and add another one: `{}` with a spec without it, then with a new one (with BFT of four the new one \
         in its place, in one spec); where each organisation has its own part, `{}`, then `{}`",
        names(hosts),
        typed("apply --spec FILE"),
        typed("change propose FILE --title TEXT --remove-orderer HOST:PORT"),
        typed("change propose FILE --title TEXT --add-orderer HOST=FILE")
    )]
    Lost {
        /// The nodes.
        hosts: Vec<String>,
    },
    /// Others have blocks, and none of them tells who orders now.
    #[error(
        "the channel is in use, and nobody gives its newest configuration, by which an ordering node would join it"
    )]
    Newest(#[source] Box<ChangeError>),
    /// The newest configuration cannot be read.
    #[error("the channel's newest configuration cannot be read")]
    Config(#[from] ConfigError),
}

fn names(hosts: &[String]) -> String {
    hosts.iter().map(|host| format!("orderer `{host}`")).collect::<Vec<_>>().join(", ")
}

/// What a node's folder says of its joining, beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is one of those with whom the channel begins, and may have joined.
    Begun,
    /// It joined.
    Joined,
}

impl Mark {
    fn read(node: &Path, channel: &str) -> Option<Self> {
        match files::read(&Self::file(node, channel)).ok()?.trim() {
            "begun" => Some(Self::Begun),
            _ => Some(Self::Joined),
        }
    }

    fn note(self, node: &Path, channel: &str) -> Result<(), FileError> {
        if Self::read(node, channel) == Some(self) {
            return Ok(());
        }
        let text = match self {
            Self::Begun => "begun",
            Self::Joined => "joined",
        };
        files::replace(&Self::file(node, channel), files::PUBLIC, text.as_bytes())
    }

    fn file(node: &Path, channel: &str) -> std::path::PathBuf {
        node.join(format!("channel-{channel}"))
    }
}

/// What a channel is to an ordering node without a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    /// Nobody who was asked has more than the first block.
    Beginning,
    /// It has more blocks, and the node is one of its consenters.
    Consenter,
    /// It has more blocks, and the node is none of its consenters, or not yet.
    Other,
}

/// How an ordering node without a ledger comes by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It joins by the first block.
    First,
    /// It joins by the newest configuration, as a follower: those whom the first block names may all be gone.
    Newest,
    /// It does not join: it took part, and what it voted for is lost.
    Lost,
}

impl Way {
    fn of(mark: Option<Mark>, present: Present) -> Self {
        match (present, mark) {
            (Present::Other, _) => Self::Newest,
            (_, Some(Mark::Joined)) => Self::Lost,
            // Of a beginning that was interrupted, the others may have gone on.
            (_, Some(Mark::Begun)) | (Present::Beginning, None) => Self::First,
            (Present::Consenter, None) => Self::Lost,
        }
    }
}

/// An ordering node that runs and has no ledger.
struct Empty {
    host: String,
    admin: String,
    address: String,
}

impl Stand<'_> {
    /// Makes own nodes join; ends the ordering nodes that must not, and returns them, see [`demand_none`].
    pub(super) async fn join(&self, ports: &Ports, members: &[Member]) -> Result<Vec<String>, UpError> {
        let Network { spec, layout, .. } = self.network;
        let channel = &spec.channel.name;
        let block = read_bytes(&layout.genesis_block(channel))?;
        let step = Step::begin(self.progress, format!("channel `{channel}`"));
        let (mut joined, lost) = self.join_orderers(ports, members, &block).await?;
        for host in &lost {
            // It would answer callers that it knows no such channel, and they would ask nobody else.
            self.network.supervisor.stop(host).await?;
        }
        let own = self.network.own_consenters().len();
        if lost.len().saturating_mul(2) >= own {
            demand_none(&lost)?;
        }
        if own > 0 {
            self.leader(&step, ports, self.network).await?;
        }
        let mut highest = 0;
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            let new = self.join_by_noted_snapshot(&step, endorser, host).await?
                || channel::join_peer(endorser, host, channel, &block).await?;
            joined = joined.saturating_add(usize::from(new));
            if let Ok(height) = channel::height(endorser, host, channel).await {
                highest = highest.max(height);
            }
        }
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            channel::await_height(&step, endorser, host, (channel, highest)).await?;
        }
        step.done(&match (lost.is_empty(), joined) {
            (false, _) => format!("without {}", names(&lost)),
            (true, 0) => "every node had joined".to_owned(),
            (true, _) => format!("{joined} nodes joined"),
        });
        Ok(lost)
    }

    /// How many ordering nodes joined, and which must not.
    async fn join_orderers(
        &self,
        ports: &Ports,
        members: &[Member],
        first: &[u8],
    ) -> Result<(usize, Vec<String>), UpError> {
        let Network { spec, layout, .. } = self.network;
        let channel = spec.channel.name.as_str();
        if self.network.own_consenters().is_empty() {
            return Ok((0, Vec::new()));
        }
        let operations = self.network.orderer_operations()?;
        let mut empty = Vec::new();
        let mut highest = 0;
        for consenter in self.network.own_consenters() {
            let host = spec.orderer.host(consenter);
            let admin = node::loopback(ports, &host, ADMIN)?;
            let seen = operations.participation(&admin, channel).await;
            match seen.map_err(|source| ChannelError::Orderer { host: host.clone(), source })? {
                Some(node) => {
                    highest = highest.max(node.height);
                    Mark::Joined.note(&layout.node(&host), channel)?;
                }
                None => {
                    let address = node::public(ports, &host)?.to_string();
                    empty.push(Empty { host, admin, address });
                }
            }
        }
        if empty.is_empty() {
            return Ok((0, Vec::new()));
        }
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            highest = highest.max(channel::height(endorser, host, channel).await.unwrap_or_default());
        }
        let newest = if highest > 1 { Some(self.newest_config(highest).await?) } else { None };
        let consenters = match &newest {
            Some(block) => consenters(block)?,
            None => Vec::new(),
        };
        let mut lost = Vec::new();
        let mut ways = Vec::new();
        for node in empty {
            let present = match newest {
                None => Present::Beginning,
                Some(_) if consenters.contains(&node.address) => Present::Consenter,
                Some(_) => Present::Other,
            };
            match Way::of(Mark::read(&layout.node(&node.host), channel), present) {
                Way::Lost => lost.push(node.host),
                way => ways.push((node, way)),
            }
        }
        // All are noted before the first joins: from a quorum on, others may fill the channel.
        for (node, _) in ways.iter().filter(|(_, way)| *way == Way::First) {
            Mark::Begun.note(&layout.node(&node.host), channel)?;
        }
        let newest = newest.map(|block| block.encode_to_vec());
        let joined = ways.len();
        for (node, way) in ways {
            let block = match (way, &newest) {
                (Way::Newest, Some(newest)) => newest,
                _ => first,
            };
            channel::join_orderer(&operations, &node.host, &node.admin, channel, block).await?;
            Mark::Joined.note(&layout.node(&node.host), channel)?;
        }
        Ok((joined, lost))
    }

    /// Makes a new ordering node join by the newest configuration.
    pub(super) async fn join_by_newest(
        &self,
        operations: &Operations,
        (host, admin): (&str, &str),
        ports: &Ports,
        block: &Block,
    ) -> Result<(), UpError> {
        let (node, channel) = (self.network.layout.node(host), self.network.spec.channel.name.as_str());
        if operations.participation(admin, channel).await?.is_none() {
            let address = node::public(ports, host)?.to_string();
            if consenters(block)?.contains(&address) {
                demand_none(&[host.to_owned()])?;
            }
            channel::join_orderer(operations, host, admin, channel, &block.encode_to_vec()).await?;
        }
        Ok(Mark::Joined.note(&node, channel)?)
    }

    /// The newest configuration block of a channel that has more than its first one.
    async fn newest_config(&self, height: u64) -> Result<Block, JoinError> {
        let ordered = self.network.ordered().await;
        match ordered {
            Ok(newest) if newest.height >= height => Ok(newest.config),
            // The ordering service may be behind the peers, or have nothing left.
            ordered => match (self.network.channel_config_block().await, ordered) {
                (Ok(block), _) => Ok(block),
                (Err(_), Ok(newest)) => Ok(newest.config),
                (Err(_), Err(error)) => Err(JoinError::Newest(Box::new(error))),
            },
        }
    }
}

/// Demands that no ordering node has lost its ledger.
pub(super) fn demand_none(lost: &[String]) -> Result<(), JoinError> {
    if lost.is_empty() { Ok(()) } else { Err(JoinError::Lost { hosts: lost.to_vec() }) }
}

/// Where a configuration block's consenters are found.
fn consenters(block: &Block) -> Result<Vec<String>, JoinError> {
    let config = ChannelConfig::of_block(block)?;
    Ok(config.consenters()?.iter().map(Consenter::address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordering_node_takes_part_once_under_one_identity() {
        use Mark::{Begun, Joined};
        use Present::{Beginning, Consenter, Other};
        for (mark, present, way) in [
            (None, Beginning, Way::First),
            (None, Consenter, Way::Lost),
            (None, Other, Way::Newest),
            (Some(Begun), Beginning, Way::First),
            (Some(Begun), Consenter, Way::First),
            (Some(Begun), Other, Way::Newest),
            (Some(Joined), Beginning, Way::Lost),
            (Some(Joined), Consenter, Way::Lost),
            (Some(Joined), Other, Way::Newest),
        ] {
            assert_eq!(Way::of(mark, present), way, "{mark:?} {present:?}");
        }
    }

    #[test]
    fn joining_is_noted_for_each_channel_beside_the_data() {
        let node = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(node.path(), "records"), None);
        for mark in [Mark::Begun, Mark::Joined, Mark::Joined] {
            mark.note(node.path(), "records").unwrap();
            assert_eq!(Mark::read(node.path(), "records"), Some(mark));
        }
        assert_eq!(Mark::read(node.path(), "other"), None);
    }

    #[test]
    fn who_lost_a_ledger_is_told_what_to_do() {
        demand_none(&[]).unwrap();
        let told = demand_none(&["orderer2".to_owned()]).unwrap_err().to_string();
        assert!(told.starts_with("orderer `orderer2` took part"), "{told}");
        assert!(told.contains("--remove-orderer") && told.contains("apply --spec"), "{told}");
    }
}
