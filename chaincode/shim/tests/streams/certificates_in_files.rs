//! A service that follows the files of its certificates, and clients that do not shake hands.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hlf_chaincode::{Config, Limits, TlsFiles};
use hlf_testpeer::{Proposal, TestPeer};
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::mutual_tls::Ca;
use crate::support::{Running, clerk, shop, within};

/// Certificate, key and authority of a service, and the files that hold them.
struct Files {
    folder: TempDir,
    files: TlsFiles,
}

impl Files {
    fn new(ca: &Ca, check_every: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = TlsFiles { check_every, ..TlsFiles::new(path("cert"), path("key"), Some(path("ca"))) };
        let files = Self { folder, files };
        files.write(ca);
        files
    }

    /// Replaces one file after the other, as those who renew certificates do.
    fn write(&self, ca: &Ca) {
        let (certificate, key) = ca.issue("localhost");
        // The certificate and its key last: until both are there, the files don't fit together.
        self.put("ca", &ca.pem());
        self.put("cert", &certificate);
        self.put("key", &key);
    }

    fn put(&self, name: &str, text: &str) {
        let folder: &Path = self.folder.path();
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }

    async fn serve(&self) -> Running {
        let tls = Some(self.files.read().unwrap());
        Running::with(Config { tls, ..Config::for_tests("shop:1") }, shop()).await
    }
}

/// A peer whose certificate is of an authority, and which trusts that authority; `None` if it is refused.
async fn peer(service: &Running, ca: &Ca) -> Option<TestPeer> {
    let (certificate, key) = ca.issue("peer");
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca.pem()))
        .identity(Identity::from_pem(certificate, key))
        .domain_name("localhost");
    let endpoint =
        Endpoint::from_shared(format!("https://{}", service.address)).unwrap().tls_config(tls).unwrap();
    TestPeer::builder().connect_over(endpoint.connect().await.ok()?).await.ok()
}

async fn peer_at_last(service: &Running, ca: &Ca) -> TestPeer {
    within(async {
        loop {
            if let Some(peer) = peer(service, ca).await {
                return peer;
            }
        }
    })
    .await
}

async fn serves(peer: &TestPeer) -> bool {
    peer.invoke(&Proposal::new(clerk(), "Facts")).await.is_ok_and(|outcome| outcome.is_ok())
}

#[tokio::test]
async fn new_files_are_used_without_dropping_streams_and_broken_ones_are_logged_and_left() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    // While there are two, what the threads of other tests log first is not taken for what nobody wants.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let (old, new) = (Ca::new(), Ca::new());
    let files = Files::new(&old, Duration::from_millis(5));
    let service = files.serve().await;
    let before = peer(&service, &old).await.unwrap();

    files.put("cert", "no certificate");
    log.told("the certificates' files are refused").await;
    assert!(peer(&service, &old).await.is_some(), "the earlier ones stay in use");
    files.put("cert", &new.issue("localhost").0);
    log.told("new certificates are refused").await;
    assert!(peer(&service, &old).await.is_some(), "the key is another one's");

    files.write(&new);
    let after = peer_at_last(&service, &new).await;
    assert!(peer(&service, &old).await.is_none(), "the earlier authority is not trusted any more");
    assert!(serves(&before).await && serves(&after).await, "streams go on");
    assert_eq!(log.count("the service uses other certificates"), 1, "{}", log.text());
}

#[tokio::test]
async fn a_hangup_makes_a_service_read_its_files_at_once() {
    let (old, new) = (Ca::new(), Ca::new());
    let files = Files::new(&old, Duration::from_secs(3600));
    let service = files.serve().await;
    // Whoever is served has seen the service listen, and so for the signal.
    let before = peer(&service, &old).await.unwrap();
    files.write(&new);
    kill_process(getpid(), Signal::HUP).unwrap();
    let after = peer_at_last(&service, &new).await;
    assert!(serves(&before).await && serves(&after).await);
}

#[tokio::test]
async fn clients_that_never_shake_hands_keep_nobody_out() {
    let ca = Ca::new();
    let files = Files::new(&ca, Duration::from_secs(3600));
    let limits = Limits { handshakes: 4, ..Limits::default() };
    let config = Config { tls: Some(files.files.read().unwrap()), limits, ..Config::for_tests("shop:1") };
    let service = Running::with(config, shop()).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(TcpStream::connect(service.address).await.unwrap());
    }
    let served = within(peer(&service, &ca)).await.unwrap();
    assert!(serves(&served).await);
    // The oldest had to go; some of the last are still waited for.
    for client in silent.iter_mut().take(8) {
        assert!(within(client.read_u8()).await.is_err());
    }
    let last = silent.last_mut().unwrap();
    assert!(last.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let ca = Ca::new();
    let files = Files::new(&ca, Duration::from_secs(3600));
    let limits = Limits { handshake: Duration::from_millis(20), ..Limits::default() };
    let config = Config { tls: Some(files.files.read().unwrap()), limits, ..Config::for_tests("shop:1") };
    let service = Running::with(config, shop()).await;
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    assert!(within(silent.read_u8()).await.is_err());
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn count(&self, words: &str) -> usize {
        self.text().matches(words).count()
    }

    async fn told(&self, words: &str) {
        within(async {
            while self.count(words) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> tracing_subscriber::fmt::MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self::Writer {
        self.clone()
    }
}
