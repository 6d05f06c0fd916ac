//! Which blocks a stream delivers.

use std::ops::{RangeFrom, RangeFull, RangeInclusive};

use hlf_protos::orderer::{
    SeekInfo, SeekNewest, SeekNextCommit, SeekOldest, SeekPosition, SeekSpecified, seek_info::SeekBehavior,
    seek_position::Type as Position,
};

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

/// What a peer is asked for so that it delivers a range, and what it must then deliver.
pub(crate) struct Seek {
    pub(crate) request: SeekInfo,
    /// A block before the range that is asked for only to find the end of the ledger.
    pub(crate) skip: Option<u64>,
    /// The number of the first block delivered, if it is known.
    pub(crate) first: Option<u64>,
    /// The number of the last block, if it is known.
    pub(crate) last: Option<u64>,
}

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

impl BlockRange {
    /// The request for the range.
    ///
    /// A peer that is asked from behind its newest block to its newest block waits for one more and then
    /// streams on for ever. So such a stream is asked for from one block earlier, which is there if the caller
    /// has seen it, and fails on a peer that has less than that.
    pub(crate) fn seek(self) -> Seek {
        let (start, skip) = match (self.start, self.stop) {
            (Start::Number(number), Stop::Newest) if number > 0 => {
                (Start::Number(number - 1), Some(number - 1))
            }
            (start, _) => (start, None),
        };
        let (start, first) = match start {
            Start::Oldest => (Position::Oldest(SeekOldest {}), None),
            Start::Newest => (Position::Newest(SeekNewest {}), None),
            Start::NextCommit => (Position::NextCommit(SeekNextCommit {}), None),
            Start::Number(number) => (Position::Specified(SeekSpecified { number }), Some(number)),
        };
        let (stop, last, behavior) = match self.stop {
            Stop::Newest => (Position::Newest(SeekNewest {}), None, SeekBehavior::FailIfNotReady),
            Stop::Number(number) => {
                (Position::Specified(SeekSpecified { number }), Some(number), SeekBehavior::BlockUntilReady)
            }
            Stop::Never => (
                Position::Specified(SeekSpecified { number: u64::MAX }),
                Some(u64::MAX),
                SeekBehavior::BlockUntilReady,
            ),
        };
        let request = SeekInfo {
            start: Some(position(start)),
            stop: Some(position(stop)),
            behavior: behavior.into(),
            ..SeekInfo::default()
        };
        Seek { request, skip, first, last }
    }
}

impl Seek {
    /// What a request of any client must be answered with; none if it names no start or no stop.
    pub(crate) fn of(request: SeekInfo) -> Option<Self> {
        let first = match request.start?.r#type? {
            Position::Specified(SeekSpecified { number }) => Some(number),
            Position::Oldest(_) | Position::Newest(_) | Position::NextCommit(_) => None,
        };
        let last = match request.stop?.r#type? {
            Position::Specified(SeekSpecified { number }) => Some(number),
            Position::Oldest(_) | Position::Newest(_) | Position::NextCommit(_) => None,
        };
        Some(Self { request, skip: None, first, last })
    }
}

pub(crate) fn position(position: Position) -> SeekPosition {
    SeekPosition { r#type: Some(position) }
}
