//! Figures of a gateway for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{Metrics, Observation};

/// Upper bounds of the buckets, seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// [`Metrics`] that a program's own Prometheus registry holds; clones count together.
///
/// | name | labels | what |
/// |---|---|---|
/// | `gateway_attempts_total` | `operation`, `peer`, `outcome` | calls that were sent |
/// | `gateway_attempt_duration_seconds` | `operation`, `peer` | from being sent to the answer |
/// | `gateway_attempt_queued_seconds` | `operation`, `peer` | waiting until the peer had room |
///
/// ```
/// use std::sync::Arc;
/// use hlf_gateway::PrometheusMetrics;
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// let metrics = Arc::new(PrometheusMetrics::register(&mut registry));
/// // let gateway = gateway.with_metrics(metrics);
/// ```
#[derive(Clone, Debug)]
pub struct PrometheusMetrics {
    attempts: Family<Ended, Counter>,
    duration: Family<Sent, Histogram>,
    queued: Family<Sent, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    operation: &'static str,
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    operation: &'static str,
    peer: String,
    outcome: &'static str,
}

impl PrometheusMetrics {
    /// Makes the figures, and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let histogram = || Family::<Sent, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let metrics = Self { attempts: Family::default(), duration: histogram(), queued: histogram() };
        let registry = registry.sub_registry_with_prefix("gateway");
        registry.register("attempts", "Calls that were sent, by outcome", metrics.attempts.clone());
        registry.register_with_unit(
            "attempt_duration",
            "From sending a call to its answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "attempt_queued",
            "Waiting until the peer had room for a call",
            Unit::Seconds,
            metrics.queued.clone(),
        );
        metrics
    }
}

impl Metrics for PrometheusMetrics {
    fn observed(&self, observation: &Observation<'_>) {
        let operation = observation.operation.as_str();
        let sent = Sent { operation, peer: observation.peer.to_owned() };
        self.duration.get_or_create(&sent).observe(observation.duration.as_secs_f64());
        self.queued.get_or_create(&sent).observe(observation.queued.as_secs_f64());
        let ended = Ended { operation, peer: sent.peer, outcome: observation.outcome.as_str() };
        self.attempts.get_or_create(&ended).inc();
    }
}
