//! Where a peer is found and how it proves itself.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use zeroize::Zeroizing;

/// How often a connection with open streams is probed, and how long the answer may take. Stock peers close
/// connections that ping more often than once a minute.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(120);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What a connection takes in before it is read: of one stream, and of all together.
///
/// Apart and fixed, since hyper's adaptive window is one for both: a stream whose reader takes its time would hold up
/// every call beside it. From the connection's window h2 also draws how many small frames may lie there unread, half
/// of it at up to 256 bytes each, before it takes the peer for an attacker and closes: with adaptive windows, some 130
/// short answers that come at once would end every call of the connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// Address of a peer or orderer, and what its TLS certificate must prove.
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: String,
    tls: Option<Tls>,
}

#[derive(Clone, Debug)]
struct Tls {
    roots_pem: String,
    host_override: Option<String>,
    client: Option<ClientTls>,
}

/// The client's own TLS certificate, for servers that ask for one.
#[derive(Clone)]
struct ClientTls {
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

/// Why an address can't be connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not `host:port`.
    #[error("address `{address}` is not `host:port`")]
    BadAddress {
        /// The address as given.
        address: String,
    },
    /// The authorities to trust, or the client's own certificate or key, can't be used.
    #[error("TLS for `{address}` can't be set up: {reason}")]
    BadTls {
        /// The address as given.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The server's certificate is not one that the given authorities vouch for, or names another host.
    #[error(
        "`{address}` is not trusted: check that the TLS authority is the one of the server's organisation and that its certificate names this host"
    )]
    Untrusted {
        /// The address as given.
        address: String,
        /// What the TLS handshake found.
        source: rustls::Error,
    },
    /// The server demands a client certificate of its connections, and was shown none, or none that it trusts. With
    /// TLS 1.3, that is told by the first call instead, and not always why: [`crate::FailureCause::ConnectionClosed`].
    #[error(
        "`{address}` demands a client certificate and trusts none that it was shown: give the endpoint one of an authority that it trusts, with `client_tls`"
    )]
    ClientCertificateMissing {
        /// The address as given.
        address: String,
        /// How the server ended the TLS handshake.
        source: rustls::Error,
    },
    /// Nobody answers at the address.
    #[error("`{address}` can't be reached: check that the node runs and listens there")]
    Unreachable {
        /// The address as given.
        address: String,
        /// What the transport reports.
        source: tonic::transport::Error,
    },
    /// Connecting took too long.
    #[error("`{address}` did not answer within {} ms", limit.as_millis())]
    Deadline {
        /// The address as given.
        address: String,
        /// The time that was given.
        limit: Duration,
    },
}

impl ConnectError {
    /// The address that was to be reached, as given.
    pub fn address(&self) -> &str {
        match self {
            Self::BadAddress { address }
            | Self::BadTls { address, .. }
            | Self::Untrusted { address, .. }
            | Self::ClientCertificateMissing { address, .. }
            | Self::Unreachable { address, .. }
            | Self::Deadline { address, .. } => address,
        }
    }
}

impl Endpoint {
    /// A server at `host:port` whose TLS certificate must be vouched for by one of the authorities in PEM.
    pub fn tls(address: impl Into<String>, roots_pem: impl Into<String>) -> Self {
        let tls = Tls { roots_pem: roots_pem.into(), host_override: None, client: None };
        Self { address: address.into(), tls: Some(tls) }
    }

    /// A server at `host:port` without TLS: for networks that have none.
    pub fn plaintext(address: impl Into<String>) -> Self {
        Self { address: address.into(), tls: None }
    }

