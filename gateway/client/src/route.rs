//! Which peer a call goes to, and where else it may go when that one does not serve.
//!
//! | stage | goes elsewhere when a peer | why that is safe |
//! |---|---|---|
//! | evaluate, endorse | can't be reached, does not answer, or says that others may serve | nothing is written |
//! | endorse | of all that answer, knows too few endorsers or can't reach one: all are asked again after a while | nothing is submitted |
//! | submit | can't be reached, does not answer, or has no orderer | the envelope is the same to the byte, so its copies have one id, and one at most is VALID |
//! | commit status | can't be reached, or has no verdict for a while | asking changes nothing |
//! | one endorser, streams | never | they are about one peer, or go on where they began |

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::admission::{Admitted, refusal};
use crate::deadlines::{LIMIT_MAX, bounded, request};
use crate::metrics::{Observation, Operation, Outcome, microseconds};
use crate::peer::{Peer, is_lost};
use crate::session::Session;
use crate::{CallFailure, FailureCause};

/// How long a call waits that a peer refused because of its limit, at first and at last: others use the peer too.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// How long one peer's verdict is waited for before another peer is asked: the first may stand still.
const VERDICT_TURN: Duration = Duration::from_secs(5);

/// How long gossip is left alone before gateways are asked again that knew too few endorsers, at first and at last.
const FIRST_GOSSIP: Duration = Duration::from_millis(250);
const LAST_GOSSIP: Duration = Duration::from_secs(2);

/// What an orderer says that has the transaction already.
const ORDERED_ALREADY: &str = "request already";

/// Peers in the order in which they are preferred; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    peers: Vec<Arc<Peer>>,
    first: Arc<Peer>,
}

/// What is to be done after an attempt that failed.
enum Next {
    /// The call failed, wherever else it went.
    Fail,
    /// It may be answered elsewhere.
    Elsewhere,
    /// It was not run, and may be sent again after a pause.
    Again,
    /// It may be answered elsewhere, and later here.
    Rotate,
}

impl Route {
    /// A route over peers, of which there is at least one.
    pub(crate) fn over(peers: Vec<Arc<Peer>>) -> Option<Self> {
        let first = Arc::clone(peers.first()?);
        Some(Self { peers, first })
    }

    pub(crate) fn to(peer: Arc<Peer>) -> Self {
        Self { peers: vec![Arc::clone(&peer)], first: peer }
    }

    pub(crate) fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    /// The first peer that answers, or the first of all.
    pub(crate) fn preferred(&self) -> Arc<Peer> {
        Arc::clone(self.peers.iter().find(|peer| peer.answers()).unwrap_or(&self.first))
    }

    /// The peers, those that answer first.
    pub(crate) fn by_health(&self) -> Vec<Arc<Peer>> {
        let (mut up, down): (Vec<_>, Vec<_>) = self.peers.iter().cloned().partition(|peer| peer.answers());
        up.extend(down);
        up
    }

    /// Makes a call within a time, at each peer once; more often only where it was not run.
    ///
    /// The span that it is made in learns how long it took.
    pub(crate) async fn call<Q, A, F>(
        &self,
        session: &Session,
        operation: Operation,
        message: Q,
        limit: Duration,
        outcome: impl Fn(&A) -> Outcome,
        send: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, CallFailure>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let started = Instant::now();
        let until = started + limit.min(LIMIT_MAX);
        // On the heap, so that callers' futures stay small however many attempts there are in them.
        let result = Box::pin(async {
            let gossip = until.min(started + session.deadlines.gossip.min(LIMIT_MAX));
            let mut pause = FIRST_GOSSIP;
            loop {
                let attempts = self.attempts(session, operation, &message, until, &outcome, &send);
                let failure = match attempts.await {
                    Err(failure) if operation == Operation::Endorse => failure,
                    result => break result,
                };
                let wait = jittered(pause);
                let is_away = matches!(
                    failure.cause(),
                    Some(FailureCause::TooFewEndorsers | FailureCause::NodeUnreachable)
                );
                if !is_away || Instant::now() + wait >= gossip {
                    break Err(failure);
                }
                tracing::debug!(error = %failure, "endorsers are waited for");
                tokio::time::sleep(wait).await;
                pause = (pause * 2).min(LAST_GOSSIP);
            }
        })
        .await;
        if let Some(field) = operation.span_field() {
            tracing::Span::current().record(field, microseconds(started.elapsed()));
        }
        result
    }

