//! What a listener listens to: streams of blocks and of chaincode events, seen alike.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use hlf_protos::common::{Block, Status};
use hlf_protos::protos::filtered_transaction::Data;
use hlf_protos::protos::{
    BlockAndPrivateData, ChaincodeEvent, FilteredBlock, FilteredTransaction, TxValidationCode,
};
use tonic::Code;

use crate::chaincode_events::{ChaincodeEventsError, EventsFrom, EventsRequest};
use crate::explain::tx_ids;
use crate::session::Session;
use crate::{BlockRange, BlockRequest, CallFailure, DeliverError, FailureCause, Start, Stop};

/// Why a stream broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A stream of blocks did.
    #[error(transparent)]
    Blocks(#[from] DeliverError),
    /// A stream of chaincode events did.
    #[error(transparent)]
    Events(#[from] ChaincodeEventsError),
    /// The stream was silent although the channel had something for it.
    #[error("stream of channel `{channel}` stood still before block {block_number}, which the peer has")]
    Stalled {
        /// The channel's id.
        channel: String,
        /// A block that it did not deliver.
        block_number: u64,
    },
}

/// A block's number and what the stream has of it.
pub(crate) type Batch<T> = (u64, Vec<T>);
pub(crate) type Batches<T> = BoxStream<'static, Result<Batch<T>, StreamError>>;

/// Opens a stream from a block on, again and again.
pub(crate) trait Feed<T>: Send + Sync {
    /// What is streamed, and of what.
    fn name(&self) -> String;
    fn open(&self, first: u64) -> BoxFuture<'_, Result<Batches<T>, StreamError>>;
    /// The item's transaction, if an item is one's.
    fn tx_id(&self, item: &T) -> String;
    /// Whether the stream delivers something of a block.
    fn concerns(&self, block: &FilteredBlock) -> bool;
}

pub(crate) struct Events {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
    pub(crate) chaincode: String,
}

pub(crate) struct Blocks {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
}

pub(crate) struct PrivateDataBlocks {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
}

pub(crate) struct FilteredBlocks {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: String,
}

impl Feed<ChaincodeEvent> for Events {
    fn name(&self) -> String {
        format!("events {} {}", self.channel, self.chaincode)
    }

    fn open(&self, first: u64) -> BoxFuture<'_, Result<Batches<ChaincodeEvent>, StreamError>> {
        Box::pin(async move {
            let from = EventsFrom::Block(first);
            let request = EventsRequest::new(Arc::clone(&self.session), &self.channel, &self.chaincode, from);
            let events = request.events().await?;
            Ok(events
                .map(|block| block.map(|block| (block.block_number, block.events)).map_err(Into::into))
                .boxed())
        })
    }

    fn tx_id(&self, item: &ChaincodeEvent) -> String {
        item.tx_id.clone()
    }

    fn concerns(&self, block: &FilteredBlock) -> bool {
        let valid = |transaction: &&FilteredTransaction| {
            transaction.tx_validation_code == i32::from(TxValidationCode::Valid)
        };
        block.filtered_transactions.iter().filter(valid).any(|transaction| {
            let Some(Data::TransactionActions(actions)) = &transaction.data else { return false };
            let mut events =
                actions.chaincode_actions.iter().filter_map(|action| action.chaincode_event.as_ref());
            events.any(|event| event.chaincode_id == self.chaincode)
        })
    }
}

impl Feed<Block> for Blocks {
    fn name(&self) -> String {
        format!("blocks {}", self.channel)
    }

    fn open(&self, first: u64) -> BoxFuture<'_, Result<Batches<Block>, StreamError>> {
        Box::pin(async move {
            let request = BlockRequest::new(Arc::clone(&self.session), &self.channel, (first..).into());
            let blocks = request.blocks().await?;
            Ok(blocks
                .map(|block| block.map(|block| (number(&block), vec![block])).map_err(Into::into))
                .boxed())
        })
    }

    fn tx_id(&self, _: &Block) -> String {
        String::new()
    }

    fn concerns(&self, _: &FilteredBlock) -> bool {
        true
    }
}

impl Feed<BlockAndPrivateData> for PrivateDataBlocks {
    fn name(&self) -> String {
        format!("blocks with private data {}", self.channel)
    }

