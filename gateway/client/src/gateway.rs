//! A connection to the gateway of one peer.

use std::fmt;
use std::sync::Arc;

use crate::session::Session;
use crate::submitted::{self, CommitStatus, CommitStatusError};
use crate::{
    BlockRange, BlockStream, Commits, ConnectError, Contract, Credentials, Deadlines, DeliverError, Endorser,
    Endpoint, FilteredBlockStream, Following,
};

/// The gateway of one peer, used by one identity.
///
/// Cheap to clone; clones share the connection, which reconnects by itself.
#[derive(Clone)]
pub struct Gateway {
    session: Arc<Session>,
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

    fn of(session: Session) -> Self {
        Self { session: Arc::new(session), commits: None }
    }

    /// The same connection, used by another identity.
    ///
    /// If commits are followed, then the other identity follows them by streams of its own: one identity's rights
    /// answer none of another's questions.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        let gateway = Self::of(self.session.with_credentials(credentials));
        match &self.commits {
            Some(commits) => gateway.following_commits(commits.following()),
            None => gateway,
        }
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

    /// This peer's endorser, without the gateway in between.
    pub fn endorser(&self) -> Endorser {
        Endorser::new(Arc::clone(&self.session))
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
        let limit = self.session.deadlines.commit_status;
        let msp_id = self.session.msp_id();
        let span = tracing::info_span!(
            "transaction",
            tx_id = transaction_id,
            channel,
            msp_id,
            outcome = tracing::field::Empty
        );
        submitted::commit_status(&self.session, channel, transaction_id, limit, &span).await
    }

    /// Streams whole blocks of a channel.
    pub async fn blocks(
        &self,
        channel: &str,
        range: impl Into<BlockRange>,
    ) -> Result<BlockStream, DeliverError> {
        BlockStream::open(&self.session, channel, range.into()).await
    }

    /// Streams a channel's blocks reduced to transaction ids, verdicts and events without payload.
    pub async fn filtered_blocks(
        &self,
        channel: &str,
        range: impl Into<BlockRange>,
    ) -> Result<FilteredBlockStream, DeliverError> {
        FilteredBlockStream::open(&self.session, channel, range.into()).await
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
