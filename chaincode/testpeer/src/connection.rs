//! The peer's end of a registered stream: transactions that run, and answers to what they ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeMessage, Response};
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::builder::TestPeerBuilder;
use crate::calls::ChaincodeCall;
use crate::fault::{Fault, Faults, Step, distort};
use crate::outcome::{Event, InvokeError, Outcome};
use crate::pace::Pace;
use crate::proposal::Signed;
use crate::rwset::ReadWriteSet;
use crate::simulation::{Simulation, World};

type Key = (String, String);

/// What a peer and its stream share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) settings: TestPeerBuilder,
    pub(crate) world: Arc<World>,
    /// `None` once the stream has ended: holding it would keep half of the stream open.
    outbound: Mutex<Option<mpsc::Sender<ChaincodeMessage>>>,
    running: Mutex<HashMap<Key, Running>>,
    faults: Mutex<Faults>,
    pub(crate) clock_unix_ms: AtomicI64,
    /// Counts proposals.
    pub(crate) nonces: AtomicU64,
    /// Counts echoes.
    pub(crate) keepalives: watch::Sender<u64>,
    pub(crate) ended: watch::Sender<bool>,
}

/// A transaction under way.
#[derive(Debug)]
struct Running {
    simulation: Simulation,
    pace: Option<Pace>,
    requests: Vec<&'static str>,
    /// All that the chaincode sent, if messages are recorded.
    messages: Vec<Vec<u8>>,
    ended: oneshot::Sender<Ended>,
}

#[derive(Debug)]
enum Ended {
    Completed(Box<Completed>),
    /// The peer gave up on it.
    TimedOut,
}

#[derive(Debug)]
struct Completed {
    message: ChaincodeMessage,
    rwset: ReadWriteSet,
    calls: Vec<ChaincodeCall>,
    requests: Vec<&'static str>,
    messages: Vec<Vec<u8>>,
}

impl Connection {
    pub(crate) fn new(settings: TestPeerBuilder, outbound: mpsc::Sender<ChaincodeMessage>) -> Self {
        Self {
            clock_unix_ms: AtomicI64::new(settings.clock_unix_ms),
            world: Arc::new(settings.world.clone()),
            settings,
            outbound: Mutex::new(Some(outbound)),
            running: Mutex::default(),
            faults: Mutex::default(),
            nonces: AtomicU64::new(0),
            keepalives: watch::channel(0).0,
            ended: watch::channel(false).0,
        }
    }

    pub(crate) fn inject(&self, fault: Option<Fault>) {
        let kept = lock(&self.faults).replace(fault);
        let Some(outbound) = lock(&self.outbound).clone() else { return };
        for answer in kept {
            // As many as fit, which is more than are ever kept back.
            let _ = outbound.try_send(answer);
        }
    }

