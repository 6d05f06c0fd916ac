//! The framing of every hash input, and the content commitment.
//!
//! A framed hash is SHA-256 (or HMAC-SHA-256) over the domain and each part, every one preceded by
//! its length as four big-endian bytes, so that no two different lists of parts give the same input.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use crate::ids::{Digest, RecordId};

/// What a hash is for; its text starts the hashed input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A patient id.
    PatientId,
    /// A record id.
    RecordId,
    /// A statement id.
    StatementId,
    /// A key id.
    KeyId,
    /// The digest that names a proposed consortium policy.
    Policy,
    /// The commitment to a record version's content.
    ContentCommitment,
    /// HKDF info of a version's data key.
    DataKey,
    /// HKDF info of a version's commitment salt.
    CommitmentSalt,
    /// HPKE info of a version's wrapped secret.
    ReleaseInfo,
    /// HPKE additional data of a version's wrapped secret.
    ReleaseAad,
    /// The bytes that a recipient signs to ask for a release.
    ReleaseRequest,
    /// Additional data of a version's secret as a hospital stores it.
    StoredSecret,
    /// Additional data of a tag key as a hospital stores it.
    StoredTagKey,
    /// Additional data of a label as a hospital stores it.
    StoredLabel,
    /// The digest that tells a hospital's storage keys apart.
    StorageKey,
}

impl Domain {
    /// The domain's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PatientId => "caretrail/1/patient-id",
            Self::RecordId => "caretrail/1/record-id",
            Self::StatementId => "caretrail/1/statement-id",
            Self::KeyId => "caretrail/1/key-id",
            Self::Policy => "caretrail/1/policy",
            Self::ContentCommitment => "caretrail/1/content-commitment",
            Self::DataKey => "caretrail/1/data-key",
            Self::CommitmentSalt => "caretrail/1/commitment-salt",
            Self::ReleaseInfo => "caretrail/1/release-info",
            Self::ReleaseAad => "caretrail/1/release-aad",
            Self::ReleaseRequest => "caretrail/1/release-request",
            Self::StoredSecret => "caretrail/1/stored-secret",
            Self::StoredTagKey => "caretrail/1/stored-tag-key",
            Self::StoredLabel => "caretrail/1/stored-label",
            Self::StorageKey => "caretrail/1/storage-key",
        }
    }
}

/// SHA-256 of `bytes`, unframed.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// Domain and parts, each preceded by its length as four big-endian bytes.
///
/// Parts are far below 4 GiB everywhere; a longer one is cut off in its length field, and so is never used.
pub fn framed(domain: Domain, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum::<usize>() + 64);
    for part in std::iter::once(&domain.as_str().as_bytes()).chain(parts) {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// SHA-256 of the framed input.
pub fn framed_sha256(domain: Domain, parts: &[&[u8]]) -> Digest {
    sha256(&framed(domain, parts))
}

/// What a content commitment binds.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The record.
    pub record: &'a RecordId,
    /// The version, from 1.
    pub version: u64,
    /// SHA-256 of the plain document.
    pub plaintext_digest: &'a Digest,
    /// Bytes of the plain document.
    pub plaintext_bytes: u64,
    /// SHA-256 of the data key: AES-GCM is not key-committing, this makes it so.
    pub data_key_digest: &'a Digest,
}

impl Content<'_> {
    /// HMAC-SHA-256 under the version's 32-byte salt; integers are eight big-endian bytes.
    ///
    /// A bare hash of a templated document can be guessed; this one cannot without the salt, and is
    /// unlinkable once the salt is destroyed.
    pub fn commitment(&self, salt: &[u8; 32]) -> Digest {
        let input = framed(
            Domain::ContentCommitment,
            &[
                self.record.as_bytes(),
                &self.version.to_be_bytes(),
                self.plaintext_digest.as_bytes(),
                &self.plaintext_bytes.to_be_bytes(),
                self.data_key_digest.as_bytes(),
            ],
        );
        // HMAC pads a key with zeros up to SHA-256's block of 64 bytes.
        let mut block = [0; 64];
        block.iter_mut().zip(salt).for_each(|(padded, byte)| *padded = *byte);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(&input);
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_tells_apart_parts_that_concatenate_alike() {
        assert_ne!(framed(Domain::KeyId, &[b"ab", b"c"]), framed(Domain::KeyId, &[b"a", b"bc"]));
        assert_ne!(framed(Domain::KeyId, &[b"ab"]), framed(Domain::RecordId, &[b"ab"]));
        assert_eq!(framed(Domain::KeyId, &[b"x"]), b"\0\0\0\x12caretrail/1/key-id\0\0\0\x01x");
    }
}
