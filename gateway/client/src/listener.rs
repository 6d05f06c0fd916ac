//! Streams that heal, handed over item by item, each with the checkpoint to keep for it.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use hlf_protos::common::Block;
use hlf_protos::protos::{BlockAndPrivateData, ChaincodeEvent, FilteredBlock};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::deadlines::LIMIT_MAX;
use crate::feed::{
    Batch, Batches, Blocks, Events, Feed, FilteredBlocks, PrivateDataBlocks, StreamError, ids_in, number_of,
};
use crate::session::Session;
use crate::{BlockRange, Checkpoint, Contract, Effect, Gateway, Start, Stop};

/// How long the peer may take to tell its height.
const HEIGHT: Duration = Duration::from_secs(10);
/// How long the stream may take to deliver what the peer has.
const BEHIND: Duration = Duration::from_secs(2);

/// How often the time is doubled after which a stream is opened afresh that nothing more is known of.
const DOUBLED_MAX: u32 = 6;

/// How a listener deals with a stream that breaks or stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The first pause before a stream is opened again; each further one is twice as long, up to the last. 100 ms
    /// by default.
    pub first_pause: Duration,
    /// The longest pause. 10 s by default.
    pub last_pause: Duration,
    /// After how long a silence the peer is asked for its height, to notice a stream that stands still: one filtered
    /// block each time, and the filtered blocks since the last one. Where it can't tell, the stream is opened afresh, after
    /// twice the time each time. 30 s by default.
    pub quiet: Duration,
    /// How long it may go on without a stream before the listener gives up. A stream that stands and has nothing to
    /// deliver counts as one. For ever by default.
    pub give_up_after: Option<Duration>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            last_pause: Duration::from_secs(10),
            quiet: Duration::from_secs(30),
            give_up_after: None,
        }
    }
}

/// One item, and what to keep once its effect is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered<T> {
    /// The event or block.
    pub item: T,
    /// The block it is in, or is.
    pub block_number: u64,
    /// How far the listener got with this item.
    pub checkpoint: Checkpoint,
}

/// Why a listener stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The peer refuses the stream, and would again.
    #[error("`{stream}` can't be listened to")]
    Refused {
        /// What was listened to.
        stream: String,
        /// What the peer said.
        source: StreamError,
    },
    /// There was no stream for as long as [`Listening::give_up_after`].
    #[error("`{stream}` could not be listened to for {} s", after.as_secs())]
    GaveUp {
        /// What was listened to.
        stream: String,
        /// How long.
        after: Duration,
        /// How the last try ended.
        source: StreamError,
    },
    /// The checkpoint is another stream's, or the ledger is another one than it was made on.
    #[error("checkpoint before block {block_number} doesn't fit `{stream}`: {reason}")]
    Checkpoint {
        /// What was listened to.
        stream: String,
        /// The checkpoint's block.
        block_number: u64,
        /// What doesn't fit.
        reason: &'static str,
    },
}

/// Why [`Listener::run`] stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E: std::error::Error + 'static> {
    /// The listener stopped.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The effect failed; running this listener again goes on with the item that failed.
    #[error("effect failed")]
    Effect(#[source] E),
}

/// Listens to blocks or chaincode events without a gap and without repeating, whatever happens to the stream.
///
/// A stream that breaks is opened again after what was handed over last; one that is silent while the peer has
/// something for it is replaced. Errors are final only where trying again can't help.
///
/// [`Start::NextCommit`] and [`Start::Newest`] are made a block's number once, and stay that. A process that ends before
/// its first checkpoint was stored forgets the number: the next one's listener begins anew, behind what came in between.
/// Who can't do without that begins at a number.
pub struct Listener<T> {
    session: Arc<Session>,
    channel: String,
    feed: Box<dyn Feed<T>>,
    listening: Listening,
    begin: Begin,
    /// Where to go on: known once the stream's start is.
    position: Option<Position>,
    batch: std::vec::IntoIter<T>,
    stream: Option<Batches<T>>,
    /// Whether the stream that is open, or was last, delivered anything.
    stream_begun: bool,
    backoff: Backoff,
    open_at: Instant,
    quiet_since: Instant,
    /// How often in a row the stream was opened afresh because the peer can't tell what it has.
    unsure: u32,
    /// Since when there is no stream, and how often one broke.
    broken_since: Option<Instant>,
    interruptions: u64,
    last_interruption: Option<String>,
    /// A block that the stream should have delivered by this time.
    missing: Option<(u64, Instant)>,
    begun: bool,
}

