//! One peer's stream: registration, then transactions side by side.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt, Stream, StreamExt};
use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeEvent, ChaincodeId, ChaincodeMessage};
use prost::Message;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tracing::{Instrument, Span, debug, error, field, info, info_span, warn};

use crate::ledger::{Line, LineLimits, Offer, Outbound, ReplySlot, TurnOrder};
use crate::metrics::Sample;
use crate::proposal::ProposalFacts;
use crate::response::{Failure, Response, code};
use crate::service::{Contract, Shared};
use crate::state::Rules;
use crate::transaction::Transaction;
use crate::turn::Turn;

/// Channel and transaction id: what Fabric tells transactions apart by.
type Key = (String, String);

/// A peer's stream. Dropping it ends its transactions.
pub(crate) struct PeerStream<C> {
    shared: Arc<Shared<C>>,
    outbound: Outbound,
    running: Arc<Running>,
    tasks: JoinSet<()>,
    announced: bool,
}

/// Messages of a peer.
pub(crate) trait Inbound: Stream<Item = Result<ChaincodeMessage, Status>> + Unpin + Send {}

impl<S: Stream<Item = Result<ChaincodeMessage, Status>> + Unpin + Send> Inbound for S {}

/// Why a stream ends, for the log.
#[derive(Debug)]
enum End {
    PeerLeft,
    Broken(Status),
    NotRegistered,
    OutOfOrder(Status),
    Drained,
    Stopped,
    PeerDoesNotRead,
}

impl<C: Contract> PeerStream<C> {
    pub(crate) fn new(shared: Arc<Shared<C>>, outbound: Outbound) -> Self {
        Self { shared, outbound, running: Arc::default(), tasks: JoinSet::new(), announced: false }
    }

