//! Asking the peer about the ledger: one request at a time for each transaction.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeAdditionalParams, ChaincodeMessage, QueryStateClose};
use prost::Message;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use tracing::debug;

use crate::key::KeyError;
use crate::policy::PolicyError;
use crate::response::{Failure, code};

/// Records in a batch if a peer offers batches and names no size.
const BATCH_RECORDS_DEFAULT: usize = 100;

/// Messages on their way to the peer.
pub(crate) type Outbound = mpsc::Sender<Result<ChaincodeMessage, Status>>;

/// Why a read or a write of the ledger failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The stream to the peer has ended.
    #[error("the stream to the peer has ended: the peer proposes again once it has reconnected")]
    StreamLost,
    /// The peer was silent for too long.
    #[error("the peer did not answer a {request} within {} ms", after.as_millis())]
    TimedOut {
        /// Name of the message that was sent, as in Fabric's `chaincode_shim.proto`.
        request: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The peer answered with an error.
    #[error("the peer refused a {request}: {reason}")]
    Refused {
        /// Name of the message that was sent.
        request: &'static str,
        /// The peer's own words.
        reason: String,
    },
    /// The peer's answer does not decode or breaks the protocol.
    #[error("the peer's answer to a {request} is invalid: {reason}")]
    ReplyInvalid {
        /// Name of the message that was sent.
        request: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The peer answered a multi-get with another number of values than keys.
    ///
    /// A peer whose state database fails answers with no values at all, so this never means "absent".
    #[error("the peer answered {asked} keys with {answered} values: its state database may have failed")]
    ShortReply {
        /// Keys asked for.
        asked: usize,
        /// Values received.
        answered: usize,
    },
    /// A scan reached the number of entries at which the peer stops without a word.
    #[error("a scan reached {limit} entries, where peers stop silently: scan in pages")]
    ScanTruncated {
        /// Entries read.
        limit: u64,
    },
    /// A scan did not get the results that it asked for, so that what follows is unknown.
    #[error("a scan failed or was left while it waited for its next results: scan again")]
    ScanInterrupted,
    /// A bookmark lies outside the range it was given for; the peer would not check it.
    #[error("bookmark lies outside the range that is scanned: pass back the one of the previous page")]
    BookmarkInvalid,
    /// Something that is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value without bytes, which Fabric takes as a deletion.
    #[error("value is empty, which Fabric takes as a deletion: delete the key instead")]
    ValueEmpty,
    /// More bytes than fit into a message.
    #[error("{bytes} bytes exceed the {bytes_max} that may be sent")]
    TooLarge {
        /// Bytes to be sent: of a request with what surrounds it, of an event, or over all writes of the transaction.
        bytes: usize,
        /// Bytes allowed, see [`Limits::message_bytes`](crate::Limits::message_bytes).
        bytes_max: usize,
    },
    /// An event without a name, which peers drop.
    #[error("event has no name")]
    EventUnnamed,
    /// A function that is declared evaluate-only wrote.
    #[error("function is declared evaluate-only and cannot write: register it with `submit`")]
    ReadOnly,
    /// A private collection without a name, which would be the public state.
    #[error("collection has no name: name one of the chaincode's definition, or an organisation")]
    CollectionUnnamed,
    /// Other chaincode whose name is empty or holds `/`, which separates chaincode and channel.
    #[error("chaincode or channel to call has an empty name or one with `/`")]
    CalleeInvalid,
    /// Pages or scans of private data beside writes, which peers refuse.
    #[error(
        "transaction reads pages or scans private data and writes, which Fabric refuses: do it in two transactions"
    )]
    QueriedAndWrote,
    /// Something that is no signature policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// In strict mode, a read that Fabric answers with the state before the transaction's own write.
    #[error(
        "key was written earlier in this transaction, and a read does not see that: keep the value instead"
    )]
    ReadAfterWrite,
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (status, code) = match &error {
            LedgerError::StreamLost | LedgerError::TimedOut { .. } => (503, code::LEDGER_UNAVAILABLE),
            LedgerError::Refused { .. } => (500, code::LEDGER_REFUSED),
            LedgerError::ReplyInvalid { .. } | LedgerError::ShortReply { .. } => {
                (500, code::LEDGER_REPLY_INVALID)
            }
            LedgerError::ScanTruncated { .. } | LedgerError::ScanInterrupted => (500, code::SCAN_TRUNCATED),
            LedgerError::BookmarkInvalid => (400, code::BOOKMARK_INVALID),
            LedgerError::Key(_) => (400, code::KEY_INVALID),
            LedgerError::ValueEmpty | LedgerError::TooLarge { .. } | LedgerError::EventUnnamed => {
                (500, code::WRITE_INVALID)
            }
            LedgerError::CollectionUnnamed | LedgerError::CalleeInvalid => (500, code::NAME_INVALID),
            LedgerError::QueriedAndWrote => (500, code::QUERIED_AND_WROTE),
            LedgerError::Policy(_) => (500, code::POLICY_INVALID),
            LedgerError::ReadOnly => (500, code::EVALUATE_WROTE),
            LedgerError::ReadAfterWrite => (500, code::READ_AFTER_WRITE),
        };
        Failure::new(status, code).caused_by(error)
    }
}

