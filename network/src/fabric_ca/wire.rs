//! Fabric CA's messages, as JSON.

use serde::{Deserialize, Serialize};

use super::from_base64;
use super::request::{KeyAndRequest, Secret};

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) result: serde_json::Value,
    #[serde(default)]
    pub(super) errors: Vec<ErrorWire>,
    pub(super) success: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorWire {
    #[serde(default)]
    pub(super) code: i64,
    pub(super) message: String,
}

/// A CA as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CaInfo {
    /// Its name within its server.
    pub name: String,
    /// Its certificates, PEM: its own first, up to the root.
    pub chain_pem: String,
    /// The server's release, such as `1.5.22`.
    pub version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct InfoWire {
    #[serde(rename = "CAName")]
    name: String,
    #[serde(rename = "CAChain")]
    chain: String,
    #[serde(rename = "Version", default)]
    version: String,
}

impl InfoWire {
    pub(super) fn read(self) -> Result<CaInfo, String> {
        Ok(CaInfo { name: self.name, chain_pem: from_base64(&self.chain)?, version: self.version })
    }
}

/// An identity's attribute in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name; those that begin with `hf.` are Fabric CA's own.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether certificates have it when the request names none.
    #[serde(default)]
    pub ecert: bool,
}

/// An attribute that the certificate shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttributeRequest {
    /// Its name.
    pub name: String,
    /// Whether the certificate is made without it when the identity does not have it.
    pub optional: bool,
}

/// What a certificate is asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enrollment {
    /// The PKCS #10 request, PEM.
    #[serde(rename = "certificate_request")]
    pub request_pem: String,
    /// The signing profile, `tls` for instance; the CA's default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The attributes that it shall have and no others; absent for those that are marked `ecert`.
    #[serde(rename = "attr_reqs", skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<AttributeRequest>>,
}

impl Enrollment {
    /// With the attributes that are marked `ecert`, of the default profile.
    pub fn of(request: &KeyAndRequest) -> Self {
        Self { request_pem: request.request_pem().to_owned(), profile: None, attributes: None }
    }

    /// With these attributes, all of which the identity must have, and no others.
    #[must_use]
    pub fn asking_for(mut self, names: &[&str]) -> Self {
        let wanted = names.iter().map(|name| AttributeRequest { name: (*name).to_owned(), optional: false });
        self.attributes = Some(wanted.collect());
        self
    }

    /// Of a signing profile.
    #[must_use]
    pub fn of_profile(mut self, profile: &str) -> Self {
        self.profile = Some(profile.to_owned());
        self
    }
}

/// A certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enrolled {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The CA's own certificates, PEM.
    pub chain_pem: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct EnrolledWire {
    #[serde(rename = "Cert")]
    certificate: String,
    #[serde(rename = "ServerInfo")]
    server: InfoWire,
}

impl EnrolledWire {
    pub(super) fn read(self) -> Result<Enrolled, String> {
        Ok(Enrolled {
            certificate_pem: from_base64(&self.certificate)?,
            chain_pem: self.server.read()?.chain_pem,
        })
    }
}

/// An identity to be registered, or how one shall be.
#[derive(Debug, Clone, Serialize)]
pub struct Registration {
    /// Its name, which its certificates have as their common name.
    pub id: String,
    /// `client`, `peer`, `orderer` or `admin`: the organisational unit of its certificates.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its secret; the CA draws one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How often the secret serves; -1 for ever, 0 as often as the CA allows.
    pub max_enrollments: i32,
    /// Its affiliation, `.` for none; the registrar's own when empty.
    pub affiliation: String,
    /// Its attributes.
    #[serde(rename = "attrs")]
    pub attributes: Vec<Attribute>,
}

impl Registration {
    /// A client without attributes, with a secret that the CA draws.
    pub fn client(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: "client".to_owned(),
            secret: None,
            max_enrollments: 0,
            affiliation: String::new(),
            attributes: Vec::new(),
        }
    }

    /// Of a type, such as `peer`.
    #[must_use]
    pub fn of_kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// With an attribute that its certificates have.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(Attribute { name: name.to_owned(), value: value.to_owned(), ecert: true });
        self
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SecretWire {
    #[serde(default)]
    pub(super) secret: String,
}

