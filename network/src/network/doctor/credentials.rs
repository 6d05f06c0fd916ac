//! Keys and certificates in the folder, compared with each other and with what the channel knows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hlf_gateway::Identity;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::{Code, Findings};
use crate::ca::{self, Held};
use crate::change::{ChannelConfig, MembersError, Role, Signer, is_issued_by};
use crate::files;
use crate::network::reach::ORDERER_ADMIN;
use crate::network::{CertificateKind, Network};
use crate::spec::NodeOu;

/// Where nodes and services are called of which no document says otherwise.
const LOOPBACK: &str = "127.0.0.1";
const DAY_S: i64 = 24 * 60 * 60;

/// An organisation's folder.
struct Home {
    folder: PathBuf,
    msp_id: String,
    /// The name of the organisation's own finding, its short name or domain.
    name: String,
    /// Folder of the user that acts for it.
    admin: Option<String>,
    /// Hosts of its nodes in the spec; folders of others are of nodes that left.
    nodes: BTreeSet<String>,
}

/// A certificate and the key beside it.
struct Pair {
    holder: String,
    kind: CertificateKind,
    certificate: PathBuf,
    key: Option<PathBuf>,
    /// Whether its holder is called at it.
    serves: bool,
}

pub(super) fn check(network: &Network, config: Option<&ChannelConfig>, days_min: i64, found: &mut Findings) {
    for home in homes(network).into_iter().filter(|home| home.folder.exists()) {
        let known = config.filter(|config| {
            let on_channel = config.msp(&home.msp_id).is_ok();
            if !on_channel {
                let seen = format!("the channel has no organisation `{}`", home.msp_id);
                found.add(Code::MspIdWrong, Some(&home.name), seen);
            }
            on_channel
        });
        home.check_authorities(days_min, found);
        for pair in home.pairs() {
            home.check_pair(network, &pair, known, days_min, found);
        }
        if let Some(config) = known {
            home.check_revocations(config, found);
        }
    }
}

fn homes(network: &Network) -> Vec<Home> {
    let Network { spec, layout, .. } = network;
    let orderer = &spec.orderer;
    let ordering = Home {
        folder: layout.ordering_organization(orderer),
        msp_id: orderer.msp_id.clone(),
        name: orderer.domain.clone(),
        admin: Some(format!("{ORDERER_ADMIN}@{}", orderer.domain)),
        nodes: network.own_consenters().iter().map(|consenter| orderer.host(consenter)).collect(),
    };
    let mut homes: Vec<Home> = network.holds_ordering().then_some(ordering).into_iter().collect();
    homes.extend(network.own_organizations().map(|organization| Home {
        folder: layout.organization(organization),
        msp_id: organization.msp_id.clone(),
        name: organization.name.clone(),
        admin: organization.admin().map(|admin| format!("{}@{}", admin.name, organization.domain)),
        nodes: organization.peers.iter().map(|peer| organization.host(peer)).collect(),
    }));
    homes
}