/// What the peer can do beyond single reads and writes, as it said when the stream became ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Most records in one write batch, `None` if the peer takes none.
    pub(crate) write_batch: Option<usize>,
    /// Most keys in one multi-get, `None` if the peer takes none.
    pub(crate) multi_get: Option<usize>,
}

impl Offer {
    /// Reads the payload of READY; what is empty or does not decode offers nothing.
    pub(crate) fn from_ready(payload: &[u8]) -> Self {
        let params = ChaincodeAdditionalParams::decode(payload).unwrap_or_default();
        let size = |offered: bool, size: u32| {
            offered.then(|| match usize::try_from(size) {
                Ok(0) | Err(_) => BATCH_RECORDS_DEFAULT,
                Ok(size) => size,
            })
        };
        Self {
            write_batch: size(params.use_write_batch, params.max_size_write_batch),
            multi_get: size(params.use_get_multiple_keys, params.max_size_get_multiple_keys),
        }
    }
}

/// Where the stream puts the answer that a transaction waits for.
#[derive(Debug, Default)]
pub(crate) struct ReplySlot(Mutex<Waiting>);

#[derive(Debug, Default)]
enum Waiting {
    #[default]
    Nobody,
    For(oneshot::Sender<ChaincodeMessage>),
    StreamLost,
}

impl ReplySlot {
    /// Hands over an answer; `false` if nobody asked.
    pub(crate) fn deliver(&self, reply: ChaincodeMessage) -> bool {
        let mut waiting = self.lock();
        match std::mem::take(&mut *waiting) {
            Waiting::For(asker) => {
                // An asker that has given up still asked: its answer is used up here.
                let _ = asker.send(reply);
                true
            }
            Waiting::Nobody => false,
            Waiting::StreamLost => {
                *waiting = Waiting::StreamLost;
                false
            }
        }
    }

    /// Fails who waits now and who asks later; `true` if the peer still owes an answer.
    pub(crate) fn lose(&self) -> bool {
        matches!(std::mem::replace(&mut *self.lock(), Waiting::StreamLost), Waiting::For(_))
    }

