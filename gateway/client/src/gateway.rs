//! Connections to the gateways of peers.

use std::fmt;
use std::sync::Arc;

use crate::session::Session;
use crate::submitted::{self, CommitStatus, CommitStatusError};
use crate::{
    BlockRange, BlockStream, ConnectError, Contract, Credentials, Deadlines, DeliverError, Endorser,
    Endpoint, FilteredBlockStream,
};

/// The gateway of one peer, or of several of which any may serve, used by one identity.
///
/// Cheap to clone; clones share the connections, which reconnect by themselves.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) session: Arc<Session>,
}

impl Gateway {
    /// Connects to a peer; fails at once when it can't be reached or trusted.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        let channel = endpoint.connect(deadlines.connect).await?;
        Ok(Self { session: Arc::new(Session::new(channel, endpoint, credentials, deadlines)?) })
    }

    /// Makes a gateway that connects when it is first used; must be called within a Tokio runtime.
    pub fn connect_lazy(
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        let channel = endpoint.connect_lazy(deadlines.connect)?;
        Ok(Self { session: Arc::new(Session::new(channel, endpoint, credentials, deadlines)?) })
    }

    /// The same connections, used by another identity.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { session: Arc::new(self.session.with_credentials(credentials)) }
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
        let limit = self.session.deadlines.commit_status;
        let msp_id = self.session.msp_id();
        let span = tracing::info_span!(
            "transaction",
            tx_id = transaction_id,
            channel,
            msp_id,
            commit_status_us = tracing::field::Empty,
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
