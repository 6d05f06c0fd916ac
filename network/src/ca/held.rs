//! A certificate with its key, as they lie in files, and how others take their place.

use std::path::{Path, PathBuf};

use rcgen::PublicKeyData as _;

use super::key::Key;
use super::order::Order;
use super::{CaError, folder};
use crate::files::{self, FileError};

/// A certificate and its key.
///
/// Another certificate waits beside it as a draft, `NAME.next`, and so does another key. They take their places together,
/// the key first: of an MSP the old key stays until the new certificate is there, because Fabric looks for the key that
/// fits; a TLS pair that an interruption left half changed is made whole by the next [`Held::take_up`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whether it is an MSP's, where the key is one of several in its folder.
    in_msp: bool,
}

impl Held {
    /// The certificate of an MSP folder, and the key of its `keystore` that fits it.
    pub(crate) fn in_msp(msp: &Path) -> Result<Self, CaError> {
        let certificates = pem_files(&msp.join("signcerts"))?;
        let [certificate] = certificates.as_slice() else {
            let what = format!("`signcerts` holds {} certificates, not one", certificates.len());
            return Err(CaError::Damaged { folder: msp.to_owned(), what });
        };
        Self::of(certificate)
    }

    /// The key beside a certificate: `tls/NAME.key` of `tls/NAME.crt`, or the one of an MSP's `keystore` that fits.
    pub(crate) fn of(certificate: &Path) -> Result<Self, CaError> {
        let damaged = |what: &str| CaError::Damaged { folder: certificate.to_owned(), what: what.to_owned() };
        let parent = certificate.parent().ok_or_else(|| damaged("it has no folder"))?;
        if !parent.ends_with("signcerts") {
            let key = certificate.with_extension("key");
            if !key.exists() && !draft(&key).exists() {
                return Err(damaged("no key lies beside it"));
            }
            return Ok(Self { certificate: certificate.to_owned(), key, in_msp: false });
        }
        let keystore = parent.parent().ok_or_else(|| damaged("it has no MSP"))?.join("keystore");
        let public = public_key(&files::read(certificate)?).map_err(|what| damaged(&what))?;
        for key in pem_files(&keystore)? {
            if Key::of_any_kind(&files::read(&key)?).is_ok_and(|key| key.der_bytes() == public) {
                return Ok(Self { certificate: certificate.to_owned(), key, in_msp: true });
            }
        }
        Err(damaged("no key of its `keystore` fits it"))
    }

    /// An order of a certificate like this one, for the same key or a new one of its kind.
    pub(crate) fn order(&self, same_key: bool) -> Result<Order, CaError> {
        let damaged = |what: String| CaError::Damaged { folder: self.key.clone(), what };
        let waiting = self.key_draft();
        let of = if same_key || !waiting.exists() { &self.key } else { &waiting };
        let key = Key::of_any_kind(&files::read(of)?).map_err(damaged)?;
        // A new key that waits already may have been told to others.
        let key = if same_key || waiting.exists() { key } else { Key::generate(key.kind())? };
        Order::like(&self.certificate, key)
    }

    /// Where another certificate waits.
    pub(crate) fn certificate_draft(&self) -> PathBuf {
        draft(&self.certificate)
    }

    /// Where another key waits.
    pub(crate) fn key_draft(&self) -> PathBuf {
        draft(&self.key)
    }

    /// Lets a new key wait.
    pub(crate) fn draft_key(&self, key: &Key) -> Result<(), CaError> {
        Ok(files::replace(&self.key_draft(), files::SECRET, key.to_pem()?.as_ref())?)
    }

    /// Gives up a key that waits.
    pub(crate) fn drop_key_draft(&self) -> Result<(), FileError> {
        let waiting = self.key_draft();
        match std::fs::remove_file(&waiting) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(&waiting, "removed", e)),
            _ => Ok(()),
        }
    }

    /// Lets another certificate wait; its key must wait already, when it is a new one.
    pub(crate) fn draft_certificate(&self, pem: &str) -> Result<(), CaError> {
        Ok(files::replace(&self.certificate_draft(), files::PUBLIC, pem.as_bytes())?)
    }

    /// Gives what waits its place, if its certificate does. Called again it goes on.
    pub(crate) fn take_up(&self) -> Result<(), CaError> {
        let (waiting, key) = (self.certificate_draft(), self.key_draft());
        if !waiting.exists() {
            return Ok(());
        }
        if key.exists() && self.in_msp {
            // Both keys are there while the certificates change places.
            let bytes = files::read(&key)?;
            let name = Key::of_any_kind(&bytes)
                .map(|key| format!("{}_sk", hex::encode(key.identifier())))
                .map_err(|what| CaError::Damaged { folder: key.clone(), what })?;
            let new = self.key.with_file_name(name);
            files::replace(&new, files::SECRET, bytes.as_bytes())?;
            rename(&waiting, &self.certificate)?;
            // Everything else here knows the key by its usual name.
            files::replace(&self.key, files::SECRET, bytes.as_bytes())?;
            for left in [&new, &key] {
                std::fs::remove_file(left).map_err(|e| FileError::new(left, "removed", e))?;
            }
            return Ok(());
        }
        if key.exists() {
            rename(&key, &self.key)?;
        }
        rename(&waiting, &self.certificate)?;
        Ok(())
    }
}

/// Where something waits for its place.
fn draft(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".next");
    path.with_file_name(name)
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(|e| FileError::new(from, "renamed", e))
}

/// The public key of a certificate in PEM, as [`Key`] has it.
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>, String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
    let certificate = pem.parse_x509().map_err(|e| e.to_string())?;
    Ok(certificate.public_key().subject_public_key.data.to_vec())
}

/// The files of a folder that do not wait for a place.
fn pem_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = folder::listed(folder)?;
    found.retain(|name| !name.ends_with(".next"));
    Ok(found.into_iter().map(|name| folder.join(name)).collect())
}
