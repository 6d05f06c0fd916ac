//! The events that a chaincode sets.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use hlf_protos::gateway::{ChaincodeEventsRequest, ChaincodeEventsResponse, SignedChaincodeEventsRequest};
use hlf_protos::orderer::{SeekNextCommit, SeekSpecified, seek_position::Type as Position};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::ChaincodeEvent;

use crate::block_range::position;
use crate::deadlines::{left, opened, until};
use crate::responses::Responses;
use crate::session::Session;
use crate::to_sign::{ToSign, part};
use crate::{CallFailure, Deadlines, Gateway, ImportError, SignError, SignatureError};

/// Where a stream of chaincode events starts.
///
/// There is no start after a transaction: a gateway that is asked to start after a transaction without an
/// event never delivers any. Start at its block, and skip what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsFrom {
    /// The first block committed after asking.
    NextCommit,
    /// The block of this number.
    Block(u64),
}

/// All events of one chaincode in one block, in the order of its transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockEvents {
    /// The block's number.
    pub block_number: u64,
    /// The events; only of VALID transactions, at most one each.
    pub events: Vec<ChaincodeEvent>,
}

/// Why events could not be asked for, or stopped coming.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChaincodeEventsError {
    /// The request could not be signed.
    #[error("events of chaincode `{chaincode}` could not be asked for")]
    Sign {
        /// The chaincode's name.
        chaincode: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The gateway refused, or the stream broke.
    #[error("event stream of chaincode `{chaincode}` failed")]
    Failed {
        /// The chaincode's name.
        chaincode: String,
        /// What the gateway said.
        source: CallFailure,
    },
    /// The gateway closed the stream.
    #[error("event stream of chaincode `{chaincode}` was closed: open it again from the last block seen")]
    Closed {
        /// The chaincode's name.
        chaincode: String,
    },
}

/// A stream of a chaincode's events, block by block, without an end; blocks without events are left out.
#[derive(Debug)]
pub struct ChaincodeEventStream {
    chaincode: String,
    responses: Responses<ChaincodeEventsResponse>,
    ended: bool,
}

/// A request for a chaincode's events: signed once, when it is first sent, or elsewhere.
pub struct EventsRequest {
    session: Arc<Session>,
    channel: String,
    chaincode: String,
    to_sign: ToSign,
}

impl EventsRequest {
    pub(crate) fn new(session: Arc<Session>, channel: &str, chaincode: &str, from: EventsFrom) -> Self {
        let start = match from {
            EventsFrom::NextCommit => Position::NextCommit(SeekNextCommit {}),
            EventsFrom::Block(number) => Position::Specified(SeekSpecified { number }),
        };
        let request = ChaincodeEventsRequest {
            channel_id: channel.to_owned(),
            chaincode_id: chaincode.to_owned(),
            identity: session.creator.clone(),
            start_position: Some(position(start)),
            after_transaction_id: String::new(),
        };
        Self {
            to_sign: ToSign::new(session.creator.clone(), request.encode_to_vec()),
            session,
            channel: channel.to_owned(),
            chaincode: chaincode.to_owned(),
        }
    }

    /// Reads what [`Self::to_bytes`] of any client gave, to be sent by a gateway; signed if it was.
    ///
    /// A start after a transaction that another client asks for stays as it is.
    pub fn from_bytes(gateway: &Gateway, bytes: &[u8]) -> Result<Self, ImportError> {
        const WHAT: &str = "a request for chaincode events";
        let signed: SignedChaincodeEventsRequest =
            part(WHAT, bytes, "it is no `gateway.SignedChaincodeEventsRequest`")?;
        let request: ChaincodeEventsRequest = part(WHAT, &signed.request, "its content can't be read")?;
        if request.chaincode_id.is_empty() || request.identity.is_empty() {
            return Err(ImportError::Bytes { what: WHAT, reason: "it names no chaincode or no identity" });
        }
        Ok(Self {
            session: Arc::clone(gateway.session()),
            channel: request.channel_id,
            chaincode: request.chaincode_id,
            to_sign: ToSign::imported(WHAT, request.identity, signed.request, &signed.signature)?,
        })
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The chaincode's name.
    pub fn chaincode(&self) -> &str {
        &self.chaincode
    }

    /// What is signed: the encoding of `gateway.ChaincodeEventsRequest`.
    pub fn message(&self) -> &[u8] {
        self.to_sign.message()
    }

    /// SHA-256 of [`Self::message`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        self.to_sign.digest()
    }

    /// The request for another process: the encoding of `gateway.SignedChaincodeEventsRequest`, as the official
    /// clients write and read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (request, signature) = (self.message().to_vec(), self.to_sign.signature());
        SignedChaincodeEventsRequest { request, signature }.encode_to_vec()
    }

    /// Attaches a signature that was made elsewhere over [`Self::message`].
    ///
    /// It is checked as a peer would check it; an ECDSA signature may have any S.
    pub fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        Ok(Self { to_sign: self.to_sign.with_signature(signature)?, ..self })
    }

    /// The same request with deadlines of its own.
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { session: Arc::new(self.session.with_deadlines(deadlines)), ..self }
    }

    /// Streams the events of VALID transactions; the same request may be sent again.
    pub async fn events(&self) -> Result<ChaincodeEventStream, ChaincodeEventsError> {
        let chaincode = self.chaincode.clone();
        let until = self.session.deadlines.open_stream.map(until);
        let signature = match self.to_sign.signed_by_any(&self.session, until).await {
            Ok(signature) => signature,
            Err(source) => return Err(ChaincodeEventsError::Sign { chaincode, source }),
        };
        let signed = SignedChaincodeEventsRequest { request: self.message().to_vec(), signature };
        let mut client = self.session.gateway();
        let limit = until.map(left);
        let call = async move { opened(limit, client.chaincode_events(signed)).await };
        Ok(ChaincodeEventStream { chaincode, responses: Responses::open(call), ended: false })
    }
}

impl fmt::Debug for EventsRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventsRequest")
            .field("channel", &self.channel)
            .field("chaincode", &self.chaincode)
            .finish_non_exhaustive()
    }
}

impl ChaincodeEventStream {
    /// The events of the next block that has some.
    pub async fn next(&mut self) -> Result<BlockEvents, ChaincodeEventsError> {
        let closed = ChaincodeEventsError::Closed { chaincode: self.chaincode.clone() };
        StreamExt::next(self).await.unwrap_or(Err(closed))
    }
}

impl Stream for ChaincodeEventStream {
    type Item = Result<BlockEvents, ChaincodeEventsError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(response) = self.responses.poll_next_unpin(context) else { return Poll::Pending };
        let chaincode = self.chaincode.clone();
        let result = match response {
            Some(Ok(response)) => {
                Ok(BlockEvents { block_number: response.block_number, events: response.events })
            }
            Some(Err(status)) => Err(ChaincodeEventsError::Failed { chaincode, source: status.into() }),
            None => Err(ChaincodeEventsError::Closed { chaincode }),
        };
        self.ended = result.is_err();
        Poll::Ready(Some(result))
    }
}
