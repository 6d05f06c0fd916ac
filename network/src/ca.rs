//! The built-in development CA: keys and certificates in the folders that Fabric's tools know.
//!
//! Every organisation has a signing CA and a TLS CA of its own, both P-256. Their keys lie beside what they
//! issue, readable by the owner alone: good for trying out and for tests, not for production.
//! Nothing that exists is ever issued again.

mod certificate;
mod folder;
mod held;
mod home;
mod key;
mod order;
mod renew;

use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};

use crate::fabric_ca::FabricCaError;
use crate::files::{self, FileError};
#[cfg(test)]
use crate::spec::NodeOu;
use crate::spec::User;

pub(crate) use certificate::{Subject, request, whole_request};
pub(crate) use folder::make_organization;
pub(crate) use held::{Held, public_key};
pub(crate) use home::{Home, first_of};
pub(crate) use key::{Key, random_hex};
pub(crate) use order::{Holding, Order, Signs};
pub(crate) use renew::{attributes_of, revoked};

pub(crate) use certificate::Authority;

/// How long a CA certificate is valid, in days.
const AUTHORITY_DAYS: i64 = 3650;
/// How long every other certificate is valid, in days.
const LEAF_DAYS: i64 = 730;
/// How far a certificate's beginning lies in the past, for clocks that are behind.
const CLOCK_SLACK: Duration = Duration::minutes(5);

/// Why no certificate was issued.
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
    /// Fabric CA did not do it.
    #[error("`{name}` has no certificate of Fabric CA")]
    FabricCa {
        /// The common name.
        name: String,
        /// What Fabric CA says.
        source: Box<FabricCaError>,
    },
    /// The organisation's certificates come from a Fabric CA, not from here.
    #[error(
        "the certificates of `{0}` come from its Fabric CA, which is asked by the network, not by the development CA"
    )]
    NotDevelopment(String),
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
    home: Home,
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
            home: Home::new(folder, domain),
            signing: folder::open_authority(&folder.join("ca"), &format!("ca.{domain}"))?,
            tls: folder::open_authority(&folder.join("tlsca"), &format!("tlsca.{domain}"))?,
        })
    }

    /// Issues one user's signing identity and TLS client certificate, into `users/NAME@DOMAIN`.
    ///
    /// # Errors
    /// [`CaError::Exists`] when the user has one, and others when it cannot be made.
    pub fn issue_user(&self, user: &User, validity: Option<Validity>) -> Result<PathBuf, CaError> {
        let target = self.user_folder(&user.name);
        if self.make(&self.home.of_user(user, validity)?)? {
            Ok(target)
        } else {
            Err(CaError::Exists(target))
        }
    }

    /// The folder that a user's identity has or would have.
    pub fn user_folder(&self, name: &str) -> PathBuf {
        self.home.user(name)
    }

    /// Issues TLS certificates for a service of the organisation, once, into `services/NAME.DOMAIN/tls`.
    ///
    /// The server certificate names the service, `localhost`, 127.0.0.1 and ::1; the client certificate is for those
    /// that call it. Both are of the organisation's TLS CA. The first is the server's.
    ///
    /// # Errors
    /// [`CaError`] when they cannot be made.
    pub fn service(&self, name: &str) -> Result<(TlsFiles, TlsFiles), CaError> {
        self.make(&self.home.of_service(name)?)?;
        Ok(self.home.service(name))
    }

    /// Makes a node, `peers/HOST` or `orderers/HOST`, that is not there yet; false when it is.
    #[cfg(test)]
    pub(crate) fn make_node(
        &self,
        kind: &'static str,
        host: &str,
        names: &[String],
        node_ou: NodeOu,
    ) -> Result<bool, CaError> {
        self.make(&self.home.of_node(kind, host, names, node_ou)?)
    }

    /// Makes what one folder holds, when it is not there yet; false when it is.
    pub(crate) fn make(&self, holding: &Holding) -> Result<bool, CaError> {
        if holding.is_there() {
            return Ok(false);
        }
        let certificates =
            holding.orders().iter().map(|order| self.certify(order)).collect::<Result<Vec<_>, _>>()?;
        self.home.install(holding, &certificates)
    }

    /// Signs what is ordered; PEM.
    pub(crate) fn certify(&self, order: &Order) -> Result<String, CaError> {
        let authority = match order.signs {
            Signs::Identities => &self.signing,
            Signs::Tls => &self.tls,
        };
        authority.issue(&order.key, &order.subject, order.purpose, order.validity)
    }
}

/// A certificate as an order wants it, of an authority that nobody keeps: what another one's is held against; PEM.
pub(crate) fn sample(order: &Order) -> Result<String, CaError> {
    let (certificate, key) = Authority::make("sample")?;
    let key = key.to_pem()?;
    let damaged = |what: String| CaError::Certificate { name: "sample".to_owned(), reason: what };
    let key = std::str::from_utf8(key.as_ref()).map_err(|error| damaged(error.to_string()))?;
    let authority = Authority::from_pem(certificate, key).map_err(damaged)?;
    authority.issue(&order.key, &order.subject, order.purpose, order.validity)
}

/// Whether a private key in PEM is the one of a certificate; `None` for a key of a kind that none here has.
///
/// # Errors
/// What is wrong with a text that is no private key.
pub(crate) fn key_matches(
    certificate: &x509_parser::prelude::X509Certificate<'_>,
    key_pem: &str,
) -> Result<Option<bool>, String> {
    let key = match Key::of_any_kind(key_pem) {
        Ok(key) => key,
        Err(_) if key_pem.contains("PRIVATE KEY-----") => return Ok(None),
        Err(error) => return Err(error),
    };
    let public = certificate.public_key().subject_public_key.data.as_ref();
    Ok(Some(public == rcgen::PublicKeyData::der_bytes(&key)))
}

/// An authority's certificate of a given time, to be refused.
#[cfg(test)]
pub(crate) fn authority_of(common_name: &str, validity: Validity) -> Result<String, CaError> {
    Authority::make_within(common_name, validity).map(|(pem, _)| pem)
}

#[cfg(test)]
mod tests;
