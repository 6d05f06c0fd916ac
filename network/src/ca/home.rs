//! An organisation's folder: where keys and certificates lie, and what they are for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use hlf_protos::msp::FabricMspConfig;
use sha2::{Digest as _, Sha256};

use super::certificate::{Purpose, Subject};
use super::key::{self, Key};
use super::order::{Holding, Order, Place, Signs};
use super::{CaError, LEAF_DAYS, TlsFiles, Validity, folder};
use crate::files::{self, FileError};
use crate::spec::{NodeOu, User, UserKey};

/// What of an organisation's MSP its members have a copy of.
const TRUST: [&str; 4] = ["cacerts", "intermediatecerts", "tlscacerts", "tlsintermediatecerts"];

/// An organisation's folder of keys and certificates, laid out as cryptogen does.
///
/// `msp` says whom the organisation trusts; its members' folders have copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    pub(super) folder: PathBuf,
    domain: String,
}

impl Home {
    pub(crate) fn new(folder: &Path, domain: &str) -> Self {
        Self { folder: folder.to_owned(), domain: domain.to_owned() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// An authority's certificate.
    pub(crate) fn authority(&self, signs: Signs) -> PathBuf {
        match signs {
            Signs::Identities => self.folder.join(format!("ca/ca.{}-cert.pem", self.domain)),
            Signs::Tls => self.folder.join(format!("tlsca/tlsca.{}-cert.pem", self.domain)),
        }
    }

    /// A user's folder.
    pub(crate) fn user(&self, name: &str) -> PathBuf {
        self.folder.join("users").join(format!("{name}@{}", self.domain))
    }

    /// The certificates of a service: those it is called with, and those its callers call with.
    pub(crate) fn service(&self, name: &str) -> (TlsFiles, TlsFiles) {
        let tls = self.service_folder(name).join("tls");
        let files = |name: &str| TlsFiles {
            certificate: tls.join(format!("{name}.crt")),
            key: tls.join(format!("{name}.key")),
            roots: tls.join("ca.crt"),
        };
        (files("server"), files("client"))
    }

    fn service_folder(&self, name: &str) -> PathBuf {
        self.folder.join("services").join(format!("{name}.{}", self.domain))
    }

    /// What a user holds. A random common name is drawn now.
    pub(crate) fn of_user(&self, user: &User, validity: Option<Validity>) -> Result<Holding, CaError> {
        demand_name(&user.name)?;
        let validity = validity.unwrap_or_else(|| Validity::days(LEAF_DAYS));
        if validity.not_after <= validity.not_before {
            return Err(CaError::Validity);
        }
        let qualified = format!("{}@{}", user.name, self.domain);
        let common_name = match user.common_name.as_deref() {
            None => qualified.clone(),
            Some("random") => key::random_hex()?,
            Some(literal) => literal.to_owned(),
        };
        let attributes = user
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("{common_name}", &common_name)))
            .collect();
        let identity = Order {
            signs: Signs::Identities,
            key: Key::generate(user.key)?,
            subject: Subject { attributes, ..plain(common_name, user.node_ou) },
            purpose: Purpose::Signing,
            validity,
        };
        Ok(Holding {
            target: self.user(&user.name),
            places: vec![Place::Msp(qualified.clone()), Place::Tls("client")],
            orders: vec![identity, tls(qualified, &[], user.node_ou, Purpose::TlsClient)?],
        })
    }

    /// What a node holds, in `peers/HOST` or `orderers/HOST`; it is called by these names and addresses too.
    pub(crate) fn of_node(
        &self,
        kind: &'static str,
        host: &str,
        names: &[String],
        node_ou: NodeOu,
    ) -> Result<Holding, CaError> {
        let identity = Order {
            signs: Signs::Identities,
            key: Key::generate(UserKey::P256)?,
            subject: plain(host.to_owned(), node_ou),
            purpose: Purpose::Signing,
            validity: Validity::days(LEAF_DAYS),
        };
        Ok(Holding {
            target: self.folder.join(kind).join(host),
            places: vec![Place::Msp(host.to_owned()), Place::Tls("server")],
            orders: vec![identity, tls(host.to_owned(), names, node_ou, Purpose::TlsBoth)?],
        })
    }

    /// What a service and its callers hold.
    pub(crate) fn of_service(&self, name: &str) -> Result<Holding, CaError> {
        demand_name(name)?;
        let host = format!("{name}.{}", self.domain);
        Ok(Holding {
            target: self.service_folder(name),
            places: vec![Place::Tls("server"), Place::Tls("client")],
            orders: vec![
                tls(host.clone(), &[], NodeOu::Client, Purpose::Server)?,
                tls(host, &[], NodeOu::Client, Purpose::TlsClient)?,
            ],
        })
    }