impl Home {
    /// Whether the authorities in the folder last, and keep their keys to themselves.
    fn check_authorities(&self, days_min: i64, found: &mut Findings) {
        for (place, kind) in [("ca", CertificateKind::Authority), ("tlsca", CertificateKind::TlsAuthority)] {
            let folder = self.folder.join(place);
            check_exposure(&folder.join("priv_sk"), &self.name, found);
            for file in
                entries(&folder).into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "pem"))
            {
                let pem = std::fs::read(&file).unwrap_or_default();
                let Ok((_, block)) = parse_x509_pem(&pem) else { continue };
                let Ok((_, certificate)) = X509Certificate::from_der(&block.contents) else { continue };
                let days = days_left(&certificate);
                if days < days_min {
                    let (file, breaks) = (file.display(), kind.breaks());
                    let seen = format!("{file} ends in {days} days; what breaks then: {breaks}");
                    found.add(Code::AuthorityEndsSoon, Some(&self.name), seen);
                }
            }
        }
    }

    /// Every certificate with its key, of nodes, users and services.
    fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (parent, identity, tls) in [
            ("orderers", CertificateKind::NodeIdentity, CertificateKind::NodeTls),
            ("peers", CertificateKind::NodeIdentity, CertificateKind::NodeTls),
            ("users", CertificateKind::UserIdentity, CertificateKind::UserTls),
            ("services", CertificateKind::ServiceTls, CertificateKind::ServiceTls),
        ] {
            for folder in entries(&self.folder.join(parent)) {
                let holder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if identity == CertificateKind::NodeIdentity && !self.nodes.contains(&holder) {
                    continue;
                }
                let (signs, keys) = (folder.join("msp/signcerts"), folder.join("msp/keystore"));
                if let Some(certificate) = entries(&signs).into_iter().next() {
                    // A renewal with a new key leaves the old one beside it.
                    let fitting = Held::of(&certificate).ok().map(|held| held.key);
                    let key = fitting.or_else(|| entries(&keys).into_iter().next());
                    pairs.push(Pair {
                        holder: holder.clone(),
                        kind: identity,
                        certificate,
                        key,
                        serves: false,
                    });
                } else if identity == CertificateKind::NodeIdentity {
                    let certificate = signs.join("cert.pem");
                    pairs.push(Pair {
                        holder: holder.clone(),
                        kind: identity,
                        certificate,
                        key: None,
                        serves: false,
                    });
                }
                for side in ["server", "client"] {
                    let certificate = folder.join("tls").join(format!("{side}.crt"));
                    if certificate.exists() {
                        let key = Some(certificate.with_extension("key"));
                        let serves = side == "server";
                        pairs.push(Pair { holder: holder.clone(), kind: tls, certificate, key, serves });
                    }
                }
            }
        }
        pairs
    }

    fn check_pair(
        &self,
        network: &Network,
        pair: &Pair,
        config: Option<&ChannelConfig>,
        days_min: i64,
        found: &mut Findings,
    ) {
        let file = pair.certificate.display();
        let holder = Some(pair.holder.as_str());
        let mut draft = pair.certificate.clone().into_os_string();
        draft.push(".next");
        if Path::new(&draft).exists() {
            found.add(Code::RenewalUnfinished, holder, format!("beside {file}"));
        }
        let mut add = |code, seen: String| found.add(code, holder, format!("{file}: {seen}"));
        let pem = match files::read(&pair.certificate) {
            Ok(pem) => pem,
            Err(error) => return add(Code::CertificateUnreadable, crate::wait::chain(&error)),
        };
        let Ok((_, block)) = parse_x509_pem(pem.as_bytes()) else {
            return add(Code::CertificateUnreadable, "it is no PEM".to_owned());
        };
        let Ok((_, certificate)) = X509Certificate::from_der(&block.contents) else {
            return add(Code::CertificateUnreadable, "it is no certificate".to_owned());
        };
        if !self.check_key(pair, &certificate, found) {
            return;
        }
        check_time(pair, &certificate, days_min, found);
        if is_identity(pair.kind) {
            self.check_identity(pair, &pem, &certificate, config, found);
        } else if self.check_tls_root(pair, &certificate, config, found) && pair.serves {
            check_names(pair, &network.names_of(&pair.holder), &certificate, found);
        }
    }

    /// Whether the key is there, belongs to the certificate, and is for its owner alone.
    fn check_key(&self, pair: &Pair, certificate: &X509Certificate<'_>, found: &mut Findings) -> bool {
        let holder = Some(pair.holder.as_str());
        // A user's key may be kept elsewhere, in hardware for one.
        let Some(path) = pair.key.as_ref().filter(|path| path.exists()) else {
            if pair.kind == CertificateKind::UserIdentity {
                return true;
            }
            let seen = format!("the key of {} is not there", pair.certificate.display());
            found.add(Code::CertificateUnreadable, holder, seen);
            return false;
        };
        check_exposure(path, &pair.holder, found);
        let matches = files::read(path)
            .map_err(|error| crate::wait::chain(&error))
            .and_then(|pem| ca::key_matches(certificate, &pem));
        match matches {
            // Of a kind that only its holder's programs can judge.
            Ok(None | Some(true)) => true,
            Ok(Some(false)) => {
                let seen = format!("{} is not the key of {}", path.display(), pair.certificate.display());
                found.add(Code::KeyMismatch, holder, seen);
                false
            }
            Err(error) => {
                found.add(Code::CertificateUnreadable, holder, format!("{}: {error}", path.display()));
                false
            }
        }
    }

    /// Whether an identity is a member of its organisation, by the channel's rules or by the folder's own.
    fn check_identity(
        &self,
        pair: &Pair,
        pem: &str,
        certificate: &X509Certificate<'_>,
        config: Option<&ChannelConfig>,
        found: &mut Findings,
    ) {
        let holder = Some(pair.holder.as_str());
        let file = pair.certificate.display();
        let is_admin = match config {
            Some(config) => {
                let identity = Identity { msp_id: self.msp_id.clone(), certificate_pem: pem.to_owned() };
                match Signer::identify(config, &identity.creator()) {
                    Ok(signer) => signer.is(&self.msp_id, Role::Admin),
                    Err(error) => {
                        let code = match &error {
                            MembersError::Foreign { .. } => Code::MspRootWrong,
                            MembersError::Revoked { .. } => Code::CertificateRevoked,
                            // Its time is told of by itself.
                            _ => return,
                        };
                        return found.add(code, holder, format!("{file}: {error}"));
                    }
                }
            }
            None => {
                if !is_issued_by(
                    certificate,
                    &roots(&self.folder.join("msp/cacerts")),
                    &roots(&self.folder.join("msp/intermediatecerts")),
                ) {
                    let seen = format!(
                        "{file} is not issued by the authorities in {}",
                        self.folder.join("msp").display()
                    );
                    return found.add(Code::MspRootWrong, holder, seen);
                }
                certificate
                    .subject()
                    .iter_organizational_unit()
                    .any(|unit| unit.as_str() == Ok(NodeOu::Admin.as_str()))
            }
        };
        if !is_admin && self.admin.as_deref() == holder {
            found.add(Code::AdminWithoutOu, holder, format!("{file} has no unit `admin`"));
        }
    }

    fn check_tls_root(
        &self,
        pair: &Pair,
        certificate: &X509Certificate<'_>,
        config: Option<&ChannelConfig>,
        found: &mut Findings,
    ) -> bool {
        let (folder, intermediates) =
            (self.folder.join("msp/tlscacerts"), self.folder.join("msp/tlsintermediatecerts"));
        let (mut trusted, mut between) = (roots(&folder), roots(&intermediates));
        let of_channel = config.and_then(|config| config.msp(&self.msp_id).ok());
        if let Some(msp) = of_channel {
            (trusted, between) = (msp.tls_root_certs, msp.tls_intermediate_certs);
        }
        let issued = is_issued_by(certificate, &trusted, &between);
        if !issued {
            let issuer = certificate.issuer().to_string();
            let seen = format!("{} is issued by `{issuer}`", pair.certificate.display());
            found.add(Code::TlsRootForeign, Some(&pair.holder), seen);
        }
        issued
    }

    /// Whether the channel knows of every certificate that the CA in the folder has revoked.
    fn check_revocations(&self, config: &ChannelConfig, found: &mut Findings) {
        let known = config.revoked_serials(&self.msp_id);
        for (serial, name) in ca::revoked(&self.folder) {
            if !known.contains(&serial) {
                let seen = format!("`{name}`, serial number {serial}, is on no list of the channel");
                found.add(Code::RevocationNotOnChannel, Some(&self.name), seen);
            }
        }
    }
}

