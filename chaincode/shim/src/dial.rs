//! Chaincode that dials its peer: one that the peer launches, or one in development mode.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_support_client::ChaincodeSupportClient;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Status, Streaming};
use tracing::{info, warn};

use crate::config::{Config, ConfigError, Limits, check_address, env};
use crate::metrics::Metrics;
use crate::service::{Contract, Drained, OUTBOUND_MESSAGES, PING_EVERY_S, PING_WITHIN_S, Shared, listen};
use crate::stream::PeerStream;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The argument that a peer's launcher passes, with one dash or two.
const ADDRESS_ARGUMENT: &str = "peer.address";

/// Which peer to dial, as what to register, and how the connection is protected.
#[derive(Clone, Debug)]
pub struct DialConfig {
    /// The package id, or `name:version` in development mode.
    pub package_id: String,
    /// The address at which the peer serves chaincode, `host:port`.
    pub peer_address: String,
    /// The connection's keys and certificates, `None` without TLS.
    pub tls: Option<DialTls>,
    /// The MSP id of the peer's own organisation, if it is known: see [`peer_msp_id`](crate::peer_msp_id).
    pub peer_msp_id: Option<String>,
    /// Where to serve `GET /metrics` and `GET /healthz`, `host:port`; `None` for no such endpoint.
    pub metrics_address: Option<String>,
    /// Bounds on what is taken in and waited for.
    pub limits: Limits,
    /// Report reads of keys that the same transaction wrote: for development and tests.
    pub strict: bool,
}

/// Keys and certificates of the connection to a peer, PEM.
#[derive(Clone)]
pub struct DialTls {
    /// Who signs the peer's certificate.
    pub root_pem: Vec<u8>,
    /// The chaincode's own certificate.
    pub certificate_pem: Vec<u8>,
    /// Its private key.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for DialTls {
    /// Keys do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialTls").finish_non_exhaustive()
    }
}

/// Why a dialled stream could not be opened, or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody answers at the address, or TLS failed.
    #[error("cannot connect to the peer at `{address}`: check its chaincode address and TLS settings")]
    Connect {
        /// The peer's address.
        address: String,
        /// What the transport says.
        source: tonic::transport::Error,
    },
    /// The address of the HTTP endpoint cannot be listened on.
    #[error("cannot listen on `{address}`: choose a free port of this machine")]
    Bind {
        /// The address of the configuration.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The peer refused the stream.
    #[error("the peer refused the chaincode's stream")]
    Refused(#[source] Box<Status>),
    /// The stream ended: who launched the chaincode starts it again.
    #[error("the stream to the peer has ended: start the chaincode again once the peer is back")]
    StreamLost,
}

impl DialConfig {
    /// Reads the environment and the argument `-peer.address`, as Fabric's launchers set them.
    ///
    /// `CORE_CHAINCODE_ID_NAME`, `CORE_PEER_ADDRESS` unless the argument is there, and
    /// `CORE_PEER_TLS_ENABLED`. With TLS also `CORE_PEER_TLS_ROOTCERT_FILE`, and
    /// `CORE_TLS_CLIENT_KEY_FILE` and `CORE_TLS_CLIENT_CERT_FILE` (PEM), or the same with `_PATH`
    /// (base64 of PEM). `CHAINCODE_METRICS_ADDRESS`, if it is set.
    ///
    /// # Errors
    /// [`ConfigError`] for the first key that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|key| std::env::var(key).ok(), std::env::args().skip(1))
    }

    /// Reads the same keys and arguments from anywhere.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Self, ConfigError> {
        let optional = |key: &'static str| lookup(key).filter(|value| !value.is_empty());
        let required = |key, fix| optional(key).ok_or(ConfigError::Missing { key, fix });
        let package_id = required(
            env::CORE_CHAINCODE_ID_NAME,
            "set it to the package id, or to `name:version` in development mode",
        )?;
        let peer_address = match address_argument(arguments) {
            Some(address) => address,
            None => required(env::CORE_PEER_ADDRESS, "set it to the peer's chaincode address, `host:port`")?,
        };
        let fix = "give `true` or `false`";
        let tls = match required(env::CORE_PEER_TLS_ENABLED, fix)?.as_str() {
            // What Go takes for a truth value, as the other shims read it.
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(DialTls {
                root_pem: read(env::CORE_PEER_TLS_ROOTCERT_FILE, &optional)?,
                certificate_pem: pem_or_base64(
                    env::CORE_TLS_CLIENT_CERT_FILE,
                    env::CORE_TLS_CLIENT_CERT_PATH,
                    &optional,
                )?,
                key_pem: pem_or_base64(
                    env::CORE_TLS_CLIENT_KEY_FILE,
                    env::CORE_TLS_CLIENT_KEY_PATH,
                    &optional,
                )?,
            }),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => None,
            other => {
                let value = other.to_owned();
                return Err(ConfigError::Invalid { key: env::CORE_PEER_TLS_ENABLED, value, fix });
            }
        };
        let metrics_address = optional(env::CHAINCODE_METRICS_ADDRESS);
        if let Some(address) = &metrics_address {
            check_address(env::CHAINCODE_METRICS_ADDRESS, address)?;
        }
        Ok(Self {
            package_id,
            peer_address,
            tls,
            peer_msp_id: optional(env::CORE_PEER_LOCALMSPID),
            metrics_address,
            limits: Limits::default(),
            strict: false,
        })
    }

    /// Reads `chaincode.json` from the folder that a peer passes to an external builder's `run` as its
    /// second argument: so `run` may be nothing but this program.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] or [`ConfigError::NotJson`].
    pub fn from_run_metadata(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(RUN_METADATA);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ConfigError::Unreadable { key: RUN_METADATA, path, source }),
        };
        Self::from_run_metadata_json(&bytes).map_err(|source| ConfigError::NotJson { path, source })
    }

    pub(crate) fn from_run_metadata_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let RunMetadata { chaincode_id, peer_address, client_cert, client_key, root_cert, mspid } =
            serde_json::from_slice(json)?;
        let tls = (!root_cert.is_empty()).then(|| DialTls {
            root_pem: root_cert.into_bytes(),
            certificate_pem: client_cert.into_bytes(),
            key_pem: client_key.into_bytes(),
        });
        Ok(Self {
            package_id: chaincode_id,
            peer_address,
            tls,
            peer_msp_id: Some(mspid).filter(|msp_id| !msp_id.is_empty()),
            metrics_address: None,
            limits: Limits::default(),
            strict: false,
        })
    }
}

