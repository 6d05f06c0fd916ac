//! A client of Fabric CA's own REST interface: enrol, register, revoke, lists, without `fabric-ca-client`.
//!
//! Keys never leave: what is sent is a PKCS #10 request. An identity that acts for itself, such as a registrar, signs
//! each request with the key of its enrolment certificate.
//!
//! ```no_run
//! use hlf_network::fabric_ca::{Enrollment, FabricCa, Identity, KeyAndRequest, Registration, Secret};
//!
//! # async fn enrol(roots: &str, secret: Secret) -> Result<(), Box<dyn std::error::Error>> {
//! let ca = FabricCa::new("https://127.0.0.1:7054", roots, Some("ca.north.example.com"))?;
//! let own = KeyAndRequest::generate("registrar", &[])?;
//! let enrolled = ca.enroll("registrar", &secret, &Enrollment::of(&own)).await?;
//! let registrar = Identity::from_pem(&enrolled.certificate_pem, own.key_pem()?.as_str())?;
//!
//! let made = ca.acting(&registrar).register(&Registration::client("ada").with("clerk", "yes")).await?;
//! let hers = KeyAndRequest::generate("ada", &[])?;
//! let certificate = ca.enroll("ada", &made, &Enrollment::of(&hers).asking_for(&["clerk"])).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Source of what is spoken: Fabric CA 1.5, `lib/server*.go`, `api/client.go`, `util/util.go`.

mod acting;
mod issuer;
mod request;
mod server;
mod token;
mod wire;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ca::CaError;

pub use acting::Acting;
pub use issuer::Registrar;
pub use request::{KeyAndRequest, Secret};
pub use server::CaSetupError;
pub use token::Identity;
pub use wire::{
    Affiliation, Attribute, AttributeRequest, CaInfo, Enrolled, Enrollment, RegisteredIdentity, Registration,
    Revocation, Revoked, RevokedCertificate,
};

pub(crate) use server::Server;

use wire::{Answer, EnrolledWire, InfoWire};

/// How long the CA may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The path of version 1 of the interface.
const API: &str = "/api/v1/";

/// Why Fabric CA did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FabricCaError {
    /// Its URL or the authorities that its TLS certificate is checked with cannot be used.
    #[error("Fabric CA at `{url}` cannot be called: {reason}")]
    Unusable {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answered.
    #[error("Fabric CA does not answer at `{url}`; is it running?")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The HTTP client's reason.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("Fabric CA refuses to {asked}: {message} (code {code}){}", advice(*code))]
    Refused {
        /// What it was asked, in words.
        asked: &'static str,
        /// The HTTP status.
        status: u16,
        /// Fabric CA's own code, of `lib/caerrors`; 0 when it gave none.
        code: i64,
        /// Fabric CA's own message.
        message: String,
    },
    /// It answered with something else than Fabric CA does.
    #[error("what answers at `{url}` is no Fabric CA: {what}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A key, certificate or request cannot be used or made.
    #[error("the identity cannot be used: {0}")]
    Identity(String),
    /// A request could not be made.
    #[error("the request for a certificate cannot be made")]
    Request(#[source] Box<CaError>),
}

impl FabricCaError {
    /// Whether the identity is registered already.
    pub fn is_registered_already(&self) -> bool {
        matches!(self, Self::Refused { code: 74, .. })
    }

    /// Whether the certificate was revoked before.
    pub fn is_revoked_already(&self) -> bool {
        matches!(self, Self::Refused { code: 66, .. })
    }
}

/// What an operator can do about one of Fabric CA's codes.
const fn advice(code: i64) -> &'static str {
    match code {
        20 => {
            "; name or secret is wrong, the certificate is revoked or ended, or the secret is used up: its log says which"
        }
        71 => {
            "; the one who asks lacks the attribute for it, such as `hf.Registrar.Roles`, `hf.Revoker` or `hf.GenCRL`"
        }
        74 => "; give it another name, or set a new secret for the one that is there",
        77 => "; the request's common name must be the identity's name",
        _ => "",
    }
}

/// One CA of a Fabric CA server.
#[derive(Debug, Clone)]
pub struct FabricCa {
    http: reqwest::Client,
    url: Url,
    name: Option<String>,
}

