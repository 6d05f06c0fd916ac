//! What is asked of a network in good health: readiness, status, metrics, logs; and a scripted operations endpoint.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hlf_network::logs::{Level, LogQuery};
use hlf_network::network::{DASHBOARD, Exporter, METRICS, MetricsTarget, Network, NodeKind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::{NORTH, ORDERERS, SOUTH, Ward};
use crate::bench::{say, told};
use crate::shelf::{put, ready};

pub(super) async fn a_healthy_network_is_ready_and_measured(ward: &Ward) {
    put(&ward.network, "north", "to be measured").await;
    if let Err(error) = ward.network.await_ready(Duration::from_secs(90), &say).await {
        panic!("{}", told(&error));
    }
    let status = ready(&ward.network).await;
    for node in &status.nodes {
        let (is_peer, has_ledger) = (node.kind == NodeKind::Peer, node.kind != NodeKind::Chaincode);
        assert_eq!(node.known_peers, is_peer.then_some(1), "{node:?}");
        assert_eq!(node.height.is_some() && node.lag.is_some(), has_ledger, "{node:?}");
        assert!(node.certificate_days.unwrap() > 700, "{node:?}");
    }
    let chaincode = status.chaincode.unwrap();
    assert_eq!(status.registrations.len(), 2);
    for on_peer in &status.registrations {
        assert_eq!(on_peer.answers, Some(true), "{on_peer:?}");
        let id = chaincode.package_id.as_ref();
        let ids = [&on_peer.installed, &on_peer.approved, &on_peer.served];
        assert!(ids.iter().all(|found| found.as_ref() == id), "{on_peer:?}");
    }
    every_query_of_the_dashboard_has_its_metrics(ward).await;
    what_the_processes_said(ward);
}

/// Of every query the metrics are told by a peer, an orderer or the exporter.
async fn every_query_of_the_dashboard_has_its_metrics(ward: &Ward) {
    let targets = ward.network.metrics_targets().unwrap();
    assert_eq!(targets.len(), 5);
    let mut known = BTreeSet::new();
    for host in [ORDERERS[0], ORDERERS[1], ORDERERS[2], NORTH] {
        let target = targets.iter().find(|target| target.node == host).unwrap();
        let (metrics, target) = (target.clone(), target.node.clone());
        let told = tokio::task::spawn_blocking(move || ask_node(&metrics)).await.unwrap();
        let names = names(&told);
        assert!(!names.is_empty(), "{target}: {told}");
        known.extend(names);
    }
    let exporter = Network::existing(ward.root()).unwrap();
    let exporter = Exporter::bind(exporter, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = exporter.address().unwrap();
    let serving = tokio::spawn(exporter.serve());
    let told = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        ask(&mut stream)
    })
    .await
    .unwrap();
    serving.abort();
    let own = names(&told);
    let promised: BTreeSet<String> = METRICS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(own, promised, "{told}");
    assert!(
        told.contains(&format!("hlf_network_lag_blocks{{node=\"{NORTH}\",kind=\"peer\"}} 0\n")),
        "{told}"
    );
    assert_eq!(
        told.lines().filter(|line| line.starts_with("hlf_network_leads") && line.ends_with(" 1")).count(),
        1
    );
    known.extend(own);

    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let queries: Vec<&str> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() >= 20);
    for query in queries {
        let wanted = metrics_of(query);
        assert!(!wanted.is_empty(), "{query}");
        let missing: Vec<_> = wanted.difference(&known).collect();
        assert!(missing.is_empty(), "`{query}` asks for {missing:?}, which nobody tells");
    }
    let scrape = ward.network.scrape_config(Some("127.0.0.1:9464")).unwrap();
    let scrape: serde_json::Value = serde_saphyr::from_str(&scrape).unwrap();
    let jobs = scrape["scrape_configs"].as_array().unwrap();
    assert_eq!(jobs.len(), 6);
    assert!(
        jobs[..5].iter().all(|job| job["tls_config"]["key_file"].is_string() && job["scheme"] == "https")
    );
}

