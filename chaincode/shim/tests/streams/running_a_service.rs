//! Several package ids, new certificates, health, figures, and chaincode that dials its peer.

use std::net::SocketAddr;
use std::sync::Arc;

use hlf_chaincode::{
    Config, DialConfig, DialError, DialTls, Dialled, Drained, Limits, Metrics, Service, TlsError, dial,
};
use hlf_testpeer::{Proposal, TestPeer, TestPeerBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::mutual_tls::{Ca, tls};
use crate::support::{Running, clerk, gate, shop, within};

fn facts() -> Proposal {
    Proposal::new(clerk(), "Facts")
}

#[tokio::test]
async fn one_process_serves_several_package_ids_to_several_peers() {
    let contract = Arc::new(shop());
    let first = Running::with(Config::for_tests("shop:1"), Arc::clone(&contract)).await;
    let second = Running::with(Config::for_tests("shop:2"), contract).await;
    for (service, id) in [(&first, "shop:1"), (&second, "shop:2"), (&first, "shop:1")] {
        let peer = TestPeer::builder().connect(service.address).await.unwrap();
        assert_eq!(peer.package_id(), id);
        assert!(peer.invoke(&facts()).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn new_certificates_are_used_without_dropping_streams() {
    let (old, new) = (Ca::new(), Ca::new());
    let config = Config { tls: Some(tls(&old.issue("localhost"), &old)), ..Config::for_tests("shop:1") };
    let listening = Service::new(config, shop()).bind().await.unwrap();
    let (address, certificates) = (listening.local_address(), listening.certificates());
    let serving = tokio::spawn(listening.serve(std::future::pending()));
    let connect = |ca: &Ca| {
        let (certificate, key) = ca.issue("peer");
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca.pem()))
            .identity(Identity::from_pem(certificate, key))
            .domain_name("localhost");
        Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap()
    };
    let before = TestPeer::builder().connect_over(connect(&old).connect().await.unwrap()).await.unwrap();

    let mut misfit = tls(&new.issue("localhost"), &new);
    misfit.key_pem = old.issue("localhost").1.into_bytes();
    assert!(matches!(certificates.replace(&misfit), Err(TlsError::Refused(_))));
    misfit.key_pem = b"no key".to_vec();
    assert!(matches!(certificates.replace(&misfit), Err(TlsError::NotPem { .. })));
    assert!(connect(&old).connect().await.is_ok(), "what is refused changes nothing");

    certificates.replace(&tls(&new.issue("localhost"), &new)).unwrap();
    let after = TestPeer::builder().connect_over(connect(&new).connect().await.unwrap()).await.unwrap();
    assert!(connect(&old).connect().await.is_err(), "the old authority is not trusted any more");
    assert!(before.invoke(&facts()).await.unwrap().is_ok(), "the old stream goes on");
    assert!(after.invoke(&facts()).await.unwrap().is_ok());
    serving.abort();

    let plain = Service::new(Config::for_tests("shop:1"), shop()).bind().await.unwrap();
    assert!(matches!(plain.certificates().replace(&misfit), Err(TlsError::Plain)));
}

#[tokio::test]
async fn health_says_serving_until_the_service_drains() {
    let (gate, mut keeper) = gate();
    let mut service = Running::start(gate).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let channel =
        Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    for name in ["", "protos.Chaincode"] {
        let asked = HealthCheckRequest { service: name.into() };
        let answer = health.check(asked).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name:?}");
    }
    let asked = HealthCheckRequest { service: "protos.Chaincode".into() };
    let mut watched = health.watch(asked).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let wait = Proposal::new(clerk(), "Wait");
    let waiting = peer.invoke(&wait);
    let stopping = async {
        within(keeper.entered.recv()).await.unwrap();
        service.stop();
        let status = within(watched.message()).await.unwrap().unwrap().status();
        assert_eq!(status, ServingStatus::NotServing);
        assert!(
            within(watched.message()).await.unwrap().is_none(),
            "a watch ends when there is no more to tell"
        );
        keeper.go.add_permits(1);
    };
    let (waited, ()) = tokio::join!(waiting, stopping);
    assert_eq!(waited.unwrap().payload, b"went");
    drop(peer);
    assert!(service.stopped().await.in_time);
}

#[tokio::test]
async fn whoever_watches_health_does_not_keep_a_service_from_stopping() {
    let mut service = Running::start(shop()).await;
    let channel =
        Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let mut watches = Vec::new();
    for name in ["", "protos.Chaincode"] {
        let mut watched =
            health.watch(HealthCheckRequest { service: name.into() }).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watched);
    }
    let unknown = health.watch(HealthCheckRequest { service: "unknown".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    service.stop();
    assert_eq!(service.stopped().await, Drained { in_time: true });
    drop(watches);
}

#[tokio::test]
async fn prometheus_reads_functions_outcomes_round_trips_and_durations() {
    let metrics = Metrics::default();
    let config = Config { metrics_address: Some("127.0.0.1:0".into()), ..Config::for_tests("shop:1") };
    let listening = Service::new(config, shop()).metrics(metrics.clone()).bind().await.unwrap();
    let (address, endpoint) = (listening.local_address(), listening.metrics_address().unwrap());
    let serving = tokio::spawn(listening.serve(std::future::pending()));
    let peer = TestPeer::builder().connect(address).await.unwrap();
    peer.invoke(&facts()).await.unwrap();
    peer.invoke(&Proposal::new(clerk(), "shop:Touch").arg(r#"["a","b"]"#)).await.unwrap();
    peer.invoke(&Proposal::new(clerk(), "Touch").arg("?")).await.unwrap();
    peer.invoke(&Proposal::new(clerk(), "made_up_by_a_caller")).await.unwrap();

    let text = get(endpoint, "/metrics").await;
    assert!(get(endpoint, "/healthz").await.starts_with("HTTP/1.1 200 OK"));
    for line in [
        "HTTP/1.1 200 OK",
        "chaincode_transactions_total{function=\"Facts\",outcome=\"200\"} 1",
        "chaincode_transactions_total{function=\"Touch\",outcome=\"200\"} 1",
        "chaincode_transactions_total{function=\"Touch\",outcome=\"400\"} 1",
        "chaincode_transactions_total{function=\"other\",outcome=\"404\"} 1",
        "chaincode_transaction_duration_seconds_count{function=\"Touch\"} 2",
        "chaincode_transactions_in_flight 0",
        "chaincode_round_trips_total 2",
        "chaincode_streams 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("made_up_by_a_caller"));
    assert!(metrics.text().contains("chaincode_streams 1"));
    serving.abort();
}

async fn get(endpoint: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(endpoint).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn chaincode_that_dials_tells_its_figures_and_whether_it_is_ready() {
    let listening = TestPeer::builder().listen().await.unwrap();
    let address = listening.address().to_string();
    let config = DialConfig { metrics_address: Some("127.0.0.1:0".into()), ..dialling(address, None) };
    let (gate, mut keeper) = gate();
    let dialled = Dialled::connect(config, gate, Metrics::default()).await.unwrap();
    let endpoint = dialled.metrics_address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(dialled.run(async {
        let _ = stopped.await;
    }));
    assert!(get(endpoint, "/healthz").await.starts_with("HTTP/1.1 503"), "the peer has not said READY");
    let peer = within(listening.accept()).await.unwrap();
    assert!(peer.invoke(&Proposal::new(clerk(), "Done")).await.unwrap().is_ok());
    keeper.entered.recv().await.unwrap();
    assert!(get(endpoint, "/healthz").await.starts_with("HTTP/1.1 200"));
    let figures = get(endpoint, "/metrics").await;
    assert!(
        figures.contains("chaincode_transactions_total{function=\"other\",outcome=\"200\"} 1"),
        "{figures}"
    );
    let wait = Proposal::new(clerk(), "Wait");
    let waiting = peer.invoke(&wait);
    let stopping = async {
        within(keeper.entered.recv()).await.unwrap();
        stop.send(()).unwrap();
        within(async { while !get(endpoint, "/healthz").await.starts_with("HTTP/1.1 503") {} }).await;
        keeper.go.add_permits(1);
    };
    let (waited, ()) = tokio::join!(waiting, stopping);
    assert_eq!(waited.unwrap().payload, b"went", "what runs finishes first");
    assert!(within(running).await.unwrap().unwrap().in_time);
}

#[tokio::test]
async fn the_last_reply_of_chaincode_that_dials_reaches_its_peer_before_the_process_ends() {
    let listening = TestPeer::builder().listen().await.unwrap();
    let config = dialling(listening.address().to_string(), None);
    let (gate, mut keeper) = gate();
    let (stop, stopped) = oneshot::channel::<()>();
    // A runtime of its own, which ends with the stream as a process does.
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(dial(config, gate, async {
            let _ = stopped.await;
        }))
    });
    let peer = within(listening.accept()).await.unwrap();
    let large = Proposal::new(clerk(), "WaitThenLarge");
    let waiting = peer.invoke(&large);
    let stopping = async {
        within(keeper.entered.recv()).await.unwrap();
        stop.send(()).unwrap();
        // It drains when it refuses.
        while within(peer.invoke(&Proposal::new(clerk(), "Done"))).await.unwrap().is_ok() {}
        keeper.go.add_permits(1);
    };
    let (waited, ()) = tokio::join!(within(waiting), stopping);
    assert_eq!(waited.unwrap().payload.len(), 1 << 24);
    let ended = within(tokio::task::spawn_blocking(move || process.join().unwrap())).await.unwrap();
    assert!(ended.unwrap().in_time);
}

#[tokio::test]
async fn chaincode_that_dials_stops_also_while_its_peer_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let dialled = dial(dialling(address, None), shop(), async {});
    assert!(within(dialled).await.unwrap().in_time);
}

fn dialling(peer_address: String, tls: Option<DialTls>) -> DialConfig {
    DialConfig {
        package_id: "shop:1".into(),
        peer_address,
        tls,
        peer_msp_id: None,
        metrics_address: None,
        limits: Limits::default(),
        strict: true,
    }
}

async fn dials(builder: TestPeerBuilder) {
    let listening = builder.listen().await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = dialling(listening.address().to_string(), None);
    let chaincode = tokio::spawn(dial(config, shop(), async {
        let _ = stopped.await;
    }));
    let peer = within(listening.accept()).await.unwrap();
    assert_eq!(peer.package_id(), "shop:1");
    let touched = peer.submit(&Proposal::new(clerk(), "Touch").arg(r#"["a","b"]"#)).await.unwrap();
    assert!(touched.is_valid());
    stop.send(()).unwrap();
    assert!(within(chaincode).await.unwrap().unwrap().in_time);
    within(peer.ended()).await;
}

#[tokio::test]
async fn chaincode_dials_its_peer_with_and_without_batches() {
    dials(TestPeer::builder()).await;
    dials(TestPeer::builder().write_batch(None).multi_get(None)).await;
}

#[tokio::test]
async fn chaincode_dials_over_mutual_tls_and_tells_when_its_peer_is_gone() {
    let ca = Ca::new();
    let (certificate, key) = ca.issue("localhost");
    let server = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(ca.pem()));
    let listening = TestPeer::builder().listen_tls(server).await.unwrap();
    let (certificate, key) = ca.issue("chaincode");
    let own = DialTls {
        root_pem: ca.pem().into_bytes(),
        certificate_pem: certificate.into_bytes(),
        key_pem: key.into_bytes(),
    };
    let address = format!("localhost:{}", listening.address().port());
    let chaincode = tokio::spawn(dial(dialling(address.clone(), Some(own)), shop(), std::future::pending()));
    let peer = within(listening.accept()).await.unwrap();
    assert!(peer.invoke(&facts()).await.unwrap().is_ok());
    drop(peer);
    assert!(matches!(within(chaincode).await.unwrap(), Err(DialError::StreamLost)));
    let nobody = dial(dialling(address, None), shop(), std::future::pending()).await;
    assert!(matches!(nobody, Err(DialError::Connect { .. })));
}
