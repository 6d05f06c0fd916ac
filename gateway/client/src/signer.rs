//! Signing with an identity's private key.

use std::error::Error;
use std::fmt;
use std::future;

use futures_util::future::BoxFuture;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

/// Signs what a transaction's stages put before it.
///
/// Asynchronous, so that a key may live in another process or in hardware. A signature is an ASN.1 DER
/// ECDSA signature with low S over the SHA-256 digest of the message; peers refuse high S.
pub trait Signer: Send + Sync {
    /// Signs a whole message; its SHA-256 digest is what an ECDSA key signs.
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>>;
}

/// A signature that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("message could not be signed")]
pub struct SignError(#[source] Box<dyn Error + Send + Sync>);

impl SignError {
    /// Wraps the reason that a signer gives.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// A P-256 private key in memory, wiped when dropped.
pub struct P256Signer {
    key: SigningKey,
}

/// A private key in PEM that is neither PKCS#8 nor SEC 1, or not on the curve P-256.
#[derive(Debug, thiserror::Error)]
#[error("private key is not a P-256 key in PKCS#8 or SEC 1 PEM; Fabric's own tools write such keys")]
pub struct KeyError;

impl P256Signer {
    /// Reads a key from PEM: `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC 1).
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let secret = SecretKey::from_pem(pem).map_err(|_| KeyError)?;
        Ok(Self { key: SigningKey::from(&secret) })
    }

    /// The public key as an uncompressed SEC 1 point, 65 bytes, as a certificate carries it.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    /// Signs at once: DER, low S, deterministic (RFC 6979).
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: Signature =
            self.key.try_sign(message).map_err(|source| SignError::new(source.to_string()))?;
        Ok(signature.normalize_s().to_der().as_bytes().to_vec())
    }
}

impl Signer for P256Signer {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        Box::pin(future::ready(self.signature(message)))
    }
}

impl fmt::Debug for P256Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("P256Signer(redacted)")
    }
}
