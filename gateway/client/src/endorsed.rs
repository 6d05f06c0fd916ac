//! The second stage: an endorsed transaction, to be submitted.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hlf_protos::common::{ChannelHeader, Envelope, Header, Payload, SignatureHeader};
use hlf_protos::gateway::PreparedTransaction;
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeHeaderExtension, ChaincodeInvocationSpec,
    ChaincodeProposalPayload, ProposalResponsePayload, Transaction,
};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::deadlines::{left, until};
use crate::proposal::span;
use crate::proposal_builder::transaction_id;
use crate::session::Session;
use crate::span::TransactionSpan;
use crate::to_sign::{ToSign, msp_id};
use crate::{
    CallFailure, Deadlines, EndorseError, Gateway, ImportError, PeerError, Proposal, SignError,
    SignatureError, SignedTransaction, Submitted,
};

/// A transaction with the endorsements that its policy wants: signed once, when it is first submitted, or elsewhere.
pub struct Endorsed {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
    pub(crate) tx_id: String,
    pub(crate) span: TransactionSpan,
    header: Header,
    /// The chaincode's input, encoded.
    input: Vec<u8>,
    result: Vec<u8>,
    to_sign: ToSign,
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
        let content = Content::read(&payload)?;
        demand(&content.header, &content.input, &proposal.header, &proposal.input)?;
        content.demand_endorsed()?;
        Ok(Self {
            session: Arc::clone(&proposal.session),
            channel: proposal.channel.clone(),
            tx_id: proposal.tx_id.clone(),
            span: proposal.span.clone(),
            result: content.result,
            header: content.header,
            input: content.input,
            to_sign: ToSign::new(content.signature_header.creator, payload),
        })
    }

    /// Reads what [`Self::to_bytes`] of any client gave, to be sent by a gateway; signed if it was.
    ///
    /// It must not contradict itself. That it is what somebody proposed is told by [`Self::is_of`] alone.
    pub fn from_bytes(gateway: &Gateway, bytes: &[u8]) -> Result<Self, ImportError> {
        const WHAT: &str = "an endorsed transaction";
        let bad = |reason| ImportError::Bytes { what: WHAT, reason };
        let prepared: PreparedTransaction =
            decode(bytes, "it is no `gateway.PreparedTransaction`").map_err(bad)?;
        let envelope = prepared.envelope.unwrap_or_default();
        let content = Content::read(&envelope.payload).map_err(bad)?;
        content.demand_endorsed().map_err(bad)?;
        let Content { channel_header, signature_header: signer, .. } = content;
        if channel_header.tx_id != transaction_id(&signer.nonce, &signer.creator) {
            return Err(bad("its transaction id is not of its nonce and creator"));
        }
        if channel_header.tx_id != prepared.transaction_id {
            return Err(bad("it is of another transaction"));
        }
        let extension: ChaincodeHeaderExtension =
            decode(&channel_header.extension, "its chaincode can't be read").map_err(bad)?;
        let spec: ChaincodeInvocationSpec = decode(&content.input, "its input can't be read").map_err(bad)?;
        let input = spec.chaincode_spec.and_then(|spec| spec.input).unwrap_or_default();
        let function = String::from_utf8_lossy(input.args.first().map_or(&[], Vec::as_slice)).into_owned();
        let span = span(
            &channel_header.tx_id,
            &channel_header.channel_id,
            &extension.chaincode_id.unwrap_or_default().name,
            &function,
            &msp_id(&signer.creator),
        );
        Ok(Self {
            session: Arc::clone(gateway.session()),
            channel: channel_header.channel_id,
            tx_id: channel_header.tx_id,
            span,
            result: content.result,
            header: content.header,
            input: content.input,
            to_sign: ToSign::imported(WHAT, signer.creator, envelope.payload, &envelope.signature)?,
        })
    }

    /// Checks that this is a proposal's transaction, header and input to the byte.
    ///
    /// A client that gets it back from another process does so before it signs: the signature covers everything in it.
    pub fn is_of(&self, proposal: &Proposal) -> Result<(), EndorseError> {
        demand(&self.header, &self.input, &proposal.header, &proposal.input)
            .map_err(|reason| EndorseError::Mismatch { tx_id: proposal.tx_id.clone(), reason })
    }

    /// Attaches a signature that was made elsewhere over [`Self::message`], by the key of the proposal's creator.
    ///
    /// It is checked as a peer would check it; an ECDSA signature may have any S.
    pub fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        Ok(Self { to_sign: self.to_sign.with_signature(signature)?, ..self })
    }

    /// The same transaction with deadlines of its own, for the commit status as well.
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { session: Arc::new(self.session.with_deadlines(deadlines)), ..self }
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
    pub fn message(&self) -> &[u8] {
        self.to_sign.message()
    }

    /// SHA-256 of [`Self::message`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        self.to_sign.digest()
    }

    /// The transaction for another process: the encoding of `gateway.PreparedTransaction`, as the official clients
    /// write and read it. Once it is signed, whoever has it can submit it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let envelope = Envelope { payload: self.message().to_vec(), signature: self.to_sign.signature() };
        PreparedTransaction { transaction_id: self.tx_id.clone(), envelope: Some(envelope) }.encode_to_vec()
    }

    /// The transaction with its signature: to be kept, and sent by [`crate::Gateway::settle`] now or later. Signing takes
    /// at most [`Deadlines::submit`].
    pub async fn signed(&self) -> Result<SignedTransaction, SignError> {
        self.signed_by(until(self.session.deadlines.submit)).await
    }

    pub(crate) async fn signed_by(&self, until: Instant) -> Result<SignedTransaction, SignError> {
        let signature = self.to_sign.signed_by(&self.session, until).await?;
        let envelope = Envelope { payload: self.message().to_vec(), signature };
        Ok(SignedTransaction::new(&self.channel, &self.tx_id, envelope, &self.result))
    }

    /// Hands the transaction to the orderers; success means that one took it, not that it is committed.
    pub async fn submit(&self) -> Result<Submitted, SubmitError> {
        let result = self.submitted().instrument(self.span.span()).await;
        self.span.ends(match &result {
            Ok(_) => "submitted",
            Err(SubmitError::Sign { .. }) => "not submitted",
            Err(SubmitError::Unknown { .. }) => "unknown",
        });
        result
    }

    async fn submitted(&self) -> Result<Submitted, SubmitError> {
        let until = until(self.session.deadlines.submit);
        let signed = self
            .signed_by(until)
            .await
            .map_err(|source| SubmitError::Sign { tx_id: self.tx_id.clone(), source })?;
        self.session
            .submit(signed.request(), left(until))
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

/// What an endorsed transaction says, as far as it must fit together.
struct Content {
    header: Header,
    channel_header: ChannelHeader,
    signature_header: SignatureHeader,
    input: Vec<u8>,
    result: Vec<u8>,
    is_endorsed: bool,
}

impl Content {
    fn read(payload: &[u8]) -> Result<Self, &'static str> {
        let outer: Payload = decode(payload, "its payload can't be read")?;
        let header = outer.header.ok_or("it has no header")?;
        let channel_header = decode(&header.channel_header, "its channel header can't be read")?;
        let signature_header = decode(&header.signature_header, "its signature header can't be read")?;
        let transaction: Transaction = decode(&outer.data, "its content can't be read")?;
        let [action] = transaction.actions.as_slice() else { return Err("it holds not exactly one action") };
        if action.header != header.signature_header {
            return Err("its action's header differs");
        }
        let action: ChaincodeActionPayload = decode(&action.payload, "its action can't be read")?;
        let call: ChaincodeProposalPayload =
            decode(&action.chaincode_proposal_payload, "its call can't be read")?;
        if !call.transient_map.is_empty() {
            return Err("its call differs");
        }
        let endorsed = action.action.unwrap_or_default();
        let response: ProposalResponsePayload =
            decode(&endorsed.proposal_response_payload, "its response can't be read")?;
        let proposal_hash = Sha256::new()
            .chain_update(&header.channel_header)
            .chain_update(&header.signature_header)
            .chain_update(&action.chaincode_proposal_payload)
            .finalize();
        let is_endorsed = response.proposal_hash == proposal_hash.as_slice();
        let action: ChaincodeAction = decode(&response.extension, "its result can't be read")?;
        let result = action.response.unwrap_or_default().payload;
        Ok(Self { header, channel_header, signature_header, input: call.input, result, is_endorsed })
    }

    /// Checks that the endorsements are for what the transaction says.
    fn demand_endorsed(&self) -> Result<(), &'static str> {
        if self.is_endorsed { Ok(()) } else { Err("its endorsements are for another proposal") }
    }
}

fn demand(
    header: &Header,
    input: &[u8],
    proposed_header: &Header,
    proposed_input: &[u8],
) -> Result<(), &'static str> {
    match () {
        () if header != proposed_header => Err("its header differs"),
        () if input != proposed_input => Err("its call differs"),
        () => Ok(()),
    }
}

fn decode<M: Message + Default>(bytes: &[u8], reason: &'static str) -> Result<M, &'static str> {
    M::decode(bytes).map_err(|_| reason)
}
