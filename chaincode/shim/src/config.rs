//! What a service needs to know before it binds a port.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// The environment variables of chaincode as a service.
pub mod env {
    /// The package id that the peer computed on installation, `label:hex`.
    pub const CHAINCODE_ID: &str = "CHAINCODE_ID";
    /// Where to listen, `host:port`.
    pub const CHAINCODE_SERVER_ADDRESS: &str = "CHAINCODE_SERVER_ADDRESS";
    /// `true` for a service without TLS; absent or `false` otherwise.
    pub const CHAINCODE_TLS_DISABLED: &str = "CHAINCODE_TLS_DISABLED";
    /// Path of the service's private key, PEM.
    pub const CHAINCODE_TLS_KEY: &str = "CHAINCODE_TLS_KEY";
    /// Path of the service's certificate, followed by its intermediates if it has any, PEM.
    pub const CHAINCODE_TLS_CERT: &str = "CHAINCODE_TLS_CERT";
    /// Path of the certificates that sign the peers' client certificates, PEM; with it peers must present one.
    pub const CHAINCODE_CLIENT_CA_CERT: &str = "CHAINCODE_CLIENT_CA_CERT";
    /// The package id, for chaincode that dials its peer.
    pub const CORE_CHAINCODE_ID_NAME: &str = "CORE_CHAINCODE_ID_NAME";
    /// The peer's chaincode address, for chaincode that dials its peer.
    pub const CORE_PEER_ADDRESS: &str = "CORE_PEER_ADDRESS";
    /// The MSP id of the peer's own organisation.
    pub const CORE_PEER_LOCALMSPID: &str = "CORE_PEER_LOCALMSPID";
    /// `true` or `false`, for chaincode that dials its peer.
    pub const CORE_PEER_TLS_ENABLED: &str = "CORE_PEER_TLS_ENABLED";
    /// Path of the certificates that sign the peer's, PEM.
    pub const CORE_PEER_TLS_ROOTCERT_FILE: &str = "CORE_PEER_TLS_ROOTCERT_FILE";
    /// Path of the chaincode's client certificate, PEM.
    pub const CORE_TLS_CLIENT_CERT_FILE: &str = "CORE_TLS_CLIENT_CERT_FILE";
    /// Path of the same in base64.
    pub const CORE_TLS_CLIENT_CERT_PATH: &str = "CORE_TLS_CLIENT_CERT_PATH";
    /// Path of the chaincode's client key, PEM.
    pub const CORE_TLS_CLIENT_KEY_FILE: &str = "CORE_TLS_CLIENT_KEY_FILE";
    /// Path of the same in base64.
    pub const CORE_TLS_CLIENT_KEY_PATH: &str = "CORE_TLS_CLIENT_KEY_PATH";
    /// Where to serve `GET /metrics` and `GET /healthz`, `host:port`; absent for no such endpoint. Of this
    /// crate, not of Fabric.
    pub const CHAINCODE_METRICS_ADDRESS: &str = "CHAINCODE_METRICS_ADDRESS";
}

/// The MSP id of the peer's own organisation, from `CORE_PEER_LOCALMSPID`; `None` if it is not set.
///
/// Peers set it for chaincode they launch; a service's operator may. It differs from peer to peer,
/// so it may decide what to refuse, such as reads of another organisation's private data, and
/// nothing that is endorsed.
#[must_use]
pub fn peer_msp_id() -> Option<String> {
    peer_msp_id_in(|key| std::env::var(key).ok())
}

fn peer_msp_id_in(lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    lookup(env::CORE_PEER_LOCALMSPID).filter(|msp_id| !msp_id.is_empty())
}

/// Where a service listens, as what it registers, and how it is protected.
#[derive(Clone, Debug)]
pub struct Config {
    /// The package id that the peer computed on installation, `label:hex`.
    pub package_id: String,
    /// Where to listen, `host:port`; port 0 takes a free one.
    pub address: String,
    /// Keys and certificates, `None` for a plain service.
    pub tls: Option<Tls>,
    /// Where to serve `GET /metrics` and `GET /healthz`, `host:port`; `None` for no such endpoint.
    pub metrics_address: Option<String>,
    /// Bounds on what the service takes in and waits for.
    pub limits: Limits,
    /// Report reads of keys that the same transaction wrote: for development and tests.
    pub strict: bool,
}

