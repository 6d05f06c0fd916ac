//! `cscc`: the channels of one peer.

use hlf_protos::common::{Block, Config};
use hlf_protos::protos::{ChannelQueryResponse, JoinBySnapshotStatus};

use super::{SystemChaincodeError, ask, tell};
use crate::Endorser;

const CSCC: &str = "cscc";

/// A call that concerns the peer as a whole names no channel.
const PEER: (&str, &str) = ("", CSCC);

/// The channels of one peer, read and joined through `cscc`.
///
/// Joining and listing are for the peer's own organisation: admins by default.
///
/// ```no_run
/// # async fn join(endorser: &hlf_gateway::Endorser, genesis: Vec<u8>) -> Result<(), hlf_gateway::SystemChaincodeError> {
/// let channels = endorser.channels();
/// if !channels.joined().await?.iter().any(|joined| joined == "main") {
///     channels.join(genesis).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Channels {
    endorser: Endorser,
}

impl Endorser {
    /// The channels of this peer.
    pub fn channels(&self) -> Channels {
        Channels { endorser: self.clone() }
    }
}

impl Channels {
    /// Ids of the channels that the peer has joined.
    pub async fn joined(&self) -> Result<Vec<String>, SystemChaincodeError> {
        let joined: ChannelQueryResponse = ask(&self.endorser, PEER, "GetChannels", []).await?;
        Ok(joined.channels.into_iter().map(|channel| channel.channel_id).collect())
    }

    /// Joins a channel by its first block, encoded.
    pub async fn join(&self, genesis_block: impl Into<Vec<u8>>) -> Result<(), SystemChaincodeError> {
        tell(&self.endorser, PEER, "JoinChain", [genesis_block.into()]).await.map(drop)
    }

    /// Starts to join a channel from a snapshot: a folder on the peer's own machine.
    ///
    /// It goes on in the peer after this returns; see [`Self::join_by_snapshot_status`].
    pub async fn join_by_snapshot(&self, folder: &str) -> Result<(), SystemChaincodeError> {
        let args = [folder.as_bytes().to_vec()];
        tell(&self.endorser, PEER, "JoinChainBySnapshot", args).await.map(drop)
    }

    /// Whether the peer is joining from a snapshot, and from which.
    pub async fn join_by_snapshot_status(&self) -> Result<JoinBySnapshotStatus, SystemChaincodeError> {
        ask(&self.endorser, PEER, "JoinBySnapshotStatus", []).await
    }

    /// The block that holds a channel's configuration in force.
    pub async fn config_block(&self, channel: &str) -> Result<Block, SystemChaincodeError> {
        let args = [channel.as_bytes().to_vec()];
        ask(&self.endorser, (channel, CSCC), "GetConfigBlock", args).await
    }

    /// A channel's configuration in force.
    pub async fn config(&self, channel: &str) -> Result<Config, SystemChaincodeError> {
        let args = [channel.as_bytes().to_vec()];
        ask(&self.endorser, (channel, CSCC), "GetChannelConfig", args).await
    }
}
