//! A channel: orderers and peers join it by its first block.

use std::time::Duration;

use hlf_gateway::{ConnectError, Endorser, EndorserError, SystemChaincodeError};
use hlf_protos::prost::DecodeError;

use crate::operations::{Operations, OperationsError};
use crate::progress::Step;
use crate::spec::Consensus;
use crate::wait::{self, Look, WaitError};

/// Who leads, by what an orderer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leader {
    /// The orderer itself.
    Itself,
    /// Another one, or nobody.
    NotItself,
    /// Of BFT: another one than when its newest block was written, perhaps itself. Which one, it says at the next block.
    Changed,
}

impl Leader {
    /// Whether there is one for certain.
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Self::Itself | Self::Changed)
    }

    /// As an orderer's gauges of a channel have it; `None` when it has none of them.
    pub(crate) fn told(consensus: Consensus, gauge: impl Fn(&str) -> Option<f64>) -> Option<Self> {
        let leads = match consensus {
            Consensus::Raft => gauge("consensus_etcdraft_is_leader")?,
            // Fabric writes these two with a block, and SmartBFT the last one whenever a view begins.
            Consensus::Bft => {
                let leads = gauge("consensus_BFT_is_leader")?;
                let of_block = gauge("consensus_BFT_leader_id");
                let of_view = gauge("consensus_smartbft_view_leader_id").filter(|leader| *leader > 0.0);
                if of_view.is_some() && of_view != of_block {
                    return Some(Self::Changed);
                }
                leads
            }
        };
        Some(if leads >= 1.0 { Self::Itself } else { Self::NotItself })
    }
}

/// How long the consenters of one machine may take to elect a leader.
const LEADER_LIMIT: Duration = Duration::from_secs(60);

/// How long a peer may take to fetch a channel's blocks.
const HEIGHT_LIMIT: Duration = Duration::from_secs(600);

/// Why a node did not join a channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The orderer refused or did not answer.
    #[error("orderer `{host}` did not join the channel")]
    Orderer {
        /// The orderer.
        host: String,
        /// What it said.
        source: OperationsError,
    },
    /// No consenter became the leader, or a peer does not get the blocks.
    #[error("the channel is not in use yet")]
    Wait(#[from] WaitError),
    /// The peer could not be reached.
    #[error("peer `{host}` cannot be reached")]
    Connect {
        /// The peer.
        host: String,
        /// What failed.
        source: ConnectError,
    },
    /// The peer refused.
    #[error("peer `{host}` did not join the channel")]
    Peer {
        /// The peer.
        host: String,
        /// What it said.
        source: EndorserError,
    },
    /// The peer's answer is not the message it should be.
    #[error("peer `{host}` answered something else than Fabric does")]
    Answer {
        /// The peer.
        host: String,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// Makes an orderer join; false when it had.
pub(crate) async fn join_orderer(
    operations: &Operations,
    host: &str,
    admin: &str,
    channel: &str,
    block: &[u8],
) -> Result<bool, ChannelError> {
    let failed = |source| ChannelError::Orderer { host: host.to_owned(), source };
    let joined = operations.participation(admin, channel).await;
    if joined.map_err(failed)?.is_some() {
        return Ok(false);
    }
    operations.join(admin, block).await.map_err(failed)?;
    Ok(true)
}

/// Waits until one of the orderers leads.
pub(crate) async fn await_leader(
    step: &Step<'_>,
    operations: &Operations,
    (consensus, channel): (Consensus, &str),
    addresses: &[String],
) -> Result<(), ChannelError> {
    let what = "the ordering service to elect its leader; it takes no transaction before";
    wait::until(step, what, LEADER_LIMIT, || async {
        let mut last = "no orderer leads yet".to_owned();
        for address in addresses {
            match operations.hear(address).await {
                Ok(heard) => {
                    let leader = Leader::told(consensus, |name| heard.gauge(name, channel));
                    if leader.is_some_and(Leader::is_there) {
                        return Ok(Look::Holds(()));
                    }
                }
                Err(error) => last = wait::chain(&error),
            }
        }
        Ok::<_, ChannelError>(Look::NotYet(last))
    })
    .await
}

/// Makes a peer join; false when it had.
pub(crate) async fn join_peer(
    endorser: &Endorser,
    host: &str,
    channel: &str,
    block: &[u8],
) -> Result<bool, ChannelError> {
    let failed = |error| ChannelError::of(host, error);
    let channels = endorser.channels();
    if channels.joined().await.map_err(failed)?.iter().any(|joined| joined == channel) {
        return Ok(false);
    }
    channels.join(block).await.map_err(failed)?;
    Ok(true)
}

/// The number of blocks that a peer has of a channel.
pub(crate) async fn height(endorser: &Endorser, host: &str, channel: &str) -> Result<u64, ChannelError> {
    let info = endorser.ledger(channel).info().await;
    info.map(|info| info.height).map_err(|error| ChannelError::of(host, error))
}

/// Waits until a peer that joined has as many blocks as others had.
pub(crate) async fn await_height(
    step: &Step<'_>,
    endorser: &Endorser,
    host: &str,
    (channel, wanted): (&str, u64),
) -> Result<(), ChannelError> {
    let what = format!("peer `{host}` to fetch {wanted} blocks");
    wait::until(step, &what, HEIGHT_LIMIT, || async {
        Ok(match height(endorser, host, channel).await {
            Ok(height) if height >= wanted => Look::Holds(()),
            Ok(height) => Look::NotYet(format!("it has {height}")),
            // A peer says that it knows no such channel until it has its first block.
            Err(error) => Look::NotYet(wait::chain(&error)),
        })
    })
    .await
}

impl ChannelError {
    pub(crate) fn of(host: &str, error: SystemChaincodeError) -> Self {
        let host = host.to_owned();
        match error {
            SystemChaincodeError::Call { source, .. } => Self::Peer { host, source },
            SystemChaincodeError::Answer { source, .. } => Self::Answer { host, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_was_let_go_leads_no_more() {
        let bft = |leads: f64, of_block: f64, of_view: Option<f64>| {
            Leader::told(Consensus::Bft, |name| match name {
                "consensus_BFT_is_leader" => Some(leads),
                "consensus_BFT_leader_id" => Some(of_block),
                "consensus_smartbft_view_leader_id" => of_view,
                _ => None,
            })
        };
        assert_eq!(bft(1.0, 1.0, Some(1.0)), Some(Leader::Itself));
        assert_eq!(bft(0.0, 1.0, Some(1.0)), Some(Leader::NotItself));
        // The first consenter left; whichever leads now has written no block yet.
        assert_eq!(bft(0.0, 1.0, Some(3.0)), Some(Leader::Changed));
        assert_eq!(bft(1.0, 1.0, Some(3.0)), Some(Leader::Changed));
        // A view that has not begun, and programs that don't say.
        assert_eq!(bft(0.0, 0.0, Some(0.0)), Some(Leader::NotItself));
        assert_eq!(bft(1.0, 1.0, None), Some(Leader::Itself));
        assert_eq!(Leader::told(Consensus::Bft, |_| None), None);

        let raft = |leads| {
            Leader::told(Consensus::Raft, |name| (name == "consensus_etcdraft_is_leader").then_some(leads))
        };
        assert_eq!([raft(1.0), raft(0.0)], [Some(Leader::Itself), Some(Leader::NotItself)]);
    }
}