    /// What somebody holds who enrols by a secret: an MSP of their own, in any folder.
    pub(crate) fn of_enrolled(&self, id: &str, folder: &Path) -> Result<Holding, CaError> {
        let identity = Order {
            signs: Signs::Identities,
            key: Key::generate(UserKey::P256)?,
            subject: Subject { node_ou: None, ..plain(id.to_owned(), NodeOu::Client) },
            purpose: Purpose::Signing,
            validity: Validity::days(LEAF_DAYS),
        };
        let file = id.replace(|c: char| !c.is_ascii_alphanumeric() && !"._-@".contains(c), "_");
        Ok(Holding { target: folder.to_owned(), places: vec![Place::Msp(file)], orders: vec![identity] })
    }

    /// Writes a folder with its keys, its certificates in the order of their orders, and whom the organisation trusts;
    /// whole or not at all. False when it is there.
    pub(crate) fn install(&self, holding: &Holding, certificates: &[String]) -> Result<bool, CaError> {
        if let Some(parent) = holding.target.parent() {
            files::make_folder(parent)?;
        }
        files::make_whole(&holding.target, |draft| {
            for ((place, order), certificate) in holding.places.iter().zip(&holding.orders).zip(certificates)
            {
                match place {
                    Place::Msp(name) => {
                        let msp = draft.join("msp");
                        self.copy_trust(&msp)?;
                        let file = msp.join("signcerts").join(format!("{name}-cert.pem"));
                        files::write_new(&file, files::PUBLIC, certificate.as_bytes())?;
                        folder::write_key(&msp.join("keystore"), "priv_sk", &order.key)?;
                    }
                    Place::Tls(name) => {
                        let tls = draft.join("tls");
                        let file = tls.join(format!("{name}.crt"));
                        files::write_new(&file, files::PUBLIC, certificate.as_bytes())?;
                        folder::write_key(&tls, &format!("{name}.key"), &order.key)?;
                    }
                }
            }
            files::replace(&draft.join("tls/ca.crt"), files::PUBLIC, self.tls_roots()?.as_bytes())?;
            Ok(())
        })
    }

    /// Makes the organisation's own MSP, once its authorities' certificates are there.
    pub(crate) fn make_msp(&self) -> Result<bool, CaError> {
        let signing = files::read(&self.authority(Signs::Identities))?;
        let tls = files::read(&self.authority(Signs::Tls))?;
        files::make_whole(&self.folder.join("msp"), |draft| {
            folder::write_msp(draft, &self.domain, &signing, &tls)
        })
    }

    /// Gives a member's MSP the organisation's trust, in place of what it has.
    pub(crate) fn copy_trust(&self, msp: &Path) -> Result<(), FileError> {
        let own = self.folder.join("msp");
        for part in TRUST {
            let (from, to) = (own.join(part), msp.join(part));
            let wanted = folder::listed(&from)?;
            for file in &wanted {
                let text = files::read(&from.join(file))?;
                files::make_folder(&to)?;
                files::replace(&to.join(file), files::PUBLIC, text.as_bytes())?;
            }
            for file in folder::listed(&to)?.iter().filter(|file| !wanted.contains(file)) {
                let path = to.join(file);
                std::fs::remove_file(&path).map_err(|e| FileError::new(&path, "removed", e))?;
            }
        }
        let text = files::read(&own.join("config.yaml"))?;
        files::replace(&msp.join("config.yaml"), files::PUBLIC, text.as_bytes())
    }

    /// Every TLS authority that the organisation trusts, PEM; the one that issues now first.
    pub(crate) fn tls_roots(&self) -> Result<String, FileError> {
        files::read(&self.authority(Signs::Tls))
    }

    /// Makes the organisation's own MSP, and the copies that its members have, those of the channel's rules.
    pub(crate) fn set_trust(&self, msp: &FabricMspConfig) -> Result<(), FileError> {
        let own = self.folder.join("msp");
        let parts =
            [&msp.root_certs, &msp.intermediate_certs, &msp.tls_root_certs, &msp.tls_intermediate_certs];
        if !self.trusts_exactly(parts)? {
            for (part, certificates) in TRUST.into_iter().zip(parts) {
                let folder = own.join(part);
                let mut wanted = Vec::new();
                for certificate in certificates {
                    let name = format!(
                        "{}.pem",
                        hex::encode(Sha256::digest(certificate)).chars().take(16).collect::<String>()
                    );
                    files::make_folder(&folder)?;
                    files::replace(&folder.join(&name), files::PUBLIC, certificate)?;
                    wanted.push(name);
                }
                for file in folder::listed(&folder)?.iter().filter(|file| !wanted.contains(file)) {
                    let path = folder.join(file);
                    std::fs::remove_file(&path).map_err(|e| FileError::new(&path, "removed", e))?;
                }
            }
            // Roles are tied to no authority: each of them issues for every role.
            files::replace(&own.join("config.yaml"), files::PUBLIC, folder::node_ous(None).as_bytes())?;
        }
        self.set_tls_roots(msp.tls_root_certs.iter().chain(&msp.tls_intermediate_certs))?;
        self.spread_trust()
    }