    /// Sends REGISTER, unless it has been sent.
    pub(crate) async fn announce(&mut self) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        let id = ChaincodeId { name: self.shared.package_id.clone(), ..ChaincodeId::default() };
        let register = ChaincodeMessage {
            r#type: Type::Register.into(),
            payload: id.encode_to_vec(),
            ..ChaincodeMessage::default()
        };
        // A stream that has ended already says so when it is read.
        let _ = self.outbound.send(Ok(register)).await;
    }

    pub(crate) async fn run(mut self, inbound: impl Inbound) {
        let shared = Arc::clone(&self.shared);
        let Ok(_room) = shared.streams.try_acquire() else {
            let full = Status::resource_exhausted("the chaincode service has as many streams as it allows");
            let _ = self.outbound.send(Err(full)).await;
            return;
        };
        let _open = shared.metrics.open_stream();
        let ended = shared.ended.clone();
        let end = tokio::select! {
            end = self.talk(inbound) => end,
            () = ended.cancelled() => End::Stopped,
        };
        // Waiters first, so that none is left behind; then the tasks, which frees what they hold.
        self.running.lose_all();
        self.tasks.shutdown().await;
        match end {
            End::OutOfOrder(status) => {
                warn!(reason = status.message(), "the stream ends: a message came out of order");
                let _ = self.outbound.try_send(Err(status));
            }
            End::Broken(status) => info!(code = ?status.code(), "the stream broke"),
            end => info!(?end, "the stream has ended"),
        }
    }

    async fn talk(&mut self, mut inbound: impl Inbound) -> End {
        let draining = self.shared.draining.clone();
        let registered = tokio::select! {
            registered = self.register(&mut inbound) => registered,
            () = draining.cancelled() => Err(End::Drained),
        };
        let offer = match registered {
            Ok(offer) => offer,
            Err(end) => return end,
        };
        info!(write_batch = offer.write_batch, multi_get = offer.multi_get, "the peer is ready");
        // Made once: each of them would otherwise be set up and taken down for every message.
        let outbound = self.outbound.clone();
        let mut closed = pin!(outbound.closed());
        let mut stopping = pin!(draining.cancelled());
        loop {
            let stop = draining.is_cancelled();
            // Those that have ended are taken off with the next message, and wake nobody before.
            while let Some(ended) = self.tasks.try_join_next() {
                tell_panic(&ended);
            }
            if stop && self.tasks.is_empty() {
                return End::Drained;
            }
            tokio::select! {
                biased;
                () = &mut stopping, if !stop => {}
                () = &mut closed => return End::PeerLeft,
                message = inbound.next() => match message {
                    Some(Ok(message)) => if let Err(end) = self.take(message, offer, stop) {
                        return end;
                    },
                    None => return End::PeerLeft,
                    Some(Err(status)) => return End::Broken(status),
                },
                Some(ended) = self.tasks.join_next(), if stop && !self.tasks.is_empty() => tell_panic(&ended),
            }
        }
    }

    /// REGISTER out, REGISTERED and READY in; nothing else is in order before.
    async fn register(&mut self, inbound: &mut impl Inbound) -> Result<Offer, End> {
        self.announce().await;
        let deadline = Instant::now() + self.shared.limits.registration;
        self.await_step(inbound, Type::Registered, deadline).await?;
        let ready = self.await_step(inbound, Type::Ready, deadline).await?;
        self.shared.ready.cancel();
        Ok(Offer::from_ready(&ready.payload))
    }

    async fn await_step(
        &mut self,
        inbound: &mut impl Inbound,
        step: Type,
        deadline: Instant,
    ) -> Result<ChaincodeMessage, End> {
        loop {
            let message = timeout_at(deadline, inbound.next())
                .await
                .map_err(|_| End::NotRegistered)?
                .ok_or(End::PeerLeft)?
                .map_err(End::Broken)?;
            match Type::try_from(message.r#type) {
                Ok(kind) if kind == step => return Ok(message),
                Ok(Type::Keepalive) => self.echo(message),
                kind => {
                    let reason = format!(
                        "expected {} and received {}",
                        step.as_str_name(),
                        kind.map_or("an unknown type", |kind| kind.as_str_name())
                    );
                    return Err(End::OutOfOrder(Status::failed_precondition(reason)));
                }
            }
        }
    }

    /// Takes one message of a stream that is ready. It never waits: answers to running transactions
    /// come through here too.
    fn take(&mut self, mut message: ChaincodeMessage, offer: Offer, draining: bool) -> Result<(), End> {
        match Type::try_from(message.r#type) {
            Ok(Type::Response | Type::Error) => {
                let key = key_of(&mut message);
                if !self.running.deliver(&key, message) {
                    debug!(tx_id = key.1, channel = key.0, "dropped an answer that nobody waits for");
                }
                Ok(())
            }
            Ok(Type::Transaction | Type::Init) => self.begin(message, offer, draining),
            Ok(Type::Keepalive) => {
                self.echo(message);
                Ok(())
            }
            kind => {
                let kind = kind.map_or("unknown", |kind| kind.as_str_name());
                warn!(kind, "dropped a message that is out of order");
                Ok(())
            }
        }
    }

    fn begin(&mut self, mut message: ChaincodeMessage, offer: Offer, draining: bool) -> Result<(), End> {
        let key = key_of(&mut message);
        let call = CallKind::of(&message);
        if draining {
            return self.refuse(key, call, 503, code::SERVICE_DRAINING);
        }
        if self.running.cancel(&key) || self.running.is_owed(&key) {
            // The peer has given up on the first one, whose answers would mix with the second one's.
            return self.refuse(key, call, 409, code::TRANSACTION_REPEATED);
        }
        if self.running.count() >= self.shared.limits.transactions_per_stream {
            return self.refuse(key, call, 503, code::SERVICE_BUSY);
        }
        let span = info_span!(
            "transaction",
            tx_id = key.1,
            channel = key.0,
            call = field::Empty,
            msp_id = field::Empty,
            outcome = field::Empty,
            round_trips = field::Empty,
        );
        let slot = Arc::new(ReplySlot::default());
        let number = self.running.enter(key.clone(), Arc::clone(&slot));
        let run = Run {
            shared: Arc::clone(&self.shared),
            running: Arc::clone(&self.running),
            outbound: self.outbound.clone(),
            key: key.clone(),
            number,
            call,
            offer,
        };
        let task = self.tasks.spawn(run.run(message, slot).instrument(span));
        self.running.set_abort(&key, number, task);
        Ok(())
    }

    fn refuse(&self, key: Key, call: CallKind, status: i32, code: &'static str) -> Result<(), End> {
        warn!(tx_id = key.1, channel = key.0, code, "refused a transaction");
        let refusal = call.end(key, Response::error(status, code), None);
        self.outbound.try_send(Ok(refusal)).map_err(|_| End::PeerDoesNotRead)
    }

    /// Sends a keepalive back, unless other messages already wait, which keep the stream alive as well.
    fn echo(&self, message: ChaincodeMessage) {
        let _ = self.outbound.try_send(Ok(message));
    }
}

/// One transaction from its arrival to its completion.
struct Run<C> {
    shared: Arc<Shared<C>>,
    running: Arc<Running>,
    outbound: Outbound,
    key: Key,
    number: u64,
    call: CallKind,
    offer: Offer,
}

