//! Every certificate that the network lives by.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::CertificatesError;
use crate::change::{ChannelConfig, common_name};
use crate::files::{self, FileError};
use crate::network::{ChangeError, Network};
use crate::wait;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CertificateKind {
    /// It issues identities.
    Authority,
    /// It issues TLS certificates.
    TlsAuthority,
    /// A peer or orderer signs with it.
    NodeIdentity,
    /// A peer or orderer is called, and calls, with it.
    NodeTls,
    /// A user signs with it.
    UserIdentity,
    /// A user calls with it.
    UserTls,
    /// A chaincode service or another one is called with it, or its callers call with it.
    ServiceTls,
    /// An ordering node as the channel knows it.
    Consenter,
}

impl CertificateKind {
    /// What no longer works once such a certificate has ended.
    pub const fn breaks(self) -> &'static str {
        match self {
            Self::Authority => "every identity of the organisation: nothing of it counts on the channel",
            Self::TlsAuthority => "every connection to the organisation's nodes",
            Self::NodeIdentity => "the node: its endorsements or blocks count for nothing",
            Self::NodeTls => "connections to the node: clients, gossip, or its part in the ordering service",
            Self::UserIdentity => "the user's transactions and calls",
            Self::UserTls => "the user's calls that ask for a client certificate",
            Self::ServiceTls => "calls between the peers and the service",
            Self::Consenter => "the node's part in the ordering service",
        }
    }
}

/// A look at one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CertificateStatus {
    /// Whole days until it ends, rounded down; negative when it has.
    pub days: i64,
    /// Its last moment, Unix milliseconds.
    pub until: i64,
    /// MSP id of its organisation.
    pub msp_id: String,
    /// Common name.
    pub name: String,
    /// What it is for.
    pub kind: CertificateKind,
    /// What no longer works once it has ended.
    pub breaks: &'static str,
    /// Its file; absent when only the channel's configuration has it.
    pub file: Option<PathBuf>,
    #[serde(skip)]
    der: Vec<u8>,
}

/// Every certificate, the one that ends first first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Certificates {
    /// Those of this folder, and those that only the channel's configuration has.
    pub certificates: Vec<CertificateStatus>,
    /// Why the channel's configuration could not be read, when it could not.
    pub channel_unread: Option<String>,
}

impl Certificates {
    /// Those that end within so many days.
    pub fn ending_within(&self, days: i64) -> impl Iterator<Item = &CertificateStatus> {
        self.certificates.iter().filter(move |found| found.days < days)
    }
}

impl Network {
    /// Every certificate in this folder and in the channel's configuration.
    ///
    /// # Errors
    /// [`CertificatesError`] when a local file cannot be read; a channel that does not answer is told of instead.
    pub async fn certificates(&self) -> Result<Certificates, CertificatesError> {
        let mut certificates = self.local_certificates()?;
        let channel_unread = match self.channel_config().await {
            Ok(config) => {
                let known: BTreeSet<Vec<u8>> = certificates.iter().map(|found| found.der.clone()).collect();
                let mut others = of_channel(&config)?;
                others.retain(|found| !known.contains(&found.der));
                certificates.extend(others);
                None
            }
            Err(error) => Some(wait::chain(&error)),
        };
        certificates.sort_by(|one, other| (one.until, &one.name).cmp(&(other.until, &other.name)));
        Ok(Certificates { certificates, channel_unread })
    }