/// An identity of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegisteredIdentity {
    /// Its name.
    pub id: String,
    /// `client`, `peer`, `orderer`, `admin` or another type.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its affiliation; empty for none.
    #[serde(default)]
    pub affiliation: String,
    /// Its attributes.
    #[serde(rename = "attrs", default)]
    pub attributes: Vec<Attribute>,
    /// How often its secret serves; -1 for ever.
    #[serde(default)]
    pub max_enrollments: i32,
}

#[derive(Debug, Deserialize)]
pub(super) struct IdentitiesWire {
    pub(super) identities: Vec<RegisteredIdentity>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CertificatesWire {
    pub(super) certs: Vec<PemWire>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PemWire {
    #[serde(rename = "PEM", alias = "pem")]
    pub(super) pem: String,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// An identity and every certificate of it: it can't enrol any more.
    Identity(String),
    /// One certificate; the identity may enrol again.
    Certificate {
        /// Its serial number, hexadecimal.
        serial: String,
        /// Its authority's key identifier, hexadecimal.
        authority_key_id: String,
    },
}

#[derive(Debug, Default, Serialize)]
pub(super) struct RevocationWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aki: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
}

/// What came of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revoked {
    /// The certificates that were revoked now; none when the identity had none that was not.
    #[serde(rename(deserialize = "RevokedCerts"), default, deserialize_with = "null_is_empty")]
    pub certificates: Vec<RevokedCertificate>,
}

/// A certificate that was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCertificate {
    /// Its serial number, hexadecimal.
    #[serde(rename(deserialize = "Serial"))]
    pub serial: String,
    /// Its authority's key identifier, hexadecimal.
    #[serde(rename(deserialize = "AKI"))]
    pub authority_key_id: String,
}

/// Go writes an empty list as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<RevokedCertificate>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
pub(super) struct ListWire {
    #[serde(rename = "CRL")]
    pub(super) list: String,
}

/// An affiliation and those below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Affiliation {
    /// Its full name, parts separated by dots; empty for the root.
    #[serde(default)]
    pub name: String,
    /// Those directly below it.
    #[serde(default)]
    pub affiliations: Vec<Affiliation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_has_fabric_cas_names() {
        let registration = Registration::client("ada").of_kind("admin").with("a", "1");
        assert_eq!(
            serde_json::to_value(&registration).unwrap(),
            serde_json::json!({
                "id": "ada", "type": "admin", "max_enrollments": 0, "affiliation": "",
                "attrs": [{ "name": "a", "value": "1", "ecert": true }],
            })
        );
        let enrollment = Enrollment { request_pem: "r".to_owned(), profile: None, attributes: None };
        let asked = enrollment.of_profile("tls").asking_for(&[]);
        assert_eq!(
            serde_json::to_value(&asked).unwrap(),
            serde_json::json!({ "certificate_request": "r", "profile": "tls", "attr_reqs": [] })
        );
    }

    #[test]
    fn a_secret_is_sent_and_not_shown() {
        let registration = Registration {
            secret: Some(Secret::from("pass-word".to_owned())),
            ..Registration::client("ada")
        };
        assert!(serde_json::to_string(&registration).unwrap().contains("pass-word"));
        assert!(!format!("{registration:?}").contains("pass-word"));
    }

    #[test]
    fn gos_null_is_an_empty_list() {
        let none: Revoked = serde_json::from_str(r#"{"RevokedCerts":null,"CRL":""}"#).unwrap();
        assert!(none.certificates.is_empty());
        let one: Revoked =
            serde_json::from_str(r#"{"RevokedCerts":[{"Serial":"1f","AKI":"2e"}],"CRL":""}"#).unwrap();
        assert_eq!(one.certificates[0].authority_key_id, "2e");
    }
}
