//! Asking a custodian's daemon for a release, and fetching the sealed blob.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use caretrail_model::hash::sha256;
use caretrail_model::ids::Digest;
use caretrail_model::policy::Daemon;
use reqwest::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, redirect};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::{RELEASES_PATH, ReleaseReply, ReleaseRequest, blob_path};
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A disclosure is endorsed, ordered and committed before the answer comes.
const ASK_TIMEOUT: Duration = Duration::from_secs(150);
/// Longest silence within a blob.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is no blob.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Connections that may break one after the other without a byte of progress.
const BREAKS_MAX: u32 = 5;

/// A recipient's connection to one custodian's daemon, over mutual TLS.
#[derive(Clone, Debug)]
pub struct ReleaseClient {
    http: reqwest::Client,
    url: String,
}

/// A release that was not had.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseClientError {
    /// None of the authorities is the one that the policy names.
    #[error(
        "none of the given TLS authorities is the one of `{url}` that the consortium's policy names ({expected}): get that hospital's TLS CA certificate"
    )]
    NoAuthority {
        /// The daemon.
        url: String,
        /// SHA-256 of the authority's certificate in DER.
        expected: Digest,
    },
    /// The client's own certificate, key or authorities cannot be used.
    #[error("TLS to `{url}` cannot be set up: {reason}")]
    Tls {
        /// The daemon.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The daemon cannot be reached, or the connection broke.
    #[error("daemon `{url}` does not answer: check that it runs and trusts this hospital's TLS CA")]
    Unreachable {
        /// The daemon.
        url: String,
        /// What the transport reports.
        source: reqwest::Error,
    },
    /// The connection broke again and again within the blob.
    #[error(
        "the connection to `{url}` breaks within the blob, after {fetched_bytes} of {expected_bytes} bytes: \
         fetch it again later, it goes on from there"
    )]
    Broken {
        /// The daemon.
        url: String,
        /// Bytes that are here.
        fetched_bytes: u64,
        /// Bytes of the whole blob.
        expected_bytes: u64,
        /// What the transport reports.
        source: Option<reqwest::Error>,
    },
    /// The daemon refused.
    #[error("the custodian refused at stage `{}`: {} ({})", failure.stage, failure.code, failure.fix)]
    Refused {
        /// Why.
        failure: Box<Failure>,
    },
    /// The daemon answered something else than the release API says.
    #[error("daemon `{url}` answered with status {status} and something else than the release API says")]
    Unexpected {
        /// The daemon.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The blob cannot be stored.
    #[error("the sealed blob cannot be written to `{}`: check that the folder is writable and has free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// What was fetched is not the blob.
    #[error("the fetched blob does not match its digest {expected}: it was removed, fetch it again")]
    BlobDigest {
        /// What it should be.
        expected: Digest,
    },
}