/// Why a configuration is refused: which key, which value, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that has to be there is absent or empty.
    #[error("`{key}` is not set: {fix}")]
    Missing {
        /// The environment variable.
        key: &'static str,
        /// What to set it to.
        fix: &'static str,
    },
    /// A value has another form than it should.
    #[error("`{key}` is `{value}`: {fix}")]
    Invalid {
        /// The environment variable.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should look like.
        fix: &'static str,
    },
    /// A file cannot be read.
    #[error("`{key}` names `{}`, which cannot be read: check the path and its permissions", path.display())]
    Unreadable {
        /// The environment variable.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("`{}` is not what a peer writes for an external builder", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file lacks the PEM block it should have.
    #[error("`{key}` names `{}`, which has no PEM block `{block}`: name a PEM file that has one", path.display())]
    NotPem {
        /// The environment variable.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The label that was looked for.
        block: &'static str,
    },
}

impl Config {
    /// A plain service in strict mode on a free loopback port: for tests.
    #[must_use]
    pub fn for_tests(package_id: impl Into<String>) -> Self {
        Self {
            package_id: package_id.into(),
            address: "127.0.0.1:0".to_owned(),
            tls: None,
            metrics_address: None,
            limits: Limits::default(),
            strict: true,
        }
    }

    /// Reads the environment variables of chaincode as a service, see [`mod@env`].
    ///
    /// Unlike Fabric's samples, TLS is on unless `CHAINCODE_TLS_DISABLED` is `true`. Key and certificates
    /// are read again when their files change, see [`TlsFiles`].
    ///
    /// # Errors
    /// [`ConfigError`] for the first key that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|key| std::env::var(key).ok())
    }

    /// Reads the same keys from anywhere.
    ///
    /// ```
    /// use hlf_chaincode::Config;
    ///
    /// let config = Config::from_lookup(|key| match key {
    ///     "CHAINCODE_ID" => Some("shop:7f3a".to_owned()),
    ///     "CHAINCODE_SERVER_ADDRESS" => Some("127.0.0.1:9999".to_owned()),
    ///     "CHAINCODE_TLS_DISABLED" => Some("true".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert!(config.tls.is_none());
    /// # Ok::<(), hlf_chaincode::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let optional = |key: &'static str| lookup(key).filter(|value| !value.is_empty());
        let required = |key, fix| optional(key).ok_or(ConfigError::Missing { key, fix });

        let package_id = required(
            env::CHAINCODE_ID,
            "set it to the package id that `peer lifecycle chaincode calculatepackageid` prints",
        )?;
        let address =
            required(env::CHAINCODE_SERVER_ADDRESS, "set it to `host:port`, for example `0.0.0.0:9999`")?;
        check_address(env::CHAINCODE_SERVER_ADDRESS, &address)?;
        let metrics_address = optional(env::CHAINCODE_METRICS_ADDRESS);
        if let Some(address) = &metrics_address {
            check_address(env::CHAINCODE_METRICS_ADDRESS, address)?;
        }
        let tls = if tls_disabled(optional(env::CHAINCODE_TLS_DISABLED))? {
            None
        } else {
            let fix = "set it to the path of a PEM file, or set `CHAINCODE_TLS_DISABLED` to `true`";
            let key = required(env::CHAINCODE_TLS_KEY, fix)?;
            let certificate = required(env::CHAINCODE_TLS_CERT, fix)?;
            let client_ca = optional(env::CHAINCODE_CLIENT_CA_CERT).map(PathBuf::from);
            Some(TlsFiles::new(certificate, key, client_ca).read()?)
        };
        Ok(Self { package_id, address, tls, metrics_address, limits: Limits::default(), strict: false })
    }
}

pub(crate) fn check_address(key: &'static str, address: &str) -> Result<(), ConfigError> {
    let valid =
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if valid {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        key,
        value: address.to_owned(),
        fix: "give `host:port` with a port of 0 to 65535, for example `0.0.0.0:9999`",
    })
}

fn tls_disabled(value: Option<String>) -> Result<bool, ConfigError> {
    match value.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ConfigError::Invalid {
            key: env::CHAINCODE_TLS_DISABLED,
            value: other.to_owned(),
            fix: "give `true` or `false`",
        }),
    }
}

/// Keys and certificates of a service, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The service's certificate, followed by its intermediates.
    pub certificate_pem: Vec<u8>,
    /// The service's private key.
    pub key_pem: Vec<u8>,
    /// Who signs the peers' client certificates; `None` lets any client connect.
    pub client_ca_pem: Option<Vec<u8>>,
    /// Where they came from, if the service is to follow those files.
    pub files: Option<TlsFiles>,
}

