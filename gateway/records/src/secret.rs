//! The one secret of a record version, and what is derived from it.

use std::fmt;

use caretrail_model::hash::{Content, Domain, framed, sha256};
use caretrail_model::ids::Digest;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::VersionId;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes from the operating system")]
pub struct RandomnessError(#[from] getrandom::Error);

/// 32 random bytes, fresh for every version; data key and commitment salt follow from it.
///
/// Whoever holds it opens the version. It is wiped when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct VersionSecret([u8; 32]);

impl VersionSecret {
    /// A fresh secret.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, RandomnessError> {
        let mut secret = Self([0; 32]);
        fill_random(&mut secret.0)?;
        Ok(secret)
    }

    /// Takes the bytes, as they were stored or unwrapped.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The bytes, to be stored or wrapped.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The AES-256-GCM key of the version's blob.
    pub(crate) fn data_key(&self, id: &VersionId) -> Zeroizing<[u8; 32]> {
        self.derive(Domain::DataKey, id)
    }

    /// The content commitment of a document that is sealed under this secret.
    pub(crate) fn content_commitment(
        &self,
        id: &VersionId,
        plaintext_digest: &Digest,
        plaintext_bytes: u64,
    ) -> Digest {
        Content {
            record: &id.record,
            version: id.version,
            plaintext_digest,
            plaintext_bytes,
            data_key_digest: &sha256(&*self.data_key(id)),
        }
        .commitment(&self.derive(Domain::CommitmentSalt, id))
    }

    /// HKDF-SHA-256 without a salt; info is the framed domain, record id and version (eight big-endian bytes).
    fn derive(&self, domain: Domain, id: &VersionId) -> Zeroizing<[u8; 32]> {
        let info = framed(domain, &[id.record.as_bytes(), &id.version.to_be_bytes()]);
        let mut derived = Zeroizing::new([0; 32]);
        match Hkdf::<Sha256>::new(None, &self.0).expand(&info, derived.as_mut_slice()) {
            Ok(()) => derived,
            Err(_) => unreachable!("HKDF-SHA-256 gives up to 8,160 bytes"),
        }
    }
}

impl fmt::Debug for VersionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionSecret(redacted)")
    }
}

/// Fills a buffer with the operating system's randomness.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), RandomnessError> {
    getrandom::fill(bytes).map_err(RandomnessError)
}

/// Sixteen random bytes, for ids and nonces.
pub(crate) fn random_16() -> Result<[u8; 16], RandomnessError> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use caretrail_model::ids::RecordId;

    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = VersionSecret::from_bytes(&[0xab; 32]);
        assert_eq!(format!("{secret:?}"), "VersionSecret(redacted)");
    }

    #[test]
    fn keys_differ_by_record_version_and_purpose() {
        let secret = VersionSecret::random().unwrap();
        let id = VersionId { record: RecordId::from_bytes([1; 16]), version: 1 };
        let next = VersionId { version: 2, ..id };
        let other = VersionId { record: RecordId::from_bytes([2; 16]), version: 1 };
        assert_ne!(secret.data_key(&id), secret.data_key(&next));
        assert_ne!(secret.data_key(&id), secret.data_key(&other));
        assert_ne!(secret.data_key(&id), secret.derive(Domain::CommitmentSalt, &id));
        assert_ne!(secret.data_key(&id), VersionSecret::random().unwrap().data_key(&id));
    }
}
