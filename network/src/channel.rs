//! A channel: orderers and peers join it by its first block.

use std::time::Duration;

use hlf_gateway::{ConnectError, Endorser, EndorserError};
use hlf_protos::common::BlockchainInfo;
use hlf_protos::prost::{DecodeError, Message};
use hlf_protos::protos::ChannelQueryResponse;

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
    /// No consenter became the leader.
    #[error("the ordering service has no leader")]
    NoLeader(#[from] WaitError),
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
    if joined_channels(endorser, host).await?.iter().any(|joined| joined == channel) {
        return Ok(false);
    }
    endorser
        .call("", "cscc", "JoinChain")
        .arg(block)
        .send()
        .await
        .map_err(|source| ChannelError::Peer { host: host.to_owned(), source })?;
    Ok(true)
}

/// The number of blocks that a peer has of a channel.
pub(crate) async fn height(endorser: &Endorser, host: &str, channel: &str) -> Result<u64, ChannelError> {
    let answer = endorser
        .call(channel, "qscc", "GetChainInfo")
        .arg(channel)
        .send()
        .await
        .map_err(|source| ChannelError::Peer { host: host.to_owned(), source })?;
    decode::<BlockchainInfo>(&answer, host).map(|info| info.height)
}

async fn joined_channels(endorser: &Endorser, host: &str) -> Result<Vec<String>, ChannelError> {
    let answer = endorser
        .call("", "cscc", "GetChannels")
        .send()
        .await
        .map_err(|source| ChannelError::Peer { host: host.to_owned(), source })?;
    decode::<ChannelQueryResponse>(&answer, host)
        .map(|response| response.channels.into_iter().map(|channel| channel.channel_id).collect())
}

fn decode<M: Message + Default>(bytes: &[u8], host: &str) -> Result<M, ChannelError> {
    M::decode(bytes).map_err(|source| ChannelError::Answer { host: host.to_owned(), source })
}
