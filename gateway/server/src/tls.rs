//! The daemon's own certificate, and TLS configurations made with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::serving::ServeError;
use crate::trust::Trust;

/// What the daemon proves itself with.
pub(crate) struct OwnTls {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl OwnTls {
    /// Reads certificate, key and authorities.
    pub(crate) fn read(certificate: &Path, key: &Path, authorities: &[PathBuf]) -> Result<Self, ServeError> {
        let mut read = Vec::new();
        for path in authorities {
            read.extend(certificates(path)?);
        }
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| ServeError::Pem { path: key.to_owned(), reason: error.to_string() })?;
        Ok(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            authorities: read,
            chain: certificates(certificate)?,
            key,
        })
    }

    /// TLS that shows the daemon's certificate and wants one of a member.
    pub(crate) fn config(&self, trust: &Trust) -> Result<Arc<ServerConfig>, ServeError> {
        let unusable = |source| ServeError::Tls { source };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(trust.verifier())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would outlive a change of the members.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let malformed = |reason: String| ServeError::Pem { path: path.to_owned(), reason };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| malformed(error.to_string()))?;
    if found.is_empty() {
        return Err(malformed("it holds no certificate".to_owned()));
    }
    Ok(found)
}
