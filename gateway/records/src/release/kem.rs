//! Wrapping a version's secret to a recipient's key: HPKE (RFC 9180) in base mode with
//! DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.

use std::fmt;
use std::path::Path;

use caretrail_model::hash::{Domain, framed, sha256};
use caretrail_model::ids::{Digest, MspId, TxId};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::Base64Url;
use crate::disk::{KeyFileError, create_key_file, read_key_file};
use crate::ledger_name::LedgerName;
use crate::secret::{RandomnessError, VersionSecret, fill_random};
use crate::version::VersionId;

/// Bytes of random input that a key is derived from.
const KEY_MATERIAL_BYTES: usize = 32;

/// A recipient's key pair for one release. It is not the enrolment key: one key, one use.
pub struct KemKey {
    private: <DhP256HkdfSha256 as Kem>::PrivateKey,
    public: KemPublicKey,
}

/// A recipient's public key: a P-256 point, uncompressed SEC1, 65 bytes; unpadded base64url in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct KemPublicKey {
    key: <DhP256HkdfSha256 as Kem>::PublicKey,
    bytes: [u8; 65],
}

/// What a wrapped secret is bound to: it opens for exactly this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseBinding {
    /// The ledger that the release is on record on.
    pub ledger: LedgerName,
    /// The hospital that releases.
    pub custodian: MspId,
    /// The version.
    pub version: VersionId,
    /// SHA-256 of the recipient's public key.
    pub kem_key_digest: Digest,
    /// The transaction that decided.
    pub decision: TxId,
    /// The transaction that put the disclosure on record.
    pub disclosure: TxId,
    /// Semantic engine in force.
    pub epoch: u32,
}

/// A version's secret, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedSecret {
    /// The encapsulated key: 65 bytes.
    pub enc: Base64Url,
    /// The encrypted secret and its tag: 48 bytes.
    pub ciphertext: Base64Url,
}

/// A key that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KemKeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// There is no key without randomness.
    #[error("no key for the release was made")]
    Randomness(#[from] RandomnessError),
}

/// A secret that was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be wrapped to this public key")]
pub struct WrapError;

/// A wrapped secret that does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wrapped secret was not made for this key and this release: ask for the release again")]
pub struct UnwrapError;

impl KemKey {
    /// A fresh key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, KemKeyError> {
        Ok(Self::derive(&*fresh_material()?))
    }

    /// Reads the key from a file, and makes it when there is none: asking again with the same key gets the
    /// same answer, so a key is kept until its document is opened.
    ///
    /// # Errors
    /// When the file cannot be made or read, is exposed to others, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, KemKeyError> {
        if !path.exists() {
            match create_key_file(path, fresh_material()?.as_slice()) {
                Ok(()) | Err(KeyFileError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let content = read_key_file(path)?;
        let material = content.as_slice().try_into().map_err(|_| KeyFileError::Malformed {
            path: path.to_owned(),
            expected: "the key of a release: exactly 32 bytes",
        })?;
        Ok(Self::derive(material))
    }

    /// The public key.
    pub fn public(&self) -> &KemPublicKey {
        &self.public
    }

    /// RFC 9180's DeriveKeyPair.
    pub(crate) fn derive(material: &[u8; KEY_MATERIAL_BYTES]) -> Self {
        let (private, key) = DhP256HkdfSha256::derive_keypair(material);
        let bytes = key.to_bytes().into();
        Self { private, public: KemPublicKey { key, bytes } }
    }
}

fn fresh_material() -> Result<Zeroizing<[u8; KEY_MATERIAL_BYTES]>, RandomnessError> {
    let mut material = Zeroizing::new([0; KEY_MATERIAL_BYTES]);
    fill_random(material.as_mut_slice())?;
    Ok(material)
}

impl KemPublicKey {
    /// Takes an uncompressed SEC1 point of P-256.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(bytes).ok()?;
        Some(Self { key, bytes: bytes.try_into().ok()? })
    }

    /// The point, 65 bytes.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.bytes
    }

    /// SHA-256 of the point: what the disclosure puts on record.
    pub fn digest(&self) -> Digest {
        sha256(&self.bytes)
    }
}

/// Wraps a version's secret to a recipient's public key. Wrapping again gives other bytes, the same secret.
///
/// # Errors
/// When the key makes no shared secret.
pub fn wrap(
    secret: &VersionSecret,
    recipient: &KemPublicKey,
    binding: &ReleaseBinding,
) -> Result<WrappedSecret, WrapError> {
    let (enc, mut context) = hpke::setup_sender::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &recipient.key,
        &binding.info(),
    )
    .map_err(|_| WrapError)?;
    let ciphertext = context.seal(secret.as_bytes(), &binding.additional_data()).map_err(|_| WrapError)?;
    Ok(WrappedSecret { enc: Base64Url(enc.to_bytes().to_vec()), ciphertext: Base64Url(ciphertext) })
}