/// The files of a service's keys and certificates, PEM.
///
/// A service looks at them every [`check_every`](Self::check_every), and at once on SIGHUP. What changed
/// is used from the next connection on, streams that are open go on; what is refused is logged, and the
/// earlier certificates stay in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The service's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The service's private key.
    pub key: PathBuf,
    /// Who signs the peers' client certificates; `None` lets any client connect.
    pub client_ca: Option<PathBuf>,
    /// How often to look whether they have changed; 10 s by default.
    pub check_every: Duration,
}

impl TlsFiles {
    /// Files that are looked at every 10 s.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>, client_ca: Option<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            client_ca,
            check_every: Duration::from_secs(10),
        }
    }

    /// Reads the files and checks that they hold what they should.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] or [`ConfigError::NotPem`].
    pub fn read(&self) -> Result<Tls, ConfigError> {
        let client_ca = self.client_ca.as_deref();
        Ok(Tls {
            certificate_pem: read_pem(env::CHAINCODE_TLS_CERT, &self.certificate, "CERTIFICATE")?,
            key_pem: read_pem(env::CHAINCODE_TLS_KEY, &self.key, "PRIVATE KEY")?,
            client_ca_pem: client_ca
                .map(|path| read_pem(env::CHAINCODE_CLIENT_CA_CERT, path, "CERTIFICATE"))
                .transpose()?,
            files: Some(self.clone()),
        })
    }
}

impl fmt::Debug for Tls {
    /// Tells only whether clients are verified: keys do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("mutual", &self.client_ca_pem.is_some()).finish_non_exhaustive()
    }
}

fn read_pem(key: &'static str, path: &Path, block: &'static str) -> Result<Vec<u8>, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable {
        key,
        path: path.to_owned(),
        source,
    })?;
    // `EC PRIVATE KEY` and `RSA PRIVATE KEY` are private keys as well.
    let found = String::from_utf8_lossy(&bytes).lines().any(|line| {
        line.strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.trim_end().strip_suffix("-----"))
            .is_some_and(|label| label == block || label.ends_with(&format!(" {block}")))
    });
    if found { Ok(bytes) } else { Err(ConfigError::NotPem { key, path: path.to_owned(), block }) }
}

/// Bounds on what a service takes in and waits for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Transactions that run at the same time, over all peers; the others wait their turn.
    ///
    /// One that waits for other chaincode gives its turn back and takes the next free one when the reply is there, so
    /// that calls which come back, or cross those of another service, never wait for each other.
    pub transactions: usize,
    /// Transactions of one peer that run or wait, or that ended while it still owed them an answer; the next is
    /// answered with `SERVICE_BUSY`.
    pub transactions_per_stream: usize,
    /// Streams that are open at the same time; the next is refused with RESOURCE_EXHAUSTED.
    pub streams: usize,
    /// Largest message in or out, bytes. Fabric's own limit is 100 MiB.
    ///
    /// A transaction's writes may be half of it, and so may its reply together with its event or its code: a peer wraps
    /// what it passes on.
    pub message_bytes: usize,
    /// Entries of one unpaginated scan at which peers stop silently: their `totalQueryLimit`.
    pub scan_entries: u64,
    /// How long a transaction may take, waiting for its turn included.
    ///
    /// A peer waits 30 s by default (`chaincode.executetimeout`), and tells nobody when it gives up.
    pub transaction: Duration,
    /// How long to wait for the peer's answer to one request.
    pub reply: Duration,
    /// How long a peer that has connected may take to register.
    pub registration: Duration,
    /// TLS handshakes under way at the same time; the next client ends the oldest of them.
    pub handshakes: usize,
    /// How long a client may take for its TLS handshake.
    pub handshake: Duration,
    /// How long running transactions may finish once the service stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 1024,
            transactions_per_stream: 4096,
            streams: 256,
            message_bytes: 100 * 1024 * 1024,
            scan_entries: 100_000,
            transaction: Duration::from_secs(300),
            reply: Duration::from_secs(60),
            registration: Duration::from_secs(30),
            handshakes: 256,
            handshake: Duration::from_secs(20),
            drain: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_organisation_comes_from_the_environment_and_an_empty_one_is_none() {
        let set = |value: &'static str| {
            peer_msp_id_in(move |key| (key == "CORE_PEER_LOCALMSPID").then(|| value.to_owned()))
        };
        assert_eq!(set("NorthMSP").as_deref(), Some("NorthMSP"));
        assert_eq!(set(""), None);
        assert_eq!(peer_msp_id_in(|_| None), None);
    }
}
