use std::time::Duration;

use caretrail_model::ids::TxId;
use caretrail_model::role::Role;
use caretrail_records::release::{KemKey, blob_path};
use caretrail_server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::a_daemon_says_whether_it_can_release::ask;
use crate::consortium::{Consortium, soon, until};
use crate::nothing_leaves_without_a_permit::{refused, signed};

/// Longer than a test may take.
const EVER: Duration = Duration::from_secs(600);
/// What should not take long ends within it.
const SOON: Duration = Duration::from_secs(60);

/// Whether a request over this connection is answered.
async fn answers(stream: &mut TlsStream<TcpStream>) -> bool {
    let asked = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    asked.is_ok() && stream.read_exact(&mut [0; 12]).await.is_ok()
}

#[tokio::test]
async fn monitoring_is_answered_while_every_connection_is_taken() {
    let consortium = Consortium::new().await;
    let mut config = consortium.config();
    config.limits = Limits { connections_max: 1, handshake_timeout: EVER, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let _silent = TcpStream::connect(daemon.address).await.unwrap();
    let url = format!("http://{}/readyz", daemon.health);
    assert_eq!(tokio::time::timeout(SOON, ask(&url)).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_hospital_has_so_many_connections_and_no_more() {
    let consortium = Consortium::new().await;
    let mut config = consortium.config();
    config.limits = Limits { hospital_connections_max: 1, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let mut first = consortium.tls_stream(&daemon).await;
    assert!(answers(&mut first).await);
    let mut second = consortium.tls_stream(&daemon).await;
    assert!(!answers(&mut second).await, "one too many");
    drop((first, second));
    until(async || answers(&mut consortium.tls_stream(&daemon).await).await).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let consortium = Consortium::new().await;
    let mut config = consortium.config();
    config.limits = Limits { handshake_timeout: Duration::from_secs(2), ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let mut stream = consortium.tls_stream(&daemon).await;
    let head = "POST /v1/releases HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // An end and a reset are both an end.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await.expect("the daemon hangs up");
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("REQUEST_UNREADABLE"), "{said}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_is_given_up() {
    let consortium = Consortium::new().await;
    let record = consortium.record(&vec![7; 16 << 20]).await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let mut config = consortium.config();
    config.limits = Limits { connections_max: 1, send_timeout: Duration::from_millis(500), ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    // The client's connection ends with it.
    consortium.client(&daemon).ask(&request).await.unwrap();

    let mut stalled = consortium.tls_stream(&daemon).await;
    let get = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", blob_path(&decision, &record));
    stalled.write_all(get.as_bytes()).await.unwrap();
    stalled.read_exact(&mut [0; 100]).await.unwrap();
    // The one connection that there may be is free again, once the daemon has given up the reader that stalls.
    let url = format!("https://localhost:{}/livez", daemon.address.port());
    let answered =
        async || consortium.http().get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
    until(answered).await;
    drop(stalled);
    daemon.stop().await;
}

#[tokio::test]
async fn the_releases_of_one_hospital_leave_room_for_anothers() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let (denied, _) = consortium.request(record).await;
    let mut config = consortium.config();
    config.limits = Limits { hospital_releases_max: 1, decision_wait: EVER, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let key = KemKey::generate().unwrap();
    let unknown = consortium.ask(TxId::from_bytes([9; 32]), record);
    let waiting = signed(&consortium.reader, &unknown, &key).await;
    let denied = signed(&consortium.reader, &consortium.ask(denied, record), &key).await;

    let client = consortium.client(&daemon);
    // Asked again if one of the others below had the one place just then.
    let waits = tokio::spawn(async move { while refused(&client, &waiting).await.code == "BUSY" {} });
    let client = consortium.client(&daemon);
    until(async || refused(&client, &denied).await.code == "BUSY").await;
    let of_north = consortium.client_of_north(&daemon);
    assert_eq!(refused(&of_north, &denied).await.code, "DECISION_UNKNOWN");
    waits.abort();
    until(async || refused(&client, &denied).await.code == "ACCESS_DENIED").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_check_of_readiness_counts_as_work_for_the_hospital_that_asks() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let mut config = consortium.config();
    config.limits = Limits { hospital_releases_max: 1, decision_wait: EVER, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let url = |path: &str| format!("https://localhost:{}{path}", daemon.address.port());
    let (http, of_north) = (consortium.http(), consortium.http_of_north());
    let readiness = async |http: &reqwest::Client| {
        let answer = http.get(url("/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    assert_eq!(readiness(&http).await.0, 200);

    let unknown = consortium.ask(TxId::from_bytes([9; 32]), record);
    let waiting = signed(&consortium.reader, &unknown, &KemKey::generate().unwrap()).await;
    let client = consortium.client(&daemon);
    // Asked again if one of the checks below had the one place just then.
    let waits = tokio::spawn(async move { while refused(&client, &waiting).await.code == "BUSY" {} });
    let busy = async || {
        let (status, said) = readiness(&http).await;
        status == 503 && said["code"] == "BUSY" && said["retryable"] == true
    };
    until(busy).await;
    assert_eq!(readiness(&of_north).await.0, 200, "another hospital's share is its own");
    assert_eq!(http.get(url("/livez")).send().await.unwrap().status(), 200, "that asks nobody");
    assert_eq!(ask(&format!("http://{}/readyz", daemon.health)).await.0, 200, "nor does monitoring wait");
    waits.abort();
    until(async || readiness(&http).await.0 == 200).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_decision_is_waited_for_only_if_its_hospital_authorised_the_asker() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let mut config = consortium.config();
    config.limits = Limits { decision_wait: EVER, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let key = KemKey::generate().unwrap();
    let unknown = consortium.ask(TxId::from_bytes([9; 32]), record);
    // Nobody authorised this one; and South, whose connection it is, did not authorise North's clinician.
    let stranger = consortium.actor("SouthMSP", Role::Clinician).await;
    let client = consortium.client(&daemon);
    for asker in [&stranger, &consortium.clinician] {
        let request = signed(asker, &unknown, &key).await;
        let failure = tokio::time::timeout(SOON, refused(&client, &request)).await.expect("not waited for");
        assert_eq!(failure.code, "DECISION_UNKNOWN");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let (denied, _) = consortium.request(record).await;
    let mut config = consortium.config();
    config.limits =
        Limits { connections_max: 2, hospital_connections_max: 1, handshake_timeout: EVER, ..config.limits };
    let daemon = consortium.daemon_with(config).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(tokio::net::TcpStream::connect(daemon.address).await.unwrap());
    }
    let denied =
        signed(&consortium.reader, &consortium.ask(denied, record), &KemKey::generate().unwrap()).await;
    assert_eq!(refused(&consortium.client(&daemon), &denied).await.code, "ACCESS_DENIED");
    daemon.stop().await;
}
