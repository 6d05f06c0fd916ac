//! What monitoring needs: where every node tells its metrics, and those that Fabric does not have.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::reach::{ORDERER_ADMIN, client_tls};
use super::vitals::Vitals;
use super::{Network, NodeKind};
use crate::ca::TlsFiles;
use crate::files;
use crate::node::{self, OPERATIONS};
use crate::overlay::Overlay;
use crate::ports::PortError;

mod listen;

pub use listen::{Exporter, ExporterError};

/// A dashboard for Grafana, JSON, of metrics that nodes and [`Exporter`] have; its data source is Prometheus.
pub const DASHBOARD: &str = include_str!("metrics/dashboard.json");

/// A metric of [`Network::metrics`]: its name, its type in Prometheus' text format, and what it tells.
pub const METRICS: [(&str, &str, &str); 11] = [
    ("hlf_network_up", "gauge", "Whether the process runs."),
    ("hlf_network_height_blocks", "gauge", "Number of blocks of the channel that the node has."),
    ("hlf_network_lag_blocks", "gauge", "How many blocks the node is behind the one that has most."),
    ("hlf_network_leads", "gauge", "Whether the orderer leads."),
    ("hlf_network_known_peers", "gauge", "Peers of the channel that the peer knows, without itself."),
    ("hlf_network_chaincode_registered", "gauge", "Whether the chaincode answers through the peer."),
    (
        "hlf_network_chaincode_sequence",
        "gauge",
        "Sequence of the chaincode's definition, in force and in the spec.",
    ),
    ("hlf_network_certificate_days", "gauge", "Whole days until the certificate ends; negative when it has."),
    ("hlf_network_clock_skew_seconds", "gauge", "How far the node's clock is certainly off this machine's."),
    (
        "hlf_network_gateway_calls_open",
        "gauge",
        "Calls that the peer's gateway has admitted and not answered.",
    ),
    ("hlf_network_gateway_calls_limit", "gauge", "Calls that the peer's gateway admits at a time."),
];

/// Fabric's counters of calls to the gateway service that were received and answered.
const GATEWAY_CALLS: [&str; 2] =
    ["grpc_server_unary_requests_received", "grpc_server_unary_requests_completed"];

/// Where one node tells its metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MetricsTarget {
    /// The node.
    pub node: String,
    /// Orderer or peer.
    pub kind: NodeKind,
    /// MSP id of its organisation.
    pub msp_id: String,
    /// `host:port` of its operations endpoint.
    pub address: String,
    /// TLS authority that vouches for the node, PEM file.
    pub ca_file: PathBuf,
    /// Client certificate that the endpoint asks for, PEM file.
    pub cert_file: PathBuf,
    /// Its key, PEM file.
    pub key_file: PathBuf,
}

/// Why metrics cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// A node was never given a port.
    #[error("the network was stood up from another spec")]
    Node(#[from] node::NodeError),
}

impl Network {
    /// Where every orderer and peer tells its metrics, and with which client certificate they are asked for.
    ///
    /// # Errors
    /// [`MetricsError`] when the network was never up.
    pub fn metrics_targets(&self) -> Result<Vec<MetricsTarget>, MetricsError> {
        let ports = self.ports()?;
        let orderer = &self.spec.orderer;
        let home = self.layout.ordering_organization(orderer);
        let client = client_tls(home.join("users").join(format!("{ORDERER_ADMIN}@{}", orderer.domain)));
        let mut targets = Vec::new();
        let mut add = |node: String, kind, msp_id: &str, client: &TlsFiles| -> Result<(), MetricsError> {
            targets.push(MetricsTarget {
                address: node::loopback(&ports, &node, OPERATIONS)?,
                node,
                kind,
                msp_id: msp_id.to_owned(),
                ca_file: client.roots.clone(),
                cert_file: client.certificate.clone(),
                key_file: client.key.clone(),
            });
            Ok(())
        };
        for consenter in self.own_consenters() {
            add(orderer.host(consenter), NodeKind::Orderer, &orderer.msp_id, &client)?;
        }
        for organization in self.own_organizations() {
            let admin = organization.admin().map_or("", |user| user.name.as_str());
            let client = client_tls(self.layout.user(organization, admin));
            for peer in &organization.peers {
                add(organization.host(peer), NodeKind::Peer, &organization.msp_id, &client)?;
            }
        }
        Ok(targets)
    }