/// Opens a wrapped secret.
///
/// # Errors
/// When it was not made for this key and exactly this release.
pub fn unwrap(
    wrapped: &WrappedSecret,
    key: &KemKey,
    binding: &ReleaseBinding,
) -> Result<VersionSecret, UnwrapError> {
    let enc = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(wrapped.enc.as_bytes())
        .map_err(|_| UnwrapError)?;
    let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeR::Base,
        &key.private,
        &enc,
        &binding.info(),
    )
    .map_err(|_| UnwrapError)?;
    let secret = context
        .open(wrapped.ciphertext.as_bytes(), &binding.additional_data())
        .map(Zeroizing::new)
        .map_err(|_| UnwrapError)?;
    secret.as_slice().try_into().map(VersionSecret::from_bytes).map_err(|_| UnwrapError)
}

impl ReleaseBinding {
    fn info(&self) -> Vec<u8> {
        framed(
            Domain::ReleaseInfo,
            &[
                self.ledger.channel.as_str().as_bytes(),
                self.ledger.chaincode.as_str().as_bytes(),
                self.custodian.as_str().as_bytes(),
            ],
        )
    }

    fn additional_data(&self) -> Vec<u8> {
        framed(
            Domain::ReleaseAad,
            &[
                self.version.record.as_bytes(),
                &self.version.version.to_be_bytes(),
                self.kem_key_digest.as_bytes(),
                self.decision.as_bytes(),
                self.disclosure.as_bytes(),
                &self.epoch.to_be_bytes(),
            ],
        )
    }
}

impl fmt::Debug for KemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KemKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl fmt::Debug for KemPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublicKey({})", self.digest())
    }
}

impl Serialize for KemPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Base64Url(self.bytes.to_vec()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KemPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Base64Url::deserialize(deserializer)?;
        Self::from_bytes(bytes.as_bytes())
            .ok_or_else(|| serde::de::Error::custom("not an uncompressed P-256 point"))
    }
}

#[cfg(test)]
mod tests {
    use caretrail_model::ids::RecordId;

    use super::*;

    fn binding(key: &KemKey) -> ReleaseBinding {
        ReleaseBinding {
            ledger: LedgerName {
                channel: "records".parse().unwrap(),
                chaincode: "caretrail".parse().unwrap(),
            },
            custodian: "NorthMSP".parse().unwrap(),
            version: VersionId { record: RecordId::from_bytes([1; 16]), version: 1 },
            kem_key_digest: key.public().digest(),
            decision: TxId::from_bytes([2; 32]),
            disclosure: TxId::from_bytes([3; 32]),
            epoch: 1,
        }
    }

    #[test]
    fn a_wrapped_secret_opens_for_its_key_and_release_alone() {
        let key = KemKey::generate().unwrap();
        let binding = binding(&key);
        let secret = VersionSecret::random().unwrap();
        let wrapped = wrap(&secret, key.public(), &binding).unwrap();
        assert_eq!((wrapped.enc.as_bytes().len(), wrapped.ciphertext.as_bytes().len()), (65, 48));
        assert_eq!(unwrap(&wrapped, &key, &binding).unwrap().as_bytes(), secret.as_bytes());

        let other = KemKey::generate().unwrap();
        assert!(unwrap(&wrapped, &other, &binding).is_err());
        type Change = fn(&mut ReleaseBinding);
        let changes: [Change; 8] = [
            |b| b.ledger.channel = "other".parse().unwrap(),
            |b| b.ledger.chaincode = "other".parse().unwrap(),
            |b| b.custodian = "SouthMSP".parse().unwrap(),
            |b| b.version.record = RecordId::from_bytes([9; 16]),
            |b| b.version.version = 2,
            |b| b.decision = TxId::from_bytes([9; 32]),
            |b| b.disclosure = TxId::from_bytes([9; 32]),
            |b| b.epoch = 2,
        ];
        for (case, change) in changes.into_iter().enumerate() {
            let mut changed = binding.clone();
            change(&mut changed);
            assert!(unwrap(&wrapped, &key, &changed).is_err(), "change {case}");
        }
        for at in 0..48 {
            let mut spoiled = wrapped.clone();
            spoiled.ciphertext.0[at] ^= 1;
            assert!(unwrap(&spoiled, &key, &binding).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_is_kept_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        let key = KemKey::load_or_create(&path).unwrap();
        assert_eq!(KemKey::load_or_create(&path).unwrap().public(), key.public());
        assert_ne!(KemKey::generate().unwrap().public(), key.public());
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_is_no_key() {
        let mut bytes = *KemKey::generate().unwrap().public().as_bytes();
        assert!(KemPublicKey::from_bytes(&bytes).is_some());
        bytes[40] ^= 1;
        assert!(KemPublicKey::from_bytes(&bytes).is_none());
        assert!(KemPublicKey::from_bytes(&[]).is_none());
        let identity = KemPublicKey::from_bytes(&[0; 65]);
        assert!(identity.is_none());
    }
}
