//! A channel: orderers and peers join it by its first block.

use std::time::Duration;

use hlf_gateway::{ConnectError, Endorser, EndorserError, SystemChaincodeError};
use hlf_protos::prost::DecodeError;

use crate::operations::{Operations, OperationsError};
use crate::progress::Step;
use crate::spec::Consensus;
use crate::wait::{self, Look, WaitError};

/// The metric of an orderer that is 1 while it leads; of BFT, as its newest block says.
pub(crate) const fn is_leader(consensus: Consensus) -> &'static str {
    match consensus {
        Consensus::Raft => "consensus_etcdraft_is_leader",
        Consensus::Bft => "consensus_BFT_is_leader",
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
            match operations.gauge(address, is_leader(consensus), channel).await {
                Ok(Some(leads)) if leads >= 1.0 => return Ok(Look::Holds(())),
                Ok(_) => {}
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
