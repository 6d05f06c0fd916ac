//! The first stage: a proposal, to be evaluated or endorsed.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hlf_protos::common::{ChannelHeader, Header, SignatureHeader};
use hlf_protos::gateway::{EndorseRequest, EvaluateRequest, ProposedTransaction};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{
    ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, SignedProposal,
};
use tonic::Status;
use tracing::{Instrument as _, field};

use crate::deadlines::{left, until};
use crate::proposal_builder::transaction_id;
use crate::session::Session;
use crate::span::TransactionSpan;
use crate::to_sign::{ToSign, msp_id, part};
use crate::{
    CallFailure, ChaincodeResponse, Deadlines, Endorsed, Gateway, ImportError, PeerError, SignError,
    SignatureError,
};

/// A call of a chaincode's function with its transaction id: signed once, when it is first sent, or elsewhere.
///
/// Signed elsewhere, it goes from process to process as bytes, and the private key stays where it is:
///
/// ```no_run
/// # async fn offline(
/// #     client: hlf_gateway::Gateway, sender: hlf_gateway::Gateway, key_service: impl Fn([u8; 32]) -> Vec<u8>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use hlf_gateway::{Endorsed, Proposal};
///
/// let proposal = client.contract("main", "assets").proposal("Transfer").args(["asset1", "south"]).build()?;
/// let (bytes, digest) = (proposal.to_bytes(), proposal.digest());
///
/// let proposal = Proposal::from_bytes(&sender, &bytes)?.with_signature(&key_service(digest))?;
/// let endorsed = proposal.endorse().await?;
/// let (bytes, digest) = (endorsed.to_bytes(), endorsed.digest());
///
/// let endorsed = Endorsed::from_bytes(&sender, &bytes)?.with_signature(&key_service(digest))?;
/// let submitted = endorsed.submit().await?;
/// let digest = submitted.digest();
/// let status = submitted.with_signature(&key_service(digest))?.commit_status().await?;
/// # let _ = status;
/// # Ok(())
/// # }
/// ```
pub struct Proposal {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
    pub(crate) tx_id: String,
    pub(crate) chaincode: String,
    pub(crate) header: Header,
    /// The chaincode's input, encoded: what an endorsed transaction must carry.
    pub(crate) input: Vec<u8>,
    pub(crate) span: TransactionSpan,
    pub(crate) endorsing_organizations: Vec<String>,
    pub(crate) to_sign: ToSign,
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

    /// The chaincode's name.
    pub fn chaincode(&self) -> &str {
        &self.chaincode
    }

    /// The function and its arguments, in this order: for whoever signs what another one prepared.
    pub fn call(&self) -> Vec<Vec<u8>> {
        // It was encoded here, or decoded when it was read.
        let spec = ChaincodeInvocationSpec::decode(self.input.as_slice()).unwrap_or_default();
        spec.chaincode_spec.and_then(|spec| spec.input).unwrap_or_default().args
    }

    /// What is signed: the encoding of `protos.Proposal`.
    pub fn message(&self) -> &[u8] {
        self.to_sign.message()
    }

