//! What every stage needs: the way to a peer, and who signs.
//!
//! All calls to a gateway go through here, so that what holds for each of them (deadlines, failures as values)
//! is written once.

use std::time::Duration;

use hlf_protos::gateway::gateway_client::GatewayClient;
use hlf_protos::gateway::{
    CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse,
    SignedCommitStatusRequest, SubmitRequest,
};
use hlf_protos::protos::deliver_client::DeliverClient;
use hlf_protos::protos::endorser_client::EndorserClient;
use hlf_protos::protos::{ProposalResponse, SignedProposal};
use tonic::transport::Channel;

use crate::deadlines::{bounded, request};
use crate::{CallFailure, ConnectError, Credentials, Deadlines, Endpoint, SignError};

/// The longest message taken from a peer unless another limit is set: blocks and results up to Fabric's own limit of 100 MiB.
const RECEIVED_BYTES_MAX: usize = 100 * 1024 * 1024;

/// A connection to a peer, used by one identity.
#[derive(Clone)]
pub(crate) struct Session {
    channel: Channel,
    pub(crate) credentials: Credentials,
    pub(crate) creator: Vec<u8>,
    pub(crate) client_certificate_hash: Vec<u8>,
    pub(crate) deadlines: Deadlines,
    received_bytes_max: usize,
}

impl Session {
    pub(crate) fn new(
        channel: Channel,
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        Ok(Self::on_channel(channel, endpoint.client_certificate_hash()?, credentials, deadlines))
    }

    pub(crate) fn on_channel(
        channel: Channel,
        client_certificate_hash: Vec<u8>,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Self {
        let creator = credentials.identity().creator();
        let received_bytes_max = RECEIVED_BYTES_MAX;
        Self { channel, credentials, creator, client_certificate_hash, deadlines, received_bytes_max }
    }

    /// The same connection with other deadlines.
    pub(crate) fn with_deadlines(&self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self.clone() }
    }

    /// The same connection, which takes messages up to another size.
    pub(crate) fn with_received_bytes_max(&self, received_bytes_max: usize) -> Self {
        Self { received_bytes_max, ..self.clone() }
    }

    /// The same connection, of which it is known which client certificate it shows.
    pub(crate) fn with_client_certificate_hash(&self, client_certificate_hash: Vec<u8>) -> Self {
        Self { client_certificate_hash, ..self.clone() }
    }

    /// The same connection, used by another identity.
    pub(crate) fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { creator: credentials.identity().creator(), credentials, ..self.clone() }
    }

    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.credentials.sign(message).await
    }

    pub(crate) fn msp_id(&self) -> &str {
        &self.credentials.identity().msp_id
    }

    /// Has one peer run a signed proposal.
    pub(crate) async fn evaluate(&self, message: EvaluateRequest) -> Result<EvaluateResponse, CallFailure> {
        let limit = self.deadlines.evaluate;
        let mut client = self.gateway();
        Ok(bounded(limit, client.evaluate(request(message, limit))).await?.into_inner())
    }

    /// Has peers endorse a signed proposal.
    pub(crate) async fn endorse(&self, message: EndorseRequest) -> Result<EndorseResponse, CallFailure> {
        let limit = self.deadlines.endorse;
        let mut client = self.gateway();
        Ok(bounded(limit, client.endorse(request(message, limit))).await?.into_inner())
    }

    /// Has the orderers take a signed transaction.
    pub(crate) async fn submit(&self, message: SubmitRequest) -> Result<(), CallFailure> {
        let limit = self.deadlines.submit;
        let mut client = self.gateway();
        bounded(limit, client.submit(request(message, limit))).await?;
        Ok(())
    }

    /// Asks once for a transaction's verdict.
    pub(crate) async fn commit_status(
        &self,
        message: SignedCommitStatusRequest,
        limit: Duration,
    ) -> Result<CommitStatusResponse, CallFailure> {
        let mut client = self.gateway();
        Ok(bounded(limit, client.commit_status(request(message, limit))).await?.into_inner())
    }

    /// Has this very peer's endorser run a signed proposal.
    pub(crate) async fn process_proposal(
        &self,
        proposal: SignedProposal,
    ) -> Result<ProposalResponse, CallFailure> {
        let limit = self.deadlines.endorse;
        let mut client =
            EndorserClient::new(self.channel.clone()).max_decoding_message_size(self.received_bytes_max);
        Ok(bounded(limit, client.process_proposal(request(proposal, limit))).await?.into_inner())
    }

    /// The peer's gateway, for streams.
    pub(crate) fn gateway(&self) -> GatewayClient<Channel> {
        GatewayClient::new(self.channel.clone()).max_decoding_message_size(self.received_bytes_max)
    }

    /// The peer's block streams.
    pub(crate) fn deliver(&self) -> DeliverClient<Channel> {
        DeliverClient::new(self.channel.clone()).max_decoding_message_size(self.received_bytes_max)
    }
}
