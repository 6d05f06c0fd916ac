//! Calls to one peer's endorser, without a gateway in between.

use std::fmt;
use std::sync::Arc;

use hlf_protos::protos::{ProposalResponse, SignedProposal};

use crate::session::Session;
use crate::{
    CallFailure, ChaincodeResponse, ConnectError, Credentials, Deadlines, Endpoint, ProposalBuilder,
    ProposalError, SignError,
};

/// The endorser of one peer, used by one identity.
///
/// For what concerns that peer alone: joining channels, installing chaincode, system chaincode queries; and for
/// comparing what several endorsers answer to the same proposal.
#[derive(Clone)]
pub struct Endorser {
    session: Arc<Session>,
}

/// A call to one endorser.
#[derive(Debug)]
#[must_use = "a call is made by `send`"]
pub struct EndorserCall {
    endorser: Endorser,
    proposal: ProposalBuilder,
}

/// Why an endorser did not answer with success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndorserError {
    /// The proposal could not be made.
    #[error("call to `{chaincode}` could not be proposed")]
    Proposal {
        /// The called chaincode.
        chaincode: String,
        /// What is wrong with it.
        source: ProposalError,
    },
    /// The proposal could not be signed.
    #[error("call to the endorser was not made")]
    Sign(#[source] SignError),
    /// The peer could not be reached, refused the proposal, or did not answer in time.
    #[error("call to the endorser failed")]
    Failed(#[source] CallFailure),
    /// The chaincode, or the peer in its stead, answered with an error.
    #[error("endorser answered {response}")]
    Refused {
        /// Status and message.
        response: ChaincodeResponse,
    },
}

impl Endorser {
    /// Connects to a peer; fails at once when it can't be reached or trusted.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, ConnectError> {
        let channel = endpoint.connect(deadlines.connect).await?;
        Ok(Self { session: Arc::new(Session::new(channel, endpoint, credentials, deadlines)?) })
    }

    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The peer's address as given.
    pub fn address(&self) -> String {
        self.session.route.preferred().address.clone()
    }

    /// Starts a call to a chaincode; the channel is empty for calls that concern the peer as a whole, such as
    /// `cscc` `JoinChain` and `_lifecycle` `InstallChaincode`.
    pub fn call(
        &self,
        channel: impl AsRef<str>,
        chaincode: impl AsRef<str>,
        function: impl Into<String>,
    ) -> EndorserCall {
        let proposal = ProposalBuilder::new(
            Arc::clone(&self.session),
            channel.as_ref(),
            chaincode.as_ref(),
            function.into(),
        );
        EndorserCall { endorser: self.clone(), proposal }
    }

    /// Sends a signed proposal, such as one of [`crate::Proposal::signed`], and returns the whole answer
    /// whatever its status.
    pub async fn process(&self, proposal: SignedProposal) -> Result<ProposalResponse, EndorserError> {
        self.session.process_proposal(proposal).await.map_err(EndorserError::Failed)
    }
}

impl EndorserCall {
    /// Appends an argument.
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.proposal = self.proposal.arg(arg);
        self
    }

    /// Appends arguments.
    pub fn args<A: Into<Vec<u8>>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.proposal = self.proposal.args(args);
        self
    }

    /// Makes the call and returns the payload of a successful answer (status below 400).
    pub async fn send(self) -> Result<Vec<u8>, EndorserError> {
        let chaincode = self.proposal.chaincode().to_owned();
        let proposal = self
            .proposal
            .build_for_any_channel()
            .map_err(|source| EndorserError::Proposal { chaincode, source })?;
        let signed = proposal.signed().await.map_err(EndorserError::Sign)?;
        let response = self.endorser.process(signed).await?.response.unwrap_or_default();
        match response.status {
            200..400 => Ok(response.payload),
            status => {
                let response = ChaincodeResponse { status, message: response.message };
                Err(EndorserError::Refused { response })
            }
        }
    }
}

impl fmt::Debug for Endorser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endorser")
            .field("credentials", &self.session.credentials)
            .finish_non_exhaustive()
    }
}

impl EndorserError {
    /// Status and message of an answer that was not a success.
    pub fn chaincode_response(&self) -> Option<&ChaincodeResponse> {
        match self {
            Self::Refused { response } => Some(response),
            Self::Proposal { .. } | Self::Sign(_) | Self::Failed(_) => None,
        }
    }
}