impl<C: Contract> Run<C> {
    async fn run(self, message: ChaincodeMessage, slot: Arc<ReplySlot>) {
        let mut sample = self.shared.metrics.begin();
        let deadline = Instant::now() + self.shared.limits.transaction;
        let executed = AssertUnwindSafe(async {
            timeout_at(deadline, Box::pin(self.execute(message, slot, &sample))).await
        });
        // In its label, or in what is dropped when its time is over: whatever a contract panics in, its transaction
        // completes, or its place would never be free again.
        let executed = executed.catch_unwind().await.unwrap_or_else(|_| {
            error!("the contract panicked outside of its call");
            Ok((Response::error(500, code::CONTRACT_PANICKED), None))
        });
        let (response, event) = match executed {
            Ok((response, event)) => {
                sample.ended(response.status());
                (response, event)
            }
            Err(_) => {
                sample.timed_out();
                (Response::error(504, code::TRANSACTION_TIMED_OUT), None)
            }
        };
        // Counted before the peer hears of it.
        drop(sample);
        Span::current().record("outcome", if response.is_ok() { "OK" } else { response.message() });
        // Its place is kept while it waits for room, so that it can be cancelled and counts; not for longer, since the
        // peer may send the next transaction with this id as soon as it has this message.
        let Ok(room) = self.outbound.reserve().await else { return };
        if self.running.leave(&self.key, self.number) {
            room.send(Ok(self.call.end(self.key, response, event)));
        }
    }

    async fn execute(
        &self,
        message: ChaincodeMessage,
        slot: Arc<ReplySlot>,
        sample: &Sample,
    ) -> (Response, Option<ChaincodeEvent>) {
        let turn = Turn::take(Arc::clone(&self.shared.turns)).await;
        let tx = match self.start(message, slot, turn) {
            Ok(tx) => tx,
            Err(failure) => return (report(failure), None),
        };
        sample.called(self.shared.contract.function_label(&tx));
        let span = Span::current();
        span.record("call", tx.call_label()).record("msp_id", tx.msp_id());

        let called = AssertUnwindSafe(async {
            match self.call {
                CallKind::Init => self.shared.contract.init(&tx).await,
                CallKind::Invoke => self.shared.contract.invoke(&tx).await,
            }
        });
        let mut response = called.catch_unwind().await.unwrap_or_else(|_| {
            error!("the contract panicked");
            Response::error(500, code::CONTRACT_PANICKED)
        });
        let mut event = if response.is_ok() { tx.take_event() } else { None };
        if self.bytes(&response, event.as_ref()) > self.shared.limits.message_bytes / 2 {
            (response, event) = (Response::error(500, code::REPLY_TOO_LARGE), None);
        }
        if response.is_ok()
            && let Err(error) = tx.flush().await
        {
            (response, event) = (report(error.into()), None);
        }
        tx.close_scans().await;
        span.record("round_trips", tx.round_trips());
        sample.asked(tx.round_trips());
        debug!("completed");
        (response, event)
    }

    /// What a completion holds, without the tags and lengths around it.
    fn bytes(&self, response: &Response, event: Option<&ChaincodeEvent>) -> usize {
        let (channel, tx_id) = &self.key;
        let event = event.map_or(0, |event| event.event_name.len() + event.payload.len());
        channel.len() + tx_id.len() + response.message().len() + response.payload().len() + event
    }

    fn start(
        &self,
        message: ChaincodeMessage,
        slot: Arc<ReplySlot>,
        turn: Turn,
    ) -> Result<Transaction, Failure> {
        let limits = &self.shared.limits;
        // A transaction that is run again, as for a check that it is deterministic, gets another order.
        let shuffled = self.shared.strict && self.number.is_multiple_of(2);
        let order = if shuffled { TurnOrder::Shuffled(AtomicU64::new(0)) } else { TurnOrder::Arrival };
        let line_limits = LineLimits { reply_within: limits.reply, message_bytes_max: limits.message_bytes };
        let line = Line::new(self.key.clone(), self.outbound.clone(), slot, order, line_limits);
        let rules = Rules {
            strict: self.shared.strict,
            message_bytes_max: limits.message_bytes,
            scan_entries_max: limits.scan_entries,
        };
        ProposalFacts::decode(message.proposal)
            .and_then(|facts| Transaction::start(line, turn, facts, &message.payload, self.offer, rules))
            .map_err(|error| Failure::new(400, code::PROPOSAL_INVALID).caused_by(error))
    }
}