impl ReleaseClient {
    /// Prepares connections to a daemon: its certificate must be issued by the authority that the policy
    /// names, and the client shows its own.
    ///
    /// # Errors
    /// When the authority is not among `authorities_pem`, or certificate or key cannot be used.
    pub fn new(
        daemon: &Daemon,
        authorities_pem: &str,
        certificate_pem: &str,
        key_pem: &str,
    ) -> Result<Self, ReleaseClientError> {
        let url = daemon.url.clone();
        let bad = |reason: String| ReleaseClientError::Tls { url: daemon.url.clone(), reason };
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities_pem.as_bytes()) {
            let authority = authority.map_err(|error| bad(error.to_string()))?;
            if sha256(&authority) == daemon.tls_ca_digest {
                roots.add(authority).map_err(|error| bad(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            return Err(ReleaseClientError::NoAuthority { url, expected: daemon.tls_ca_digest });
        }
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| bad(error.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| bad(error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ASK_TIMEOUT)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Asks for a release. Asking again with the same key is safe: it gets the same secret.
    ///
    /// # Errors
    /// When the daemon is not reached, or refuses; the failure says whether asking again may help.
    pub async fn ask(&self, request: &ReleaseRequest) -> Result<ReleaseReply, ReleaseClientError> {
        let url = format!("{}{RELEASES_PATH}", self.url);
        let response = self
            .http
            .post(url)
            .timeout(ASK_TIMEOUT)
            .json(request)
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        self.json(response).await
    }

    /// Fetches the sealed blob of a release to `<folder>/<digest>.sealed`, and checks its digest.
    ///
    /// What was fetched before a connection broke, or before the program ended, is not fetched again.
    ///
    /// # Errors
    /// When the connection breaks again and again without progress, the daemon refuses, the file cannot be
    /// written, or the content is another one.
    pub async fn fetch_blob(
        &self,
        reply: &ReleaseReply,
        folder: &Path,
    ) -> Result<PathBuf, ReleaseClientError> {
        let digest = reply.commitments.blob_digest;
        let whole = folder.join(format!("{digest}.sealed"));
        let part = folder.join(format!("{digest}.part"));
        let failed = |source| ReleaseClientError::Write { path: part.clone(), source };
        if whole.is_file() {
            return Ok(whole);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .mode(0o600)
            .open(&part)
            .await
            .map_err(failed)?;

        let expected_bytes = reply.commitments.sealed_bytes;
        let mut fetched_bytes = file.metadata().await.map_err(failed)?.len();
        let mut breaks = 0;
        while fetched_bytes < expected_bytes {
            let before = fetched_bytes;
            let source = match self.fetch_rest(reply, &mut file, &mut fetched_bytes).await {
                Ok(()) if fetched_bytes >= expected_bytes => break,
                Ok(()) => None,
                Err(ReleaseClientError::Unreachable { source, .. }) => Some(source),
                Err(ReleaseClientError::Write { source, .. }) => return Err(failed(source)),
                Err(error) => return Err(error),
            };
            tracing::debug!(fetched_bytes, "connection broke within a blob");
            breaks = if fetched_bytes > before { 0 } else { breaks + 1 };
            if breaks == BREAKS_MAX {
                let url = self.url.clone();
                return Err(ReleaseClientError::Broken { url, fetched_bytes, expected_bytes, source });
            }
        }
        file.sync_all().await.map_err(failed)?;
        drop(file);

        if digest_of(part.clone()).await.map_err(failed)? != digest {
            tokio::fs::remove_file(&part).await.map_err(failed)?;
            return Err(ReleaseClientError::BlobDigest { expected: digest });
        }
        tokio::fs::rename(&part, &whole).await.map_err(failed)?;
        Ok(whole)
    }

    /// Fetches from the file's end on, until the blob's end or the connection's.
    async fn fetch_rest(
        &self,
        reply: &ReleaseReply,
        file: &mut File,
        fetched_bytes: &mut u64,
    ) -> Result<(), ReleaseClientError> {
        let failed = |source| ReleaseClientError::Write { path: PathBuf::new(), source };
        // Of own parts: what the daemon says might lead to another host.
        let url = format!("{}{}", self.url, blob_path(&reply.decision, &reply.record));
        let mut response = self
            .http
            .get(url)
            .header(RANGE, format!("bytes={fetched_bytes}-"))
            .header(IF_RANGE, format!("\"{}\"", reply.commitments.blob_digest))
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, *fetched_bytes) => {}
            StatusCode::OK => {
                file.set_len(0).await.map_err(failed)?;
                *fetched_bytes = 0;
            }
            _ => return Err(self.refusal(response).await),
        }
        file.seek(SeekFrom::Start(*fetched_bytes)).await.map_err(failed)?;
        let outcome = loop {
            match tokio::time::timeout(READ_TIMEOUT, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let remaining = reply.commitments.sealed_bytes.saturating_sub(*fetched_bytes);
                    if chunk.len() as u64 > remaining {
                        break Err(self.unexpected(response.status()));
                    }
                    file.write_all(&chunk).await.map_err(failed)?;
                    *fetched_bytes += chunk.len() as u64;
                }
                Ok(Ok(None)) => break Ok(()),
                Ok(Err(source)) => break Err(self.unreachable(source)),
                // A silent connection is given up; the next one starts where this one stopped.
                Err(_) => break Ok(()),
            }
        };
        file.flush().await.map_err(failed)?;
        outcome
    }

    /// The daemon's failure, or that it answered something else.
    async fn refusal(&self, response: Response) -> ReleaseClientError {
        let status = response.status();
        match self.json::<Failure>(response).await {
            Ok(failure) => ReleaseClientError::Refused { failure: Box::new(failure) },
            Err(error @ ReleaseClientError::Unreachable { .. }) => error,
            Err(_) => self.unexpected(status),
        }
    }

    /// A bounded answer in JSON.
    async fn json<T: DeserializeOwned>(&self, mut response: Response) -> Result<T, ReleaseClientError> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| self.unreachable(source))? {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                return Err(self.unexpected(status));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| self.unexpected(status))
    }

    fn unreachable(&self, source: reqwest::Error) -> ReleaseClientError {
        ReleaseClientError::Unreachable { url: self.url.clone(), source }
    }

    fn unexpected(&self, status: StatusCode) -> ReleaseClientError {
        ReleaseClientError::Unexpected { url: self.url.clone(), status: status.as_u16() }
    }
}

impl ReleaseClientError {
    /// Whether asking again with the same key may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { failure } => failure.retryable,
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            _ => false,
        }
    }

    /// The failure as programs read it.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused { failure } => (**failure).clone(),
            Self::NoAuthority { .. } => Failure::new(
                "DAEMON_AUTHORITY_UNKNOWN",
                "release",
                "get the custodian's TLS CA certificate that the consortium's policy names",
            ),
            Self::Tls { .. } => {
                Failure::new("TLS_UNUSABLE", "release", "check the TLS certificate, key and authorities")
            }
            Self::Unreachable { url, .. } => Failure {
                address: Some(url.clone()),
                ..Failure::new(
                    "DAEMON_UNREACHABLE",
                    "release",
                    "check that the custodian's daemon runs and trusts this hospital's TLS CA",
                )
                .retryable()
            },
            Self::Broken { url, .. } => Failure {
                address: Some(url.clone()),
                ..Failure::new("BLOB_INTERRUPTED", "blob", "fetch the blob again, it goes on from there")
                    .retryable()
            },
            Self::Unexpected { url, .. } => Failure {
                address: Some(url.clone()),
                ..Failure::new("DAEMON_UNEXPECTED", "release", "check the daemon's URL in the policy")
            },
            Self::Write { .. } => {
                Failure::new("NOT_WRITTEN", "blob", "check the folder's free space and permissions")
            }
            Self::BlobDigest { .. } => {
                Failure::new("BLOB_DIGEST", "blob", "fetch the blob again").retryable()
            }
        }
    }
}

/// Whether a partial answer starts at this byte.
fn starts_at(response: &Response, byte: u64) -> bool {
    response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .is_some_and(|(start, _)| start.parse() == Ok(byte))
}

/// SHA-256 of a file.
async fn digest_of(path: PathBuf) -> io::Result<Digest> {
    let hashing = tokio::task::spawn_blocking(move || {
        let mut hash = Sha256::new();
        let mut file = std::fs::File::open(path)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok(Digest::from_bytes(hash.finalize().into())),
                count => hash.update(buffer.get(..count).unwrap_or_default()),
            }
        }
    });
    hashing.await.unwrap_or_else(|_| Err(io::Error::other("the thread that hashes was stopped")))
}