/// The file in which a peer tells an external builder's `run` how to reach it.
const RUN_METADATA: &str = "chaincode.json";

/// Its content; certificates and key are PEM, and empty without TLS.
#[derive(Deserialize)]
struct RunMetadata {
    chaincode_id: String,
    peer_address: String,
    #[serde(default)]
    client_cert: String,
    #[serde(default)]
    client_key: String,
    #[serde(default)]
    root_cert: String,
    #[serde(default)]
    mspid: String,
}

/// `-peer.address=A`, `--peer.address A` and their like.
fn address_argument(arguments: impl IntoIterator<Item = String>) -> Option<String> {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        match name.and_then(|name| name.strip_prefix(ADDRESS_ARGUMENT)) {
            Some("") => return arguments.next().filter(|address| !address.is_empty()),
            Some(value) => match value.strip_prefix('=') {
                Some(address) if !address.is_empty() => return Some(address.to_owned()),
                _ => {}
            },
            None => {}
        }
    }
    None
}

type Lookup<'l> = dyn Fn(&'static str) -> Option<String> + 'l;

fn read(key: &'static str, lookup: &Lookup<'_>) -> Result<Vec<u8>, ConfigError> {
    let fix = "set it to the path of a PEM file, or set `CORE_PEER_TLS_ENABLED` to `false`";
    let path = PathBuf::from(lookup(key).ok_or(ConfigError::Missing { key, fix })?);
    std::fs::read(&path).map_err(|source| ConfigError::Unreadable { key, path, source })
}

fn pem_or_base64(
    pem: &'static str,
    base64: &'static str,
    lookup: &Lookup<'_>,
) -> Result<Vec<u8>, ConfigError> {
    if lookup(pem).is_some() || lookup(base64).is_none() {
        return read(pem, lookup);
    }
    let text = read(base64, lookup)?;
    pem_in_base64(&text).ok_or_else(|| ConfigError::NotPem {
        key: base64,
        path: PathBuf::from(lookup(base64).unwrap_or_default()),
        block: "base64 of a PEM file",
    })
}

pub(crate) fn pem_in_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim_ascii()).ok()
}

