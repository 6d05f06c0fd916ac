//! A node's HTTPS endpoints: health, metrics, and an orderer's channel participation.

use std::time::Duration;

use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use time::OffsetDateTime;

mod clock;

use crate::ca::TlsFiles;
use crate::fabric::Version;
use crate::files::{self, FileError};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Separates the parts of a join request; nothing in a block's framing can be mistaken for it.
const BOUNDARY: &str = "hlf-network-1f0c8d7a5b6e49d2a3c4";

/// A caller of one organisation's nodes, with a client certificate of its TLS CA.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    http: reqwest::Client,
}

/// Why an endpoint did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum OperationsError {
    /// The client's certificate, key or roots cannot be used.
    #[error("the TLS client certificate cannot be used: {0}")]
    Tls(String),
    /// A file of them cannot be read.
    #[error("the TLS client certificate cannot be read")]
    File(#[from] FileError),
    /// Nobody answered.
    #[error("`{url}` does not answer")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The HTTP client's reason.
        source: reqwest::Error,
    },
    /// The answer was a refusal, or not what Fabric answers.
    #[error("`{url}` answered {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The answer's text.
        body: String,
    },
}

/// A channel as an orderer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Participation {
    /// `active` once it takes part.
    pub(crate) status: String,
    /// Number of blocks.
    pub(crate) height: u64,
    /// `consenter`, or `follower` of one that only fetches.
    #[serde(rename = "consensusRelation")]
    pub(crate) consensus_relation: String,
}

/// What a node's operations endpoint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its metrics in Prometheus' text format.
    pub(crate) metrics: String,
    /// How far its clock certainly is ahead of this machine's, or behind when negative; `None` when it told no time.
    pub(crate) skew: Option<time::Duration>,
}

impl Heard {
    /// The value of a gauge of a channel, the greatest over its other labels.
    pub(crate) fn gauge(&self, name: &str, channel: &str) -> Option<f64> {
        greatest(&self.metrics, name, channel)
    }

    /// The sum of a metric's samples that have a label, `name="value"`.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        samples(&self.metrics, name, label).sum()
    }
}

impl Operations {
    /// A caller with the certificate, key and roots in these files.
    pub(crate) fn new(client: &TlsFiles) -> Result<Self, OperationsError> {
        let wrong = |error: &dyn std::fmt::Display| OperationsError::Tls(error.to_string());
        let mut roots = rustls::RootCertStore::empty();
        for root in certificates(&files::read(&client.roots)?)? {
            roots.add(root).map_err(|e| wrong(&e))?;
        }
        let chain = certificates(&files::read(&client.certificate)?)?;
        let key =
            PrivateKeyDer::from_pem_slice(files::read(&client.key)?.as_bytes()).map_err(|e| wrong(&e))?;
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(&e))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|e| wrong(&e))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| wrong(&e))?;
        Ok(Self { http })
    }

    /// The release of Fabric that a node says it is.
    pub(crate) async fn version(&self, address: &str) -> Result<Version, OperationsError> {
        #[derive(Deserialize)]
        struct Said {
            #[serde(rename = "Version")]
            version: String,
        }
        let url = format!("https://{address}/version");
        let (status, body) = self.ask(self.http.get(&url), &url).await?;
        let body = demand(status == StatusCode::OK, url.clone(), status, body)?;
        let said: Option<Said> = serde_json::from_str(&body).ok();
        said.and_then(|said| said.version.parse().ok()).ok_or_else(|| OperationsError::Refused {
            url,
            status: status.as_u16(),
            body,
        })
    }

    /// The value of a gauge of a channel, the greatest over its other labels; `None` when the node has none.
    pub(crate) async fn gauge(
        &self,
        address: &str,
        name: &str,
        channel: &str,
    ) -> Result<Option<f64>, OperationsError> {
        Ok(self.hear(address).await?.gauge(name, channel))
    }

    /// What a node says of itself, and what time it is there.
    pub(crate) async fn hear(&self, address: &str) -> Result<Heard, OperationsError> {
        let url = format!("https://{address}/metrics");
        let before = OffsetDateTime::now_utc();
        let unreachable = |source| OperationsError::Unreachable { url: url.clone(), source };
        let response = self.http.get(&url).send().await.map_err(unreachable)?;
        let after = OffsetDateTime::now_utc();
        let status = response.status();
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
        let skew = date.and_then(clock::of_http).map(|date| clock::skew(date, before, after));
        let body = response.text().await.map_err(unreachable)?;
        let metrics = demand(status == StatusCode::OK, url, status, body)?;
        Ok(Heard { metrics, skew })
    }

    /// A channel as the orderer at this admin address sees it; `None` before it joined.
    pub(crate) async fn participation(
        &self,
        admin: &str,
        channel: &str,
    ) -> Result<Option<Participation>, OperationsError> {
        let url = format!("https://{admin}/participation/v1/channels/{channel}");
        let (status, body) = self.ask(self.http.get(&url), &url).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = demand(status == StatusCode::OK, url.clone(), status, body)?;
        serde_json::from_str(&body).map(Some).map_err(|_| OperationsError::Refused {
            url,
            status: status.as_u16(),
            body,
        })
    }

    /// Makes the orderer at this admin address join the channel of a genesis block.
    pub(crate) async fn join(&self, admin: &str, block: &[u8]) -> Result<(), OperationsError> {
        let url = format!("https://{admin}/participation/v1/channels");
        let mut form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"config-block\"; filename=\"config.block\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        form.extend_from_slice(block);
        form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let request = self
            .http
            .post(&url)
            .header(reqwest::header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(form);
        let (status, body) = self.ask(request, &url).await?;
        demand(status == StatusCode::CREATED, url, status, body).map(|_| ())
    }

    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        url: &str,
    ) -> Result<(StatusCode, String), OperationsError> {
        let unreachable = |source| OperationsError::Unreachable { url: url.to_owned(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.text().await.map_err(unreachable)?;
        Ok((status, body))
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, OperationsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| OperationsError::Tls(error.to_string()))
}

fn demand(holds: bool, url: String, status: StatusCode, body: String) -> Result<String, OperationsError> {
    if holds {
        Ok(body)
    } else {
        Err(OperationsError::Refused { url, status: status.as_u16(), body: body.trim().to_owned() })
    }
}

/// The greatest sample of a channel's metric in Prometheus' text format.
fn greatest(metrics: &str, name: &str, channel: &str) -> Option<f64> {
    samples(metrics, name, &format!("channel=\"{channel}\"")).reduce(f64::max)
}

/// The samples of a metric that have a label.
fn samples(metrics: &str, name: &str, label: &str) -> impl Iterator<Item = f64> {
    metrics
        .lines()
        .filter_map(move |line| line.strip_prefix(name))
        .filter(move |rest| rest.starts_with('{') && rest.contains(label))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_gauge_is_read_over_its_other_labels() {
        let text = "# HELP x_leader help\n# TYPE x_leader gauge\nx_leader{channel=\"a\"} 0\n\
                    x_leader{channel=\"c\",x=\"1\"} 0\nx_leader{channel=\"c\",x=\"2\"} 1\n\
                    x_leader_id{channel=\"c\"} 7\n";
        assert_eq!(greatest(text, "x_leader", "a"), Some(0.0));
        assert_eq!(greatest(text, "x_leader", "c"), Some(1.0));
        assert_eq!(greatest(text, "x_leader", "b"), None);
        assert_eq!(greatest(text, "x_leader_id", "c"), Some(7.0));
        assert_eq!(greatest(text, "absent", "c"), None);
    }
}
