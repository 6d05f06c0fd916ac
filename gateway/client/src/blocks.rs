//! Streams of committed blocks.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use hlf_protos::common::{Block, Status};
use hlf_protos::protos::deliver_response::Type as Delivered;
use hlf_protos::protos::{BlockAndPrivateData, DeliverResponse, FilteredBlock};

use crate::block_range::Seek;
use crate::responses::Responses;
use crate::{CallFailure, SignError};

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
pub struct BlockStream(pub(crate) Deliveries);

/// A stream of blocks reduced to transaction ids, verdicts and events without payload.
#[derive(Debug)]
pub struct FilteredBlockStream(pub(crate) Deliveries);

/// A stream of whole blocks with private data.
#[derive(Debug)]
pub struct PrivateDataBlockStream(pub(crate) Deliveries);

impl BlockStream {
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

impl PrivateDataBlockStream {
    /// The next block, with the private writes of its transactions by their index; `None` after the last one of the
    /// range.
    ///
    /// A peer leaves out what it does not hold, such as data of collections that its organisation is no member of, and
    /// what the asking organisation may not see.
    pub async fn next(&mut self) -> Result<Option<BlockAndPrivateData>, DeliverError> {
        StreamExt::next(self).await.transpose()
    }
}

impl Stream for PrivateDataBlockStream {
    type Item = Result<BlockAndPrivateData, DeliverError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context, |delivered| match delivered {
            Delivered::BlockAndPrivateData(both) => {
                let number = both.block.as_ref()?.header.as_ref()?.number;
                Some((number, both))
            }
            _ => None,
        })
    }
}

/// What all kinds of stream share: they end with a status, and only SUCCESS is an end as asked for.
#[derive(Debug)]
pub(crate) struct Deliveries {
    channel: String,
    responses: Responses<DeliverResponse>,
    /// A block that was asked for only to find the end of the ledger.
    skip: Option<u64>,
    /// The number that the next block must have, if it is known.
    expected: Option<u64>,
    /// The number of the last block, if it is known.
    last: Option<u64>,
    seen: Option<u64>,
    ended: bool,
}

impl Deliveries {
    pub(crate) fn new(channel: &str, seek: &Seek, responses: Responses<DeliverResponse>) -> Self {
        Self {
            channel: channel.to_owned(),
            responses,
            skip: seek.skip,
            expected: seek.first,
            last: seek.last,
            seen: None,
            ended: false,
        }
    }

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
                        Status::Success if self.is_complete() => self.ended = true,
                        Status::Success => return self.end(DeliverError::Closed { channel }),
                        status => return self.end(DeliverError::Refused { channel, status }),
                    }
                }
                Some(delivered) => match block(delivered) {
                    // A gap would pass unnoticed by whoever counts on having seen every block.
                    Some((number, block)) if self.expected.is_none_or(|expected| expected == number) => {
                        self.seen = Some(number);
                        self.expected = number.checked_add(1);
                        if self.skip.take() != Some(number) {
                            return Poll::Ready(Some(Ok(block)));
                        }
                    }
                    _ => return self.end(DeliverError::Unexpected { channel }),
                },
                None => return self.end(DeliverError::Unexpected { channel }),
            }
        }
        Poll::Ready(None)
    }

    /// Whether nothing that was asked for is missing.
    fn is_complete(&self) -> bool {
        self.skip.is_none() && self.last.is_none_or(|last| self.seen == Some(last))
    }

    fn end<B>(&mut self, error: DeliverError) -> Poll<Option<Result<B, DeliverError>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
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
        Status::BadRequest => {
            "the request does not fit the ledger: check the range, this machine's clock and, under mutual TLS, that \
             the request is bound to the client certificate that the connection shows"
        }
        _ => "see the peer's log",
    }
}