#[derive(Clone, Debug)]
enum Begin {
    At(Start),
    After { block_number: u64, tx_id: String },
    Checkpoint(Checkpoint),
}

#[derive(Clone, Debug)]
struct Position {
    block: u64,
    skip: Skip,
}

/// What of a block was handed over already.
#[derive(Clone, Debug)]
enum Skip {
    /// So many items; the last of them was this transaction's.
    First { done: u64, tx_id: String },
    /// What these transactions emitted.
    Of(Vec<String>),
}

impl Contract {
    /// Listens to the chaincode's events of VALID transactions.
    pub fn listen(&self, from: Start) -> Listener<ChaincodeEvent> {
        let (session, channel) = (Arc::clone(self.gateway().session()), self.channel().to_owned());
        let chaincode = self.chaincode().to_owned();
        let feed = Events { session: Arc::clone(&session), channel: channel.clone(), chaincode };
        Listener::new(session, channel, Box::new(feed), Begin::At(from))
    }

    /// Listens to the chaincode's events after those of a transaction, which is in this block, whether or not it
    /// emitted one.
    ///
    /// A gateway that is asked for events after a transaction without an event never delivers any. So its block is
    /// asked for, and what comes before is skipped here.
    pub fn listen_after(&self, block_number: u64, tx_id: impl Into<String>) -> Listener<ChaincodeEvent> {
        let begin = Begin::After { block_number, tx_id: tx_id.into() };
        Listener { begin, ..self.listen(Start::Number(block_number)) }
    }
}

impl Gateway {
    /// Listens to whole blocks of a channel.
    pub fn listen_to_blocks(&self, channel: &str, from: Start) -> Listener<Block> {
        let feed = Blocks { session: Arc::clone(self.session()), channel: channel.to_owned() };
        Listener::new(Arc::clone(self.session()), channel.to_owned(), Box::new(feed), Begin::At(from))
    }

    /// Listens to whole blocks of a channel with the private data that the peer holds for them and this identity's
    /// organisation may see.
    ///
    /// A peer that was down when private data was handed round commits the block without it, and delivers it so; it
    /// fetches the data later from others, and never delivers the block again.
    pub fn listen_to_blocks_with_private_data(
        &self,
        channel: &str,
        from: Start,
    ) -> Listener<BlockAndPrivateData> {
        let feed = PrivateDataBlocks { session: Arc::clone(self.session()), channel: channel.to_owned() };
        Listener::new(Arc::clone(self.session()), channel.to_owned(), Box::new(feed), Begin::At(from))
    }

    /// Listens to a channel's blocks reduced to transaction ids, verdicts and events without payload.
    ///
    /// A peer can't reduce a block with a transaction that can't be decoded, which any member may have ordered: it says
    /// BAD_REQUEST, and the listener ends before that block. Whole blocks, and events, go on.
    pub fn listen_to_filtered_blocks(&self, channel: &str, from: Start) -> Listener<FilteredBlock> {
        let feed = FilteredBlocks { session: Arc::clone(self.session()), channel: channel.to_owned() };
        Listener::new(Arc::clone(self.session()), channel.to_owned(), Box::new(feed), Begin::At(from))
    }
}