impl FabricCa {
    /// A client of the server at `https://HOST:PORT`, whose TLS certificate is checked with these authorities, PEM; of its
    /// CA of this name, or the default one. Nothing is sent yet.
    ///
    /// # Errors
    /// [`FabricCaError::Unusable`] when the URL is not one, is not HTTPS, or the authorities are none.
    pub fn new(url: &str, roots_pem: &str, name: Option<&str>) -> Result<Self, FabricCaError> {
        let wrong = |error: &dyn std::fmt::Display| FabricCaError::Unusable {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        let parsed = Url::parse(url).map_err(|e| wrong(&e))?;
        if parsed.scheme() != "https" {
            return Err(wrong(&"secrets go over it, so it must be `https`"));
        }
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
            roots.add(root.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
        }
        if roots.is_empty() {
            return Err(wrong(&"there is no authority to check its certificate with"));
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| wrong(&e))?;
        Ok(Self { http, url: parsed, name: name.map(ToOwned::to_owned) })
    }

    /// The CA's name, release and certificates.
    ///
    /// # Errors
    /// [`FabricCaError`].
    pub async fn info(&self) -> Result<CaInfo, FabricCaError> {
        let url = self.at(&["cainfo"], &[]);
        let info: InfoWire = self.send(self.http.get(url.clone()), &url, "tell of itself").await?;
        info.read().map_err(|what| FabricCaError::Answer { url: url.to_string(), what })
    }

    /// Has a certificate made of a request, for an identity that is registered, by its secret.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`] with code 20 when name or secret are wrong, 77 when the request is of another name.
    pub async fn enroll(
        &self,
        id: &str,
        secret: &Secret,
        enrollment: &Enrollment,
    ) -> Result<Enrolled, FabricCaError> {
        let url = self.at(&["enroll"], &[]);
        let request = self.http.post(url.clone()).basic_auth(id, Some(secret.as_str())).json(enrollment);
        let made: EnrolledWire = self.send(request, &url, "enrol").await?;
        made.read().map_err(|what| FabricCaError::Answer { url: url.to_string(), what })
    }

    /// What an enrolled identity asks with its own signature.
    pub fn acting<'a>(&'a self, identity: &'a Identity) -> Acting<'a> {
        Acting { ca: self, identity }
    }

    /// The URL of a path, segment by segment, with parameters and the CA's name.
    fn at(&self, path: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        url.set_path(API);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let name = self.name.as_deref().map(|name| ("ca", name));
        let parameters: Vec<_> = name.iter().chain(parameters).collect();
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    /// Sends what an identity signs.
    async fn signed<B: Serialize, A: DeserializeOwned>(
        &self,
        identity: &Identity,
        method: Method,
        url: Url,
        body: Option<&B>,
        asked: &'static str,
    ) -> Result<A, FabricCaError> {
        let body = match body {
            Some(body) => {
                serde_json::to_vec(body).map_err(|error| FabricCaError::Identity(error.to_string()))?
            }
            None => Vec::new(),
        };
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let token = identity.token(method.as_str(), &uri, &body)?;
        let request = self
            .http
            .request(method, url.clone())
            .header("authorization", token)
            .header("content-type", "application/json")
            .body(body);
        self.send(request, &url, asked).await
    }

    async fn send<A: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        url: &Url,
        asked: &'static str,
    ) -> Result<A, FabricCaError> {
        let unreachable =
            |source: reqwest::Error| FabricCaError::Unreachable { url: url.to_string(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        read(&text, status, asked).map_err(|failure| match failure {
            Failure::Refused { code, message } => {
                FabricCaError::Refused { asked, status: status.as_u16(), code, message }
            }
            Failure::Unreadable(what) => FabricCaError::Answer { url: url.to_string(), what },
        })
    }
}

enum Failure {
    Refused { code: i64, message: String },
    Unreadable(String),
}

/// Reads what Fabric CA answers to everything: a result, errors, and whether it did what it was asked.
fn read<A: DeserializeOwned>(text: &str, status: StatusCode, asked: &str) -> Result<A, Failure> {
    let answer: Answer = serde_json::from_str(text)
        .map_err(|error| Failure::Unreadable(format!("asked to {asked} it answers {status}, {error}")))?;
    if !answer.success || !status.is_success() {
        let first = answer.errors.into_iter().next();
        let (code, message) = first.map_or_else(
            || (0, format!("it answers {status} without a reason")),
            |error| (error.code, error.message),
        );
        return Err(Failure::Refused { code, message });
    }
    serde_json::from_value(answer.result)
        .map_err(|error| Failure::Unreadable(format!("asked to {asked} its result is another one: {error}")))
}

/// Base64 as Fabric CA writes it.
fn from_base64(text: &str) -> Result<String, String> {
    let bytes =
        STANDARD.decode(text.trim()).map_err(|error| format!("its Base64 cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "a PEM that is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> FabricCa {
        let (roots, _) = crate::ca::Authority::make("ca.north").unwrap();
        FabricCa::new("https://127.0.0.1:1", &roots, Some("ca.north")).unwrap()
    }

    #[test]
    fn a_name_is_one_segment_of_the_path_whatever_it_holds() {
        let url = ca().at(&["identities", "a/b?c@d e"], &[("force", "true")]);
        assert_eq!(
            url.as_str(),
            "https://127.0.0.1:1/api/v1/identities/a%2Fb%3Fc@d%20e?ca=ca.north&force=true"
        );
    }

    #[test]
    fn refusals_keep_fabric_cas_code_and_message() {
        let said = r#"{"result":"","errors":[{"code":74,"message":"Identity 'a' is already registered"}],"messages":[],"success":false}"#;
        let Err(Failure::Refused { code, message }) =
            read::<serde_json::Value>(said, StatusCode::CONFLICT, "register")
        else {
            panic!("it is a refusal")
        };
        assert_eq!((code, message.as_str()), (74, "Identity 'a' is already registered"));
        for odd in ["", "[]", "{}", "<html>", r#"{"result":1}"#] {
            assert!(read::<CaName>(odd, StatusCode::OK, "x").is_err(), "{odd}");
        }
        let name = r#"{"result":{"caname":"ca.north"},"errors":[],"success":true}"#;
        assert!(read::<CaName>(name, StatusCode::OK, "x").is_ok_and(|name| name.caname == "ca.north"));
        let other = r#"{"result":{"caname":1},"errors":[],"success":true}"#;
        assert!(matches!(read::<CaName>(other, StatusCode::OK, "x"), Err(Failure::Unreadable(_))));
    }

    #[derive(Debug, serde::Deserialize)]
    struct CaName {
        caname: String,
    }

    #[test]
    fn plain_http_and_no_authorities_are_refused() {
        for (url, roots) in [("http://127.0.0.1:1", ""), ("https://127.0.0.1:1", ""), ("nothing", "")] {
            assert!(matches!(FabricCa::new(url, roots, None), Err(FabricCaError::Unusable { .. })), "{url}");
        }
    }
}
