//! A peer in memory: proposals in, simulation results out, blocks on demand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_message::Type;
use tokio::task::JoinHandle;

use crate::builder::TestPeerBuilder;
use crate::connection::Connection;
use crate::fault::Fault;
use crate::ledger::{Candidate, Ledger, Validity};
use crate::listen::Serving;
use crate::outcome::{InvokeError, Outcome, Submitted};
use crate::pace::{BETWEEN_RUNS, Pace};
use crate::proposal::{Defaults, Proposal, Signed};
use crate::simulation::{Simulation, Subject};
use crate::wire::{ConnectError, Wire};

/// A peer with one chaincode service.
#[derive(Debug)]
pub struct TestPeer {
    package_id: String,
    connection: Arc<Connection>,
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
        let connection = Arc::new(Connection::new(settings, outbound));
        let reader = tokio::spawn(Arc::clone(&connection).read(inbound));
        Ok(Self { package_id, connection, reader, _serving: serving })
    }

    /// The package id that the service registered as.
    #[must_use]
    pub fn package_id(&self) -> &str {
        &self.package_id
    }

    /// The committed state.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.connection.settings.ledger
    }

    /// The clock, Unix milliseconds.
    #[must_use]
    pub fn clock_unix_ms(&self) -> i64 {
        self.connection.clock_unix_ms.load(Ordering::SeqCst)
    }

    /// Sets the clock.
    pub fn set_clock_unix_ms(&self, at: i64) {
        self.connection.clock_unix_ms.store(at, Ordering::SeqCst);
    }

    /// Moves the clock on, or back.
    pub fn advance_clock_ms(&self, by: i64) {
        self.connection.clock_unix_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Misbehaves from the next request on, until told otherwise.
    pub fn inject(&self, fault: Option<Fault>) {
        self.connection.inject(fault);
    }

    /// Simulates a proposal on the committed state and changes nothing.
    ///
    /// # Errors
    /// [`InvokeError`]; a failure of the contract is an outcome.
    pub async fn invoke(&self, proposal: &Proposal) -> Result<Outcome, InvokeError> {
        let settings = &self.connection.settings;
        let number = self.connection.nonces.fetch_add(1, Ordering::SeqCst);
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
            || Simulation::new(Arc::clone(&state), Arc::clone(&self.connection.world), subject.clone());
        let first = self.connection.execute(&signed, simulate(), None).await?;
        for run in 1..u64::from(settings.runs) {
            tokio::time::sleep(BETWEEN_RUNS).await;
            let pace = Pace::new(number.wrapping_mul(u64::from(settings.runs)).wrapping_add(run));
            let again = self.connection.execute(&signed, simulate(), Some(pace)).await?;
            if !first.agrees_with(&again) {
                return Err(InvokeError::NotDeterministic {
                    first: Box::new(first),
                    second: Box::new(again),
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
        let channel =
            outcomes.first().map_or(self.connection.settings.channel.as_str(), |first| &first.channel);
        let block: Vec<_> = outcomes
            .iter()
            .map(|outcome| Candidate {
                tx_id: &outcome.tx_id,
                timestamp_unix_ms: outcome.timestamp_unix_ms,
                rwset: &outcome.rwset,
                endorsers: outcome.endorsers.as_deref(),
            })
            .collect();
        self.connection.settings.ledger.commit(channel, &block)
    }

    /// Sends a KEEPALIVE and waits for its echo.
    ///
    /// # Errors
    /// [`InvokeError::StreamLost`], or [`InvokeError::TimedOut`] after the execute timeout.
    pub async fn keepalive(&self) -> Result<(), InvokeError> {
        let mut echoes = self.connection.keepalives.subscribe();
        let mut ended = self.connection.ended.subscribe();
        let seen = *echoes.borrow_and_update();
        let message = ChaincodeMessage { r#type: Type::Keepalive.into(), ..ChaincodeMessage::default() };
        self.connection.send(message).await?;
        let within = self.connection.settings.execute_timeout;
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
        let _ = self.connection.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// Different for each number, the same in each run.
fn nonce(number: u64) -> Vec<u8> {
    let mut nonce = vec![0; 16];
    nonce.extend_from_slice(&number.to_be_bytes());
    nonce
}