impl<T: Send + 'static> Listener<T> {
    fn new(session: Arc<Session>, channel: String, feed: Box<dyn Feed<T>>, begin: Begin) -> Self {
        let listening = Listening::default();
        Self {
            session,
            channel,
            feed,
            listening,
            begin,
            position: None,
            batch: Vec::new().into_iter(),
            stream: None,
            stream_begun: false,
            backoff: Backoff::new(listening.first_pause, listening.last_pause),
            open_at: Instant::now(),
            quiet_since: Instant::now(),
            unsure: 0,
            broken_since: None,
            interruptions: 0,
            last_interruption: None,
            missing: None,
            begun: false,
        }
    }

    /// Deals otherwise with a stream that breaks or stands still.
    #[must_use]
    pub fn with(mut self, listening: Listening) -> Self {
        self.listening = listening;
        self.backoff = Backoff::new(listening.first_pause, listening.last_pause);
        self
    }

    /// Goes on after a checkpoint, wherever the listener was.
    pub fn resume(&mut self, checkpoint: Checkpoint) {
        self.begin = Begin::Checkpoint(checkpoint);
        self.restart();
    }

    /// How often the stream broke or stood still.
    pub fn interruptions(&self) -> u64 {
        self.interruptions
    }

    /// Why it did last.
    pub fn last_interruption(&self) -> Option<&str> {
        self.last_interruption.as_deref()
    }

    /// Applies all items to an effect, from its checkpoint on, until something fails for good.
    ///
    /// Dropping the returned future stops it anywhere; running again goes on from the effect's checkpoint, or where this
    /// listener began if there is none yet.
    pub async fn run<E: Effect<T>>(&mut self, effect: &mut E) -> Result<Infallible, RunError<E::Error>> {
        match effect.checkpoint().await.map_err(RunError::Effect)? {
            Some(checkpoint) => self.resume(checkpoint),
            None => self.restart(),
        }
        loop {
            let Delivered { item, checkpoint, .. } = self.next().await?;
            effect.apply(item, &checkpoint).await.map_err(RunError::Effect)?;
        }
    }

    /// The next item; dropping the returned future loses none.
    pub async fn next(&mut self) -> Result<Delivered<T>, ListenError> {
        loop {
            if let Some(delivered) = self.of_batch() {
                return Ok(delivered);
            }
            if let Err(error) = self.advance().await? {
                self.interrupted(error)?;
            }
        }
    }

    fn restart(&mut self) {
        self.position = None;
        self.batch = Vec::new().into_iter();
        self.stream = None;
        self.stream_begun = false;
        self.missing = None;
        self.quiet_since = Instant::now();
    }

    fn of_batch(&mut self) -> Option<Delivered<T>> {
        let item = self.batch.next()?;
        let position = self.position.as_mut()?;
        let block_number = position.block;
        let tx_id = self.feed.tx_id(&item);
        let done = match &position.skip {
            Skip::First { done, .. } => done + 1,
            Skip::Of(_) => 1,
        };
        position.skip = Skip::First { done, tx_id };
        if self.batch.len() == 0 {
            // A block that has none after it is not taken.
            *position = Position::whole(block_number.saturating_add(1));
        }
        let (done, tx_id) = match &position.skip {
            Skip::First { done, tx_id } => (*done, tx_id.clone()),
            Skip::Of(_) => (0, String::new()),
        };
        let checkpoint = Checkpoint { stream: self.feed.name(), block_number: position.block, done, tx_id };
        Some(Delivered { item, block_number, checkpoint })
    }

    /// Gets one step nearer to the next item; what broke the stream is told as a value.
    async fn advance(&mut self) -> Result<Result<(), StreamError>, ListenError> {
        let Some(position) = self.position.clone() else {
            return self.find_position().await;
        };
        let Some(stream) = &mut self.stream else {
            sleep_until(self.open_at).await;
            // That is to sign the request and to send it: what is answered comes later.
            let opened = timeout(HEIGHT, self.feed.open(position.block)).await;
            return Ok(opened.unwrap_or_else(|_| Err(self.silent(position.block))).map(|stream| {
                self.stream = Some(stream);
                self.stream_begun = false;
                self.quiet_since = Instant::now();
                self.missing = None;
            }));
        };
        // A stream may take its time to begin: each that is opened afresh is given more.
        let doubled = 2_u32.pow(self.unsure.min(DOUBLED_MAX));
        let quiet = (self.listening.quiet.min(LIMIT_MAX) * doubled).min(LIMIT_MAX);
        let missing = async {
            match self.missing {
                Some((_, by)) => sleep_until(by).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            batch = stream.next() => match batch {
                Some(Ok(batch)) => self.take(batch),
                Some(Err(error)) => Ok(Err(error)),
                None => Ok(Err(crate::DeliverError::Closed { channel: self.channel.clone() }.into())),
            },
            () = missing => {
                let block_number = self.missing.take().map_or(position.block, |(number, _)| number);
                Ok(Err(StreamError::Stalled { channel: self.channel.clone(), block_number }))
            }
            () = sleep_until(self.quiet_since + quiet), if self.missing.is_none() => {
                Ok(self.after_silence(position.block).await)
            }
        }
    }

    /// Finds where the stream starts, once and for all: a stream from "the next commit" that breaks before its first
    /// block would otherwise start over behind what it missed.
    async fn find_position(&mut self) -> Result<Result<(), StreamError>, ListenError> {
        sleep_until(self.open_at).await;
        let position = match &self.begin {
            Begin::Checkpoint(checkpoint) => self.of_checkpoint(checkpoint)?,
            Begin::At(Start::Number(number)) => Position::whole(*number),
            Begin::At(start) => {
                let next = *start == Start::NextCommit;
                let start = if next { Start::Newest } else { *start };
                let found = number_of(&self.session, &self.channel, start);
                let found = timeout(HEIGHT, found).await.unwrap_or_else(|_| Err(self.silent(0)));
                let first = found.and_then(|number| {
                    number.checked_add(u64::from(next)).ok_or_else(|| unexpected(&self.channel))
                });
                match first {
                    // It stays that when the listener is run again, which would else begin behind what failed.
                    Ok(number) => {
                        self.begin = Begin::At(Start::Number(number));
                        Position::whole(number)
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
            Begin::After { block_number, tx_id } => {
                let ids = ids_in(&self.session, &self.channel, *block_number);
                let ids = timeout(HEIGHT, ids).await.unwrap_or_else(|_| Err(self.silent(*block_number)));
                let mut ids = match ids {
                    Ok(ids) => ids,
                    Err(error) => return Ok(Err(error)),
                };
                let Some(last) = ids.iter().position(|id| id == tx_id) else {
                    return Err(self.unfit(*block_number, "the block doesn't hold that transaction"));
                };
                ids.truncate(last + 1);
                Position { block: *block_number, skip: Skip::Of(ids) }
            }
        };
        self.position = Some(position);
        Ok(Ok(()))
    }

    fn of_checkpoint(&self, checkpoint: &Checkpoint) -> Result<Position, ListenError> {
        if checkpoint.stream != self.feed.name() {
            return Err(self.unfit(checkpoint.block_number, "it is of another stream"));
        }
        let Checkpoint { block_number: block, done, tx_id, .. } = checkpoint.clone();
        Ok(Position { block, skip: Skip::First { done, tx_id } })
    }

    /// Takes a block's items, without those that were handed over.
    fn take(&mut self, (number, mut items): Batch<T>) -> Result<Result<(), StreamError>, ListenError> {
        let Some(after) = number.checked_add(1) else { return Ok(Err(unexpected(&self.channel))) };
        let begins = self.position.get_or_insert_with(|| Position::whole(number));
        self.begun = true;
        self.stream_begun = true;
        self.unsure = 0;
        self.broken_since = None;
        self.backoff.reset();
        self.quiet_since = Instant::now();
        if self.missing.is_some_and(|(missing, _)| missing <= number) {
            self.missing = None;
        }
        if number < begins.block {
            return Ok(Ok(()));
        }
        if number > begins.block {
            *begins = Position::whole(number);
        }
        let tx_of = |items: &[T], index: usize| items.get(index).map(|item| self.feed.tx_id(item));
        let skipped = match &begins.skip {
            Skip::First { done: 0, .. } => 0,
            Skip::First { done, tx_id } => {
                let skipped = usize::try_from(*done).unwrap_or(usize::MAX);
                if tx_of(&items, skipped - 1).is_none_or(|found| found != *tx_id) {
                    return Err(self.unfit(number, "the block holds other transactions than it was made on"));
                }
                skipped
            }
            Skip::Of(ids) => items.iter().take_while(|item| ids.contains(&self.feed.tx_id(item))).count(),
        };
        if skipped > 0 {
            let tx_id = tx_of(&items, skipped - 1).unwrap_or_default();
            begins.skip = Skip::First { done: skipped as u64, tx_id };
        }
        self.batch = items.split_off(skipped).into_iter();
        if self.batch.len() == 0 {
            self.position = Some(Position::whole(after));
        }
        Ok(Ok(()))
    }

    /// After a silence: whether the stream stands, as far as the peer tells.
    async fn after_silence(&mut self, next: u64) -> Result<(), StreamError> {
        match self.look_behind(next).await {
            Ok(()) => self.unsure = 0,
            Err(StreamError::Blocks(crate::DeliverError::Sign { .. })) => self.quiet_since = Instant::now(),
            // Who may not see what the peer has, or can't be shown it for want of one block that can't be reduced, has the
            // stream opened afresh instead. The peer answers, so that's no break.
            Err(error) if error.is_lasting(false, false) => {
                tracing::debug!(stream = self.feed.name(), error = %error, "stream is opened afresh");
                self.stream = None;
                self.missing = None;
                self.unsure = self.unsure.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
        if self.missing.is_none() {
            self.broken_since = None;
            self.backoff.reset();
        }
        Ok(())
    }

    /// Whether the peer has something that the stream should have delivered.
    async fn look_behind(&mut self, next: u64) -> Result<(), StreamError> {
        let height = number_of(&self.session, &self.channel, Start::Newest);
        let newest = timeout(HEIGHT, height).await.unwrap_or_else(|_| Err(self.silent(next)))?;
        self.quiet_since = Instant::now();
        // One after the other, so that a long silence on a busy channel takes no memory.
        if newest >= next {
            let range = BlockRange { start: Start::Number(next), stop: Stop::Number(newest) };
            let request = crate::BlockRequest::new(Arc::clone(&self.session), &self.channel, range);
            let Ok(blocks) = timeout(HEIGHT, request.filtered_blocks()).await else {
                return Err(self.silent(next));
            };
            let mut blocks = blocks?;
            loop {
                let Ok(block) = timeout(HEIGHT, blocks.next()).await else { return Err(self.silent(next)) };
                match block? {
                    Some(block) if self.feed.concerns(&block) => {
                        self.missing = Some((block.number, Instant::now() + BEHIND));
                        return Ok(());
                    }
                    // Nothing for this stream was in it: it needn't be asked for again.
                    Some(block) => {
                        let after = block.number.checked_add(1).ok_or_else(|| unexpected(&self.channel))?;
                        self.position = Some(Position::whole(after));
                    }
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Gets ready to open the stream again, unless that can't help.
    fn interrupted(&mut self, error: StreamError) -> Result<(), ListenError> {
        self.stream = None;
        self.missing = None;
        self.interruptions += 1;
        self.last_interruption = Some(error.to_string());
        let stream = self.feed.name();
        tracing::debug!(stream, error = %error, "stream is opened again");
        if error.is_lasting(self.begun, self.stream_begun) {
            return Err(ListenError::Refused { stream, source: error });
        }
        let now = Instant::now();
        let since = *self.broken_since.get_or_insert(now);
        if let Some(after) = self.listening.give_up_after.filter(|after| now - since >= *after) {
            self.broken_since = None;
            return Err(ListenError::GaveUp { stream, after, source: error });
        }
        self.open_at = now + self.backoff.pause();
        Ok(())
    }

    fn silent(&self, block_number: u64) -> StreamError {
        StreamError::Stalled { channel: self.channel.clone(), block_number }
    }

    fn unfit(&self, block_number: u64, reason: &'static str) -> ListenError {
        ListenError::Checkpoint { stream: self.feed.name(), block_number, reason }
    }
}

/// A block that can't be: none has the last number that there is.
fn unexpected(channel: &str) -> StreamError {
    crate::DeliverError::Unexpected { channel: channel.to_owned() }.into()
}

impl Position {
    fn whole(block: u64) -> Self {
        Self { block, skip: Skip::First { done: 0, tx_id: String::new() } }
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Listener")
            .field("stream", &self.feed.name())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
