//! Streams of committed blocks.

use std::ops::{RangeFrom, RangeFull, RangeInclusive};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use hlf_protos::common::{
    Block, ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader, Status,
};
use hlf_protos::orderer::{
    SeekInfo, SeekNewest, SeekNextCommit, SeekOldest, SeekPosition, SeekSpecified, seek_info::SeekBehavior,
    seek_position::Type as Position,
};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::deliver_response::Type as Delivered;
use hlf_protos::protos::{DeliverResponse, FilteredBlock};

use crate::gateway::Session;
use crate::proposal::now;
use crate::responses::Responses;
use crate::{CallFailure, SignError};

/// Which blocks a stream delivers, in ascending order.
///
/// Made from ranges of block numbers: `5..=9`, `5..` (without an end) or `..` (all, without an end).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The first block.
    pub start: Start,
    /// The last block.
    pub stop: Stop,
}

/// Where a block stream starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first block that the peer holds.
    Oldest,
    /// The newest block at the time of asking.
    Newest,
    /// The first block committed after asking.
    NextCommit,
    /// The block of this number; awaited if it is not there yet, unless the stream stops at the newest.
    Number(u64),
}

/// Where a block stream stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After the newest block at the time of asking; at once if the stream would start behind it.
    Newest,
    /// After the block of this number; awaited if it is not there yet.
    Number(u64),
    /// Never: the stream waits for blocks until it is dropped.
    Never,
}

/// Why a block stream could not be opened or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The request could not be signed.
    #[error("blocks of channel `{channel}` could not be asked for")]
    Sign {
        /// The channel's id.
        channel: String,
        /// What the signer reports.
        source: SignError,
    },
    /// The peer could not be reached, or the stream broke.
    #[error("block stream of channel `{channel}` failed")]
    Failed {
        /// The channel's id.
        channel: String,
        /// What the transport or the peer said.
        source: CallFailure,
    },
    /// The peer ended the stream with a status of its own.
    #[error("peer refused blocks of channel `{channel}`: {}; {}", status.as_str_name(), refusal(*status))]
    Refused {
        /// The channel's id.
        channel: String,
        /// The peer's status; numbers that this crate doesn't know read as UNKNOWN.
        status: Status,
    },
    /// The peer closed the stream before its last block.
    #[error(
        "block stream of channel `{channel}` was closed before its end: open it again after the last block seen"
    )]
    Closed {
        /// The channel's id.
        channel: String,
    },
    /// The peer sent something else than what was asked for.
    #[error("peer sent something else than the blocks asked for of channel `{channel}`")]
    Unexpected {
        /// The channel's id.
        channel: String,
    },
}

/// A stream of whole blocks.
#[derive(Debug)]
pub struct BlockStream(Deliveries);

/// A stream of blocks reduced to transaction ids, verdicts and events without payload.
#[derive(Debug)]
pub struct FilteredBlockStream(Deliveries);

impl BlockRange {
    /// All blocks from the given one to the newest.
    pub fn to_newest(start: Start) -> Self {
        Self { start, stop: Stop::Newest }
    }

    /// The newest block alone.
    pub fn newest() -> Self {
        Self { start: Start::Newest, stop: Stop::Newest }
    }

    /// Blocks committed from now on, without an end.
    pub fn next_commits() -> Self {
        Self { start: Start::NextCommit, stop: Stop::Never }
    }
}

impl From<RangeInclusive<u64>> for BlockRange {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self { start: Start::Number(*range.start()), stop: Stop::Number(*range.end()) }
    }
}

impl From<RangeFrom<u64>> for BlockRange {
    fn from(range: RangeFrom<u64>) -> Self {
        Self { start: Start::Number(range.start), stop: Stop::Never }
    }
}

impl From<RangeFull> for BlockRange {
    fn from(_: RangeFull) -> Self {
        Self { start: Start::Oldest, stop: Stop::Never }
    }
}

impl BlockStream {
    pub(crate) async fn open(
        session: &Session,
        channel: &str,
        range: BlockRange,
    ) -> Result<Self, DeliverError> {
        let (seek, skip) = range.seek();
        let envelope = seek_envelope(session, channel, &seek).await?;
        let mut client = session.deliver();
        let call = async move { client.deliver(tokio_stream::once(envelope)).await };
        Ok(Self(Deliveries {
            channel: channel.to_owned(),
            responses: Responses::open(call),
            skip,
            expected: None,
            ended: false,
        }))
    }

    /// The next block; `None` after the last one of the range.
    pub async fn next(&mut self) -> Result<Option<Block>, DeliverError> {
        StreamExt::next(self).await.transpose()
    }
}

impl Stream for BlockStream {
    type Item = Result<Block, DeliverError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context, |delivered| match delivered {
            Delivered::Block(block) => {
                block.header.as_ref().map(|header| header.number).map(|number| (number, block))
            }
            _ => None,
        })
    }
}

impl FilteredBlockStream {
    pub(crate) async fn open(
        session: &Session,
        channel: &str,
        range: BlockRange,
    ) -> Result<Self, DeliverError> {
        let (seek, skip) = range.seek();
        let envelope = seek_envelope(session, channel, &seek).await?;
        let mut client = session.deliver();
        let call = async move { client.deliver_filtered(tokio_stream::once(envelope)).await };
        Ok(Self(Deliveries {
            channel: channel.to_owned(),
            responses: Responses::open(call),
            skip,
            expected: None,
            ended: false,
        }))
    }

