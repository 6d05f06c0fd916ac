//! The built-in development CA: keys and certificates in the folders that Fabric's tools know.
//!
//! Every organisation has a signing CA and a TLS CA of its own, both P-256. Their keys lie beside what they
//! issue, readable by the owner alone: good for trying out and for tests, not for production.
//! Nothing that exists is ever issued again.

mod certificate;
mod folder;
mod key;
mod renew;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};

use crate::files::{self, FileError};
use crate::spec::{NodeOu, User, UserKey};

pub(crate) use renew::{draft, take_up};

use certificate::{Authority, Purpose, Subject};
use key::Key;

/// How long a CA certificate is valid, in days.
const AUTHORITY_DAYS: i64 = 3650;
/// How long every other certificate is valid, in days.
const LEAF_DAYS: i64 = 730;
/// How far a certificate's beginning lies in the past, for clocks that are behind.
const CLOCK_SLACK: Duration = Duration::minutes(5);

/// Why the development CA could not issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of the organisation could not be read or written.
    #[error("the organisation's folder cannot be used")]
    File(#[from] FileError),
    /// A CA's key or certificate is not what it should be.
    #[error(
        "the CA in `{folder}` is damaged ({what}); restore it from a backup, its certificates are in the channel"
    )]
    Damaged {
        /// The CA's folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A certificate could not be made from what was asked.
    #[error("no certificate can be made for `{name}`: {reason}")]
    Certificate {
        /// The common name.
        name: String,
        /// What the certificate library says.
        reason: String,
    },
    /// A user of that name has an identity.
    #[error("`{0}` exists; an identity is never issued twice, choose another name")]
    Exists(PathBuf),
    /// A name cannot be a folder.
    #[error(
        "`{0}` is not a name for an identity; use letters, digits, `.`, `_` and `-`, a letter or digit first"
    )]
    Name(String),
    /// The end of the validity is not after its beginning.
    #[error("the certificate would end before it begins; give it an end after its beginning")]
    Validity,
    /// The operating system has no randomness to give.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: OffsetDateTime,
    /// Last moment.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// From five minutes ago, for clocks that are behind, to this many days from now.
    pub fn days(days: i64) -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now - CLOCK_SLACK, not_after: now + Duration::days(days) }
    }

    /// A validity that ended an hour ago, for trying out what an expired certificate does.
    pub fn expired() -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now - Duration::days(2), not_after: now - Duration::hours(1) }
    }
}

/// A TLS certificate and key of a service or a client, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The PKCS #8 key, PEM, readable by the owner.
    pub key: PathBuf,
    /// The organisation's TLS CA, PEM.
    pub roots: PathBuf,
}

/// One organisation's development CA, in its cryptogen folder.
#[derive(Debug)]
pub struct DevelopmentCa {
    folder: PathBuf,
    domain: String,
    signing: Authority,
    tls: Authority,
}

impl DevelopmentCa {
    /// Opens the CA in an organisation's folder, making both when there is none.
    ///
    /// `folder` ends in `peerOrganizations/DOMAIN` or `ordererOrganizations/DOMAIN`.
    ///
    /// # Errors
    /// [`CaError`] when the folder cannot be written or holds a damaged CA.
    pub fn open_or_make(folder: &Path, domain: &str) -> Result<Self, CaError> {
        if let Some(parent) = folder.parent() {
            files::make_folder(parent)?;
        }
        files::make_whole(folder, |draft| folder::make_organization(draft, domain))?;
        Self::open(folder, domain)
    }

    /// Opens the CA in an organisation's folder.
    ///
    /// # Errors
    /// [`CaError`] when there is none or it is damaged.
    pub fn open(folder: &Path, domain: &str) -> Result<Self, CaError> {
        Ok(Self {
            folder: folder.to_owned(),
            domain: domain.to_owned(),
            signing: folder::open_authority(&folder.join("ca"), &format!("ca.{domain}"))?,
            tls: folder::open_authority(&folder.join("tlsca"), &format!("tlsca.{domain}"))?,
        })
    }

    /// Issues one user's signing identity and TLS client certificate, into `users/NAME@DOMAIN`.
    ///
    /// # Errors
    /// [`CaError::Exists`] when the user has one, and others when it cannot be made.
    pub fn issue_user(&self, user: &User, validity: Option<Validity>) -> Result<PathBuf, CaError> {
        if !crate::spec::is_user_name(&user.name) {
            return Err(CaError::Name(user.name.clone()));
        }
        let target = self.user_folder(&user.name);
        if self.make_user(user, validity)? { Ok(target) } else { Err(CaError::Exists(target)) }
    }

    /// The folder that a user's identity has or would have.
    pub fn user_folder(&self, name: &str) -> PathBuf {
        self.folder.join("users").join(format!("{name}@{}", self.domain))
    }

    /// Issues TLS certificates for a service of the organisation, once, into `services/NAME.DOMAIN/tls`.
    ///
    /// The server certificate names the service, `localhost`, 127.0.0.1 and ::1; the client certificate is for those
    /// that call it. Both are of the organisation's TLS CA. The first is the server's.
    ///
    /// # Errors
    /// [`CaError`] when they cannot be made.
    pub fn service(&self, name: &str) -> Result<(TlsFiles, TlsFiles), CaError> {
        if !crate::spec::is_user_name(name) {
            return Err(CaError::Name(name.to_owned()));
        }
        let host = format!("{name}.{}", self.domain);
        let target = self.folder.join("services").join(&host);
        self.make_in("services", &target, |draft| {
            let tls = draft.join("tls");
            self.write_tls(&tls, "server", &host, NodeOu::Client, Purpose::Server)?;
            self.write_tls_key(&tls, "client", (&host, &[]), NodeOu::Client, Purpose::TlsClient)
        })?;
        let tls = target.join("tls");
        let files = |name: &str| TlsFiles {
            certificate: tls.join(format!("{name}.crt")),
            key: tls.join(format!("{name}.key")),
            roots: tls.join("ca.crt"),
        };
        Ok((files("server"), files("client")))
    }