/// Dials a peer, registers a contract and runs its transactions until `shutdown` completes.
///
/// The short form of [`Dialled::connect`] and [`Dialled::run`].
///
/// # Errors
/// As both.
pub async fn dial<C: Contract>(
    config: DialConfig,
    contract: C,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Drained, DialError> {
    Dialled::connect(config, contract, Metrics::default()).await?.run(shutdown).await
}

/// A connection to a peer, over which a contract will [run](Self::run).
pub struct Dialled<C> {
    shared: Arc<Shared<C>>,
    channel: Channel,
    peer_address: String,
    metrics_listener: Option<(TcpListener, SocketAddr)>,
}

impl<C: Contract> Dialled<C> {
    /// Binds the HTTP endpoint, if there is to be one, and connects to the peer.
    ///
    /// # Errors
    /// [`DialError::Bind`], [`DialError::Connect`].
    pub async fn connect(config: DialConfig, contract: C, metrics: Metrics) -> Result<Self, DialError> {
        let DialConfig { package_id, peer_address, tls, metrics_address, limits, strict, .. } = config;
        let metrics_listener = match metrics_address {
            Some(address) => {
                let bound = listen(&address).await;
                Some(bound.map_err(|source| DialError::Bind { address, source })?)
            }
            None => None,
        };
        let refused = |source| DialError::Connect { address: peer_address.clone(), source };
        let channel =
            endpoint(&peer_address, tls.as_ref()).map_err(refused)?.connect().await.map_err(refused)?;
        let config = Config {
            package_id,
            address: peer_address.clone(),
            tls: None,
            metrics_address: None,
            limits,
            strict,
        };
        let shared = Arc::new(Shared::new(contract, config, metrics));
        Ok(Self { shared, channel, peer_address, metrics_listener })
    }

    /// The address of the HTTP endpoint, `GET /metrics` for Prometheus and `GET /healthz`, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().map(|(_, address)| *address)
    }

    /// Registers the contract and runs its transactions until `shutdown` completes.
    ///
    /// When it does, running transactions finish and their replies reach the peer within [`Limits::drain`].
    /// `GET /healthz` says 200 from the peer's READY on until then.
    ///
    /// # Errors
    /// [`DialError::Refused`], and [`DialError::StreamLost`] when the stream ends: it is not opened again.
    /// A peer that launched the chaincode waits for its process to end, and launches it anew for the next
    /// proposal; in development mode whoever started it does.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<Drained, DialError> {
        tokio::pin!(shutdown);
        let Self { shared, channel, peer_address, metrics_listener } = self;
        let (ready, draining, ended) = (shared.ready.clone(), shared.draining.clone(), shared.ended.clone());
        let _end_guard = ended.drop_guard();
        let limits = shared.limits.clone();
        // Dropped with this future: nobody is left to serve.
        let mut beside = JoinSet::new();
        if let Some((listener, _)) = metrics_listener {
            let draining = draining.clone();
            let serving = move || ready.is_cancelled() && !draining.is_cancelled();
            beside.spawn(shared.metrics.clone().serve(listener, serving));
        }
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let mut stream = PeerStream::new(shared, outbound);
        // A peer answers nothing at all, not even headers, before it has this.
        stream.announce().await;
        let messages = ReceiverStream::new(messages).map_while(Result::ok);
        let mut client = ChaincodeSupportClient::new(channel)
            .max_decoding_message_size(limits.message_bytes)
            .max_encoding_message_size(limits.message_bytes);
        let inbound = tokio::select! {
            opened = client.register(messages) => opened,
            () = &mut shutdown => return Ok(Drained { in_time: true }),
        };
        let mut inbound = inbound.map_err(|status| DialError::Refused(Box::new(status)))?.into_inner();
        info!(peer = peer_address, "the chaincode has dialled its peer");

        let drained = {
            let running = stream.run(&mut inbound);
            tokio::pin!(running);
            tokio::select! {
                () = &mut running => return Err(DialError::StreamLost),
                () = &mut shutdown => info!("the chaincode is stopping"),
            }
            draining.cancel();
            let deadline = Instant::now() + limits.drain;
            timeout_at(deadline, running).await.map(|()| deadline)
        };
        let in_time = match drained {
            // The last replies are on their way until the peer, which has them then, ends the stream as well.
            Ok(deadline) => timeout_at(deadline, read_to_end(inbound)).await.is_ok(),
            Err(_) => false,
        };
        if !in_time {
            let within_ms = limits.drain.as_millis();
            warn!(within_ms, "transactions were still running or replies on their way, and are cancelled");
        }
        Ok(Drained { in_time })
    }
}

/// Reads a stream to its end.
async fn read_to_end(mut messages: Streaming<ChaincodeMessage>) {
    while let Some(Ok(_)) = messages.next().await {}
}

impl<C> fmt::Debug for Dialled<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialled").field("peer_address", &self.peer_address).finish_non_exhaustive()
    }
}

pub(crate) fn endpoint(
    peer_address: &str,
    tls: Option<&DialTls>,
) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{peer_address}"))?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(PING_EVERY_S))
        .keep_alive_timeout(Duration::from_secs(PING_WITHIN_S))
        .keep_alive_while_idle(true);
    let Some(tls) = tls else { return Ok(endpoint) };
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&tls.root_pem))
        .identity(Identity::from_pem(&tls.certificate_pem, relabelled(&tls.key_pem).as_ref()));
    endpoint.tls_config(config)
}

