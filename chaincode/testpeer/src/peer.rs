//! A peer in memory: proposals in, simulation results out, blocks on demand.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeMessage, Response};
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::Streaming;

use crate::builder::TestPeerBuilder;
use crate::calls::ChaincodeCall;
use crate::ledger::{Candidate, Ledger, Validity};
use crate::listen::Serving;
use crate::outcome::{Event, InvokeError, Outcome, Submitted};
use crate::proposal::{Defaults, Proposal, Signed};
use crate::rwset::ReadWriteSet;
use crate::simulation::{Simulation, Subject, World};
use crate::wire::{ConnectError, Wire};

/// What a peer that misbehaves does with the chaincode's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It answers none.
    Silence,
    /// It answers each with an ERROR of these words.
    Refuse(String),
    /// It answers a multi-get with no values, as real peers do when their state database fails.
    ShortMultiGet,
    /// It ends the stream at the next request.
    DropStream,
}

/// A peer with one chaincode service.
#[derive(Debug)]
pub struct TestPeer {
    package_id: String,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
    /// The server that its chaincode dialled.
    _serving: Option<Serving>,
}

impl Drop for TestPeer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl TestPeer {
    /// A peer with the defaults of Fabric 3.1.
    #[must_use]
    pub fn builder() -> TestPeerBuilder {
        TestPeerBuilder::new()
    }