    /// Every certificate in this folder, by its file.
    pub(in crate::network) fn local_certificates(&self) -> Result<Vec<CertificateStatus>, CertificatesError> {
        let mut found = Vec::new();
        let orderer = &self.spec.orderer;
        let mut homes = Vec::new();
        if self.holds_ordering() {
            homes.push((self.layout.ordering_organization(orderer), orderer.msp_id.clone()));
        }
        for organization in self.own_organizations() {
            homes.push((self.layout.organization(organization), organization.msp_id.clone()));
        }
        let places: [(&str, &str, CertificateKind); 6] = [
            ("peers", "msp/signcerts", CertificateKind::NodeIdentity),
            ("orderers", "msp/signcerts", CertificateKind::NodeIdentity),
            ("users", "msp/signcerts", CertificateKind::UserIdentity),
            ("peers", "tls", CertificateKind::NodeTls),
            ("orderers", "tls", CertificateKind::NodeTls),
            ("users", "tls", CertificateKind::UserTls),
        ];
        for (home, msp_id) in homes {
            let mut files = Vec::new();
            files.extend(
                in_folder(&home.join("ca"))?.into_iter().map(|file| (file, CertificateKind::Authority)),
            );
            files.extend(
                in_folder(&home.join("tlsca"))?.into_iter().map(|file| (file, CertificateKind::TlsAuthority)),
            );
            for (parent, place, kind) in places {
                for folder in entries(&home.join(parent))? {
                    files.extend(in_folder(&folder.join(place))?.into_iter().map(|file| (file, kind)));
                }
            }
            for folder in entries(&home.join("services"))? {
                let tls = in_folder(&folder.join("tls"))?;
                files.extend(tls.into_iter().map(|file| (file, CertificateKind::ServiceTls)));
            }
            // What a Fabric CA is called with, which it makes itself.
            let own = home.join("fabric-ca/tls-cert.pem");
            files.extend(own.exists().then_some((own, CertificateKind::ServiceTls)));
            for (file, kind) in files {
                let pem = files::read(&file)?;
                let mut status = look(pem.as_bytes(), &msp_id, kind, &file.display().to_string())?;
                status.file = Some(file);
                found.push(status);
            }
        }
        Ok(found)
    }
}

/// Authorities of every organisation of the channel, and the ordering nodes as it knows them.
fn of_channel(config: &ChannelConfig) -> Result<Vec<CertificateStatus>, CertificatesError> {
    let changed = |error| CertificatesError::Change(ChangeError::Config(error));
    let mut found: Vec<CertificateStatus> = Vec::new();
    let mut add = |pem: &[u8], msp_id: &str, kind| -> Result<(), CertificatesError> {
        let status = look(pem, msp_id, kind, "the channel's configuration")?;
        if found.iter().all(|known| known.der != status.der) {
            found.push(status);
        }
        Ok(())
    };
    let orderers = config.group(&["Orderer"]).map_err(changed)?;
    let mut names = config.organizations().map_err(changed)?;
    names.extend(orderers.groups.keys().cloned());
    for msp_id in &names {
        let msp = config.msp(msp_id).map_err(changed)?;
        for pem in msp.root_certs.iter().chain(&msp.intermediate_certs) {
            add(pem, msp_id, CertificateKind::Authority)?;
        }
        for pem in msp.tls_root_certs.iter().chain(&msp.tls_intermediate_certs) {
            add(pem, msp_id, CertificateKind::TlsAuthority)?;
        }
    }
    let ordering = orderers.groups.keys().next().cloned().unwrap_or_default();
    for consenter in config.consenters().map_err(changed)? {
        let bft = consenter.bft.as_ref();
        let msp_id = bft.map_or(&ordering, |member| &member.msp_id);
        let tls = &consenter.certificates;
        let identity = bft.map(|member| &member.identity);
        for pem in [Some(&tls.server), Some(&tls.client), identity].into_iter().flatten() {
            add(pem, msp_id, CertificateKind::Consenter)?;
        }
    }
    Ok(found)
}

fn look(
    pem: &[u8],
    msp_id: &str,
    kind: CertificateKind,
    place: &str,
) -> Result<CertificateStatus, CertificatesError> {
    let wrong = |what: &dyn std::fmt::Display| CertificatesError::NoCertificate {
        file: place.to_owned(),
        what: what.to_string(),
    };
    let (_, pem) = parse_x509_pem(pem).map_err(|e| wrong(&e))?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).map_err(|e| wrong(&e))?;
    let until = certificate.validity().not_after.timestamp();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    Ok(CertificateStatus {
        days: until.saturating_sub(now).div_euclid(24 * 60 * 60),
        until: until.saturating_mul(1000),
        msp_id: msp_id.to_owned(),
        name: common_name(&certificate),
        kind,
        breaks: kind.breaks(),
        file: None,
        der: pem.contents.clone(),
    })
}

/// Certificates in a folder, without the authorities that lie beside them.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = entries(folder)?;
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (name.ends_with(".crt") || name.ends_with(".pem")) && name != "ca.crt"
    });
    Ok(found)
}

/// What a folder holds, in order; nothing when it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let listed = std::fs::read_dir(folder).map_err(|e| FileError::new(folder, "read", e))?;
    let mut found = listed
        .map(|entry| entry.map(|entry| entry.path()).map_err(|e| FileError::new(folder, "read", e)))
        .collect::<Result<Vec<_>, _>>()?;
    // What is being made has a name with a dot in front.
    found.retain(|path| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    found.sort();
    Ok(found)
}
