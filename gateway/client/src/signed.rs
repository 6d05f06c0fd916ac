//! A signed transaction as a value that outlives the process which made it.

use std::fmt;

use hlf_protos::common::{ChannelHeader, Envelope, Payload};
use hlf_protos::gateway::{PreparedTransaction, SubmitRequest};
use hlf_protos::prost::Message;
use hlf_protos::protos::{ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction};

/// An endorsed and signed transaction, as it was or will be sent for ordering.
///
/// Kept as bytes, it can be sent again by any process: it's the same transaction, with the same id, and takes
/// effect at most once however often it is sent. A further copy in a block is `DUPLICATE_TXID`, which says
/// nothing about the first.
#[derive(Clone, PartialEq)]
pub struct SignedTransaction {
    channel: String,
    tx_id: String,
    envelope: Envelope,
    result: Vec<u8>,
}

/// Bytes that hold no signed transaction.
#[derive(Debug, thiserror::Error)]
#[error("bytes hold no signed transaction: {reason}; keep what `SignedTransaction::to_bytes` returns, whole")]
pub struct NotATransaction {
    reason: &'static str,
}

impl SignedTransaction {
    pub(crate) fn new(channel: &str, tx_id: &str, envelope: Envelope, result: &[u8]) -> Self {
        let (channel, tx_id) = (channel.to_owned(), tx_id.to_owned());
        Self { channel, tx_id, envelope, result: result.to_vec() }
    }

    /// Reads what [`Self::to_bytes`] wrote; its id must be that of the transaction in it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotATransaction> {
        let prepared: PreparedTransaction = decode(bytes, "they can't be read")?;
        let envelope = prepared.envelope.unwrap_or_default();
        if envelope.signature.is_empty() {
            return Err(NotATransaction { reason: "there is no signature" });
        }
        let payload: Payload = decode(&envelope.payload, "its payload can't be read")?;
        let header = payload.header.unwrap_or_default();
        let header: ChannelHeader = decode(&header.channel_header, "its header can't be read")?;
        if header.tx_id.is_empty() || header.tx_id != prepared.transaction_id {
            return Err(NotATransaction { reason: "it is stored under the id of another one" });
        }
        let result = result_of(&payload.data)?;
        Ok(Self { channel: header.channel_id, tx_id: header.tx_id, envelope, result })
    }

    /// The encoding of `gateway.PreparedTransaction`, as [`crate::Endorsed::to_bytes`] and the official clients write
    /// it.
    ///
    /// It holds the arguments and the signature, but no key: whoever has it can only send this transaction.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (transaction_id, envelope) = (self.tx_id.clone(), Some(self.envelope.clone()));
        PreparedTransaction { transaction_id, envelope }.encode_to_vec()
    }

    /// The transaction's id, 64 hex digits.
    pub fn tx_id(&self) -> &str {
        &self.tx_id
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What the chaincode returned when it was endorsed.
    pub fn result(&self) -> &[u8] {
        &self.result
    }

    /// The envelope that orderers take.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(crate) fn request(&self) -> SubmitRequest {
        SubmitRequest {
            transaction_id: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            prepared_transaction: Some(self.envelope.clone()),
        }
    }
}

/// Shows the ids alone: arguments and results stay out of logs.
impl fmt::Debug for SignedTransaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignedTransaction")
            .field("channel", &self.channel())
            .field("tx_id", &self.tx_id())
            .finish_non_exhaustive()
    }
}

/// What the chaincode returned, of an encoded `protos.Transaction`.
fn result_of(transaction: &[u8]) -> Result<Vec<u8>, NotATransaction> {
    let transaction: Transaction = decode(transaction, "its content can't be read")?;
    let [action] = transaction.actions.as_slice() else {
        return Err(NotATransaction { reason: "it holds not exactly one action" });
    };
    let action: ChaincodeActionPayload = decode(&action.payload, "its action can't be read")?;
    let response = action.action.unwrap_or_default().proposal_response_payload;
    let response: ProposalResponsePayload = decode(&response, "its response can't be read")?;
    let action: ChaincodeAction = decode(&response.extension, "its result can't be read")?;
    Ok(action.response.unwrap_or_default().payload)
}

fn decode<M: Message + Default>(bytes: &[u8], reason: &'static str) -> Result<M, NotATransaction> {
    M::decode(bytes).map_err(|_| NotATransaction { reason })
}
