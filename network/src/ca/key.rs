//! Keys whose every ECDSA signature has a low S, as Fabric demands.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rcgen::{PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use super::CaError;
use crate::spec::UserKey;

/// A private key and its public half.
pub(crate) struct Key {
    secret: Secret,
    /// An uncompressed point of 65 or 97 bytes, or the 32 bytes of an Ed25519 key.
    public: Vec<u8>,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub(crate) fn generate(kind: UserKey) -> Result<Self, CaError> {
        loop {
            // One draw in 2^32 is not a scalar of its curve.
            let secret = match kind {
                UserKey::P256 => p256::ecdsa::SigningKey::from_slice(&drawn::<32>()?).ok().map(Secret::P256),
                UserKey::P384 => p384::ecdsa::SigningKey::from_slice(&drawn::<48>()?).ok().map(Secret::P384),
                UserKey::Ed25519 => {
                    Some(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&drawn::<32>()?)))
                }
            };
            if let Some(secret) = secret {
                return Ok(Self::from(secret));
            }
        }
    }

    /// An authority's key, which is P-256.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let secret = p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|error| error.to_string())?;
        Ok(Self::from(Secret::P256(secret)))
    }

    /// A key of any kind that a user can have.
    pub(crate) fn of_any_kind(pem: &str) -> Result<Self, String> {
        if let Ok(secret) = p384::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::from(Secret::P384(secret)));
        }
        if let Ok(secret) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::from(Secret::Ed25519(secret)));
        }
        Self::from_pem(pem)
    }

    pub(crate) fn to_pem(&self) -> Result<impl AsRef<[u8]> + use<>, CaError> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Secret::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
            // Without the public key, which not every reader of PKCS #8 expects beside the private one.
            Secret::Ed25519(key) => {
                ed25519_dalek::pkcs8::KeypairBytes { secret_key: key.to_bytes(), public_key: None }
                    .to_pkcs8_pem(LineEnding::LF)
            }
        }
        .map(|pem| SecretText(pem.as_bytes().to_vec()))
        .map_err(|error| CaError::Certificate { name: "key".to_owned(), reason: error.to_string() })
    }

    /// An ECDSA signature over a message's SHA-256, DER, with a low S, whatever the curve; `None` of Ed25519.
    pub(crate) fn sign_sha256(&self, message: &[u8]) -> Option<Vec<u8>> {
        let digest = Sha256::digest(message);
        match &self.secret {
            Secret::P256(key) => {
                let made: p256::ecdsa::Signature = key.sign_prehash(&digest).ok()?;
                Some(made.normalize_s().to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let made: p384::ecdsa::Signature = key.sign_prehash(&digest).ok()?;
                Some(made.normalize_s().to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(_) => None,
        }
    }

    /// What kind of key it is.
    pub(crate) fn kind(&self) -> UserKey {
        match &self.secret {
            Secret::P256(_) => UserKey::P256,
            Secret::P384(_) => UserKey::P384,
            Secret::Ed25519(_) => UserKey::Ed25519,
        }
    }

    /// Fabric's subject key identifier: SHA-256 of the public key.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        Sha256::digest(&self.public).to_vec()
    }
}

impl From<Secret> for Key {
    fn from(secret: Secret) -> Self {
        let public = match &secret {
            Secret::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Secret::P384(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Secret::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
        };
        Self { secret, public }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.secret {
            Secret::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Secret::P384(_) => &rcgen::PKCS_ECDSA_P384_SHA384,
            Secret::Ed25519(_) => &rcgen::PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.secret {
            Secret::P256(key) => {
                let made: Result<p256::ecdsa::Signature, _> = key.try_sign(message);
                made.map(|signature| signature.normalize_s().to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let made: Result<p384::ecdsa::Signature, _> = key.try_sign(message);
                made.map(|signature| signature.normalize_s().to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => key.try_sign(message).map(|signature| signature.to_bytes().to_vec()),
        }
        .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// Text that must not be printed.
struct SecretText(Vec<u8>);

impl AsRef<[u8]> for SecretText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// 128 random bits as 32 lower-case hexadecimal characters.
pub(crate) fn random_hex() -> Result<String, CaError> {
    Ok(hex::encode(drawn::<16>()?))
}

fn drawn<const BYTES: usize>() -> Result<[u8; BYTES], CaError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| CaError::Random)?;
    Ok(bytes)
}
