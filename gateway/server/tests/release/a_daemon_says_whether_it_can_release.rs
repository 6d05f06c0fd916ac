use std::time::Duration;

use caretrail_model::hash::sha256;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::role::Role;
use caretrail_records::release::KemKey;
use caretrail_server::{Config, ServeError, Server, TrustError};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::consortium::{Consortium, soon, until};
use crate::nothing_leaves_without_a_permit::signed;

pub(crate) async fn ask(url: &str) -> (u16, String) {
    let answer = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls())
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A client for plain HTTP needs no authorities.
fn no_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[tokio::test]
async fn readiness_names_the_part_that_fails() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    let url = |path: &str| format!("http://{}{path}", daemon.health);
    assert_eq!(ask(&url("/livez")).await, (200, "live\n".to_owned()));
    let (status, body) = ask(&url("/readyz")).await;
    assert_eq!(status, 200, "{body}");

    let staging = consortium.folder.path().join("vault/staging");
    std::fs::remove_dir(&staging).unwrap();
    let (status, body) = ask(&url("/readyz")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503);
    assert_eq!(body["ready"], false);
    assert_eq!(body["checks"]["vault"]["code"], "VAULT_FAILED");
    assert_eq!(body["checks"]["ledger"], Value::Null);
    assert_eq!(body["checks"]["store"], Value::Null);

    consortium.gateway.go_deaf();
    let (status, body) = ask(&url("/readyz")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["checks"]["ledger"]["code"]), (503, &Value::from("NOT_EVALUATED")));
    assert_eq!(ask(&url("/livez")).await.0, 200);

    let over_tls = format!("https://localhost:{}/livez", daemon.address.port());
    assert_eq!(consortium.http().get(over_tls).send().await.unwrap().status(), 200);
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_daemon_that_could_not_release_does_not_start() {
    let consortium = Consortium::new().await;
    let service = consortium.actor("NorthMSP", Role::Service).await;
    let bind = async |config: Config| {
        Server::bind(config, service.clone(), consortium.custody.clone()).await.unwrap_err()
    };

    let mut config = consortium.config();
    config.authorities.push(config.certificate.clone());
    assert!(matches!(bind(config).await, ServeError::Trust(TrustError::Unknown { .. })));
    let config = Config { authorities: Vec::new(), ..consortium.config() };
    assert!(matches!(bind(config).await, ServeError::Trust(TrustError::None)));
    let config = Config { key: consortium.folder.path().join("none"), ..consortium.config() };
    assert!(matches!(bind(config).await, ServeError::Pem { .. }));
    let config = consortium.config_with_another_key();
    assert!(matches!(bind(config).await, ServeError::Tls { .. }));

    for config in [consortium.config_of_another_host(), consortium.config_of_another_authority()] {
        assert!(matches!(bind(config).await, ServeError::Trust(TrustError::OwnCertificate { .. })));
    }

    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { listen: taken.local_addr().unwrap(), ..consortium.config() };
    assert!(matches!(bind(config).await, ServeError::Listen { .. }));

    let stranger = consortium.actor("EastMSP", Role::Service).await;
    let refused = Server::bind(consortium.config(), stranger, consortium.custody.clone()).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_hospital_whose_authority_was_replaced_cannot_connect_any_more() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    let url = format!("https://localhost:{}/livez", daemon.address.port());
    assert_eq!(consortium.http().get(&url).send().await.unwrap().status(), 200);
    let another = |policy: &mut ConsortiumPolicy| policy.members[1].daemon.tls_ca_digest = sha256(b"another");
    consortium.change(another).await;
    until(async || consortium.http().get(&url).send().await.is_err()).await;
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_daemon_takes_on_no_more_than_it_should() {
    let consortium = Consortium::new().await;
    let mut config = consortium.config();
    config.limits.handshake_timeout = Duration::from_millis(100);
    let daemon = consortium.daemon_with(config).await;

    // Somebody who connects and says nothing is hung up on, before the handshake and within a request.
    let mut silent = TcpStream::connect(daemon.address).await.unwrap();
    let mut silent_in_plain = TcpStream::connect(daemon.health).await.unwrap();
    silent_in_plain.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
    for stream in [&mut silent, &mut silent_in_plain] {
        let mut said = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut said)).await;
        // An end and a reset are both an end.
        assert!(ended.is_ok(), "the daemon still waits");
    }
    daemon.stop().await;

    let mut config = consortium.config();
    config.limits.releases_max = 0;
    let daemon = consortium.daemon_with(config).await;

    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    let busy = consortium.client(&daemon).ask(&request).await.unwrap_err().failure();
    assert_eq!((busy.code.as_str(), busy.retryable), ("BUSY", true));
    daemon.stop().await;
}