    /// A configuration for Prometheus that asks every node, and an exporter of [`Network::metrics`] where one listens.
    ///
    /// # Errors
    /// [`MetricsError`] when the network was never up.
    pub fn scrape_config(&self, exporter: Option<&str>) -> Result<String, MetricsError> {
        let mut text = String::from("scrape_configs:\n");
        for target in self.metrics_targets()? {
            let kind = word(target.kind);
            let quoted = |path: &PathBuf| serde_json::json!(path).to_string();
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "  - job_name: \"{node}\"\n    scheme: https\n    tls_config:\n      ca_file: {ca}\n      \
                 cert_file: {cert}\n      key_file: {key}\n    static_configs:\n      - targets: [\"{address}\"]\n        \
                 labels: {{ node: \"{node}\", kind: \"{kind}\", msp_id: \"{msp_id}\" }}\n",
                node = target.node,
                ca = quoted(&target.ca_file),
                cert = quoted(&target.cert_file),
                key = quoted(&target.key_file),
                address = target.address,
                msp_id = target.msp_id,
            );
        }
        if let Some(exporter) = exporter {
            let _ = write!(
                text,
                "  - job_name: \"network\"\n    static_configs:\n      - targets: [{}]\n",
                serde_json::json!(exporter)
            );
        }
        Ok(text)
    }

    /// What Fabric has no metric of, asked of every node now, in Prometheus' text format.
    ///
    /// # Errors
    /// [`MetricsError`] when the file of ports is damaged; a node that does not answer is a metric, not an error.
    pub async fn metrics(&self) -> Result<String, MetricsError> {
        let vitals = Vitals::of(self, &self.ports()?).await;
        let mut samples: Vec<(&str, String, f64)> = Vec::new();
        let mut add = |name, labels: &[(&str, &str)], value: f64| {
            let labels = labels.iter().map(|(key, value)| format!("{key}={}", serde_json::json!(value)));
            samples.push((name, labels.collect::<Vec<_>>().join(","), value));
        };
        let highest = vitals.height();
        let mut of_ledger = |node: &str, kind: NodeKind, pid: Option<u32>, height: Option<u64>| {
            let labels = [("node", node), ("kind", word(kind))];
            add("hlf_network_up", &labels, f64::from(u8::from(pid.is_some())));
            if let (Some(height), Some(highest)) = (height, highest) {
                add("hlf_network_height_blocks", &labels, number(height));
                add("hlf_network_lag_blocks", &labels, number(highest.saturating_sub(height)));
            }
        };
        for orderer in &vitals.orderers {
            of_ledger(&orderer.host, NodeKind::Orderer, orderer.pid, orderer.height());
        }
        for peer in &vitals.peers {
            of_ledger(&peer.host, NodeKind::Peer, peer.pid, peer.height());
        }
        for service in &vitals.services {
            of_ledger(&service.name, NodeKind::Chaincode, service.pid, None);
        }
        for orderer in &vitals.orderers {
            let labels = [("node", orderer.host.as_str())];
            if let Some(leads) = orderer.leads() {
                add("hlf_network_leads", &labels, f64::from(u8::from(leads)));
            }
            if let Some(skew) = orderer.operations.as_ref().and_then(|heard| heard.as_ref().ok()?.skew) {
                add("hlf_network_clock_skew_seconds", &labels, skew.as_seconds_f64());
            }
        }
        for peer in &vitals.peers {
            let labels = [("node", peer.host.as_str())];
            if let Some(known) = peer.known_peers {
                add("hlf_network_known_peers", &labels, number(known));
            }
            if let Some(answer) = peer.answered().and_then(|answers| answers.chaincode.as_ref()) {
                add("hlf_network_chaincode_registered", &labels, f64::from(u8::from(answer.is_ok())));
            }
            let Some(Ok(heard)) = &peer.operations else { continue };
            if let Some(skew) = heard.skew {
                add("hlf_network_clock_skew_seconds", &labels, skew.as_seconds_f64());
            }
            let [received, completed] =
                GATEWAY_CALLS.map(|name| heard.sum(name, "service=\"gateway_Gateway\""));
            add("hlf_network_gateway_calls_open", &labels, (received - completed).max(0.0));
            if let Some(limit) = self.gateway_limit(&peer.host) {
                add("hlf_network_gateway_calls_limit", &labels, number(limit));
            }
        }
        if let (Some(definition), Some(chaincode)) = (&vitals.definition, &self.spec.chaincode) {
            let in_force = definition.as_ref().map_or(0, |definition| definition.sequence);
            for (of, sequence) in [("channel", in_force), ("spec", i64::from(chaincode.sequence))] {
                let labels = [("chaincode", chaincode.name.as_str()), ("of", of)];
                add("hlf_network_chaincode_sequence", &labels, number(u64::try_from(sequence).unwrap_or(0)));
            }
        }
        for certificate in self.local_certificates().unwrap_or_default() {
            let kind = serde_json::to_value(certificate.kind).unwrap_or_default();
            let labels = [
                ("name", certificate.name.as_str()),
                ("kind", kind.as_str().unwrap_or_default()),
                ("msp_id", certificate.msp_id.as_str()),
            ];
            let days = i32::try_from(certificate.days).unwrap_or(i32::MAX);
            add("hlf_network_certificate_days", &labels, f64::from(days));
        }
        let mut text = String::new();
        for (name, kind, help) in METRICS {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (_, labels, value) in samples.iter().filter(|(sample, ..)| *sample == name) {
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        }
        Ok(text)
    }

    /// How many calls a peer's gateway admits at a time, by its configuration.
    fn gateway_limit(&self, host: &str) -> Option<u64> {
        let text = files::read(&self.layout.node(host).join("core.yaml")).ok()?;
        Overlay::parse(&text).ok()?.value("peer.limits.concurrency.gatewayService")?.as_u64()
    }
}

/// A count as Prometheus has it: exact up to 2⁵³.
fn number(count: u64) -> f64 {
    count as f64
}

fn word(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Orderer => "orderer",
        NodeKind::Peer => "peer",
        NodeKind::Chaincode => "chaincode",
        NodeKind::FabricCa => "fabric_ca",
    }
}
