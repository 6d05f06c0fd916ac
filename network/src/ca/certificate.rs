//! X.509 certificates of a development CA.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};

use super::key::{self, Key};
use super::{AUTHORITY_DAYS, CaError, Validity};
use crate::spec::{NodeOu, UserKey};

/// Fabric CA's certificate extension for attributes.
const ATTRIBUTES_OID: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];

/// A CA's key and certificate.
#[derive(Debug)]
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, Key>,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) common_name: String,
    pub(crate) node_ou: Option<NodeOu>,
    pub(crate) hosts: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What a certificate's key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Sign proposals, transactions, blocks.
    Signing,
    /// TLS as the called side.
    Server,
    /// TLS as the calling side.
    TlsClient,
    /// TLS as either side, as peers and orderers are.
    TlsBoth,
}

impl Authority {
    /// Makes a self-signed CA, and the key for keeping.
    pub(crate) fn make(common_name: &str) -> Result<(String, Key), CaError> {
        Self::make_within(common_name, Validity::days(AUTHORITY_DAYS))
    }

    /// The same, for a time of its own.
    pub(super) fn make_within(common_name: &str, validity: Validity) -> Result<(String, Key), CaError> {
        let key = Key::generate(UserKey::P256)?;
        let mut params = base(common_name, None, &key, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key).map_err(refused(common_name))?;
        Ok((certificate.pem(), key))
    }

    /// A CA from its certificate and key, or what is wrong with them.
    pub(super) fn from_pem(certificate: String, key: &str) -> Result<Self, String> {
        let key = Key::from_pem(key).map_err(|error| format!("key: {error}"))?;
        let der = rustls_pem(&certificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| error.to_string())?;
        if parsed.public_key().subject_public_key.data.as_ref() != rcgen::PublicKeyData::der_bytes(&key) {
            return Err("its key does not match its certificate".to_owned());
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { pem: certificate, issuer })
    }

    /// The CA as the one that signs.
    pub(super) fn issuer(&self) -> &Issuer<'static, Key> {
        &self.issuer
    }

    /// The CA's certificate, PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate for a key; PEM.
    pub(super) fn issue(
        &self,
        key: &Key,
        subject: &Subject,
        purpose: Purpose,
        validity: Validity,
    ) -> Result<String, CaError> {
        let refused = refused(&subject.common_name);
        let mut params = base(&subject.common_name, subject.node_ou, key, validity)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purpose.usages();
        params.subject_alt_names = names(subject)?;
        params.custom_extensions.extend(attributes(subject));
        let certificate = params.signed_by(key, &self.issuer).map_err(&refused)?;
        Ok(certificate.pem())
    }
}

impl Purpose {
    fn usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Signing => Vec::new(),
            Self::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Self::TlsClient => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Self::TlsBoth => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

/// A PKCS #10 request that asks for all that a certificate shall have, attributes too, as extensions: an authority that knows
/// nothing of Fabric copies them.
pub(crate) fn whole_request(key: &Key, subject: &Subject, purpose: Purpose) -> Result<String, CaError> {
    let mut params = requested(subject)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purpose.usages();
    params.custom_extensions.extend(attributes(subject));
    written(&params, key, subject)
}

/// A PKCS #10 request for a key's certificate, signed with it; PEM. Usages and attributes are the CA's to add.
pub(crate) fn request(key: &Key, subject: &Subject) -> Result<String, CaError> {
    written(&requested(subject)?, key, subject)
}

fn requested(subject: &Subject) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(&subject.common_name, subject.node_ou);
    params.subject_alt_names = names(subject)?;
    Ok(params)
}

fn written(params: &CertificateParams, key: &Key, subject: &Subject) -> Result<String, CaError> {
    let made = params.serialize_request(key).and_then(|request| request.pem());
    made.map_err(refused(&subject.common_name))
}

/// The extension that Fabric CA writes attributes into.
fn attributes(subject: &Subject) -> Option<CustomExtension> {
    if subject.attributes.is_empty() {
        return None;
    }
    let json = serde_json::json!({ "attrs": subject.attributes });
    Some(CustomExtension::from_oid_content(&ATTRIBUTES_OID, json.to_string().into_bytes()))
}

fn names(subject: &Subject) -> Result<Vec<SanType>, CaError> {
    let mut names = Vec::new();
    for host in &subject.hosts {
        let name = host.as_str().try_into().map_err(refused(&subject.common_name))?;
        names.push(SanType::DnsName(name));
    }
    names.extend(subject.addresses.iter().map(|address| SanType::IpAddress(*address)));
    Ok(names)
}

fn distinguished(common_name: &str, node_ou: Option<NodeOu>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(node_ou) = node_ou {
        name.push(DnType::OrganizationalUnitName, node_ou.as_str());
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn base(
    common_name: &str,
    node_ou: Option<NodeOu>,
    key: &Key,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(common_name, node_ou);
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.serial_number = Some(serial()?);
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.identifier());
    Ok(params)
}

/// 127 random bits: positive in DER, and shorter than the 20 bytes that X.509 allows.
fn serial() -> Result<SerialNumber, CaError> {
    let drawn = key::random_hex()?;
    let value = u128::from_str_radix(&drawn, 16).map_err(|_| CaError::Random)?;
    Ok(SerialNumber::from_slice(&((value >> 1) | 1_u128 << 126).to_be_bytes()))
}

fn rustls_pem(certificate: &str) -> Result<Vec<u8>, String> {
    x509_parser::pem::parse_x509_pem(certificate.as_bytes())
        .map(|(_, pem)| pem.contents)
        .map_err(|error| format!("certificate: {error}"))
}

fn refused(name: &str) -> impl Fn(rcgen::Error) -> CaError + '_ {
    |error| CaError::Certificate { name: name.to_owned(), reason: error.to_string() }
}
