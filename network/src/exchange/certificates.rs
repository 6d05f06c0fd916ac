//! Certificates in what others hand over: who issued them, for how long, and for which names.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::change::common_name;

/// The most certificates between a node's and a root.
const CHAIN_MAX: usize = 8;

/// The certificates of a PEM text, DER; an error names what else is in it.
pub(super) fn parse(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|error| format!("it cannot be read as PEM: {error}"))?;
        if block.label != "CERTIFICATE" {
            return Err(format!("it holds a `{}` where a certificate belongs", block.label));
        }
        X509Certificate::from_der(&block.contents).map_err(|error| error.to_string())?;
        found.push(block.contents);
    }
    if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(found) }
}

/// Common name, and why the certificate does not count now, if it does not.
pub(super) fn out_of_time(der: &[u8]) -> Option<(String, String)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let now = ASN1Time::now();
    let why = if now > validity.not_after {
        format!("it ended {}", validity.not_after)
    } else if now < validity.not_before {
        format!("it begins {}: check this machine's clock", validity.not_before)
    } else {
        return None;
    };
    Some((common_name(&certificate), why))
}

/// Common name of a certificate that may issue others.
pub(super) fn authority(der: &[u8]) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    if certificate.is_ca() {
        Ok(common_name(&certificate))
    } else {
        Err(format!("`{}` may not issue certificates", common_name(&certificate)))
    }
}

/// Whether signatures lead from a certificate to one of the roots.
pub(super) fn is_issued(der: &[u8], roots: &[Vec<u8>], intermediates: &[Vec<u8>]) -> bool {
    let signs = |issuer: &[u8], subject: &X509Certificate<'_>| {
        X509Certificate::from_der(issuer).is_ok_and(|(_, issuer)| {
            issuer.subject() == subject.issuer()
                && issuer.is_ca()
                && subject.verify_signature(Some(issuer.public_key())).is_ok()
        })
    };
    let mut at = der;
    for _ in 0..CHAIN_MAX {
        let Ok((_, certificate)) = X509Certificate::from_der(at) else { return false };
        if roots.iter().any(|root| signs(root, &certificate)) {
            return true;
        }
        match intermediates.iter().find(|candidate| signs(candidate, &certificate)) {
            Some(next) => at = next,
            None => return false,
        }
    }
    false
}

/// Whether a certificate has an organisational unit.
pub(super) fn has_unit(der: &[u8], unit: &str) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| {
        let mut units = certificate.subject().iter_organizational_unit();
        units.any(|found| found.as_str().is_ok_and(|found| found == unit))
    })
}

/// The host names and addresses for which a server's certificate is.
pub(super) fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    });
    named.collect()
}

/// Whether one of a certificate's names stands for a host.
pub(super) fn is_for(names: &[String], host: &str) -> bool {
    let wildcard = host.split_once('.').map(|(_, domain)| format!("*.{domain}"));
    names
        .iter()
        .any(|name| name == host || (host.parse::<IpAddr>().is_err() && Some(name) == wildcard.as_ref()))
}
