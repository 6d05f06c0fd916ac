//! Identities for tests: self-signed certificates with names and attributes as asked.

use std::collections::BTreeMap;

use hlf_protos::msp::SerializedIdentity;
use prost::Message;
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair};
use thiserror::Error;

/// Where Fabric CA writes attributes: 1.2.3.4.5.6.7.8.1.
const ATTRIBUTES: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8, 1];

/// The creator of a proposal: an MSP id and a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    msp_id: String,
    certificate_pem: String,
    certificate_der: Vec<u8>,
}

/// Why a certificate could not be made.
#[derive(Debug, Error)]
pub enum CreatorError {
    /// The certificate could not be generated.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The attributes do not encode.
    #[error("cannot encode the attributes")]
    Attributes(#[from] serde_json::Error),
}

impl Creator {
    /// Starts an identity under an MSP; its certificate gets a fresh P-256 key.
    #[must_use]
    pub fn builder(msp_id: impl Into<String>) -> CreatorBuilder {
        CreatorBuilder {
            msp_id: msp_id.into(),
            common_name: None,
            organizational_unit: None,
            attributes: BTreeMap::new(),
        }
    }

    /// The MSP id.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.msp_id
    }

    /// The certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The bytes that a proposal names as its creator: `msp.SerializedIdentity`.
    #[must_use]
    pub fn serialized(&self) -> Vec<u8> {
        serialized_identity(&self.msp_id, self.certificate_pem.as_bytes())
    }
}

/// Encodes a `msp.SerializedIdentity`, hostile ones included.
#[must_use]
pub fn serialized_identity(msp_id: &str, id_bytes: &[u8]) -> Vec<u8> {
    SerializedIdentity { mspid: msp_id.to_owned(), id_bytes: id_bytes.to_vec() }.encode_to_vec()
}

/// What the certificate of a [`Creator`] shall say.
#[derive(Clone, Debug)]
pub struct CreatorBuilder {
    msp_id: String,
    common_name: Option<String>,
    organizational_unit: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl CreatorBuilder {
    /// The subject's common name.
    #[must_use]
    pub fn common_name(mut self, name: impl Into<String>) -> Self {
        self.common_name = Some(name.into());
        self
    }

    /// The subject's organisational unit, for example the node OU `client`.
    #[must_use]
    pub fn organizational_unit(mut self, unit: impl Into<String>) -> Self {
        self.organizational_unit = Some(unit.into());
        self
    }

    /// One attribute, as Fabric CA writes it.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Makes the certificate.
    ///
    /// # Errors
    /// [`CreatorError`] if the names do not fit into a certificate.
    pub fn build(self) -> Result<Creator, CreatorError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        if let Some(unit) = self.organizational_unit {
            params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        }
        if !self.attributes.is_empty() {
            let json = serde_json::to_vec(&BTreeMap::from([("attrs", &self.attributes)]))?;
            params.custom_extensions.push(CustomExtension::from_oid_content(ATTRIBUTES, json));
        }
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        Ok(Creator {
            msp_id: self.msp_id,
            certificate_pem: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
        })
    }
}