    fn expect(&self) -> Result<oneshot::Receiver<ChaincodeMessage>, LedgerError> {
        let mut waiting = self.lock();
        if matches!(*waiting, Waiting::StreamLost) {
            return Err(LedgerError::StreamLost);
        }
        let (asker, reply) = oneshot::channel();
        *waiting = Waiting::For(asker);
        Ok(reply)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction's line to the peer.
///
/// Fabric answers one request at a time for a transaction and drops a second one without a reply,
/// so requests take turns. A caller that stops waiting leaves its answer outstanding; the next
/// request first takes that answer off the line, or it would be mistaken for its own. Whoever has the
/// turn first closes the scans that were dropped since.
#[derive(Debug)]
pub(crate) struct Line {
    channel: String,
    tx_id: String,
    outbound: Outbound,
    slot: Arc<ReplySlot>,
    /// Held while a request is under way: that is the turn.
    outstanding: tokio::sync::Mutex<Outstanding>,
    /// Scans that were dropped open, by the ids that the peer gave them, and were not closed yet.
    dropped: Mutex<VecDeque<String>>,
    /// A request got no answer in time.
    peer_is_silent: AtomicBool,
    order: TurnOrder,
    limits: LineLimits,
    round_trips: AtomicU64,
}

/// The answer that is yet to come, if its asker no longer waits.
type Outstanding = Option<oneshot::Receiver<ChaincodeMessage>>;

/// What one request may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineLimits {
    pub(crate) reply_within: Duration,
    pub(crate) message_bytes_max: usize,
}

/// In which order requests that are made at once take their turns.
#[derive(Debug)]
pub(crate) enum TurnOrder {
    /// As they were made.
    Arrival,
    /// Otherwise than they were made, so that a contract that relies on it shows. Counts requests.
    Shuffled(AtomicU64),
}

impl TurnOrder {
    /// Lets requests that were made at the same time go ahead of every other one.
    async fn queue(&self) {
        if let Self::Shuffled(asked) = self
            && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
        {
            tokio::task::yield_now().await;
        }
    }
}

impl Line {
    pub(crate) fn new(
        (channel, tx_id): (String, String),
        outbound: Outbound,
        slot: Arc<ReplySlot>,
        order: TurnOrder,
        limits: LineLimits,
    ) -> Self {
        Self {
            channel,
            tx_id,
            outbound,
            slot,
            outstanding: tokio::sync::Mutex::new(None),
            dropped: Mutex::default(),
            peer_is_silent: AtomicBool::new(false),
            order,
            limits,
            round_trips: AtomicU64::new(0),
        }
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn tx_id(&self) -> &str {
        &self.tx_id
    }

    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Sends one request and waits for the payload of its answer.
    pub(crate) async fn ask(&self, kind: Type, payload: &impl Message) -> Result<Vec<u8>, LedgerError> {
        let message = self.message(kind, payload);
        let (bytes, bytes_max) = (message.encoded_len(), self.limits.message_bytes_max);
        if bytes > bytes_max {
            return Err(LedgerError::TooLarge { bytes, bytes_max });
        }
        self.in_time(kind, async {
            self.order.queue().await;
            let mut turn = self.turn().await?;
            match self.close_dropped(&mut turn).await {
                // What became of a scan that somebody dropped is not this request's matter.
                Err(LedgerError::Refused { reason, .. }) => debug!(reason, "the peer did not close a scan"),
                closed => closed?,
            }
            let room = self.outbound.reserve().await.map_err(|_| LedgerError::StreamLost)?;
            self.exchange(&mut turn, room, message).await
        })
        .await
    }

    /// Notes that a scan was dropped open, by its id. It is closed before the next request, at the latest
    /// by [`close_scans`](Self::close_scans).
    pub(crate) fn drop_scan(&self, id: String) {
        self.dropped().push_back(id);
    }

    /// Closes the scans that were dropped.
    pub(crate) async fn close_scans(&self) -> Result<(), LedgerError> {
        if self.dropped().is_empty() {
            return Ok(());
        }
        self.in_time(Type::QueryStateClose, async {
            let mut turn = self.turn().await?;
            self.close_dropped(&mut turn).await
        })
        .await
    }

    /// Whether a request got no answer in time, so that another one would wait in vain as well.
    pub(crate) fn peer_is_silent(&self) -> bool {
        self.peer_is_silent.load(Ordering::Relaxed)
    }

    fn message(&self, kind: Type, payload: &impl Message) -> ChaincodeMessage {
        ChaincodeMessage {
            r#type: kind.into(),
            payload: payload.encode_to_vec(),
            txid: self.tx_id.clone(),
            channel_id: self.channel.clone(),
            ..ChaincodeMessage::default()
        }
    }

    async fn in_time<T>(
        &self,
        kind: Type,
        asking: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let after = self.limits.reply_within;
        tokio::time::timeout(after, asking).await.unwrap_or_else(|_| {
            self.peer_is_silent.store(true, Ordering::Relaxed);
            Err(LedgerError::TimedOut { request: kind.as_str_name(), after })
        })
    }

    /// Waits for the turn, and for the answer that whoever had it before left behind.
    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, Outstanding>, LedgerError> {
        let mut turn = self.outstanding.lock().await;
        if let Some(abandoned) = turn.as_mut() {
            abandoned.await.map_err(|_| LedgerError::StreamLost)?;
            *turn = None;
        }
        Ok(turn)
    }

    /// Sends one QUERY_STATE_CLOSE for each scan that was dropped; answers with the first refusal.
    async fn close_dropped(&self, turn: &mut Outstanding) -> Result<(), LedgerError> {
        let mut closed = Ok(());
        while !self.dropped().is_empty() {
            let room = self.outbound.reserve().await.map_err(|_| LedgerError::StreamLost)?;
            // Taken off when it is sent and no earlier, or one that stops waiting here would lose it.
            let Some(id) = self.dropped().pop_front() else { break };
            let message = self.message(Type::QueryStateClose, &QueryStateClose { id });
            match self.exchange(turn, room, message).await {
                Err(LedgerError::StreamLost) => return Err(LedgerError::StreamLost),
                answered => closed = closed.and(answered.map(|_| ())),
            }
        }
        closed
    }

    /// Sends a message and waits for the payload of its answer.
    async fn exchange(
        &self,
        turn: &mut Outstanding,
        room: mpsc::Permit<'_, Result<ChaincodeMessage, Status>>,
        message: ChaincodeMessage,
    ) -> Result<Vec<u8>, LedgerError> {
        let request = Type::try_from(message.r#type).unwrap_or_default().as_str_name();
        let reply = turn.insert(self.slot.expect()?);
        room.send(Ok(message));
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let reply = reply.await.map_err(|_| LedgerError::StreamLost);
        *turn = None;
        let reply = reply?;
        match Type::try_from(reply.r#type) {
            Ok(Type::Response) => Ok(reply.payload),
            Ok(Type::Error) => Err(LedgerError::Refused {
                request,
                reason: String::from_utf8_lossy(&reply.payload).into_owned(),
            }),
            _ => Err(LedgerError::ReplyInvalid { request, reason: "it is neither RESPONSE nor ERROR" }),
        }
    }

    fn dropped(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use hlf_protos::protos::GetState;

    fn line(
        reply_within: Duration,
    ) -> (Line, Arc<ReplySlot>, mpsc::Receiver<Result<ChaincodeMessage, Status>>) {
        let (outbound, sent) = mpsc::channel(8);
        let slot = Arc::new(ReplySlot::default());
        let limits = LineLimits { reply_within, message_bytes_max: 1024 };
        let (id, order) = (("channel".into(), "tx".into()), TurnOrder::Arrival);
        (Line::new(id, outbound, Arc::clone(&slot), order, limits), slot, sent)
    }

    fn reply(kind: Type, payload: &[u8]) -> ChaincodeMessage {
        ChaincodeMessage { r#type: kind.into(), payload: payload.to_vec(), ..Default::default() }
    }

    #[tokio::test]
    async fn an_abandoned_answer_is_never_taken_for_the_next_one() {
        let (line, slot, mut sent) = line(Duration::from_secs(10));
        let get = GetState::default();
        assert!(line.ask(Type::GetState, &get).now_or_never().is_none());
        sent.recv().await.unwrap().unwrap();

        let second = line.ask(Type::GetState, &get);
        tokio::pin!(second);
        assert!((&mut second).now_or_never().is_none());
        assert!(sent.try_recv().is_err(), "the second request waits for the first answer");
        assert!(slot.deliver(reply(Type::Response, b"first")));
        assert!((&mut second).now_or_never().is_none());
        sent.recv().await.unwrap().unwrap();
        assert!(slot.deliver(reply(Type::Response, b"second")));
        assert_eq!(second.await.unwrap(), b"second");
        assert_eq!(line.round_trips(), 2);
    }

    #[tokio::test]
    async fn requests_of_one_transaction_take_turns() {
        let (line, slot, mut sent) = line(Duration::from_secs(10));
        let get = GetState::default();
        let both = async { tokio::join!(line.ask(Type::GetState, &get), line.ask(Type::GetState, &get)) };
        let peer = async {
            for answer in [b"1", b"2"] {
                sent.recv().await.unwrap().unwrap();
                assert!(sent.try_recv().is_err());
                assert!(slot.deliver(reply(Type::Response, answer)));
            }
        };
        let ((first, second), ()) = tokio::join!(both, peer);
        assert_eq!((first.unwrap(), second.unwrap()), (b"1".to_vec(), b"2".to_vec()));
    }

    #[tokio::test]
    async fn scans_dropped_while_another_request_is_under_way_are_closed_once_each_before_the_next_one() {
        let (line, slot, mut sent) = line(Duration::from_secs(10));
        let get = GetState::default();
        {
            let first = line.ask(Type::GetState, &get);
            tokio::pin!(first);
            assert!((&mut first).now_or_never().is_none());
            line.drop_scan("7".into());
            line.drop_scan("8".into());
        }
        // Whoever closes may be dropped as well, before and after it has sent.
        assert!(line.close_scans().now_or_never().is_none());
        let mut asked = Vec::new();
        let peer = async {
            while asked.len() < 4 {
                let message = sent.recv().await.unwrap().unwrap();
                let refused = asked.len() == 1;
                asked.push((
                    message.r#type(),
                    QueryStateClose::decode(message.payload.as_slice()).unwrap().id,
                ));
                assert!(slot.deliver(reply(if refused { Type::Error } else { Type::Response }, b"answer")));
            }
        };
        let (second, ()) = tokio::join!(line.ask(Type::GetState, &get), peer);
        assert_eq!(second.unwrap(), b"answer", "a refusal to close is not the next request's");
        let ask = |kind, id: &str| (kind, id.to_owned());
        let close = Type::QueryStateClose;
        assert_eq!(
            asked,
            [ask(Type::GetState, ""), ask(close, "7"), ask(close, "8"), ask(Type::GetState, "")]
        );
        assert_eq!(line.round_trips(), 4);
        line.close_scans().await.unwrap();
        assert_eq!(line.round_trips(), 4);
    }

    #[tokio::test]
    async fn a_shuffled_line_serves_requests_of_one_moment_in_another_order() {
        let (outbound, mut sent) = mpsc::channel(8);
        let slot = Arc::new(ReplySlot::default());
        let limits = LineLimits { reply_within: Duration::from_secs(10), message_bytes_max: 1024 };
        let order = TurnOrder::Shuffled(AtomicU64::new(0));
        let line = Line::new(("c".into(), "t".into()), outbound, Arc::clone(&slot), order, limits);
        let ask = async |key: &str| {
            line.ask(Type::GetState, &GetState { key: key.into(), ..GetState::default() }).await.unwrap();
        };
        let mut asked = Vec::new();
        let peer = async {
            while asked.len() < 3 {
                let message = sent.recv().await.unwrap().unwrap();
                asked.push(GetState::decode(message.payload.as_slice()).unwrap().key);
                assert!(slot.deliver(reply(Type::Response, b"")));
            }
        };
        tokio::join!(ask("a"), ask("b"), ask("c"), peer);
        assert_eq!(asked[0], "b", "{asked:?}");
        asked.sort();
        assert_eq!(asked, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn an_answer_nobody_asked_for_is_refused() {
        let (_line, slot, _sent) = line(Duration::from_secs(10));
        assert!(!slot.deliver(reply(Type::Response, b"")));
        slot.lose();
        assert!(!slot.deliver(reply(Type::Response, b"")));
    }

    #[tokio::test]
    async fn a_lost_stream_fails_waiters_and_later_requests() {
        let (line, slot, _sent) = line(Duration::from_secs(10));
        let get = GetState::default();
        let asking = line.ask(Type::GetState, &get);
        let losing = async { assert!(slot.lose(), "an answer is owed") };
        let (lost, ()) = tokio::join!(asking, losing);
        assert!(matches!(lost, Err(LedgerError::StreamLost)));
        assert!(matches!(line.ask(Type::GetState, &get).await, Err(LedgerError::StreamLost)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_not_waited_for_without_end() {
        let (line, _slot, _sent) = line(Duration::from_secs(10));
        let silent = line.ask(Type::GetState, &GetState::default()).await;
        assert!(matches!(silent, Err(LedgerError::TimedOut { request: "GET_STATE", .. })), "{silent:?}");
    }

    #[tokio::test]
    async fn errors_other_messages_and_oversized_requests_are_told_apart() {
        let (line, slot, _sent) = line(Duration::from_secs(10));
        let get = GetState::default();
        for (kind, payload) in [(Type::Error, &b"no \xff context"[..]), (Type::Ready, b"")] {
            let (asked, delivered) =
                tokio::join!(line.ask(Type::GetState, &get), async { slot.deliver(reply(kind, payload)) });
            assert!(delivered);
            match kind {
                Type::Error => assert!(matches!(asked, Err(LedgerError::Refused { .. }))),
                _ => assert!(matches!(asked, Err(LedgerError::ReplyInvalid { .. }))),
            }
        }
        let large = GetState { key: "k".repeat(2000), ..Default::default() };
        assert!(matches!(line.ask(Type::GetState, &large).await, Err(LedgerError::TooLarge { .. })));
    }

    #[test]
    fn an_offer_that_does_not_decode_offers_nothing() {
        assert_eq!(Offer::from_ready(b""), Offer::default());
        assert_eq!(Offer::from_ready(b"\xff\xff"), Offer::default());
        let params = |batch, multi| ChaincodeAdditionalParams {
            use_write_batch: batch,
            max_size_write_batch: 7,
            use_get_multiple_keys: multi,
            max_size_get_multiple_keys: 0,
        };
        let offer = Offer::from_ready(&params(true, true).encode_to_vec());
        assert_eq!(offer, Offer { write_batch: Some(7), multi_get: Some(BATCH_RECORDS_DEFAULT) });
        assert_eq!(Offer::from_ready(&params(false, false).encode_to_vec()), Offer::default());
    }

    proptest::proptest! {
        #[test]
        fn no_offer_is_a_panic_or_a_batch_of_nothing(payload in proptest::prelude::any::<Vec<u8>>()) {
            let offer = Offer::from_ready(&payload);
            proptest::prop_assert!(offer.write_batch != Some(0) && offer.multi_get != Some(0));
        }
    }
}