/// The same key with the label that its encoding has: peers make PKCS #8 keys for the chaincode that they
/// launch, and label them as SEC 1.
fn relabelled(pem: &[u8]) -> Cow<'_, [u8]> {
    let is_pkcs8 = match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Sec1(key)) => {
            let as_pkcs8 = PrivatePkcs8KeyDer::from(key.secret_sec1_der().to_vec());
            any_supported_type(&as_pkcs8.into()).is_ok()
        }
        _ => false,
    };
    if is_pkcs8 {
        let text = String::from_utf8_lossy(pem);
        Cow::Owned(text.replace(" EC PRIVATE KEY-----", " PRIVATE KEY-----").into_bytes())
    } else {
        Cow::Borrowed(pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_is_taken_in_all_its_forms() {
        let of =
            |arguments: &[&str]| address_argument(arguments.iter().map(|argument| (*argument).to_owned()));
        assert_eq!(of(&["-peer.address", "h:1"]).as_deref(), Some("h:1"));
        assert_eq!(of(&["x", "--peer.address=h:2"]).as_deref(), Some("h:2"));
        for none in
            [&["peer.address", "h:1"][..], &["-peer.address"], &["-peer.address="], &["-peer.addressed=1"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_environment_of_a_launched_chaincode_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let all = [
            (env::CORE_CHAINCODE_ID_NAME, "shop:1".to_owned()),
            (env::CORE_PEER_ADDRESS, "peer:7052".to_owned()),
            (env::CORE_PEER_TLS_ENABLED, "true".to_owned()),
            (env::CORE_PEER_TLS_ROOTCERT_FILE, file("root", "root")),
            (env::CORE_TLS_CLIENT_CERT_FILE, file("cert", "cert")),
            (env::CORE_TLS_CLIENT_KEY_PATH, file("key", "a2V5\n")),
        ];
        let read = |without: &str, arguments: &[&str]| {
            let lookup = |key: &str| {
                all.iter().find(|(name, _)| *name == key && key != without).map(|(_, value)| value.clone())
            };
            DialConfig::from_lookup(lookup, arguments.iter().map(|argument| (*argument).to_owned()))
        };
        let config = read("", &["-peer.address", "other:7052"]).unwrap();
        let tls = config.tls.unwrap();
        assert_eq!(config.peer_address, "other:7052");
        assert_eq!(
            (tls.root_pem, tls.certificate_pem, tls.key_pem),
            (b"root".to_vec(), b"cert".to_vec(), b"key".to_vec())
        );
        assert_eq!(read("", &[]).unwrap().peer_address, "peer:7052");
        assert_eq!(read("", &[]).unwrap().peer_msp_id.as_deref(), None);
        for (missing, _) in &all {
            assert!(matches!(read(missing, &[]), Err(ConfigError::Missing { .. })), "{missing}");
        }
    }

    #[test]
    fn a_key_is_taken_whichever_label_it_has() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        let of = |key_pem: String| {
            let root_pem = certificate.clone().into_bytes();
            let tls = DialTls { certificate_pem: root_pem.clone(), root_pem, key_pem: key_pem.into_bytes() };
            endpoint("localhost:1", Some(&tls)).map(|_| ())
        };
        let pkcs8 = key.serialize_pem();
        assert!(of(pkcs8.replace("PRIVATE KEY", "EC PRIVATE KEY")).is_ok(), "as peers write it");
        assert!(of(pkcs8.replace("PRIVATE KEY", "RSA PRIVATE KEY")).is_err());
        assert!(of(pkcs8).is_ok());
    }

    #[test]
    fn what_a_peer_tells_an_external_builders_run_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("chaincode.json"), text).unwrap();
            DialConfig::from_run_metadata(folder.path())
        };
        let secured = r#"{"chaincode_id":"shop:1","peer_address":"peer:7052","client_cert":"cert","client_key":"key",
            "root_cert":"root","mspid":"NorthMSP"}"#;
        let config = read(secured).unwrap();
        assert_eq!((config.package_id.as_str(), config.peer_address.as_str()), ("shop:1", "peer:7052"));
        assert_eq!(config.peer_msp_id.as_deref(), Some("NorthMSP"));
        let tls = config.tls.unwrap();
        assert_eq!(
            (tls.root_pem, tls.certificate_pem, tls.key_pem),
            (b"root".to_vec(), b"cert".to_vec(), b"key".to_vec())
        );
        let plain = r#"{"chaincode_id":"shop:1","peer_address":"peer:7052","client_cert":"","client_key":"","root_cert":"","mspid":""}"#;
        let config = read(plain).unwrap();
        assert!(config.tls.is_none() && config.peer_msp_id.is_none());
        assert!(matches!(read("{}"), Err(ConfigError::NotJson { .. })));
        assert!(matches!(
            DialConfig::from_run_metadata(Path::new("/absent")),
            Err(ConfigError::Unreadable { .. })
        ));
    }
}