    /// SHA-256 of [`Self::message`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        self.to_sign.digest()
    }

    /// The proposal for another process: the encoding of `gateway.ProposedTransaction`, as the official clients write
    /// and read it. Transient values are in it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signed =
            SignedProposal { proposal_bytes: self.message().to_vec(), signature: self.to_sign.signature() };
        ProposedTransaction {
            transaction_id: self.tx_id.clone(),
            proposal: Some(signed),
            endorsing_organizations: self.endorsing_organizations.clone(),
        }
        .encode_to_vec()
    }

    /// Reads what [`Self::to_bytes`] of any client gave, to be sent by a gateway; signed if it was.
    pub fn from_bytes(gateway: &Gateway, bytes: &[u8]) -> Result<Self, ImportError> {
        const WHAT: &str = "a proposal";
        let bad = |reason| ImportError::Bytes { what: WHAT, reason };
        let proposed: ProposedTransaction = part(WHAT, bytes, "it is no `gateway.ProposedTransaction`")?;
        let signed = proposed.proposal.unwrap_or_default();
        let proposal: hlf_protos::protos::Proposal =
            part(WHAT, &signed.proposal_bytes, "its content can't be read")?;
        let header: Header = part(WHAT, &proposal.header, "its header can't be read")?;
        let channel: ChannelHeader = part(WHAT, &header.channel_header, "its channel header can't be read")?;
        let signer: SignatureHeader =
            part(WHAT, &header.signature_header, "its signature header can't be read")?;
        let call: ChaincodeProposalPayload = part(WHAT, &proposal.payload, "its call can't be read")?;
        let extension: ChaincodeHeaderExtension =
            part(WHAT, &channel.extension, "its chaincode can't be read")?;
        let spec: ChaincodeInvocationSpec = part(WHAT, &call.input, "its input can't be read")?;
        if channel.tx_id != transaction_id(&signer.nonce, &signer.creator) {
            return Err(bad("its transaction id is not of its nonce and creator"));
        }
        if channel.tx_id != proposed.transaction_id {
            return Err(bad("it is of another transaction"));
        }
        let chaincode = extension.chaincode_id.unwrap_or_default().name;
        let spec = spec.chaincode_spec.unwrap_or_default();
        if spec.chaincode_id.unwrap_or_default().name != chaincode {
            return Err(bad("its header and its input name different chaincodes"));
        }
        let input = spec.input.unwrap_or_default();
        let function = String::from_utf8_lossy(input.args.first().map_or(&[], Vec::as_slice)).into_owned();
        let span = span(&channel.tx_id, &channel.channel_id, &chaincode, &function, &msp_id(&signer.creator));
        Ok(Self {
            session: Arc::clone(gateway.session()),
            channel: channel.channel_id,
            tx_id: channel.tx_id,
            chaincode,
            header,
            input: call.input,
            span,
            endorsing_organizations: proposed.endorsing_organizations,
            to_sign: ToSign::imported(WHAT, signer.creator, signed.proposal_bytes, &signed.signature)?,
        })
    }

    /// Attaches a signature that was made elsewhere over [`Self::message`], by the key of the proposal's creator.
    ///
    /// It is checked as a peer would check it; an ECDSA signature may have any S.
    pub fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        Ok(Self { to_sign: self.to_sign.with_signature(signature)?, ..self })
    }

    /// The same proposal with deadlines of its own, for the stages that follow as well.
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { session: Arc::new(self.session.with_deadlines(deadlines)), ..self }
    }

    /// Runs the call on one peer and returns its result; nothing is written.
    pub async fn evaluate(&self) -> Result<Vec<u8>, EvaluateError> {
        let result = self.evaluated().instrument(self.span.span()).await;
        self.span.ends(if result.is_ok() { "evaluated" } else { "not evaluated" });
        result
    }

    async fn evaluated(&self) -> Result<Vec<u8>, EvaluateError> {
        let failed = |source: CallFailure| EvaluateError::Failed { tx_id: self.tx_id.clone(), source };
        let until = until(self.session.deadlines.evaluate);
        let proposal = self
            .signed_by(until)
            .await
            .map_err(|source| EvaluateError::Sign { tx_id: self.tx_id.clone(), source })?;
        let message = EvaluateRequest {
            transaction_id: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            proposed_transaction: Some(proposal),
            target_organizations: self.endorsing_organizations.clone(),
        };
        let evaluated = self.session.evaluate(message, left(until)).await;
        match evaluated.map_err(|failure| failed(failure.of_creator(self.to_sign.creator())))?.result {
            Some(result) => Ok(result.payload),
            None => Err(failed(Status::internal("the gateway's answer holds no result").into())),
        }
    }

    /// Gathers endorsements that satisfy the chaincode's policy.
    ///
    /// What comes back is checked to be the transaction that was proposed, header and input to the byte.
    pub async fn endorse(&self) -> Result<Endorsed, EndorseError> {
        let result = self.endorsed().instrument(self.span.span()).await;
        if result.is_err() {
            self.span.ends("not endorsed");
        }
        result
    }

    async fn endorsed(&self) -> Result<Endorsed, EndorseError> {
        let until = until(self.session.deadlines.endorse);
        let proposal = self
            .signed_by(until)
            .await
            .map_err(|source| EndorseError::Sign { tx_id: self.tx_id.clone(), source })?;
        let message = EndorseRequest {
            transaction_id: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            proposed_transaction: Some(proposal),
            endorsing_organizations: self.endorsing_organizations.clone(),
        };
        let response =
            self.session.endorse(message, left(until)).await.map_err(|failure| EndorseError::Failed {
                tx_id: self.tx_id.clone(),
                source: failure.of_creator(self.to_sign.creator()),
            })?;
        Endorsed::of(self, response.prepared_transaction.unwrap_or_default().payload)
            .map_err(|reason| EndorseError::Mismatch { tx_id: self.tx_id.clone(), reason })
    }

    /// The proposal with its signature, as any endorser takes it; signing takes at most [`Deadlines::endorse`].
    pub async fn signed(&self) -> Result<SignedProposal, SignError> {
        self.signed_by(until(self.session.deadlines.endorse)).await
    }

    pub(crate) async fn signed_by(&self, until: Instant) -> Result<SignedProposal, SignError> {
        let signature = self.to_sign.signed_by(&self.session, until).await?;
        Ok(SignedProposal { proposal_bytes: self.message().to_vec(), signature })
    }
}

/// The span of a transaction from its proposal on.
pub(crate) fn span(tx_id: &str, channel: &str, chaincode: &str, call: &str, msp_id: &str) -> TransactionSpan {
    TransactionSpan::of(tracing::info_span!(
        "transaction",
        tx_id,
        channel,
        chaincode,
        call,
        msp_id,
        evaluate_us = field::Empty,
        endorse_us = field::Empty,
        submit_us = field::Empty,
        commit_status_us = field::Empty,
        outcome = field::Empty,
    ))
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
