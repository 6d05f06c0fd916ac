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
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, Key>,
}

/// Whom a certificate is for.
pub(super) struct Subject {
    pub(super) common_name: String,
    pub(super) node_ou: Option<NodeOu>,
    pub(super) hosts: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) attributes: BTreeMap<String, String>,
}

/// What a certificate's key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
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
    pub(super) fn make(common_name: &str) -> Result<(String, Key), CaError> {
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
        params.extended_key_usages = match purpose {
            Purpose::Signing => Vec::new(),
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Purpose::TlsClient => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::TlsBoth => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
        };
        for host in &subject.hosts {
            let name = host.as_str().try_into().map_err(&refused)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        for address in &subject.addresses {
            params.subject_alt_names.push(SanType::IpAddress(*address));
        }
        if !subject.attributes.is_empty() {
            let json = serde_json::json!({ "attrs": subject.attributes });
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&ATTRIBUTES_OID, json.to_string().into_bytes()));
        }
        let certificate = params.signed_by(key, &self.issuer).map_err(&refused)?;
        Ok(certificate.pem())
    }
}

fn base(
    common_name: &str,
    node_ou: Option<NodeOu>,
    key: &Key,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    let mut name = DistinguishedName::new();
    if let Some(node_ou) = node_ou {
        name.push(DnType::OrganizationalUnitName, node_ou.as_str());
    }
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
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