    /// The authorities in the organisation's own MSP.
    pub(crate) fn trust(&self) -> Result<FabricMspConfig, FileError> {
        let part = |part: &str| -> Result<Vec<Vec<u8>>, FileError> {
            let at = self.folder.join("msp").join(part);
            folder::listed(&at)?.iter().map(|file| Ok(files::read(&at.join(file))?.into_bytes())).collect()
        };
        let [roots, intermediates, tls_roots, tls_intermediates] = TRUST;
        Ok(FabricMspConfig {
            root_certs: part(roots)?,
            intermediate_certs: part(intermediates)?,
            tls_root_certs: part(tls_roots)?,
            tls_intermediate_certs: part(tls_intermediates)?,
            ..FabricMspConfig::default()
        })
    }

    /// Whether the organisation's own MSP holds these authorities and no others.
    fn trusts_exactly(&self, parts: [&Vec<Vec<u8>>; 4]) -> Result<bool, FileError> {
        for (part, certificates) in TRUST.into_iter().zip(parts) {
            let at = self.folder.join("msp").join(part);
            let mut have = Vec::new();
            for file in folder::listed(&at)? {
                have.push(files::read(&at.join(file))?.into_bytes());
            }
            let mut wanted = certificates.clone();
            have.sort();
            wanted.sort();
            if have != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Who calls the organisation's nodes trusts all TLS authorities of the channel's rules, the intermediate ones too, for
    /// servers show their own certificate alone. The one that issues now is first.
    fn set_tls_roots<'a>(&self, roots: impl Iterator<Item = &'a Vec<u8>>) -> Result<(), FileError> {
        let file = self.authority(Signs::Tls);
        let mut text = first_of(&files::read(&file)?);
        for root in roots {
            let root = String::from_utf8_lossy(root);
            if root.trim() != text.trim() && !text.contains(root.trim()) {
                text.push_str(root.trim());
                text.push('\n');
            }
        }
        files::replace(&file, files::PUBLIC, text.as_bytes())
    }

    /// Gives every member's folder the organisation's trust.
    fn spread_trust(&self) -> Result<(), FileError> {
        let roots = self.tls_roots()?;
        for kind in ["peers", "orderers", "users", "services"] {
            let parent = self.folder.join(kind);
            for name in folder::listed(&parent)? {
                let member = parent.join(name);
                if member.join("msp").exists() {
                    self.copy_trust(&member.join("msp"))?;
                }
                if member.join("tls").exists() {
                    files::replace(&member.join("tls/ca.crt"), files::PUBLIC, roots.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// The first certificate of a text.
pub(crate) fn first_of(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    match pem.find(END) {
        Some(at) => format!("{}\n", pem.get(..at.saturating_add(END.len())).unwrap_or(pem)),
        None => pem.to_owned(),
    }
}

fn demand_name(name: &str) -> Result<(), CaError> {
    if crate::spec::is_user_name(name) { Ok(()) } else { Err(CaError::Name(name.to_owned())) }
}

fn plain(common_name: String, node_ou: NodeOu) -> Subject {
    Subject {
        common_name,
        node_ou: Some(node_ou),
        hosts: Vec::new(),
        addresses: Vec::new(),
        attributes: BTreeMap::new(),
    }
}

fn tls(common_name: String, names: &[String], node_ou: NodeOu, purpose: Purpose) -> Result<Order, CaError> {
    let mut subject = plain(common_name, node_ou);
    if purpose != Purpose::TlsClient {
        subject.hosts = vec![subject.common_name.clone(), "localhost".to_owned()];
        subject.addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        for name in names {
            match name.parse::<IpAddr>() {
                Ok(ip) if !subject.addresses.contains(&ip) => subject.addresses.push(ip),
                Err(_) if !subject.hosts.contains(name) => subject.hosts.push(name.clone()),
                _ => {}
            }
        }
    }
    let key = Key::generate(UserKey::P256)?;
    Ok(Order { signs: Signs::Tls, key, subject, purpose, validity: Validity::days(LEAF_DAYS) })
}