    async fn attempts<Q, A, F>(
        &self,
        session: &Session,
        operation: Operation,
        message: &Q,
        until: Instant,
        outcome: &impl Fn(&A) -> Outcome,
        send: &impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, CallFailure>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut candidates =
            if operation == Operation::ProcessProposal { vec![self.preferred()] } else { self.by_health() };
        let mut pause = FIRST_PAUSE;
        let mut failure = None;
        // Whether a peer answered that others may serve; then one that is known not to answer need not be tried.
        let mut answered = false;
        while candidates.first().is_some_and(|peer| peer.answers() || !answered) {
            let queued = Instant::now();
            let (place, admitted) = match enter(&candidates, operation, until).await {
                Ok(entered) => entered,
                Err(status) => {
                    failure.get_or_insert_with(|| CallFailure::from(status));
                    candidates.remove(0);
                    continue;
                }
            };
            let peer = candidates.remove(place);
            let begun = Instant::now();
            let limit = turn(operation, until.saturating_duration_since(begun), candidates.is_empty());
            let result = bounded(limit, send(peer.channel.clone(), request(message.clone(), limit))).await;
            let duration = begun.elapsed();
            let (seen, next) = match &result {
                Ok(response) => (outcome(response.get_ref()), None),
                Err(status) => {
                    let (seen, next) = judge(operation, status, duration >= limit);
                    (seen, Some(next))
                }
            };
            learn(&peer, &admitted, operation, seen, result.as_ref().err(), duration);
            drop(admitted);
            session.metrics.observed(&Observation {
                operation,
                peer: &peer.address,
                outcome: seen,
                queued: begun - queued,
                duration,
            });
            tracing::debug!(
                operation = operation.as_str(),
                peer = peer.address,
                outcome = seen.as_str(),
                "attempt ended"
            );
            let status = match result {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            // What a gateway says tells more than that another one can't be reached.
            let lost = matches!(seen, Outcome::Unreachable | Outcome::Late);
            answered |= !lost;
            if failure.is_none() || !lost {
                failure = Some(CallFailure::from(status));
            }
            match next {
                None | Some(Next::Fail) => break,
                Some(Next::Elsewhere) => {}
                Some(Next::Rotate) => {
                    if Instant::now() < until {
                        candidates.push(peer);
                    }
                }
                Some(Next::Again) => {
                    let wait = jittered(pause);
                    if Instant::now() + wait < until {
                        tokio::time::sleep(wait).await;
                        pause = (pause * 2).min(LAST_PAUSE);
                        candidates.push(peer);
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| Status::unavailable("no peer to ask").into()))
    }
}

/// Takes a place at the first peer that has one, or waits for one at the first peer.
async fn enter(
    candidates: &[Arc<Peer>],
    operation: Operation,
    until: Instant,
) -> Result<(usize, Admitted), Status> {
    // A peer that does not answer has places enough: it is left for last.
    let answering = candidates.iter().take_while(|peer| peer.answers()).count().max(1);
    for (place, peer) in candidates.iter().enumerate().take(answering) {
        if let Some(admitted) = peer.admission(operation).try_enter() {
            return Ok((place, admitted));
        }
    }
    let Some(first) = candidates.first() else { return Err(Status::unavailable("no peer to ask")) };
    Ok((0, first.admission(operation).enter(&first.address, until).await?))
}

/// How long an attempt may take: a peer that stands still must leave time for another.
fn turn(operation: Operation, left: Duration, last: bool) -> Duration {
    match operation {
        _ if last => left,
        Operation::CommitStatus => left.min(VERDICT_TURN),
        _ => left / 2,
    }
}

/// What a failed attempt says, and what may be done about it.
fn judge(operation: Operation, status: &Status, expired: bool) -> (Outcome, Next) {
    if refusal(status.message()).is_some() && status.code() == Code::Unknown && !is_lost(status) {
        return (Outcome::Busy, Next::Again);
    }
    if is_lost(status) {
        return (Outcome::Unreachable, Next::Elsewhere);
    }
    if expired && status.code() == Code::DeadlineExceeded {
        let next = if operation == Operation::CommitStatus { Next::Rotate } else { Next::Elsewhere };
        return (Outcome::Late, next);
    }
    let failure = CallFailure::from(status.clone());
    let others_may_serve = failure.is_retryable()
        // It is ordered: what is left to be known is its block.
        && !(operation == Operation::Submit
            && failure.peers().iter().any(|orderer| orderer.message.contains(ORDERED_ALREADY)));
    (Outcome::Refused(failure.code()), if others_may_serve { Next::Elsewhere } else { Next::Fail })
}

/// Takes note of what an attempt tells about its peer.
fn learn(
    peer: &Arc<Peer>,
    admitted: &Admitted,
    operation: Operation,
    seen: Outcome,
    status: Option<&Status>,
    duration: Duration,
) {
    match seen {
        Outcome::Busy => {
            peer.answered();
            admitted.refused(status.and_then(|status| refusal(status.message())).flatten());
        }
        // A verdict that is long in coming is the orderers' matter.
        Outcome::Late if operation == Operation::CommitStatus => {}
        Outcome::Unreachable => peer.lost(),
        Outcome::Late => {
            admitted.late();
            peer.lost();
        }
        Outcome::Answered | Outcome::Verdict(_) => {
            peer.answered();
            admitted.ran(operation, duration);
        }
        Outcome::Refused(_) => peer.answered(),
    }
}

/// A pause of half to all of the given length, so that calls that were refused together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness all wait equally long, which only costs time.
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause.mul_f64(f64::from(byte[0]) / 512.0)
}
