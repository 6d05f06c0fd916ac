//! Who created a proposal: an X.509 certificate under a membership service provider.

use std::collections::BTreeMap;
use std::fmt;

use hlf_protos::msp::SerializedIdentity;
use prost::Message;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATIONAL_UNIT, Oid, asn1_rs::oid};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::response::{Failure, code};

/// Where Fabric CA writes attributes, as JSON `{"attrs":{"name":"value"}}`.
const ATTRIBUTES: Oid<'static> = oid!(1.2.3.4.5.6.7.8.1);

/// Why a creator cannot be told who it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The creator is no `msp.SerializedIdentity`.
    #[error("creator is no serialised identity")]
    Undecodable(#[source] prost::DecodeError),
    /// The creator names no membership service provider.
    #[error("creator names no MSP")]
    MspMissing,
    /// The identity is not exactly one PEM block labelled `CERTIFICATE`.
    #[error("identity is not one PEM certificate")]
    NotPem,
    /// The certificate does not parse.
    #[error("certificate is malformed: {reason}")]
    Malformed {
        /// Which part of it.
        reason: &'static str,
    },
    /// The certificate says the same thing twice, so readers could disagree on what it says.
    #[error("certificate has more than one {what}")]
    Ambiguous {
        /// What there is more than one of.
        what: &'static str,
    },
    /// The attribute extension is not the JSON that Fabric CA writes.
    #[error("attributes of the certificate are malformed or repeated")]
    Attributes(#[source] serde_json::Error),
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Failure::new(403, code::IDENTITY_INVALID).caused_by(error)
    }
}

/// The creator of a proposal: MSP id and X.509 certificate.
///
/// The peer has verified the proposal's signature and the certificate's chain before it asks the
/// chaincode; this type only reads what the certificate says. Calls from other chaincode keep the
/// first proposal's creator.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    msp_id: String,
    certificate_der: Vec<u8>,
    common_name: Option<String>,
    organizational_units: Vec<String>,
    attributes: BTreeMap<String, String>,
}

impl ClientIdentity {
    /// Reads a serialised identity: protobuf `msp.SerializedIdentity` around a PEM certificate.
    ///
    /// # Errors
    /// [`IdentityError`] for anything but one well-formed certificate that says everything once.
    pub fn from_creator(creator: &[u8]) -> Result<Self, IdentityError> {
        let identity = SerializedIdentity::decode(creator).map_err(IdentityError::Undecodable)?;
        if identity.mspid.is_empty() {
            return Err(IdentityError::MspMissing);
        }
        let certificate_der = certificate_der(&identity.id_bytes)?;
        let (rest, certificate) = X509Certificate::from_der(&certificate_der)
            .map_err(|_| IdentityError::Malformed { reason: "it is no X.509 certificate in DER" })?;
        if !rest.is_empty() {
            return Err(IdentityError::Malformed { reason: "bytes follow it" });
        }
        let mut common_names = texts(certificate.subject(), &OID_X509_COMMON_NAME)?;
        let common_name = common_names.pop();
        if !common_names.is_empty() {
            return Err(IdentityError::Ambiguous { what: "common name" });
        }
        let organizational_units = texts(certificate.subject(), &OID_X509_ORGANIZATIONAL_UNIT)?;
        let attributes = attributes(&certificate)?;
        Ok(Self {
            msp_id: identity.mspid,
            common_name,
            organizational_units,
            attributes,
            certificate_der,
        })
    }

    /// The membership service provider that vouches for the certificate, for example `NorthMSP`.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.msp_id
    }

    /// The certificate in DER, as it came.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// SHA-256 of the certificate's DER, 32 bytes.
    #[must_use]
    pub fn certificate_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate_der).into()
    }

    /// The subject's common name, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The subject's organisational units in the certificate's order; node OUs are among them.
    #[must_use]
    pub fn organizational_units(&self) -> &[String] {
        &self.organizational_units
    }

    /// The value of one attribute from extension 1.2.3.4.5.6.7.8.1.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// All attributes by name.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}

impl fmt::Debug for ClientIdentity {
    /// Names the MSP only: certificates do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("msp_id", &self.msp_id).finish_non_exhaustive()
    }
}

fn certificate_der(pem: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let (rest, block) = parse_x509_pem(pem).map_err(|_| IdentityError::NotPem)?;
    if block.label != "CERTIFICATE" || !rest.trim_ascii().is_empty() {
        return Err(IdentityError::NotPem);
    }
    Ok(block.contents)
}

fn texts(name: &X509Name<'_>, of: &Oid<'_>) -> Result<Vec<String>, IdentityError> {
    name.iter_attributes()
        .filter(|attribute| attribute.attr_type() == of)
        .map(|attribute| {
            attribute
                .as_str()
                .map(str::to_owned)
                .map_err(|_| IdentityError::Malformed { reason: "a name in its subject is no text" })
        })
        .collect()
}

fn attributes(certificate: &X509Certificate<'_>) -> Result<BTreeMap<String, String>, IdentityError> {
    let mut extensions = certificate.extensions().iter().filter(|found| found.oid == ATTRIBUTES);
    let Some(extension) = extensions.next() else {
        return Ok(BTreeMap::new());
    };
    if extensions.next().is_some() {
        return Err(IdentityError::Ambiguous { what: "attribute extension" });
    }
    let written: WrittenAttributes =
        serde_json::from_slice(extension.value).map_err(IdentityError::Attributes)?;
    Ok(written.attrs.0)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAttributes {
    attrs: UniqueAttributes,
}

/// A JSON object of strings in which no name occurs twice.
struct UniqueAttributes(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = UniqueAttributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if attributes.insert(name, value).is_some() {
                        return Err(M::Error::custom("an attribute occurs twice"));
                    }
                }
                Ok(UniqueAttributes(attributes))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}
