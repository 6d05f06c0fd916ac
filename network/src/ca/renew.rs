//! Certificates issued anew for the key that they have, and lists of those that no longer count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::{Purpose, Subject};
use super::key::Key;
use super::{AUTHORITY_DAYS, CaError, DevelopmentCa, LEAF_DAYS, Order, Signs, Validity};
use crate::files;
use crate::spec::NodeOu;

/// Fabric CA's certificate extension for attributes.
const ATTRIBUTES_OID: &str = "1.2.3.4.5.6.7.8.1";

/// The certificates that an authority has revoked, as its folder keeps them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Revoked {
    /// How many lists there were.
    number: u64,
    certificates: Vec<RevokedCertificate>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RevokedCertificate {
    /// Serial number, hexadecimal.
    serial: String,
    /// Unix seconds.
    revoked_unix_s: i64,
    name: String,
}

#[derive(Deserialize)]
struct Attributes {
    attrs: BTreeMap<String, String>,
}

impl Order {
    /// An order of a certificate like one that there is, for the same key or another one, and a new time.
    pub(crate) fn like(certificate: &Path, key: Key) -> Result<Self, CaError> {
        let damaged = |what: String| CaError::Damaged { folder: certificate.to_owned(), what };
        let pem = files::read(certificate)?;
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| damaged(e.to_string()))?;
        let (_, old) = X509Certificate::from_der(&pem.contents).map_err(|e| damaged(e.to_string()))?;
        let (subject, purpose) = read(&old).map_err(damaged)?;
        let signs = if purpose == Purpose::Signing { Signs::Identities } else { Signs::Tls };
        Ok(Self { signs, key, subject, purpose, validity: Validity::days(LEAF_DAYS) })
    }
}

impl DevelopmentCa {
    /// Adds a certificate of the signing authority to those that it has revoked, and returns the list of all, PEM.
    pub(crate) fn revoke(&self, certificate: &Path) -> Result<String, CaError> {
        let damaged = |what: String| CaError::Damaged { folder: certificate.to_owned(), what };
        let pem = files::read(certificate)?;
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| damaged(e.to_string()))?;
        let (_, found) = X509Certificate::from_der(&pem.contents).map_err(|e| damaged(e.to_string()))?;
        let kept = self.home.folder().join("ca/revoked.json");
        let mut revoked: Revoked = match kept.exists() {
            true => serde_json::from_str(&files::read(&kept)?)
                .map_err(|error| CaError::Damaged { folder: kept.clone(), what: error.to_string() })?,
            false => Revoked::default(),
        };
        let serial = hex::encode(found.raw_serial());
        let now = OffsetDateTime::now_utc();
        if !revoked.certificates.iter().any(|known| known.serial == serial) {
            let name = crate::change::common_name(&found);
            let revoked_unix_s = now.unix_timestamp();
            revoked.certificates.push(RevokedCertificate { serial, revoked_unix_s, name });
        }
        revoked.number = revoked.number.saturating_add(1);
        let list = self.list(&revoked, now)?;
        files::replace_json(&kept, &revoked)?;
        Ok(list)
    }

    fn list(&self, revoked: &Revoked, now: OffsetDateTime) -> Result<String, CaError> {
        let refused = |reason: String| CaError::Certificate { name: "revocation list".to_owned(), reason };
        let certificates = revoked
            .certificates
            .iter()
            .map(|known| {
                let serial = hex::decode(&known.serial).map_err(|error| refused(error.to_string()))?;
                let revocation_time = OffsetDateTime::from_unix_timestamp(known.revoked_unix_s)
                    .map_err(|error| refused(error.to_string()))?;
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&serial),
                    revocation_time,
                    reason_code: Some(RevocationReason::Unspecified),
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, CaError>>()?;
        let issuer = self.signing.issuer();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::minutes(5),
            // Peers keep to a list until the channel has another one.
            next_update: now + Duration::days(AUTHORITY_DAYS),
            crl_number: SerialNumber::from(revoked.number),
            issuing_distribution_point: None,
            revoked_certs: certificates,
            // Fabric looks for the list's authority by it.
            key_identifier_method: KeyIdMethod::PreSpecified(issuer.key().identifier()),
        };
        let list = params.signed_by(issuer).map_err(|error| refused(error.to_string()))?;
        list.pem().map_err(|error| refused(error.to_string()))
    }
}

/// Serial numbers in lower-case hexadecimal, and names, of what the CA in an organisation's folder has revoked.
pub(crate) fn revoked(folder: &Path) -> Vec<(String, String)> {
    let kept = files::read(&folder.join("ca/revoked.json")).unwrap_or_default();
    let kept: Revoked = serde_json::from_str(&kept).unwrap_or_default();
    kept.certificates.into_iter().map(|known| (known.serial, known.name)).collect()
}

/// The attributes of a certificate in PEM, or what is wrong with it.
pub(crate) fn attributes_of(pem: &str) -> Result<BTreeMap<String, String>, String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
    let (_, found) = X509Certificate::from_der(&pem.contents).map_err(|e| e.to_string())?;
    Ok(read(&found)?.0.attributes)
}

/// Whom a certificate is for, and what for.
fn read(old: &X509Certificate<'_>) -> Result<(Subject, Purpose), String> {
    let unit = old.subject().iter_organizational_unit().next().and_then(|unit| unit.as_str().ok());
    let node_ou = [NodeOu::Client, NodeOu::Admin, NodeOu::Peer, NodeOu::Orderer]
        .into_iter()
        .find(|ou| Some(ou.as_str()) == unit);
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    if let Some(names) = old.subject_alternative_name().map_err(|e| e.to_string())? {
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => hosts.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.push(address(bytes)?),
                other => return Err(format!("it has a name that cannot be renewed: {other}")),
            }
        }
    }
    let mut attributes = BTreeMap::new();
    for extension in old.extensions() {
        if extension.oid.to_id_string() == ATTRIBUTES_OID {
            let found: Attributes = serde_json::from_slice(extension.value).map_err(|e| e.to_string())?;
            attributes = found.attrs;
        }
    }
    let usage = old.extended_key_usage().map_err(|e| e.to_string())?;
    let purpose = match usage.map(|usage| (usage.value.server_auth, usage.value.client_auth)) {
        None | Some((false, false)) => Purpose::Signing,
        Some((true, false)) => Purpose::Server,
        Some((false, true)) => Purpose::TlsClient,
        Some((true, true)) => Purpose::TlsBoth,
    };
    let common_name = crate::change::common_name(old);
    Ok((Subject { common_name, node_ou, hosts, addresses, attributes }, purpose))
}

fn address(bytes: &[u8]) -> Result<IpAddr, String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(four.into());
    }
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| "an IP address of neither length".to_owned())
}