/// What a transaction runs of a contract.
#[derive(Clone, Copy, Debug)]
enum CallKind {
    Invoke,
    Init,
}

impl CallKind {
    fn of(message: &ChaincodeMessage) -> Self {
        if message.r#type == i32::from(Type::Init) { Self::Init } else { Self::Invoke }
    }

    /// The message that a transaction ends with.
    ///
    /// A failed `Init` is an ERROR: to an instantiation of Fabric's former lifecycle, which 2.5 still has, whatever is
    /// COMPLETED has succeeded, for it does not look at the status.
    fn end(
        self,
        (channel_id, txid): Key,
        response: Response,
        event: Option<ChaincodeEvent>,
    ) -> ChaincodeMessage {
        let (kind, payload) = match self {
            Self::Init if !response.is_ok() => (Type::Error, response.message().as_bytes().to_vec()),
            Self::Init | Self::Invoke => (Type::Completed, response.into_wire().encode_to_vec()),
        };
        ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid,
            channel_id,
            chaincode_event: event,
            ..ChaincodeMessage::default()
        }
    }
}

/// Takes the key out of a message, which is not sent on.
fn key_of(message: &mut ChaincodeMessage) -> Key {
    (std::mem::take(&mut message.channel_id), std::mem::take(&mut message.txid))
}

fn tell_panic(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        warn!("a transaction's task panicked outside of the contract");
    }
}

/// Logs why, and answers with the code alone.
pub(crate) fn report(failure: Failure) -> Response {
    let source = std::error::Error::source(&failure).map(field::display);
    if failure.status() < 500 {
        debug!(code = failure.code(), status = failure.status(), source, "failed");
    } else {
        warn!(code = failure.code(), status = failure.status(), source, "failed");
    }
    failure.into()
}

/// The transactions of one stream that are not completed, and those to which the peer still owes an answer.
#[derive(Default)]
struct Running(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next: u64,
    by_key: HashMap<Key, RunningEntry>,
    /// Ended before the answer to their last request had come. An answer names its transaction only, so until it is
    /// there, another one of that id would take it for its own.
    owed: HashSet<Key>,
}

struct RunningEntry {
    /// Tells a transaction from a later one with the same id.
    number: u64,
    slot: Arc<ReplySlot>,
    abort: Option<AbortHandle>,
}

impl Entries {
    fn take_off(&mut self, key: &Key) -> Option<RunningEntry> {
        let entry = self.by_key.remove(key)?;
        if entry.slot.lose() {
            self.owed.insert(key.clone());
        }
        Some(entry)
    }
}

impl Running {
    fn enter(&self, key: Key, slot: Arc<ReplySlot>) -> u64 {
        let mut entries = self.lock();
        entries.next += 1;
        let number = entries.next;
        entries.by_key.insert(key, RunningEntry { number, slot, abort: None });
        number
    }

    fn set_abort(&self, key: &Key, number: u64, abort: AbortHandle) {
        // A quick transaction may have left already.
        if let Some(entry) = self.lock().by_key.get_mut(key)
            && entry.number == number
        {
            entry.abort = Some(abort);
        }
    }

    /// Hands over an answer; `false` if nobody waits for it. One that was owed is settled.
    fn deliver(&self, key: &Key, answer: ChaincodeMessage) -> bool {
        // Under the lock, or a transaction that leaves meanwhile would have an answer owed that has come.
        let mut entries = self.lock();
        !entries.owed.remove(key) && entries.by_key.get(key).is_some_and(|entry| entry.slot.deliver(answer))
    }

    /// Takes a transaction off; `false` if it was cancelled.
    fn leave(&self, key: &Key, number: u64) -> bool {
        let mut entries = self.lock();
        let present = entries.by_key.get(key).is_some_and(|entry| entry.number == number);
        if present {
            entries.take_off(key);
        }
        present
    }

    /// Stops a transaction without completing it; `false` if there is none.
    fn cancel(&self, key: &Key) -> bool {
        let Some(entry) = self.lock().take_off(key) else {
            return false;
        };
        if let Some(abort) = entry.abort {
            abort.abort();
        }
        true
    }

    fn is_owed(&self, key: &Key) -> bool {
        self.lock().owed.contains(key)
    }

    fn lose_all(&self) {
        for (_, entry) in self.lock().by_key.drain() {
            entry.slot.lose();
        }
    }

    fn count(&self) -> usize {
        let entries = self.lock();
        entries.by_key.len() + entries.owed.len()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
