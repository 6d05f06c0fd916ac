//! TLS whose keys and certificates can be replaced while streams are open.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use crate::config::{Limits, Tls};

/// How long to leave the listener alone when it fails, which it does while files are short.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why key and certificates do not make a server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Something is no PEM, or lacks the block it should have.
    #[error("the {part} is no PEM of its kind")]
    NotPem {
        /// Key, certificate, or the clients' authorities.
        part: &'static str,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not fit the certificate, or either is refused.
    #[error("key and certificate do not fit each other")]
    Refused(#[source] rustls::Error),
    /// The certificates that sign the peers' own are refused.
    #[error("the authorities of client certificates are refused")]
    ClientAuthorities(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A plain service has nothing to replace.
    #[error("the service was started without TLS: it has to be restarted to change that")]
    Plain,
}

/// Replaces a service's key and certificates; clones replace the same ones.
///
/// Connections that are open go on as they are, new ones use what was set last.
#[derive(Clone, Debug)]
pub struct Certificates(Option<Arc<RwLock<Arc<ServerConfig>>>>);

impl Certificates {
    pub(crate) fn new(tls: Option<&Tls>) -> Result<Self, TlsError> {
        let config = tls.map(server_config).transpose()?;
        Ok(Self(config.map(|config| Arc::new(RwLock::new(Arc::new(config))))))
    }

    /// Uses other keys and certificates from the next connection on.
    ///
    /// # Errors
    /// [`TlsError`]; the ones in use stay in use then.
    pub fn replace(&self, tls: &Tls) -> Result<(), TlsError> {
        let current = self.0.as_ref().ok_or(TlsError::Plain)?;
        let config = Arc::new(server_config(tls)?);
        *current.write().unwrap_or_else(PoisonError::into_inner) = config;
        info!("the service uses other certificates from now on");
        Ok(())
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    fn acceptor(&self) -> Option<TlsAcceptor> {
        let current = self.0.as_ref()?;
        Some(TlsAcceptor::from(Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))))
    }

    /// Accepts connections and shakes hands with them side by side, until the receiver is gone.
    ///
    /// Clients that connect and say nothing cannot keep others out: when there are too many, the one that
    /// has been silent for longest has to go. A peer needs some milliseconds.
    pub(crate) async fn accept(
        self,
        listener: TcpListener,
        accepted: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
        limits: Limits,
    ) {
        let mut handshakes = JoinSet::new();
        let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let tcp = tokio::select! {
                tcp = listener.accept() => tcp,
                Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {
                    oldest_first.retain(|handshake| !handshake.is_finished());
                    continue;
                }
                () = accepted.closed() => return,
            };
            let tcp = match tcp {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let Some(acceptor) = self.acceptor() else { return };
            if oldest_first.len() >= limits.handshakes
                && let Some(oldest) = oldest_first.pop_front()
            {
                debug!("a TLS handshake made room for a newer one");
                oldest.abort();
            }
            let accepted = accepted.clone();
            let handshake = handshakes.spawn(async move {
                let shaken = async {
                    tcp.set_nodelay(true)?;
                    acceptor.accept(tcp).await
                };
                match tokio::time::timeout(limits.handshake, shaken).await {
                    Ok(Ok(stream)) => {
                        // A receiver that is gone wants no more connections.
                        let _ = accepted.send(Ok(stream)).await;
                    }
                    Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                    Err(_) => debug!("a client did not shake hands in time"),
                }
            });
            oldest_first.push_back(handshake);
        }
    }
}

fn server_config(tls: &Tls) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(&tls.key_pem)
        .map_err(|source| TlsError::NotPem { part: "private key", source })?;
    let chain = certificates("certificate", &tls.certificate_pem)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?;
    let builder = match &tls.client_ca_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for root in certificates("authority of client certificates", pem)? {
                roots.add(root).map_err(|error| TlsError::ClientAuthorities(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::ClientAuthorities(error.into()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Refused)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(part: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::NotPem { part, source })
}