    fn open(&self, first: u64) -> BoxFuture<'_, Result<Batches<BlockAndPrivateData>, StreamError>> {
        Box::pin(async move {
            let request = BlockRequest::new(Arc::clone(&self.session), &self.channel, (first..).into());
            let blocks = request.blocks_with_private_data().await?;
            let numbered = |both: BlockAndPrivateData| (both.block.as_ref().map_or(0, number), vec![both]);
            Ok(blocks.map(move |block| block.map(numbered).map_err(Into::into)).boxed())
        })
    }

    fn tx_id(&self, _: &BlockAndPrivateData) -> String {
        String::new()
    }

    fn concerns(&self, _: &FilteredBlock) -> bool {
        true
    }
}

impl Feed<FilteredBlock> for FilteredBlocks {
    fn name(&self) -> String {
        format!("filtered blocks {}", self.channel)
    }

    fn open(&self, first: u64) -> BoxFuture<'_, Result<Batches<FilteredBlock>, StreamError>> {
        Box::pin(async move {
            let request = BlockRequest::new(Arc::clone(&self.session), &self.channel, (first..).into());
            let blocks = request.filtered_blocks().await?;
            Ok(blocks.map(|block| block.map(|block| (block.number, vec![block])).map_err(Into::into)).boxed())
        })
    }

    fn tx_id(&self, _: &FilteredBlock) -> String {
        String::new()
    }

    fn concerns(&self, _: &FilteredBlock) -> bool {
        true
    }
}

fn number(block: &Block) -> u64 {
    block.header.as_ref().map_or(0, |header| header.number)
}

/// One block of a range, reduced.
async fn filtered_block(
    session: &Arc<Session>,
    channel: &str,
    range: BlockRange,
) -> Result<FilteredBlock, StreamError> {
    let mut blocks = BlockRequest::new(Arc::clone(session), channel, range).filtered_blocks().await?;
    let none = || DeliverError::Closed { channel: channel.to_owned() };
    Ok(blocks.next().await?.ok_or_else(none)?)
}

/// The number of the block at a start that is there: the oldest or the newest.
pub(crate) async fn number_of(
    session: &Arc<Session>,
    channel: &str,
    start: Start,
) -> Result<u64, StreamError> {
    let range = BlockRange { start, stop: Stop::Never };
    match filtered_block(session, channel, range).await {
        Ok(block) => Ok(block.number),
        Err(refused) => Ok(number(&whole_instead(session, channel, range, refused).await?)),
    }
}

/// The ids of the transactions in a block, in their order.
pub(crate) async fn ids_in(
    session: &Arc<Session>,
    channel: &str,
    number: u64,
) -> Result<Vec<String>, StreamError> {
    let range = BlockRange { start: Start::Number(number), stop: Stop::Never };
    match filtered_block(session, channel, range).await {
        Ok(block) => Ok(block.filtered_transactions.into_iter().map(|one| one.txid).collect()),
        Err(refused) => Ok(tx_ids(&whole_instead(session, channel, range, refused).await?)),
    }
}

/// The whole block where the peer can't reduce it, because something in it can't be decoded.
async fn whole_instead(
    session: &Arc<Session>,
    channel: &str,
    range: BlockRange,
    refused: StreamError,
) -> Result<Block, StreamError> {
    if !matches!(refused, StreamError::Blocks(DeliverError::Refused { status: Status::BadRequest, .. })) {
        return Err(refused);
    }
    let mut blocks = BlockRequest::new(Arc::clone(session), channel, range).blocks().await?;
    match blocks.next().await {
        Ok(Some(block)) => Ok(block),
        _ => Err(refused),
    }
}

impl StreamError {
    /// Whether asking again would be refused again.
    ///
    /// A channel that isn't there may be on its way only if there was something of it before (`begun`). BAD_REQUEST is
    /// about the request only as the stream's first word (not `stream_begun`): later it is about one block.
    pub(crate) fn is_lasting(&self, begun: bool, stream_begun: bool) -> bool {
        let failed = |failure: &CallFailure| {
            failure.cause() == Some(FailureCause::MessageTooLarge)
                || match failure.code() {
                    Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument => true,
                    Code::NotFound => !begun,
                    _ => false,
                }
        };
        match self {
            Self::Blocks(DeliverError::Refused { status, .. }) => match status {
                Status::Forbidden => true,
                Status::BadRequest => !stream_begun,
                Status::NotFound => !begun,
                _ => false,
            },
            Self::Blocks(DeliverError::Failed { source, .. }) => failed(source),
            Self::Events(ChaincodeEventsError::Failed { source, .. }) => failed(source),
            Self::Blocks(DeliverError::Sign { .. }) | Self::Events(ChaincodeEventsError::Sign { .. }) => true,
            _ => false,
        }
    }
}