fn is_identity(kind: CertificateKind) -> bool {
    matches!(kind, CertificateKind::NodeIdentity | CertificateKind::UserIdentity)
}

fn check_time(pair: &Pair, certificate: &X509Certificate<'_>, days_min: i64, found: &mut Findings) {
    let (validity, now) = (certificate.validity(), ASN1Time::now());
    let holder = Some(pair.holder.as_str());
    let file = pair.certificate.display();
    let breaks = pair.kind.breaks();
    if now > validity.not_after {
        let seen = format!("{file} ended at {}; what breaks: {breaks}", validity.not_after);
        found.add(Code::CertificateExpired, holder, seen);
    } else if now < validity.not_before {
        let seen = format!("{file} begins at {}", validity.not_before);
        found.add(Code::CertificateNotYetValid, holder, seen);
    } else {
        let days = days_left(certificate);
        if days < days_min {
            let seen = format!("{file} ends in {days} days; what breaks then: {breaks}");
            found.add(Code::CertificateEndsSoon, holder, seen);
        }
    }
}

/// Whole days until a certificate ends; negative when it has.
fn days_left(certificate: &X509Certificate<'_>) -> i64 {
    let until = certificate.validity().not_after.timestamp();
    until.saturating_sub(ASN1Time::now().timestamp()).div_euclid(DAY_S)
}

/// Whether a key is for its owner's eyes alone.
fn check_exposure(key: &Path, holder: &str, found: &mut Findings) {
    let mode = std::fs::metadata(key).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        let seen = format!("{} has the mode {:o}", key.display(), mode & 0o777);
        found.add(Code::KeyExposed, Some(holder), seen);
    }
}

/// Whether a certificate names the hosts and addresses at which its holder is called.
fn check_names(pair: &Pair, called: &[String], certificate: &X509Certificate<'_>, found: &mut Findings) {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    let has = |wanted: &str| {
        names.iter().any(|name| match name {
            GeneralName::IPAddress(bytes) => wanted.parse().is_ok_and(|address| match address {
                IpAddr::V4(four) => *bytes == four.octets(),
                IpAddr::V6(six) => *bytes == six.octets(),
            }),
            GeneralName::DNSName(host) => *host == wanted,
            _ => false,
        })
    };
    let loopback = [LOOPBACK.to_owned()];
    let called = if called.is_empty() { &loopback[..] } else { called };
    let missing: Vec<&str> = called.iter().map(String::as_str).filter(|wanted| !has(wanted)).collect();
    if !missing.is_empty() {
        let listed = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let listed = if listed.is_empty() { "no host".to_owned() } else { listed };
        let (file, missing) = (pair.certificate.display(), missing.join(", "));
        let seen = format!("{file} is for {listed}, and its holder is called at {missing}");
        found.add(Code::SanMismatch, Some(&pair.holder), seen);
    }
}

/// The certificates in a folder, PEM.
fn roots(folder: &Path) -> Vec<Vec<u8>> {
    entries(folder).iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

/// What a folder holds, in order, without what is being made; nothing when it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && !name.ends_with(".next")
    });
    found.sort();
    found
}
