//! Connections to the gateways of peers.

use std::fmt;
use std::sync::Arc;

use tonic::transport::Channel;

use crate::session::Session;
use crate::{
    BlockRange, BlockRequest, BlockStream, CommitStatus, CommitStatusError, Commits, ConnectError, Contract,
    Credentials, Deadlines, DeliverError, Endorser, Endpoint, FilteredBlockStream, Following,
    PrivateDataBlockStream, Submitted,
};

/// The gateway of one peer, or of several of which any may serve, used by one identity.
///
/// Cheap to clone; clones share the connections, which reconnect by themselves.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) session: Arc<Session>,
    commits: Option<Commits>,
}

impl Gateway {
    /// Connects to a peer; fails at once when it can't be reached or trusted.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        let channel = endpoint.connect(deadlines.connect).await?;
        Ok(Self::of(Session::new(channel, endpoint, credentials, deadlines)?))
    }

    /// Makes a gateway that connects when it is first used; must be called within a Tokio runtime.
    pub fn connect_lazy(
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        let channel = endpoint.connect_lazy(deadlines.connect)?;
        Ok(Self::of(Session::new(channel, endpoint, credentials, deadlines)?))
    }

    pub(crate) fn of(session: Session) -> Self {
        Self { session: Arc::new(session), commits: None }
    }

    /// With another session, whose commits are followed as this one's are, but by streams of its own: one identity's
    /// rights answer none of another's questions.
    pub(crate) fn with_session(&self, session: Session) -> Self {
        let gateway = Self::of(session);
        match &self.commits {
            Some(commits) => gateway.following_commits(commits.following()),
            None => gateway,
        }
    }

    /// Makes a gateway of a connection that the caller made, with whatever transport it has.
    ///
    /// Peers that ask for a client certificate bind block streams to it: say which one it is with
    /// [`Self::with_client_certificate_hash`].
    pub fn on_channel(channel: Channel, credentials: Credentials, deadlines: Deadlines) -> Self {
        Self::of(Session::on_channel(channel, Vec::new(), credentials, deadlines))
    }

    /// The same connection, whose client certificate has this SHA-256 digest (of its DER).
    #[must_use]
    pub fn with_client_certificate_hash(&self, digest: [u8; 32]) -> Self {
        self.with_session(self.session.with_client_certificate_hash(digest.to_vec()))
    }

    /// The same connection, which takes messages of peers up to another size than 100 MiB, Fabric's own limit.
    ///
    /// A larger one ends its call or stream with [`crate::FailureCause::MessageTooLarge`].
    #[must_use]
    pub fn with_received_bytes_max(&self, bytes: usize) -> Self {
        self.with_session(self.session.with_received_bytes_max(bytes))
    }

    /// The same connection with other deadlines.
    #[must_use]
    pub fn with_deadlines(&self, deadlines: Deadlines) -> Self {
        self.with_session(self.session.with_deadlines(deadlines))
    }

    /// The same connection, used by another identity.
    ///
    /// If commits are followed, then the other identity follows them by streams of its own.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        self.with_session(self.session.with_credentials(credentials))
    }

    /// Learns verdicts from one stream of filtered blocks per channel, instead of one call per transaction.
    ///
    /// For services with many transactions: two signatures a transaction instead of three, and no slot of the
    /// peer's is held by each that waits. It's off by default, because a caller with a transaction now and then
    /// would pay for every block of the channel.
    #[must_use]
    pub fn following_commits(mut self, following: Following) -> Self {
        self.commits = Some(Commits::new(Arc::clone(&self.session), following));
        self
    }

    /// The followed commits, if [`Self::following_commits`] switched them on.
    pub fn commits(&self) -> Option<&Commits> {
        self.commits.as_ref()
    }

    /// The identity that signs.
    pub fn credentials(&self) -> &Credentials {
        &self.session.credentials
    }

    /// A chaincode on a channel.
    pub fn contract(&self, channel: impl Into<String>, chaincode: impl Into<String>) -> Contract {
        Contract::new(self.clone(), channel.into(), chaincode.into())
    }

    /// The peer's endorser, without the gateway in between; of several peers, that of the first one that answers.
    pub fn endorser(&self) -> Endorser {
        Endorser::new(Arc::clone(&self.at_preferred().session))
    }

    /// Asks how a transaction was validated, by its id alone; waits until it is in a block, at most for
    /// [`Deadlines::commit_status`].
    ///
    /// An error says nothing about the transaction: it may still be committed.
    pub async fn commit_status(
        &self,
        channel: &str,
        transaction_id: &str,
    ) -> Result<CommitStatus, CommitStatusError> {
        Submitted::of(self, channel, transaction_id).commit_status().await
    }

    /// Streams whole blocks of a channel.
    pub async fn blocks(
        &self,
        channel: &str,
        range: impl Into<BlockRange>,
    ) -> Result<BlockStream, DeliverError> {
        self.block_request(channel, range).blocks().await
    }

    /// Streams a channel's blocks reduced to transaction ids, verdicts and events without payload.
    pub async fn filtered_blocks(
        &self,
        channel: &str,
        range: impl Into<BlockRange>,
    ) -> Result<FilteredBlockStream, DeliverError> {
        self.block_request(channel, range).filtered_blocks().await
    }

    /// Streams whole blocks of a channel with the private data that the peer holds for them and this identity's
    /// organisation may see.
    pub async fn blocks_with_private_data(
        &self,
        channel: &str,
        range: impl Into<BlockRange>,
    ) -> Result<PrivateDataBlockStream, DeliverError> {
        self.block_request(channel, range).blocks_with_private_data().await
    }

    /// A request for blocks of a channel, to be signed here or elsewhere.
    pub fn block_request(&self, channel: &str, range: impl Into<BlockRange>) -> BlockRequest {
        BlockRequest::new(Arc::clone(&self.session), channel, range.into())
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Gateway")
            .field("credentials", &self.session.credentials)
            .finish_non_exhaustive()
    }
}
