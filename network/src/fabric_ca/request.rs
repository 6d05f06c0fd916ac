//! Keys and requests for certificates, made here.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::FabricCaError;
use crate::ca::{self, Key};
use crate::spec::UserKey;

/// A text that must not be shown: an enrolment secret, or a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, to be sent or kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// A new key and the PKCS #10 request for its certificate.
#[derive(Debug)]
pub struct KeyAndRequest {
    key: Key,
    request_pem: String,
}

impl KeyAndRequest {
    /// A P-256 key and a request for a common name; hosts are DNS names and IP addresses for a TLS server.
    ///
    /// # Errors
    /// [`FabricCaError::Request`] when a host cannot stand in a certificate, or there is no randomness.
    pub fn generate(common_name: &str, hosts: &[&str]) -> Result<Self, FabricCaError> {
        Self::of_kind(UserKey::P256, common_name, hosts)
    }

    /// The same with a key of another kind. Fabric CA signs no requests of Ed25519 keys.
    ///
    /// # Errors
    /// As of [`KeyAndRequest::generate`].
    pub fn of_kind(kind: UserKey, common_name: &str, hosts: &[&str]) -> Result<Self, FabricCaError> {
        let wrong = |error| FabricCaError::Request(Box::new(error));
        let key = Key::generate(kind).map_err(wrong)?;
        let (addresses, names): (Vec<&str>, Vec<&str>) =
            hosts.iter().partition(|host| host.parse::<IpAddr>().is_ok());
        let subject = ca::Subject {
            common_name: common_name.to_owned(),
            node_ou: None,
            hosts: names.into_iter().map(ToOwned::to_owned).collect(),
            addresses: addresses.into_iter().filter_map(|address| address.parse().ok()).collect(),
            attributes: std::collections::BTreeMap::new(),
        };
        let request_pem = ca::request(&key, &subject).map_err(wrong)?;
        Ok(Self { key, request_pem })
    }

    /// The request, PEM.
    pub fn request_pem(&self) -> &str {
        &self.request_pem
    }

    /// The key, PKCS #8 PEM.
    ///
    /// # Errors
    /// [`FabricCaError::Request`] when it cannot be encoded, which no key does.
    pub fn key_pem(&self) -> Result<Secret, FabricCaError> {
        let pem = self.key.to_pem().map_err(|error| FabricCaError::Request(Box::new(error)))?;
        Ok(Secret(String::from_utf8_lossy(pem.as_ref()).into_owned()))
    }
}