    /// The next block; `None` after the last one of the range.
    pub async fn next(&mut self) -> Result<Option<FilteredBlock>, DeliverError> {
        StreamExt::next(self).await.transpose()
    }
}

impl Stream for FilteredBlockStream {
    type Item = Result<FilteredBlock, DeliverError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context, |delivered| match delivered {
            Delivered::FilteredBlock(block) => Some((block.number, block)),
            _ => None,
        })
    }
}

/// What both kinds of stream share: they end with a status, and only SUCCESS is an end as asked for.
#[derive(Debug)]
struct Deliveries {
    channel: String,
    responses: Responses<DeliverResponse>,
    /// A block that was asked for only to find the end of the ledger.
    skip: Option<u64>,
    /// The number that the next block must have, once one was seen.
    expected: Option<u64>,
    ended: bool,
}

impl Deliveries {
    fn poll<B>(
        &mut self,
        context: &mut Context<'_>,
        block: impl Fn(Delivered) -> Option<(u64, B)>,
    ) -> Poll<Option<Result<B, DeliverError>>> {
        while !self.ended {
            let Poll::Ready(response) = self.responses.poll_next_unpin(context) else { return Poll::Pending };
            let channel = self.channel.clone();
            let delivered = match response {
                None => return self.end(DeliverError::Closed { channel }),
                Some(Err(status)) => {
                    return self.end(DeliverError::Failed { channel, source: status.into() });
                }
                Some(Ok(response)) => response.r#type,
            };
            match delivered {
                Some(Delivered::Status(status)) => {
                    match Status::try_from(status).unwrap_or(Status::Unknown) {
                        Status::Success => self.ended = true,
                        status => return self.end(DeliverError::Refused { channel, status }),
                    }
                }
                Some(delivered) => match block(delivered) {
                    Some((number, _)) if self.skip == Some(number) => {
                        self.skip = None;
                        self.expected = number.checked_add(1);
                    }
                    // A gap would pass unnoticed by whoever counts on having seen every block.
                    Some((number, block)) if self.expected.is_none_or(|expected| expected == number) => {
                        self.expected = number.checked_add(1);
                        return Poll::Ready(Some(Ok(block)));
                    }
                    _ => return self.end(DeliverError::Unexpected { channel }),
                },
                None => return self.end(DeliverError::Unexpected { channel }),
            }
        }
        Poll::Ready(None)
    }

    fn end<B>(&mut self, error: DeliverError) -> Poll<Option<Result<B, DeliverError>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl BlockRange {
    /// The request, and a block that it asks for beyond the range.
    ///
    /// A peer that is asked from behind its newest block to its newest block waits for one more and then
    /// streams on for ever. So such a stream is asked for from one block earlier, which is there if the caller
    /// has seen it, and fails on a peer that has less than that.
    fn seek(self) -> (SeekInfo, Option<u64>) {
        let (start, skip) = match (self.start, self.stop) {
            (Start::Number(number), Stop::Newest) if number > 0 => {
                (Start::Number(number - 1), Some(number - 1))
            }
            (start, _) => (start, None),
        };
        let behavior = match self.stop {
            Stop::Newest => SeekBehavior::FailIfNotReady,
            Stop::Number(_) | Stop::Never => SeekBehavior::BlockUntilReady,
        };
        let seek = SeekInfo {
            start: Some(position(match start {
                Start::Oldest => Position::Oldest(SeekOldest {}),
                Start::Newest => Position::Newest(SeekNewest {}),
                Start::NextCommit => Position::NextCommit(SeekNextCommit {}),
                Start::Number(number) => Position::Specified(SeekSpecified { number }),
            })),
            stop: Some(position(match self.stop {
                Stop::Newest => Position::Newest(SeekNewest {}),
                Stop::Number(number) => Position::Specified(SeekSpecified { number }),
                Stop::Never => Position::Specified(SeekSpecified { number: u64::MAX }),
            })),
            behavior: behavior.into(),
            ..SeekInfo::default()
        };
        (seek, skip)
    }
}

pub(crate) fn position(position: Position) -> SeekPosition {
    SeekPosition { r#type: Some(position) }
}

async fn seek_envelope(session: &Session, channel: &str, seek: &SeekInfo) -> Result<Envelope, DeliverError> {
    let header = Header {
        channel_header: ChannelHeader {
            r#type: HeaderType::DeliverSeekInfo.into(),
            timestamp: Some(now()),
            channel_id: channel.to_owned(),
            tls_cert_hash: session.client_certificate_hash.clone(),
            ..ChannelHeader::default()
        }
        .encode_to_vec(),
        signature_header: SignatureHeader { creator: session.creator.clone(), nonce: Vec::new() }
            .encode_to_vec(),
    };
    let payload = Payload { header: Some(header), data: seek.encode_to_vec() }.encode_to_vec();
    let signature = session
        .sign(&payload)
        .await
        .map_err(|source| DeliverError::Sign { channel: channel.to_owned(), source })?;
    Ok(Envelope { payload, signature })
}

/// What a refusal means and what to do about it.
fn refusal(status: Status) -> &'static str {
    match status {
        Status::Forbidden => {
            "this identity may not read them: check the channel's policies and the certificate"
        }
        Status::NotFound => {
            "the peer has no such channel or block: check the channel's name and the peer's height"
        }
        Status::ServiceUnavailable => "the peer can't serve them now: try again later",
        Status::BadRequest => "the request does not fit the ledger: check the range and this machine's clock",
        _ => "see the peer's log",
    }
}