    /// Registers the chaincode at the other end of a stream.
    pub(crate) async fn register(
        settings: TestPeerBuilder,
        mut wire: Wire,
        serving: Option<Serving>,
    ) -> Result<Self, ConnectError> {
        let package_id = wire.register(&settings.params).await?;
        let (outbound, inbound) = wire.split();
        let (ended, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            clock_unix_ms: AtomicI64::new(settings.clock_unix_ms),
            world: Arc::new(settings.world.clone()),
            settings,
            outbound: Mutex::new(Some(outbound)),
            running: Mutex::default(),
            fault: Mutex::default(),
            nonces: AtomicU64::new(0),
            keepalives: watch::channel(0).0,
            ended,
        });
        let reader = tokio::spawn(Arc::clone(&shared).read(inbound));
        Ok(Self { package_id, shared, reader, _serving: serving })
    }

    /// The package id that the service registered as.
    #[must_use]
    pub fn package_id(&self) -> &str {
        &self.package_id
    }

    /// The committed state.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.settings.ledger
    }

    /// The clock, Unix milliseconds.
    #[must_use]
    pub fn clock_unix_ms(&self) -> i64 {
        self.shared.clock_unix_ms.load(Ordering::SeqCst)
    }

    /// Sets the clock.
    pub fn set_clock_unix_ms(&self, at: i64) {
        self.shared.clock_unix_ms.store(at, Ordering::SeqCst);
    }

    /// Moves the clock on, or back.
    pub fn advance_clock_ms(&self, by: i64) {
        self.shared.clock_unix_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Misbehaves from the next request on, until told otherwise.
    pub fn inject(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Simulates a proposal on the committed state and changes nothing.
    ///
    /// # Errors
    /// [`InvokeError`]; a failure of the contract is an outcome.
    pub async fn invoke(&self, proposal: &Proposal) -> Result<Outcome, InvokeError> {
        let settings = &self.shared.settings;
        let number = self.shared.nonces.fetch_add(1, Ordering::SeqCst);
        let signed = Signed::new(
            proposal,
            Defaults {
                channel: &settings.channel,
                chaincode: &settings.world.namespace,
                clock_unix_ms: self.clock_unix_ms(),
                nonce: nonce(number),
                decorations: &settings.decorations,
            },
        );
        let state = settings.ledger.snapshot(&signed.channel);
        let subject = Subject {
            channel: signed.channel.clone(),
            creator_msp_id: signed.creator_msp_id.clone(),
            init: signed.init,
        };
        let simulate =
            || Simulation::new(Arc::clone(&state), Arc::clone(&self.shared.world), subject.clone());
        let first = self.shared.execute(&signed, simulate()).await?;
        if settings.twice {
            let second = self.shared.execute(&signed, simulate()).await?;
            if !first.agrees_with(&second) {
                return Err(InvokeError::NotDeterministic {
                    first: Box::new(first),
                    second: Box::new(second),
                });
            }
        }
        Ok(first)
    }

    /// Simulates a proposal and, if it is endorsed, commits it in a block of its own.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn submit(&self, proposal: &Proposal) -> Result<Submitted, InvokeError> {
        let outcome = self.invoke(proposal).await?;
        if !outcome.is_ok() {
            return Ok(Submitted { outcome, validity: None, block: None });
        }
        let (block, validity) = self.commit(std::slice::from_ref(&outcome));
        Ok(Submitted { outcome, validity: validity.first().copied(), block: Some(block) })
    }

    /// Commits outcomes as one block on the first one's channel, in order, each validated against those before it.
    ///
    /// Outcomes of failures or of other channels have no place in it: they must not be passed.
    pub fn commit(&self, outcomes: &[Outcome]) -> (u64, Vec<Validity>) {
        let channel = outcomes.first().map_or(self.shared.settings.channel.as_str(), |first| &first.channel);
        let block: Vec<_> = outcomes
            .iter()
            .map(|outcome| Candidate {
                tx_id: &outcome.tx_id,
                timestamp_unix_ms: outcome.timestamp_unix_ms,
                rwset: &outcome.rwset,
                endorsers: outcome.endorsers.as_deref(),
            })
            .collect();
        self.shared.settings.ledger.commit(channel, &block)
    }

    /// Sends a KEEPALIVE and waits for its echo.
    ///
    /// # Errors
    /// [`InvokeError::StreamLost`], or [`InvokeError::TimedOut`] after the execute timeout.
    pub async fn keepalive(&self) -> Result<(), InvokeError> {
        let mut echoes = self.shared.keepalives.subscribe();
        let mut ended = self.shared.ended.subscribe();
        let seen = *echoes.borrow_and_update();
        let message = ChaincodeMessage { r#type: Type::Keepalive.into(), ..ChaincodeMessage::default() };
        self.shared.send(message).await?;
        let within = self.shared.settings.execute_timeout;
        let echoed = async {
            tokio::select! {
                echo = echoes.wait_for(|echoes| *echoes > seen) => echo.map(|_| ()).map_err(|_| InvokeError::StreamLost),
                _ = ended.wait_for(|ended| *ended) => Err(InvokeError::StreamLost),
            }
        };
        tokio::time::timeout(within, echoed).await.map_err(|_| InvokeError::TimedOut(within))?
    }

    /// Completes when the stream to the chaincode has ended.
    pub async fn ended(&self) {
        // An error means that the sender is gone, and with it the stream.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// Different for each number, the same in each run.
fn nonce(number: u64) -> Vec<u8> {
    let mut nonce = vec![0; 16];
    nonce.extend_from_slice(&number.to_be_bytes());
    nonce
}

type Key = (String, String);

#[derive(Debug)]
struct Shared {
    settings: TestPeerBuilder,
    world: Arc<World>,
    /// `None` once the stream has ended: holding it would keep half of the stream open.
    outbound: Mutex<Option<mpsc::Sender<ChaincodeMessage>>>,
    running: Mutex<HashMap<Key, Running>>,
    fault: Mutex<Option<Fault>>,
    clock_unix_ms: AtomicI64,
    nonces: AtomicU64,
    keepalives: watch::Sender<u64>,
    ended: watch::Sender<bool>,
}

#[derive(Debug)]
struct Running {
    simulation: Simulation,
    requests: Vec<&'static str>,
    completed: oneshot::Sender<Completed>,
}

#[derive(Debug)]
struct Completed {
    message: ChaincodeMessage,
    rwset: ReadWriteSet,
    calls: Vec<ChaincodeCall>,
    requests: Vec<&'static str>,
}

impl Shared {
    async fn execute(&self, signed: &Signed, simulation: Simulation) -> Result<Outcome, InvokeError> {
        let key = (signed.channel.clone(), signed.tx_id.clone());
        let (completed, completion) = oneshot::channel();
        {
            let mut running = lock(&self.running);
            if *self.ended.borrow() {
                return Err(InvokeError::StreamLost);
            }
            if running.contains_key(&key) {
                return Err(InvokeError::Running);
            }
            running.insert(key.clone(), Running { simulation, requests: Vec::new(), completed });
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
            completion.await.map_err(|_| InvokeError::StreamLost)
        };
        let executed = tokio::time::timeout(within, executed).await;
        lock(&self.running).remove(&key);
        let Completed { message, rwset, calls, requests } =
            executed.map_err(|_| InvokeError::TimedOut(within))??;
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
        })
    }

    async fn send(&self, message: ChaincodeMessage) -> Result<(), InvokeError> {
        let outbound = lock(&self.outbound).clone().ok_or(InvokeError::StreamLost)?;
        outbound.send(message).await.map_err(|_| InvokeError::StreamLost)
    }

    async fn read(self: Arc<Self>, mut inbound: Streaming<ChaincodeMessage>) {
        while let Ok(Some(message)) = inbound.message().await {
            let Some(reply) = self.take(message) else { continue };
            let Ok(reply) = reply else { break };
            if self.send(reply).await.is_err() {
                break;
            }
        }
        lock(&self.outbound).take();
        // Under the lock, so that no transaction can enter after those here have been dropped.
        let mut running = lock(&self.running);
        self.ended.send_replace(true);
        running.clear();
    }

    /// The reply to a message, if it gets one; `Err` ends the stream.
    fn take(&self, message: ChaincodeMessage) -> Option<Result<ChaincodeMessage, ()>> {
        let key = (message.channel_id.clone(), message.txid.clone());
        let kind = Type::try_from(message.r#type).unwrap_or(Type::Undefined);
        match kind {
            Type::Keepalive => {
                self.keepalives.send_modify(|echoes| *echoes += 1);
                None
            }
            Type::Completed | Type::Error => {
                if let Some(running) = lock(&self.running).remove(&key) {
                    let (rwset, calls) = running.simulation.into_results();
                    let requests = running.requests;
                    // Whoever gave up waiting does not want it.
                    let _ = running.completed.send(Completed { message, rwset, calls, requests });
                }
                None
            }
            _ => self.answer(kind, &message, &key),
        }
    }

    fn answer(
        &self,
        kind: Type,
        message: &ChaincodeMessage,
        key: &Key,
    ) -> Option<Result<ChaincodeMessage, ()>> {
        let fault = lock(&self.fault).clone();
        let mut running = lock(&self.running);
        let answer = match running.get_mut(key) {
            None => Err("no ledger context".to_owned()),
            Some(running) => {
                running.requests.push(kind.as_str_name());
                match fault {
                    Some(Fault::Silence) => return None,
                    Some(Fault::DropStream) => return Some(Err(())),
                    Some(Fault::Refuse(words)) => Err(words),
                    Some(Fault::ShortMultiGet) if kind == Type::GetStateMultiple => Ok(Vec::new()),
                    _ => running.simulation.answer(kind, &message.payload),
                }
            }
        };
        let (kind, payload) = match answer {
            Ok(payload) => (Type::Response, payload),
            Err(words) => (Type::Error, words.into_bytes()),
        };
        Some(Ok(ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid: message.txid.clone(),
            channel_id: message.channel_id.clone(),
            ..ChaincodeMessage::default()
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
