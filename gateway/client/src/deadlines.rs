//! How long each stage may take.

use std::time::{Duration, Instant};

use tonic::{Code, Request, Response, Status};

/// The longest that each stage waits before it reports DEADLINE_EXCEEDED.
///
/// They hold for a gateway, and for one call or request with its `with_deadlines`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Connecting, TLS included. 10 s by default.
    pub connect: Duration,
    /// An evaluation. 15 s by default.
    pub evaluate: Duration,
    /// Gathering endorsements; a peer gives each endorser 30 s. 30 s by default.
    pub endorse: Duration,
    /// How much of an endorsement's time is spent on asking gateways again that know too few endorsers, or can't reach
    /// one: peers learn of each other some 10 to 20 s after their start. Zero fails at once. 15 s by default.
    pub gossip: Duration,
    /// Handing a transaction to the orderers. 30 s by default.
    pub submit: Duration,
    /// Waiting for a transaction's block. 60 s by default.
    pub commit_status: Duration,
    /// Waiting for the block of a transaction whose submission failed, before its outcome is called unknown.
    /// 10 s by default.
    pub lost_submit: Duration,
    /// Waiting for the first message of a block or event stream, which is how a peer answers such a request. None by
    /// default: a channel may be quiet for days, and a dead connection ends a stream within minutes anyway. What comes
    /// after the first message is never bounded.
    pub open_stream: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            evaluate: Duration::from_secs(15),
            endorse: Duration::from_secs(30),
            gossip: Duration::from_secs(15),
            submit: Duration::from_secs(30),
            commit_status: Duration::from_secs(60),
            lost_submit: Duration::from_secs(10),
            open_stream: None,
        }
    }
}

/// The longest that is waited at all, 100 years: the wire has eight digits for it, and clocks an end.
pub(crate) const LIMIT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A request that tells the server how long its answer is waited for.
pub(crate) fn request<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit.min(LIMIT_MAX));
    request
}

/// Waits for a call at most for the given time.
///
/// The transport reports the end of that time as CANCELLED; callers see DEADLINE_EXCEEDED.
pub(crate) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    let started = Instant::now();
    let expired = || Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()));
    match tokio::time::timeout(limit, call).await {
        Ok(Err(status)) if status.code() == Code::Cancelled && started.elapsed() >= limit => Err(expired()),
        Ok(result) => result,
        Err(_) => Err(expired()),
    }
}

/// Waits for a stream's first message as long as it may take.
pub(crate) async fn opened<T>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    match limit {
        Some(limit) => bounded(limit, call).await,
        None => call.await,
    }
}
