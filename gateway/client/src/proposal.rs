//! The first stage: a proposal, to be evaluated or endorsed.

use std::fmt;
use std::sync::Arc;

use hlf_protos::common::Header;
use hlf_protos::gateway::{EndorseRequest, EvaluateRequest};
use hlf_protos::protos::SignedProposal;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tonic::Status;
use tracing::{Instrument as _, Span};

use crate::session::Session;
use crate::{CallFailure, ChaincodeResponse, Endorsed, PeerError, SignError};

/// A call of a chaincode's function with its transaction id: signed once, when it is first sent.
pub struct Proposal {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
    pub(crate) tx_id: String,
    pub(crate) header: Header,
    /// The chaincode's input, encoded: what an endorsed transaction must carry.
    pub(crate) input: Vec<u8>,
    pub(crate) span: Span,
    pub(crate) bytes: Vec<u8>,
    pub(crate) endorsing_organizations: Vec<String>,
    pub(crate) signature: OnceCell<Vec<u8>>,
}

/// Why an evaluation gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The proposal could not be signed.
    #[error("transaction `{tx_id}` was not evaluated")]
    Sign {
        /// The transaction's id.
        tx_id: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The gateway, a peer or the chaincode refused, or no answer came in time.
    #[error("transaction `{tx_id}` was not evaluated")]
    Failed {
        /// The transaction's id.
        tx_id: String,
        /// What they said.
        source: CallFailure,
    },
}

/// Why a proposal was not endorsed; nothing was sent for ordering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndorseError {
    /// The proposal could not be signed.
    #[error("transaction `{tx_id}` was not endorsed")]
    Sign {
        /// The transaction's id.
        tx_id: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The gateway, a peer or the chaincode refused, or no answer came in time.
    #[error("transaction `{tx_id}` was not endorsed")]
    Failed {
        /// The transaction's id.
        tx_id: String,
        /// What they said.
        source: CallFailure,
    },
    /// The gateway returned a transaction other than the one proposed; it was not signed.
    #[error(
        "gateway returned for transaction `{tx_id}` something else than what was proposed: {reason}; don't trust this peer"
    )]
    Mismatch {
        /// The transaction's id.
        tx_id: String,
        /// Where it differs.
        reason: &'static str,
    },
}

impl Proposal {
    /// The transaction's id, 64 hex digits: SHA-256 of nonce and creator.
    pub fn tx_id(&self) -> &str {
        &self.tx_id
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What is signed: the encoding of `protos.Proposal`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`Self::bytes`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Runs the call on one peer and returns its result; nothing is written.
    pub async fn evaluate(&self) -> Result<Vec<u8>, EvaluateError> {
        let result = self.evaluated().instrument(self.span.clone()).await;
        self.span.record("outcome", if result.is_ok() { "evaluated" } else { "not evaluated" });
        result
    }

    async fn evaluated(&self) -> Result<Vec<u8>, EvaluateError> {
        let failed = |source: CallFailure| EvaluateError::Failed { tx_id: self.tx_id.clone(), source };
        let proposal = self
            .signed()
            .await
            .map_err(|source| EvaluateError::Sign { tx_id: self.tx_id.clone(), source })?;
        let message = EvaluateRequest {
            transaction_id: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            proposed_transaction: Some(proposal),
            target_organizations: self.endorsing_organizations.clone(),
        };
        match self.session.evaluate(message).await.map_err(failed)?.result {
            Some(result) => Ok(result.payload),
            None => Err(failed(Status::internal("the gateway's answer holds no result").into())),
        }
    }

    /// Gathers endorsements that satisfy the chaincode's policy.
    ///
    /// What comes back is checked to be the transaction that was proposed, header and input to the byte.
    pub async fn endorse(&self) -> Result<Endorsed, EndorseError> {
        let result = self.endorsed().instrument(self.span.clone()).await;
        if result.is_err() {
            self.span.record("outcome", "not endorsed");
        }
        result
    }

    async fn endorsed(&self) -> Result<Endorsed, EndorseError> {
        let proposal =
            self.signed().await.map_err(|source| EndorseError::Sign { tx_id: self.tx_id.clone(), source })?;
        let message = EndorseRequest {
            transaction_id: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            proposed_transaction: Some(proposal),
            endorsing_organizations: self.endorsing_organizations.clone(),
        };
        let response = self
            .session
            .endorse(message)
            .await
            .map_err(|source| EndorseError::Failed { tx_id: self.tx_id.clone(), source })?;
        Endorsed::of(self, response.prepared_transaction.unwrap_or_default().payload)
            .map_err(|reason| EndorseError::Mismatch { tx_id: self.tx_id.clone(), reason })
    }

    /// The proposal with its signature, as any endorser takes it.
    pub async fn signed(&self) -> Result<SignedProposal, SignError> {
        let signature = self.signature.get_or_try_init(|| self.session.sign(&self.bytes)).await?;
        Ok(SignedProposal { proposal_bytes: self.bytes.clone(), signature: signature.clone() })
    }
}

/// Shows the id alone: arguments and transient values stay out of logs.
impl fmt::Debug for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proposal").field("tx_id", &self.tx_id).finish_non_exhaustive()
    }
}

impl EvaluateError {
    /// The transaction's id.
    pub fn tx_id(&self) -> &str {
        match self {
            Self::Sign { tx_id, .. } | Self::Failed { tx_id, .. } => tx_id,
        }
    }

    /// What gateway and peers said, unless signing failed.
    pub fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Failed { source, .. } => Some(source),
            Self::Sign { .. } => None,
        }
    }

    /// The chaincode's own error, when that is why.
    pub fn chaincode_response(&self) -> Option<ChaincodeResponse> {
        self.failure().and_then(CallFailure::chaincode_response)
    }

    /// What each peer answered.
    pub fn peers(&self) -> &[PeerError] {
        self.failure().map_or(&[], CallFailure::peers)
    }
}

impl EndorseError {
    /// The transaction's id.
    pub fn tx_id(&self) -> &str {
        match self {
            Self::Sign { tx_id, .. } | Self::Failed { tx_id, .. } | Self::Mismatch { tx_id, .. } => tx_id,
        }
    }

    /// What gateway and peers said, if they refused.
    pub fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Failed { source, .. } => Some(source),
            Self::Sign { .. } | Self::Mismatch { .. } => None,
        }
    }

    /// The chaincode's own error, when that is why.
    pub fn chaincode_response(&self) -> Option<ChaincodeResponse> {
        self.failure().and_then(CallFailure::chaincode_response)
    }

    /// What each peer answered.
    pub fn peers(&self) -> &[PeerError] {
        self.failure().map_or(&[], CallFailure::peers)
    }
}
