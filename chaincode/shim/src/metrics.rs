//! Figures of a service, for Prometheus.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tracing::warn;

/// The function label of what is none of the contract's functions.
const OTHER: &str = "other";
/// Upper bounds of the duration's buckets, seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Figures of one or more services: transactions by function and outcome, how long they take, how
/// many run, how often they ask their peer. Clones count together.
///
/// Functions are labelled by the contract's own names only, so that what callers send becomes no label.
/// Outcomes are statuses, `timed_out` for what ran longer than [`Limits::transaction`](crate::Limits::transaction),
/// and `cancelled` for what ended without a response since its stream was lost, its peer sent it anew,
/// or the service stopped.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Figures>);

#[derive(Debug)]
struct Figures {
    registry: Registry,
    transactions: Family<Ended, Counter>,
    seconds: Family<Called, Histogram>,
    in_flight: Gauge,
    round_trips: Counter,
    streams: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    function: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    function: String,
    outcome: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let transactions = Family::<Ended, Counter>::default();
        let seconds = Family::<Called, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let in_flight: Gauge = Gauge::default();
        let round_trips: Counter<u64, AtomicU64> = Counter::default();
        let streams: Gauge = Gauge::default();
        let mut registry = Registry::with_prefix("chaincode");
        registry.register("transactions", "Transactions by function and status", transactions.clone());
        registry.register_with_unit(
            "transaction_duration",
            "From the arrival of a transaction to its completion",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("transactions_in_flight", "Transactions that run or wait", in_flight.clone());
        registry.register("round_trips", "Requests that transactions sent to peers", round_trips.clone());
        registry.register("streams", "Streams to peers that are open", streams.clone());
        Self(Arc::new(Figures { registry, transactions, seconds, in_flight, round_trips, streams }))
    }
}

impl Metrics {
    /// All figures in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Serves `GET /metrics`, and `GET /healthz`: 200 while peers are served, 503 before and after.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        serving: impl Fn() -> bool + Clone + Send + Sync + 'static,
    ) {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let figures = async move || ([(CONTENT_TYPE, content_type)], self.text());
        let health = async move || match serving() {
            true => (StatusCode::OK, "serving\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not serving\n"),
        };
        let endpoint = Router::new().route("/metrics", get(figures)).route("/healthz", get(health));
        if let Err(error) = axum::serve(listener, endpoint).await {
            warn!(%error, "the metrics endpoint failed");
        }
    }

    pub(crate) fn begin(&self) -> Sample {
        self.0.in_flight.inc();
        Sample {
            metrics: self.clone(),
            started: Instant::now(),
            function: OnceLock::new(),
            outcome: Outcome::Cancelled,
        }
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.0.streams.inc();
        OpenStream(self.clone())
    }
}

/// One transaction, counted when it is dropped.
#[derive(Debug)]
pub(crate) struct Sample {
    metrics: Metrics,
    started: Instant,
    function: OnceLock<String>,
    outcome: Outcome,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Without a response: its stream was lost, its peer sent it anew, or the service stopped.
    Cancelled,
    /// After [`Limits::transaction`](crate::Limits::transaction).
    TimedOut,
    /// With this status.
    Status(i32),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

impl Sample {
    pub(crate) fn called(&self, function: Option<&str>) {
        // Set once for each transaction.
        let _ = self.function.set(function.unwrap_or(OTHER).to_owned());
    }

    pub(crate) fn asked(&self, round_trips: u64) {
        self.metrics.0.round_trips.inc_by(round_trips);
    }

    pub(crate) fn ended(&mut self, status: i32) {
        self.outcome = Outcome::Status(status);
    }

    pub(crate) fn timed_out(&mut self) {
        self.outcome = Outcome::TimedOut;
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let figures = &self.metrics.0;
        let function = self.function.take().unwrap_or_else(|| OTHER.to_owned());
        let outcome = self.outcome.to_string();
        figures.in_flight.dec();
        figures
            .seconds
            .get_or_create(&Called { function: function.clone() })
            .observe(self.started.elapsed().as_secs_f64());
        figures.transactions.get_or_create(&Ended { function, outcome }).inc();
    }
}

/// An open stream, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Metrics);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.streams.dec();
    }
}
