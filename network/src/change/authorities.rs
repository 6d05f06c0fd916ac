//! An organisation's authorities in its membership rules.

use hlf_protos::msp::FabricMspConfig;
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Adds an authority, as a root or, when another one issued it, as an intermediate one.
///
/// A role that is tied to one authority would leave those whom another one issues without a role.
pub(super) fn add(msp: &mut FabricMspConfig, certificate_pem: &str, tls: bool) {
    let certificate = certificate_pem.as_bytes();
    let known = match (tls, is_root(certificate)) {
        (false, true) => &mut msp.root_certs,
        (false, false) => &mut msp.intermediate_certs,
        (true, true) => &mut msp.tls_root_certs,
        (true, false) => &mut msp.tls_intermediate_certs,
    };
    if !known.iter().any(|known| same(known, certificate)) {
        known.push(certificate.to_vec());
    }
    if !tls {
        untie_roles(msp);
    }
}

/// Removes an authority, and the list of those that it revoked.
pub(super) fn remove(msp: &mut FabricMspConfig, certificate_pem: &str, tls: bool) {
    let certificate = certificate_pem.as_bytes();
    let lists = if tls {
        [&mut msp.tls_root_certs, &mut msp.tls_intermediate_certs]
    } else {
        [&mut msp.root_certs, &mut msp.intermediate_certs]
    };
    for known in lists {
        known.retain(|known| !same(known, certificate));
    }
    if !tls {
        let key_id = key_id(certificate);
        msp.revocation_list.retain(|list| key_id.is_none() || authority_of(list).0 != key_id);
        untie_roles(msp);
    }
}

/// Puts a list of revoked certificates in place of the one before of the same authority.
///
/// Authorities are known by their keys: one that comes after another often has its name.
pub(super) fn revoke(msp: &mut FabricMspConfig, list: &[u8]) {
    let authority = authority_of(list);
    msp.revocation_list.retain(|old| authority_of(old) != authority);
    msp.revocation_list.push(list.to_vec());
}

fn untie_roles(msp: &mut FabricMspConfig) {
    if let Some(units) = &mut msp.fabric_node_ous {
        let all = [
            &mut units.client_ou_identifier,
            &mut units.peer_ou_identifier,
            &mut units.admin_ou_identifier,
            &mut units.orderer_ou_identifier,
        ];
        for unit in all.into_iter().flatten() {
            unit.certificate.clear();
        }
    }
}

/// Whether two PEM texts hold the same certificate.
fn same(one: &[u8], other: &[u8]) -> bool {
    one == other
        || matches!((parse_x509_pem(one), parse_x509_pem(other)), (Ok((_, one)), Ok((_, other))) if one.contents == other.contents)
}

/// Whether a certificate names itself as its issuer; one that cannot be read is taken for a root, and refused later.
fn is_root(pem: &[u8]) -> bool {
    let Ok((_, pem)) = parse_x509_pem(pem) else { return true };
    X509Certificate::from_der(&pem.contents)
        .map_or(true, |(_, found)| found.subject().as_raw() == found.issuer().as_raw())
}

/// A certificate's own key identifier.
pub(crate) fn key_id(pem: &[u8]) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let (_, found) = X509Certificate::from_der(&pem.contents).ok()?;
    found.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

/// The key identifier of the authority that made a list, or, of one that has none, its name.
fn authority_of(list: &[u8]) -> (Option<Vec<u8>>, Option<String>) {
    let read = || {
        let (_, pem) = parse_x509_pem(list).ok()?;
        let (_, list) = x509_parser::parse_x509_crl(&pem.contents).ok()?;
        let key_id = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        let name = key_id.is_none().then(|| list.issuer().to_string());
        Some((key_id, name))
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hlf_protos::msp::{FabricNodeOUs, FabricOuIdentifier};

    use super::*;
    use crate::ca::Authority;

    #[test]
    fn an_authority_comes_and_goes_and_roles_are_tied_to_none() {
        let authority = || Authority::make("ca.north").unwrap().0;
        let (old, new) = (authority(), authority());
        let unit =
            FabricOuIdentifier { certificate: old.as_bytes().to_vec(), ..FabricOuIdentifier::default() };
        let mut msp = FabricMspConfig {
            root_certs: vec![old.as_bytes().to_vec()],
            fabric_node_ous: Some(FabricNodeOUs {
                peer_ou_identifier: Some(unit),
                ..FabricNodeOUs::default()
            }),
            ..FabricMspConfig::default()
        };
        for _ in 0..2 {
            add(&mut msp, &new, false);
            add(&mut msp, &new, true);
        }
        assert_eq!((msp.root_certs.len(), msp.tls_root_certs.len(), msp.intermediate_certs.len()), (2, 1, 0));
        let peer = msp.fabric_node_ous.as_ref().unwrap().peer_ou_identifier.clone();
        assert!(peer.unwrap().certificate.is_empty());
        // The same certificate, written in another way.
        remove(&mut msp, &old.replace('\n', "\r\n"), false);
        assert_eq!(msp.root_certs, [new.as_bytes()]);
        assert_ne!(key_id(old.as_bytes()), key_id(new.as_bytes()));
    }
}