    /// Expects the server's certificate to name this host instead of the address's; without TLS it does nothing.
    #[must_use]
    pub fn host_override(mut self, host: impl Into<String>) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.host_override = Some(host.into());
        }
        self
    }

    /// Presents a certificate and key in PEM (mutual TLS); without TLS it does nothing.
    #[must_use]
    pub fn client_tls(mut self, certificate_pem: impl Into<String>, key_pem: impl Into<String>) -> Self {
        if let Some(tls) = &mut self.tls {
            let client = ClientTls {
                certificate_pem: certificate_pem.into(),
                key_pem: Zeroizing::new(key_pem.into()),
            };
            tls.client = Some(client);
        }
        self
    }

    /// The address as given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects, at most for the given time; the channel reconnects by itself afterwards.
    ///
    /// For generated clients of services that this crate has no type for, such as `orderer.AtomicBroadcast`.
    pub async fn connect(&self, limit: Duration) -> Result<Channel, ConnectError> {
        let endpoint = self.transport()?.connect_timeout(limit);
        match tokio::time::timeout(limit, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(source)) => Err(self.failure(source)),
            Err(_) => Err(ConnectError::Deadline { address: self.address.clone(), limit }),
        }
    }

    /// A channel that connects when it is first used; a server that can't be reached then shows as the gRPC
    /// status UNAVAILABLE.
    pub fn connect_lazy(&self, limit: Duration) -> Result<Channel, ConnectError> {
        Ok(self.transport()?.connect_timeout(limit).connect_lazy())
    }

    /// SHA-256 of the client's TLS certificate, to which peers bind block streams under mutual TLS; else empty.
    pub(crate) fn client_certificate_hash(&self) -> Result<Vec<u8>, ConnectError> {
        let Some(client) = self.tls.as_ref().and_then(|tls| tls.client.as_ref()) else {
            return Ok(Vec::new());
        };
        let (_, block) = x509_parser::pem::parse_x509_pem(client.certificate_pem.as_bytes())
            .map_err(|error| self.bad_tls(format!("the client's certificate is not PEM: {error}")))?;
        Ok(Sha256::digest(&block.contents).to_vec())
    }

    fn transport(&self) -> Result<tonic::transport::Endpoint, ConnectError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let bad_address = || ConnectError::BadAddress { address: self.address.clone() };
        if !is_host_and_port(&self.address) {
            return Err(bad_address());
        }
        let endpoint = tonic::transport::Endpoint::from_shared(format!("{scheme}://{}", self.address))
            .map_err(|_| bad_address())?
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .initial_stream_window_size(Some(STREAM_WINDOW_BYTES))
            .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES));
        let Some(tls) = &self.tls else { return Ok(endpoint) };

        let roots = certificates(&tls.roots_pem);
        if roots.is_empty() {
            return Err(self.bad_tls("the PEM of the authorities holds no certificate".to_owned()));
        }
        let mut config = ClientTlsConfig::new().ca_certificates(roots);
        if let Some(host) = &tls.host_override {
            config = config.domain_name(host);
        }
        if let Some(client) = &tls.client {
            let identity =
                tonic::transport::Identity::from_pem(&client.certificate_pem, client.key_pem.as_str());
            config = config.identity(identity);
        }
        endpoint.tls_config(config).map_err(|error| self.bad_tls(innermost(&error)))
    }

    fn bad_tls(&self, reason: String) -> ConnectError {
        ConnectError::BadTls { address: self.address.clone(), reason }
    }

    fn failure(&self, source: tonic::transport::Error) -> ConnectError {
        let address = self.address.clone();
        match tls_error(&source) {
            Some(source) if wants_client_certificate(&source) => {
                ConnectError::ClientCertificateMissing { address, source }
            }
            Some(source) => ConnectError::Untrusted { address, source },
            None => ConnectError::Unreachable { address, source },
        }
    }
}

/// Authorities and a client's certificate and key, whatever they are.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_anything(pem: &str) {
    let endpoint = Endpoint::tls("localhost:1", pem).client_tls(pem, pem);
    let _ = (endpoint.transport().is_ok(), endpoint.client_certificate_hash().is_ok());
    let _ = Endpoint::tls(pem, pem).transport().is_ok();
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientTls(redacted)")
    }
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// The certificates of a PEM text, one by one.
fn certificates(pem: &str) -> Vec<Certificate> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    let mut rest = pem;
    while let Some((_, body)) = rest.split_once(BEGIN) {
        let Some((body, after)) = body.split_once(END) else { break };
        found.push(Certificate::from_pem(format!("{BEGIN}{body}{END}\n")));
        rest = after;
    }
    found
}

/// Whether the other side ended a handshake for want of a client certificate that it trusts.
pub(crate) fn wants_client_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription::{BadCertificate, CertificateRequired, UnknownCA};
    matches!(error, rustls::Error::AlertReceived(CertificateRequired | BadCertificate | UnknownCA))
}

/// The TLS error in a chain of causes; I/O errors keep theirs outside of the chain.
pub(crate) fn tls_error(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls.clone());
    }
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) => tls_error(inner),
        None => error.source().and_then(tls_error),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}
