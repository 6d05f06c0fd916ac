//! One peer: the way to it, what it bears, and whether it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hlf_protos::gateway::EvaluateRequest;
use hlf_protos::gateway::gateway_client::GatewayClient;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::admission::{Admission, Concurrency, Load};
use crate::deadlines::{bounded, request};
use crate::metrics::Operation;

/// How long a peer that does not answer is left alone before it is asked again, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How long a peer that is asked whether it answers may take.
const PROBE: Duration = Duration::from_secs(2);

/// A peer as this client sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) channel: Channel,
    gateway: Arc<Admission>,
    endorser: Arc<Admission>,
    deliver: Arc<Admission>,
    /// Whether there are other peers to go to while this one does not answer.
    watched: bool,
    down: AtomicBool,
    /// Asks a peer that is down until it answers.
    probe: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A look at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its address, `host:port`.
    pub address: String,
    /// Whether it answered when it was last asked.
    pub answers: bool,
    /// The calls to its gateway.
    pub gateway: Load,
    /// The calls to its endorser.
    pub endorser: Load,
    /// The streams of its blocks.
    pub deliver: Load,
}

impl Peer {
    /// A peer that is the only one.
    pub(crate) fn alone(address: &str, channel: Channel) -> Arc<Self> {
        Self::new(address.to_owned(), channel, Concurrency::default(), false)
    }

    /// A peer among others.
    pub(crate) fn among_others(address: &str, channel: Channel) -> Arc<Self> {
        Self::new(address.to_owned(), channel, Concurrency::default(), true)
    }

    /// The same connection, with limits to be learnt anew.
    pub(crate) fn with_concurrency(&self, concurrency: Concurrency) -> Arc<Self> {
        Self::new(self.address.clone(), self.channel.clone(), concurrency, self.watched)
    }

    fn new(address: String, channel: Channel, concurrency: Concurrency, watched: bool) -> Arc<Self> {
        Arc::new(Self {
            address,
            channel,
            gateway: Admission::new(concurrency),
            endorser: Admission::new(concurrency),
            deliver: Admission::of_streams(concurrency),
            watched,
            down: AtomicBool::new(false),
            probe: Mutex::new(None),
        })
    }

    /// The calls that the peer counts together with this one.
    pub(crate) fn admission(&self, operation: Operation) -> &Arc<Admission> {
        match operation {
            Operation::Evaluate
            | Operation::Endorse
            | Operation::Submit
            | Operation::CommitStatus
            | Operation::ChaincodeEvents => &self.gateway,
            Operation::ProcessProposal => &self.endorser,
            Operation::Deliver => &self.deliver,
        }
    }

    pub(crate) fn answers(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// It answered, whatever it said.
    pub(crate) fn answered(&self) {
        self.down.store(false, Ordering::Relaxed);
    }

    /// It did not answer: it is asked from time to time until it does.
    pub(crate) fn lost(self: &Arc<Self>) {
        if !self.watched || self.down.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(peer = self.address, "peer does not answer");
        let probe = tokio::spawn(probe(Arc::downgrade(self)));
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(AbortOnDropHandle::new(probe));
    }

    pub(crate) fn status(&self) -> PeerStatus {
        PeerStatus {
            address: self.address.clone(),
            answers: self.answers(),
            gateway: self.gateway.load(),
            endorser: self.endorser.load(),
            deliver: self.deliver.load(),
        }
    }
}

/// Asks until the peer answers, with an evaluation of nothing: every gateway refuses it at once, and a process that
/// is stopped or starting does not.
async fn probe(peer: Weak<Peer>) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let Some((channel, address)) =
            peer.upgrade().map(|peer| (peer.channel.clone(), peer.address.clone()))
        else {
            return;
        };
        let mut client = GatewayClient::new(channel);
        let asked = bounded(PROBE, client.evaluate(request(EvaluateRequest::default(), PROBE))).await;
        if !asked.is_err_and(|status| is_lost(&status) || status.code() == Code::DeadlineExceeded) {
            if let Some(peer) = peer.upgrade() {
                peer.answered();
            }
            tracing::info!(peer = address, "peer answers again");
            return;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Whether a status is the transport's own: the connection broke or could not be made.
pub(crate) fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}
