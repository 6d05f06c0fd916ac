//! The second stage: an endorsed transaction, to be submitted.

use std::fmt;
use std::sync::Arc;

use hlf_protos::common::Payload;
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeProposalPayload, ProposalResponsePayload, Transaction,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::{Instrument as _, Span};

use crate::session::Session;
use crate::{CallFailure, PeerError, Proposal, SignError, SignedTransaction, Submitted};

/// A transaction with the endorsements that its policy wants: signed once, when it is first submitted.
pub struct Endorsed {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
    pub(crate) tx_id: String,
    pub(crate) span: Span,
    payload: Vec<u8>,
    result: Vec<u8>,
    signature: OnceCell<Vec<u8>>,
}

/// Why a transaction is not known to have reached the orderers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It could not be signed, so it was not sent.
    #[error("transaction `{tx_id}` was not submitted")]
    Sign {
        /// The transaction's id.
        tx_id: String,
        /// What the signer reports.
        source: SignError,
    },
    /// It may or may not have reached the orderers, whatever the gateway said: ask for its commit status.
    /// Submitting the same [`Endorsed`] again is safe.
    #[error("outcome of transaction `{tx_id}` is unknown: its submission failed")]
    Unknown {
        /// The transaction's id.
        tx_id: String,
        /// What gateway and orderers said.
        source: CallFailure,
    },
}

impl Endorsed {
    /// Takes what the gateway returned for a proposal, if it is that proposal's transaction.
    ///
    /// The signature that is about to be made covers everything in it, so a gateway must not be able to slip in
    /// another call.
    pub(crate) fn of(proposal: &Proposal, payload: Vec<u8>) -> Result<Self, &'static str> {
        let outer: Payload = decode(&payload, "its payload can't be read")?;
        if outer.header.as_ref() != Some(&proposal.header) {
            return Err("its header differs");
        }
        let transaction: Transaction = decode(&outer.data, "its content can't be read")?;
        let [action] = transaction.actions.as_slice() else { return Err("it holds not exactly one action") };
        if action.header != proposal.header.signature_header {
            return Err("its action's header differs");
        }
        let action: ChaincodeActionPayload = decode(&action.payload, "its action can't be read")?;
        let call: ChaincodeProposalPayload =
            decode(&action.chaincode_proposal_payload, "its call can't be read")?;
        if call.input != proposal.input || !call.transient_map.is_empty() {
            return Err("its call differs");
        }
        let endorsed = action.action.unwrap_or_default();
        let response: ProposalResponsePayload =
            decode(&endorsed.proposal_response_payload, "its response can't be read")?;
        let hash = Sha256::new()
            .chain_update(&proposal.header.channel_header)
            .chain_update(&proposal.header.signature_header)
            .chain_update(&action.chaincode_proposal_payload)
            .finalize();
        if response.proposal_hash != hash.as_slice() {
            return Err("its endorsements are for another proposal");
        }
        let action: ChaincodeAction = decode(&response.extension, "its result can't be read")?;

        Ok(Self {
            session: Arc::clone(&proposal.session),
            channel: proposal.channel.clone(),
            tx_id: proposal.tx_id.clone(),
            span: proposal.span.clone(),
            payload,
            result: action.response.unwrap_or_default().payload,
            signature: OnceCell::new(),
        })
    }

    /// The transaction's id, 64 hex digits.
    pub fn tx_id(&self) -> &str {
        &self.tx_id
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What the chaincode returned; not on the ledger yet.
    pub fn result(&self) -> &[u8] {
        &self.result
    }

    /// What is signed: the encoding of `common.Payload`.
    pub fn bytes(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of [`Self::bytes`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.payload).into()
    }

    /// The transaction with its signature: to be kept, and sent by [`crate::Gateway::settle`] now or later.
    pub async fn signed(&self) -> Result<SignedTransaction, SignError> {
        let signature = self.signature.get_or_try_init(|| self.session.sign(&self.payload)).await?;
        Ok(SignedTransaction::new(
            &self.channel,
            &self.tx_id,
            self.payload.clone(),
            signature.clone(),
            &self.result,
        ))
    }

    /// Hands the transaction to the orderers; success means that one took it, not that it is committed.
    pub async fn submit(&self) -> Result<Submitted, SubmitError> {
        let result = self.submitted().instrument(self.span.clone()).await;
        self.span.record(
            "outcome",
            match &result {
                Ok(_) => "submitted",
                Err(SubmitError::Sign { .. }) => "not submitted",
                Err(SubmitError::Unknown { .. }) => "unknown",
            },
        );
        result
    }

    async fn submitted(&self) -> Result<Submitted, SubmitError> {
        let signed =
            self.signed().await.map_err(|source| SubmitError::Sign { tx_id: self.tx_id.clone(), source })?;
        self.session
            .submit(signed.request)
            .await
            .map_err(|source| SubmitError::Unknown { tx_id: self.tx_id.clone(), source })?;
        Ok(Submitted::assumed(self))
    }
}

/// Shows the id alone: results stay out of logs.
impl fmt::Debug for Endorsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endorsed").field("tx_id", &self.tx_id).finish_non_exhaustive()
    }
}

impl SubmitError {
    /// The transaction's id, to ask for its commit status.
    pub fn tx_id(&self) -> &str {
        match self {
            Self::Sign { tx_id, .. } | Self::Unknown { tx_id, .. } => tx_id,
        }
    }

    /// What gateway and orderers said, unless signing failed.
    pub fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Unknown { source, .. } => Some(source),
            Self::Sign { .. } => None,
        }
    }

    /// What each orderer answered.
    pub fn peers(&self) -> &[PeerError] {
        self.failure().map_or(&[], CallFailure::peers)
    }
}

fn decode<M: Message + Default>(bytes: &[u8], reason: &'static str) -> Result<M, &'static str> {
    M::decode(bytes).map_err(|_| reason)
}