/// Names of metrics that have a sample.
fn names(text: &str) -> BTreeSet<String> {
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or(("", text));
    body.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| name.contains('_'))
        .map(ToOwned::to_owned)
        .collect()
}

/// Names of metrics in a query: words outside of brackets that are no functions, operators or labels.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = query;
    while let Some(from) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let word = &rest[from..];
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        rest = after;
        if word == "by" {
            rest = after.split_once(')').unwrap().1;
        } else if !after.trim_start().starts_with('(') && !matches!(word, "sum" | "min" | "max") {
            found.insert(word.to_owned());
        }
        if let Some(range) = rest.strip_prefix('[') {
            rest = range.split_once(']').unwrap().1;
        }
    }
    found
}

fn ask_node(target: &MetricsTarget) -> String {
    let certificates = |file: &Path| {
        CertificateDer::pem_slice_iter(&fs::read(file).unwrap()).collect::<Result<Vec<_>, _>>().unwrap()
    };
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(&target.ca_file) {
        roots.add(root).unwrap();
    }
    let key = PrivateKeyDer::from_pem_slice(&fs::read(&target.key_file).unwrap()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&target.cert_file), key)
            .unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(&target.address).unwrap();
    ask(&mut rustls::Stream::new(&mut session, &mut stream))
}

fn ask(stream: &mut (impl std::io::Read + std::io::Write)) -> String {
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A server may close without saying goodbye.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Logs of all processes, also of the peer's earlier run, which was killed.
fn what_the_processes_said(ward: &Ward) {
    let mut logs = ward.network.logs(LogQuery::default()).unwrap();
    let (mut last, mut nodes, mut entries) = (i64::MIN, BTreeSet::new(), 0_usize);
    while let Some(entry) = logs.next_entry().unwrap() {
        // Lines of one process stay as they lie, and are out of order by as long as one of its threads stood still.
        let at = entry.at.unwrap_or(last);
        assert!(at.saturating_add(30_000) >= last, "{entry:?}");
        last = last.max(at);
        nodes.insert(entry.node);
        entries += 1;
    }
    assert!(nodes.len() >= 5 && entries > 100, "{nodes:?}: {entries}");
    let starts = |query: LogQuery| {
        let mut logs = ward.network.logs(query).unwrap();
        std::iter::from_fn(move || logs.next_entry().unwrap()).collect::<Vec<_>>()
    };
    let mut query = LogQuery::default();
    query.nodes = vec![SOUTH.to_owned()];
    query.containing = vec!["started peer with id".to_owned()];
    assert_eq!(starts(query.clone()).len(), 2, "the run that was killed, and this one");
    query.level = Some(Level::Error);
    assert!(starts(query.clone()).is_empty());
    query.nodes = vec!["nobody".to_owned()];
    assert!(ward.network.logs(query).is_err());
}

/// An operations endpoint whose clock is wrong, with a node's own certificate.
pub(super) struct Clock {
    pub(super) port: u16,
}

impl Clock {
    /// It answers until the test ends.
    pub(super) fn five_seconds_ahead(tls: &Path) -> Self {
        let certificates = CertificateDer::pem_slice_iter(&fs::read(tls.join("server.crt")).unwrap())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(&fs::read(tls.join("server.key")).unwrap()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(certificates, key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::Stream::new(&mut session, &mut stream);
                let mut head = [0; 1024];
                if !matches!(tls.read(&mut head), Ok(1..)) {
                    continue;
                }
                let ahead = time::OffsetDateTime::now_utc() + Duration::from_secs(5);
                let day = |name: String| name[..3].to_owned();
                let date = format!(
                    "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                    day(ahead.weekday().to_string()),
                    ahead.day(),
                    day(ahead.month().to_string()),
                    ahead.year(),
                    ahead.hour(),
                    ahead.minute(),
                    ahead.second()
                );
                let body = "go_goroutines 1\n";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Whoever asked may have gone.
                let _ = tls.write_all(answer.as_bytes());
                session.send_close_notify();
                let _ = session.complete_io(&mut stream);
            }
        });
        Self { port }
    }
}

/// A port on which nobody listens now, below those that outgoing connections take.
pub(super) fn free_port() -> u16 {
    (15_000..19_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