    /// Runs a transaction; with a pace, its answers are late.
    pub(crate) async fn execute(
        &self,
        signed: &Signed,
        simulation: Simulation,
        pace: Option<Pace>,
    ) -> Result<Outcome, InvokeError> {
        let key = (signed.channel.clone(), signed.tx_id.clone());
        let (ended, end) = oneshot::channel();
        {
            let mut running = lock(&self.running);
            if *self.ended.borrow() {
                return Err(InvokeError::StreamLost);
            }
            if running.contains_key(&key) {
                return Err(InvokeError::Running);
            }
            let (requests, messages) = Default::default();
            running.insert(key.clone(), Running { simulation, pace, requests, messages, ended });
        }
        let message = ChaincodeMessage {
            r#type: if signed.init { Type::Init } else { Type::Transaction }.into(),
            payload: signed.input.clone(),
            txid: signed.tx_id.clone(),
            channel_id: signed.channel.clone(),
            proposal: Some(signed.proposal.clone()),
            ..ChaincodeMessage::default()
        };
        let within = self.settings.execute_timeout;
        let executed = async {
            self.send(message).await?;
            end.await.map_err(|_| InvokeError::StreamLost)
        };
        let executed = tokio::time::timeout(within, executed).await;
        lock(&self.running).remove(&key);
        let Ended::Completed(completed) = executed.map_err(|_| InvokeError::TimedOut(within))?? else {
            return Err(InvokeError::TimedOut(within));
        };
        let Completed { message, rwset, calls, requests, messages } = *completed;
        if message.r#type == i32::from(Type::Error) {
            return Err(InvokeError::ErrorMessage(String::from_utf8_lossy(&message.payload).into_owned()));
        }
        let response = Response::decode(message.payload.as_slice())?;
        Ok(Outcome {
            tx_id: signed.tx_id.clone(),
            channel: signed.channel.clone(),
            timestamp_unix_ms: signed.timestamp_unix_ms,
            status: response.status,
            message: response.message,
            payload: response.payload,
            event: message
                .chaincode_event
                .map(|event| Event { name: event.event_name, payload: event.payload }),
            rwset,
            calls,
            endorsers: None,
            requests,
            messages,
        })
    }

    pub(crate) async fn send(&self, message: ChaincodeMessage) -> Result<(), InvokeError> {
        let outbound = lock(&self.outbound).clone().ok_or(InvokeError::StreamLost)?;
        outbound.send(message).await.map_err(|_| InvokeError::StreamLost)
    }

    /// Reads the stream to its end.
    pub(crate) async fn read(self: Arc<Self>, mut inbound: Streaming<ChaincodeMessage>) {
        let mut late = JoinSet::new();
        while let Ok(Some(message)) = inbound.message().await {
            while late.try_join_next().is_some() {}
            let sent = match self.take(message) {
                Step::Nothing => Ok(()),
                Step::End => break,
                Step::Send(answer, delay) if delay.is_zero() => self.send(*answer).await,
                Step::Send(answer, delay) => {
                    let connection = Arc::clone(&self);
                    late.spawn(async move {
                        tokio::time::sleep(delay).await;
                        // A stream that has ended is told by its reader.
                        let _ = connection.send(*answer).await;
                    });
                    Ok(())
                }
                Step::Release(answers) => self.send_all(answers).await,
            };
            if sent.is_err() {
                break;
            }
        }
        late.shutdown().await;
        lock(&self.outbound).take();
        // Under the lock, so that no transaction can enter after those here have been dropped.
        let mut running = lock(&self.running);
        self.ended.send_replace(true);
        running.clear();
    }

    async fn send_all(&self, answers: Vec<ChaincodeMessage>) -> Result<(), InvokeError> {
        for answer in answers {
            self.send(answer).await?;
        }
        Ok(())
    }

    fn take(&self, message: ChaincodeMessage) -> Step {
        let key = (message.channel_id.clone(), message.txid.clone());
        let kind = Type::try_from(message.r#type).unwrap_or(Type::Undefined);
        if self.settings.record_messages
            && let Some(running) = lock(&self.running).get_mut(&key)
        {
            running.messages.push(message.encode_to_vec());
        }
        match kind {
            Type::Keepalive => self.keepalives.send_modify(|echoes| *echoes += 1),
            Type::Completed | Type::Error => {
                if let Some(running) = lock(&self.running).remove(&key) {
                    let Running { simulation, requests, messages, ended, .. } = running;
                    let (rwset, calls) = simulation.into_results();
                    let completed = Completed { message, rwset, calls, requests, messages };
                    // Whoever gave up waiting does not want it.
                    let _ = ended.send(Ended::Completed(Box::new(completed)));
                }
            }
            _ => return self.answer(kind, &message, &key),
        }
        Step::Nothing
    }

    fn answer(&self, kind: Type, message: &ChaincodeMessage, key: &Key) -> Step {
        let mut faults = lock(&self.faults);
        let mut running = lock(&self.running);
        if faults.fault == Some(Fault::ExecuteTimeout)
            && let Some(given_up) = running.remove(key)
        {
            // Whoever gave up waiting knows already.
            let _ = given_up.ended.send(Ended::TimedOut);
        }
        let (answer, pace) = match running.get_mut(key) {
            None => (Err("no ledger context".to_owned()), None),
            Some(running) => {
                running.requests.push(kind.as_str_name());
                let answer = match &faults.fault {
                    Some(Fault::Silence) => return Step::Nothing,
                    Some(Fault::DropStream) => return Step::End,
                    Some(Fault::Refuse(words)) => Err(words.clone()),
                    Some(Fault::RefuseOnly { request, words }) if request == kind.as_str_name() => {
                        Err(words.clone())
                    }
                    fault => running
                        .simulation
                        .answer(kind, &message.payload)
                        .map(|payload| distort(fault.as_ref(), kind, payload)),
                };
                (answer, running.pace.as_mut())
            }
        };
        let (answered, payload) = match answer {
            Ok(payload) => (Type::Response, payload),
            // Real peers put the request's name and the transaction's id before their words.
            Err(words) => (
                Type::Error,
                format!("{} failed: transaction ID: {}: {words}", kind.as_str_name(), message.txid)
                    .into_bytes(),
            ),
        };
        let answer = ChaincodeMessage {
            r#type: answered.into(),
            payload,
            txid: message.txid.clone(),
            channel_id: message.channel_id.clone(),
            ..ChaincodeMessage::default()
        };
        match (faults.pass(answer), pace) {
            (Step::Send(answer, delay), Some(pace)) => Step::Send(answer, delay + pace.delay()),
            (step, _) => step,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