    /// Makes a user that is not there yet; false when it is.
    pub(crate) fn make_user(&self, user: &User, validity: Option<Validity>) -> Result<bool, CaError> {
        let validity = validity.unwrap_or_else(|| Validity::days(LEAF_DAYS));
        if validity.not_after <= validity.not_before {
            return Err(CaError::Validity);
        }
        let target = self.user_folder(&user.name);
        self.make_in("users", &target, |draft| {
            let qualified = format!("{}@{}", user.name, self.domain);
            let common_name = match user.common_name.as_deref() {
                None => qualified.clone(),
                Some("random") => key::random_hex()?,
                Some(literal) => literal.to_owned(),
            };
            let attributes: BTreeMap<String, String> = user
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.replace("{common_name}", &common_name)))
                .collect();
            let subject = Subject {
                common_name,
                node_ou: Some(user.node_ou),
                hosts: Vec::new(),
                addresses: Vec::new(),
                attributes,
            };
            let key = Key::generate(user.key)?;
            self.write_msp(&draft.join("msp"), &qualified, &key, &subject, validity)?;
            self.write_tls(&draft.join("tls"), "client", &qualified, user.node_ou, Purpose::TlsClient)
        })
    }

    /// Makes a node, `peers/HOST` or `orderers/HOST`, that is not there yet; false when it is.
    pub(crate) fn make_node(
        &self,
        kind: &str,
        host: &str,
        names: &[String],
        node_ou: NodeOu,
    ) -> Result<bool, CaError> {
        let target = self.folder.join(kind).join(host);
        self.make_in(kind, &target, |draft| {
            let subject = Subject {
                common_name: host.to_owned(),
                node_ou: Some(node_ou),
                hosts: Vec::new(),
                addresses: Vec::new(),
                attributes: BTreeMap::new(),
            };
            let key = Key::generate(UserKey::P256)?;
            self.write_msp(&draft.join("msp"), host, &key, &subject, Validity::days(LEAF_DAYS))?;
            let tls = draft.join("tls");
            files::write_new(&tls.join("ca.crt"), files::PUBLIC, self.tls.pem().as_bytes())?;
            self.write_tls_key(&tls, "server", (host, names), node_ou, Purpose::TlsBoth)
        })
    }

    fn make_in(
        &self,
        parent: &str,
        target: &Path,
        fill: impl FnOnce(&Path) -> Result<(), CaError>,
    ) -> Result<bool, CaError> {
        files::make_folder(&self.folder.join(parent))?;
        files::make_whole(target, fill)
    }

    fn write_msp(
        &self,
        msp: &Path,
        name: &str,
        key: &Key,
        subject: &Subject,
        validity: Validity,
    ) -> Result<(), CaError> {
        folder::write_trust(msp, &self.domain, &self.signing, &self.tls)?;
        let certificate = self.signing.issue(key, subject, Purpose::Signing, validity)?;
        files::write_new(
            &msp.join("signcerts").join(format!("{name}-cert.pem")),
            files::PUBLIC,
            certificate.as_bytes(),
        )?;
        folder::write_key(&msp.join("keystore"), "priv_sk", key)
    }

    fn write_tls(
        &self,
        tls: &Path,
        name: &str,
        common_name: &str,
        node_ou: NodeOu,
        purpose: Purpose,
    ) -> Result<(), CaError> {
        files::write_new(&tls.join("ca.crt"), files::PUBLIC, self.tls.pem().as_bytes())?;
        self.write_tls_key(tls, name, (common_name, &[]), node_ou, purpose)
    }

    fn write_tls_key(
        &self,
        tls: &Path,
        name: &str,
        (common_name, names): (&str, &[String]),
        node_ou: NodeOu,
        purpose: Purpose,
    ) -> Result<(), CaError> {
        let key = Key::generate(UserKey::P256)?;
        let mut subject = Subject {
            common_name: common_name.to_owned(),
            node_ou: Some(node_ou),
            hosts: Vec::new(),
            addresses: Vec::new(),
            attributes: BTreeMap::new(),
        };
        if !matches!(purpose, Purpose::TlsClient) {
            subject.hosts = vec![common_name.to_owned(), "localhost".to_owned()];
            subject.addresses = vec![
                IpAddr::from(std::net::Ipv4Addr::LOCALHOST),
                IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            ];
            for name in names {
                match name.parse::<IpAddr>() {
                    Ok(ip) if !subject.addresses.contains(&ip) => subject.addresses.push(ip),
                    Err(_) if !subject.hosts.contains(name) => subject.hosts.push(name.clone()),
                    _ => {}
                }
            }
        }
        let certificate = self.tls.issue(&key, &subject, purpose, Validity::days(LEAF_DAYS))?;
        files::write_new(&tls.join(format!("{name}.crt")), files::PUBLIC, certificate.as_bytes())?;
        folder::write_key(tls, &format!("{name}.key"), &key)
    }
}

/// An authority's certificate of a given time, to be refused.
#[cfg(test)]
pub(crate) fn authority_of(common_name: &str, validity: Validity) -> Result<String, CaError> {
    Authority::make_within(common_name, validity).map(|(pem, _)| pem)
}

#[cfg(test)]
mod tests;
