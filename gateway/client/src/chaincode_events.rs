//! The events that a chaincode sets.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use hlf_protos::gateway::{ChaincodeEventsRequest, ChaincodeEventsResponse, SignedChaincodeEventsRequest};
use hlf_protos::orderer::{SeekNextCommit, SeekSpecified, seek_position::Type as Position};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::ChaincodeEvent;

use crate::block_range::position;
use crate::responses::Responses;
use crate::session::Session;
use crate::{CallFailure, SignError};

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

impl ChaincodeEventStream {
    pub(crate) async fn open(
        session: &Session,
        channel: &str,
        chaincode: &str,
        from: EventsFrom,
    ) -> Result<Self, ChaincodeEventsError> {
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
        }
        .encode_to_vec();
        let signature = session
            .sign(&request)
            .await
            .map_err(|source| ChaincodeEventsError::Sign { chaincode: chaincode.to_owned(), source })?;
        let mut client = session.gateway();
        let call =
            async move { client.chaincode_events(SignedChaincodeEventsRequest { request, signature }).await };
        Ok(Self { chaincode: chaincode.to_owned(), responses: Responses::open(call), ended: false })
    }

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
