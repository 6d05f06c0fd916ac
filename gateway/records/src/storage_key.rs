//! The key that a hospital's stored secrets are encrypted with.

use std::fmt;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use caretrail_model::hash::{Domain, framed, framed_sha256};
use caretrail_model::ids::Digest;
use zeroize::Zeroizing;

use crate::disk::{KeyFileError, create_key_file, read_key_file};
use crate::secret::{RandomnessError, VersionSecret, fill_random};
use crate::version::VersionId;

/// Bytes of a secret as it is stored: nonce, ciphertext, tag.
pub(crate) const STORED_SECRET_BYTES: usize = NONCE_BYTES + 32 + 16;
const NONCE_BYTES: usize = 12;

/// A key-encryption key: 32 random bytes in a file of mode 0600.
///
/// Whoever has it and the store opens every document of the hospital; whoever loses it loses them all:
/// keep a copy apart from the store.
pub struct StorageKey(Zeroizing<[u8; 32]>);

/// A storage key that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StorageKeyError {
    /// There is none, where a store was made with one.
    #[error(
        "the storage key `{}` is not there, and the hospital's store was made with it: put back the copy of it that is \
         kept apart, or name where it is",
        path.display()
    )]
    Missing {
        /// Its file.
        path: PathBuf,
    },
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// There is no key without randomness.
    #[error("no storage key was made")]
    Randomness(#[from] RandomnessError),
}

/// Something stored that this key does not open for what it is asked for.
#[derive(Debug)]
pub(crate) struct UnwrapError;

impl StorageKey {
    /// Reads the key, and makes it once, whole, when there is none; of two that make it at the same time
    /// one wins and both read that one.
    ///
    /// # Errors
    /// When the file cannot be made or read, is exposed to others, or does not hold 32 bytes.
    pub fn load_or_create(path: &Path) -> Result<Self, StorageKeyError> {
        if !path.exists() {
            let mut key = Zeroizing::new([0; 32]);
            fill_random(key.as_mut_slice())?;
            match create_key_file(path, key.as_slice()) {
                Ok(()) | Err(KeyFileError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::load(path)
    }

    /// Reads the key of a store that is there: without it, none of the store's documents can be opened.
    ///
    /// # Errors
    /// When the file is missing or cannot be read, is exposed to others, or does not hold 32 bytes.
    pub fn load(path: &Path) -> Result<Self, StorageKeyError> {
        if !path.exists() {
            return Err(StorageKeyError::Missing { path: path.to_owned() });
        }
        let content = read_key_file(path)?;
        let key = content.as_slice().try_into().map_err(|_| KeyFileError::Malformed {
            path: path.to_owned(),
            expected: "a storage key: exactly 32 bytes",
        })?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// What tells this key apart from others, and nothing more.
    pub(crate) fn id(&self) -> Digest {
        framed_sha256(Domain::StorageKey, &[self.0.as_slice()])
    }

    /// Encrypts a secret, bound to its version.
    pub(crate) fn wrap(
        &self,
        id: &VersionId,
        secret: &VersionSecret,
    ) -> Result<[u8; STORED_SECRET_BYTES], RandomnessError> {
        let sealed = self.encrypt(&additional_data(id), secret.as_bytes())?;
        let mut stored = [0; STORED_SECRET_BYTES];
        stored.iter_mut().zip(sealed).for_each(|(byte, part)| *byte = part);
        Ok(stored)
    }

    /// Decrypts a secret that was stored for this version.
    pub(crate) fn unwrap(
        &self,
        id: &VersionId,
        stored: &[u8; STORED_SECRET_BYTES],
    ) -> Result<VersionSecret, UnwrapError> {
        let secret = self.decrypt(&additional_data(id), stored)?;
        secret.as_slice().try_into().map(VersionSecret::from_bytes).map_err(|_| UnwrapError)
    }

    /// Encrypts a few bytes, bound to `aad`: nonce, ciphertext, tag.
    pub(crate) fn encrypt(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, RandomnessError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let Ok(sealed) = self.cipher().encrypt(&nonce.into(), Payload { msg: plain, aad }) else {
            unreachable!("AES-GCM encrypts up to 64 GiB, and this is a few bytes");
        };
        Ok(nonce.into_iter().chain(sealed).collect())
    }

    /// Decrypts what was encrypted with the same `aad`.
    pub(crate) fn decrypt(&self, aad: &[u8], stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let (nonce, sealed) = stored.split_first_chunk::<NONCE_BYTES>().ok_or(UnwrapError)?;
        let payload = Payload { msg: sealed, aad };
        self.cipher().decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| UnwrapError)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(redacted)")
    }
}

fn additional_data(id: &VersionId) -> Vec<u8> {
    framed(Domain::StoredSecret, &[id.record.as_bytes(), &id.version.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use caretrail_model::ids::RecordId;

    use super::*;

    #[test]
    fn a_stored_secret_opens_for_its_version_and_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.key");
        let key = StorageKey::load_or_create(&path).unwrap();
        let again = StorageKey::load_or_create(&path).unwrap();
        assert_eq!(key.id(), again.id());
        let other = StorageKey::load_or_create(&folder.path().join("other.key")).unwrap();
        assert_ne!(key.id(), other.id());

        let id = VersionId { record: RecordId::from_bytes([1; 16]), version: 1 };
        let secret = VersionSecret::random().unwrap();
        let stored = key.wrap(&id, &secret).unwrap();
        assert_eq!(again.unwrap(&id, &stored).unwrap().as_bytes(), secret.as_bytes());
        assert!(other.unwrap(&id, &stored).is_err());
        assert!(key.unwrap(&VersionId { version: 2, ..id }, &stored).is_err());
        for at in 0..stored.len() {
            let mut spoiled = stored;
            spoiled[at] ^= 1;
            assert!(key.unwrap(&id, &spoiled).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_that_is_missing_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.key");
        assert!(matches!(StorageKey::load(&path), Err(StorageKeyError::Missing { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn a_key_file_of_another_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.key");
        create_key_file(&path, b"short").unwrap();
        assert!(matches!(
            StorageKey::load_or_create(&path),
            Err(StorageKeyError::File(KeyFileError::Malformed { .. }))
        ));
    }
}
