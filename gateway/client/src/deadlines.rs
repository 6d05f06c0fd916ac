//! How long each stage may take.

use std::time::{Duration, Instant};

use tonic::{Code, Request, Response, Status};

/// The longest that each stage waits before it reports DEADLINE_EXCEEDED.
///
/// They hold for a gateway, and for one call or request with its `with_deadlines`. A stage's time covers its signature.
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
    /// Signing a request for blocks or events and waiting for the stream's first message, which is how a peer answers it.
    /// None by default: a channel may be quiet for days, and a dead connection ends a stream within minutes anyway. What
    /// comes after the first message is never bounded.
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

/// When a time from now on is over.
pub(crate) fn until(limit: Duration) -> Instant {
    Instant::now() + limit.min(LIMIT_MAX)
}

/// How much of a time is left.
pub(crate) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// A request that tells the server how long its answer is waited for.
pub(crate) fn request<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(on_the_wire(limit));
    request
}

/// What the transport is told. It writes eight digits and cuts off the rest, and ends the call by what it wrote: a little
/// more keeps it from ending the call before [`bounded`] does, which would look as if the connection had broken.
fn on_the_wire(limit: Duration) -> Duration {
    let limit = limit.min(LIMIT_MAX);
    limit + limit / 10_000 + Duration::from_millis(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_never_ends_a_call_before_its_limit() {
        let hour = 60 * 60;
        let seconds =
            [0, 1, 99, 100, 101, hour, 28 * hour, 99_999, 100_000, 1_000_001, 10_000 * hour, u64::MAX];
        for limit in seconds
            .map(|seconds| Duration::from_secs(seconds).saturating_add(Duration::from_nanos(999_999_999)))
        {
            let request = request((), limit);
            let written = request.metadata().get("grpc-timeout").unwrap().to_str().unwrap();
            let (digits, unit) = written.split_at(written.len() - 1);
            assert!(digits.len() <= 8, "{written}");
            let digits: u64 = digits.parse().unwrap();
            let told = match unit {
                "n" => Duration::from_nanos(digits),
                "u" => Duration::from_micros(digits),
                "m" => Duration::from_millis(digits),
                "S" => Duration::from_secs(digits),
                "M" => Duration::from_secs(digits * 60),
                _ => Duration::from_secs(digits * hour),
            };
            assert!(told > limit.min(LIMIT_MAX), "{written} for {limit:?}");
        }
    }
}
