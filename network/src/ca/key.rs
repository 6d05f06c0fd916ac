//! P-256 keys whose every signature has a low S, as Fabric demands.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rcgen::{PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use super::CaError;

/// A private key and its public point.
pub(super) struct Key {
    secret: SigningKey,
    /// Uncompressed point, 65 bytes.
    point: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub(super) fn generate() -> Result<Self, CaError> {
        loop {
            let mut scalar = [0; 32];
            getrandom::fill(&mut scalar).map_err(|_| CaError::Random)?;
            // One draw in 2^32 is not a scalar of the curve.
            if let Ok(secret) = SigningKey::from_slice(&scalar) {
                return Ok(Self::from(secret));
            }
        }
    }

    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        SigningKey::from_pkcs8_pem(pem).map(Self::from).map_err(|error| error.to_string())
    }

    pub(super) fn to_pem(&self) -> Result<impl AsRef<[u8]> + use<>, CaError> {
        self.secret
            .to_pkcs8_pem(LineEnding::LF)
            .map(|pem| SecretText(pem.as_bytes().to_vec()))
            .map_err(|error| CaError::Certificate { name: "key".to_owned(), reason: error.to_string() })
    }

    /// Fabric's subject key identifier: SHA-256 of the uncompressed point.
    pub(super) fn identifier(&self) -> Vec<u8> {
        Sha256::digest(&self.point).to_vec()
    }
}

impl From<SigningKey> for Key {
    fn from(secret: SigningKey) -> Self {
        let point = secret.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret, point }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.secret.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.normalize_s().to_der().as_bytes().to_vec())
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
pub(super) fn random_hex() -> Result<String, CaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| CaError::Random)?;
    Ok(hex::encode(bytes))
}
