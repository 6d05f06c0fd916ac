//! Reading an identity from a folder in Fabric's MSP layout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

use crate::{Credentials, Identity, KeySigner};

/// A folder as cryptogen and the Fabric CA client write it.
///
/// Read are `signcerts/` (one certificate), `keystore/` (its private key of any [`crate::KeyKind`], PKCS#8 or SEC 1
/// PEM), and the authorities in `cacerts/` and `tlscacerts/`, which may be missing. A folder that holds all this in a folder
/// `msp` below it is taken too.
#[derive(Debug)]
pub struct MspFolder {
    identity: Identity,
    signer: KeySigner,
    ca_certificates_pem: Vec<String>,
    tls_ca_certificates_pem: Vec<String>,
}

/// Why a folder does not give an identity that can be used now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MspFolderError {
    /// A folder or file can't be read.
    #[error("`{}` can't be read", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is no certificate.
    #[error("no certificate in `{}`: point to an MSP folder, which has `signcerts` and `keystore`", folder.display())]
    NoCertificate {
        /// The folder that should hold it.
        folder: PathBuf,
    },
    /// More than one certificate: which one is meant can't be told.
    #[error("more than one certificate in `{}`: leave only the one to use", folder.display())]
    ManyCertificates {
        /// The folder that holds them.
        folder: PathBuf,
    },
    /// A certificate is not X.509 in PEM.
    #[error("`{}` is not an X.509 certificate in PEM: {reason}", path.display())]
    BadCertificate {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate is past its end.
    #[error("certificate `{}` expired at {not_after}: enrol again", path.display())]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// End of its validity.
        not_after: String,
    },
    /// The certificate's validity has not begun.
    #[error("certificate `{}` is not valid before {not_before}: check this machine's clock", path.display())]
    NotYetValid {
        /// The certificate's file.
        path: PathBuf,
        /// Start of its validity.
        not_before: String,
    },
    /// There is no private key.
    #[error("no private key in `{}`: the identity can't sign", folder.display())]
    NoKey {
        /// The folder that should hold it.
        folder: PathBuf,
    },
    /// A lone private key can't be read, or is of a kind that peers do not accept.
    #[error("`{}` can't be used", path.display())]
    BadKey {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::KeyError,
    },
    /// None of the keys is the certificate's.
    #[error(
        "no private key in `{}` matches certificate `{}`: certificate and key come from different enrolments",
        folder.display(), certificate.display()
    )]
    KeyMismatch {
        /// The folder that holds the keys.
        folder: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

impl MspFolder {
    /// Reads a folder for a member of the organisation `msp_id`, and checks that the certificate is valid now
    /// and that the key is its own.
    ///
    /// Whether the organisation knows the certificate's authority is for the peers to say.
    pub fn open(folder: impl AsRef<Path>, msp_id: impl Into<String>) -> Result<Self, MspFolderError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Self::open_at(folder.as_ref(), msp_id.into(), i64::try_from(now).unwrap_or(i64::MAX))
    }

    fn open_at(folder: &Path, msp_id: String, now_unix_s: i64) -> Result<Self, MspFolderError> {
        let nested = folder.join("msp");
        let folder = if !folder.join("signcerts").is_dir() && nested.is_dir() { &nested } else { folder };

        let signcerts = folder.join("signcerts");
        let mut certificates = files(&signcerts)?.into_iter();
        let path = match (certificates.next(), certificates.next()) {
            (Some(path), None) => path,
            (None, _) => return Err(MspFolderError::NoCertificate { folder: signcerts }),
            (Some(_), Some(_)) => return Err(MspFolderError::ManyCertificates { folder: signcerts }),
        };
        let certificate_pem = text(&path)?;
        demand_valid(&certificate_pem, &path, now_unix_s)?;
        let signer = matching_signer(&folder.join("keystore"), &certificate_pem, &path)?;

        Ok(Self {
            identity: Identity { msp_id, certificate_pem },
            signer,
            ca_certificates_pem: texts(&folder.join("cacerts"))?,
            tls_ca_certificates_pem: texts(&folder.join("tlscacerts"))?,
        })
    }

    /// The identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Certificates of the organisation's authorities in PEM, from `cacerts/`.
    pub fn ca_certificates_pem(&self) -> &[String] {
        &self.ca_certificates_pem
    }

    /// Certificates of the organisation's TLS authorities in PEM, from `tlscacerts/`.
    pub fn tls_ca_certificates_pem(&self) -> &[String] {
        &self.tls_ca_certificates_pem
    }

    /// The identity and its signer, to connect with.
    pub fn into_credentials(self) -> Credentials {
        Credentials::new(self.identity, self.signer)
    }
}

/// Checks that a certificate is one, and valid at the given time.
pub(crate) fn demand_valid(pem: &str, path: &Path, now_unix_s: i64) -> Result<(), MspFolderError> {
    let bad = |reason: String| MspFolderError::BadCertificate { path: path.to_owned(), reason };
    let (_, block) =
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let (_, certificate) =
        X509Certificate::from_der(&block.contents).map_err(|error| bad(error.to_string()))?;

    let now = ASN1Time::from_timestamp(now_unix_s).map_err(|error| bad(error.to_string()))?;
    let validity = certificate.validity();
    if now > validity.not_after {
        return Err(MspFolderError::Expired {
            path: path.to_owned(),
            not_after: validity.not_after.to_string(),
        });
    }
    if now < validity.not_before {
        return Err(MspFolderError::NotYetValid {
            path: path.to_owned(),
            not_before: validity.not_before.to_string(),
        });
    }
    Ok(())
}

/// The key that belongs to a certificate; other keys may lie beside it, as after another enrolment.
fn matching_signer(
    keystore: &Path,
    certificate_pem: &str,
    certificate: &Path,
) -> Result<KeySigner, MspFolderError> {
    let paths = files(keystore)?;
    let mut unusable = None;
    let mut others = false;
    for path in &paths {
        let pem = Zeroizing::new(text(path)?);
        match KeySigner::from_pem(&pem) {
            Ok(signer) if signer.is_of_certificate(certificate_pem) => return Ok(signer),
            Ok(_) => others = true,
            Err(source) => unusable = Some(MspFolderError::BadKey { path: path.clone(), source }),
        }
    }
    Err(match unusable {
        _ if paths.is_empty() => MspFolderError::NoKey { folder: keystore.to_owned() },
        Some(error) if !others => error,
        _ => MspFolderError::KeyMismatch { folder: keystore.to_owned(), certificate: certificate.to_owned() },
    })
}

/// A folder's files in the order of their names, hidden ones left out; none if there is no such folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, MspFolderError> {
    let unreadable = |source| MspFolderError::Unreadable { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, MspFolderError> {
    fs::read_to_string(path).map_err(|source| MspFolderError::Unreadable { path: path.to_owned(), source })
}

fn texts(folder: &Path) -> Result<Vec<String>, MspFolderError> {
    files(folder)?.iter().map(|path| text(path)).collect()
}
