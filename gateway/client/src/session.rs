//! What every stage needs: the way to peers, and who signs.
//!
//! All calls to a gateway go through here, so that what holds for each of them (deadlines, a peer's limits, going
//! elsewhere, failures as values) is written once.

use std::sync::Arc;
use std::time::Duration;

use hlf_protos::gateway::gateway_client::GatewayClient;
use hlf_protos::gateway::{
    CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse,
    SignedCommitStatusRequest, SubmitRequest,
};
use hlf_protos::protos::deliver_client::DeliverClient;
use hlf_protos::protos::endorser_client::EndorserClient;
use hlf_protos::protos::{ProposalResponse, SignedProposal, TxValidationCode};
use tonic::transport::Channel;

use crate::lane::Lane;
use crate::metrics::{Metrics, NoMetrics, Operation, Outcome};
use crate::peer::Peer;
use crate::route::Route;
use crate::{CallFailure, ConnectError, Credentials, Deadlines, Endpoint, SignError};

/// The longest message taken from a peer unless another limit is set: blocks and results up to Fabric's own limit of 100 MiB.
const RECEIVED_BYTES_MAX: usize = 100 * 1024 * 1024;

/// How a peer is named that is reached over a caller's own connection.
const CALLERS_OWN: &str = "the caller's own connection";

/// Connections to peers, used by one identity.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) route: Route,
    pub(crate) metrics: Arc<dyn Metrics>,
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
        let peer = Peer::alone(endpoint.address(), channel);
        Ok(Self::of(Route::to(peer), endpoint.client_certificate_hash()?, credentials, deadlines))
    }

    pub(crate) fn on_channel(
        channel: Channel,
        client_certificate_hash: Vec<u8>,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Self {
        let peer = Peer::alone(CALLERS_OWN, channel);
        Self::of(Route::to(peer), client_certificate_hash, credentials, deadlines)
    }

    pub(crate) fn of(
        route: Route,
        client_certificate_hash: Vec<u8>,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Self {
        let creator = credentials.identity().creator();
        let (metrics, received_bytes_max) = (Arc::new(NoMetrics), RECEIVED_BYTES_MAX);
        Self { route, metrics, credentials, creator, client_certificate_hash, deadlines, received_bytes_max }
    }

    /// The same connections, observed.
    pub(crate) fn with_metrics(&self, metrics: Arc<dyn Metrics>) -> Self {
        Self { metrics, ..self.clone() }
    }

    /// The same identity on another route.
    pub(crate) fn on(&self, route: Route) -> Self {
        Self { route, ..self.clone() }
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
    pub(crate) async fn evaluate(
        &self,
        message: EvaluateRequest,
        limit: Duration,
    ) -> Result<EvaluateResponse, CallFailure> {
        let most = self.received_bytes_max;
        let call = |channel, request| async move { gateway(channel, most).evaluate(request).await };
        self.route.call(self, Operation::Evaluate, message, limit, answered, call).await
    }

    /// Has peers endorse a signed proposal.
    pub(crate) async fn endorse(
        &self,
        message: EndorseRequest,
        limit: Duration,
    ) -> Result<EndorseResponse, CallFailure> {
        let most = self.received_bytes_max;
        let call = |channel, request| async move { gateway(channel, most).endorse(request).await };
        self.route.call(self, Operation::Endorse, message, limit, answered, call).await
    }

    /// Has the orderers take a signed transaction.
    pub(crate) async fn submit(&self, message: SubmitRequest, limit: Duration) -> Result<(), CallFailure> {
        let most = self.received_bytes_max;
        let call = |channel, request| async move { gateway(channel, most).submit(request).await };
        self.route.call(self, Operation::Submit, message, limit, answered, call).await?;
        Ok(())
    }

    /// Asks for a transaction's verdict.
    pub(crate) async fn commit_status(
        &self,
        message: SignedCommitStatusRequest,
        limit: Duration,
    ) -> Result<CommitStatusResponse, CallFailure> {
        let most = self.received_bytes_max;
        let call = |channel, request| async move { gateway(channel, most).commit_status(request).await };
        let verdict = |response: &CommitStatusResponse| {
            let code = TxValidationCode::try_from(response.result);
            Outcome::Verdict(code.unwrap_or(TxValidationCode::InvalidOtherReason))
        };
        self.route.call(self, Operation::CommitStatus, message, limit, verdict, call).await
    }

    /// Has this very peer's endorser run a signed proposal.
    pub(crate) async fn process_proposal(
        &self,
        proposal: SignedProposal,
    ) -> Result<ProposalResponse, CallFailure> {
        let most = self.received_bytes_max;
        let call = |channel, request| async move {
            let mut client = EndorserClient::new(channel).max_decoding_message_size(most);
            client.process_proposal(request).await
        };
        let limit = self.deadlines.endorse;
        self.route.call(self, Operation::ProcessProposal, proposal, limit, answered, call).await
    }

    /// A peer's gateway, for streams.
    pub(crate) fn gateway(&self) -> GatewayClient<Lane> {
        GatewayClient::new(self.lane(Operation::ChaincodeEvents))
            .max_decoding_message_size(self.received_bytes_max)
    }

    /// A peer's block streams.
    pub(crate) fn deliver(&self) -> DeliverClient<Lane> {
        DeliverClient::new(self.lane(Operation::Deliver)).max_decoding_message_size(self.received_bytes_max)
    }

    fn lane(&self, operation: Operation) -> Lane {
        Lane::new(self.route.preferred(), operation, Arc::clone(&self.metrics))
    }
}

fn gateway(channel: Channel, received_bytes_max: usize) -> GatewayClient<Channel> {
    GatewayClient::new(channel).max_decoding_message_size(received_bytes_max)
}

fn answered<A>(_: &A) -> Outcome {
    Outcome::Answered
}
