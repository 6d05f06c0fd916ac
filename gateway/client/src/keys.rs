//! The kinds of key that Fabric knows, private and public.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use futures_util::future::BoxFuture;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::{SignError, Signer};

/// A kind of key that peers accept signatures of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// ECDSA on P-256 over the SHA-256 digest of the message: what Fabric's own tools make.
    P256,
    /// ECDSA on P-384, over the SHA-256 digest as well: an MSP's hash does not follow the curve.
    P384,
    /// Ed25519 over the whole message, which has no digest to sign; needs the channel capability `V3_0`.
    Ed25519,
}

impl KeyKind {
    /// The kind of key that a certificate in PEM is for; none if it is not X.509, or for another kind.
    pub fn of_certificate(certificate_pem: &str) -> Option<Self> {
        PublicKey::of_certificate(certificate_pem.as_bytes()).map(|key| key.kind())
    }

    /// A signature as peers accept it: ECDSA in DER with low S.
    ///
    /// Takes ECDSA in DER with any S, as `openssl` and most key services write it, or as the two numbers of fixed
    /// size one after the other, as PKCS#11 and WebCrypto do. Whether it fits a message is not looked at. None if it
    /// is no signature of this kind.
    pub fn canonical(self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256 => {
                let signature = p256::ecdsa::Signature::from_der(signature)
                    .or_else(|_| p256::ecdsa::Signature::from_slice(signature))
                    .ok()?;
                Some(signature.normalize_s().to_der().as_bytes().to_vec())
            }
            Self::P384 => {
                let signature = p384::ecdsa::Signature::from_der(signature)
                    .or_else(|_| p384::ecdsa::Signature::from_slice(signature))
                    .ok()?;
                Some(signature.normalize_s().to_der().as_bytes().to_vec())
            }
            Self::Ed25519 => (signature.len() == ed25519_dalek::SIGNATURE_LENGTH).then(|| signature.to_vec()),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A private key in memory; one on P-384 or Ed25519 is wiped when dropped.
///
/// In portable code two signatures on P-256 are half of what a transaction costs its client. So `ring` makes them, which
/// signs several times as fast, and does not wipe its keys: where that counts, sign in a [`Callback`](crate::Callback) or
/// in hardware.
pub struct KeySigner {
    key: PrivateKey,
}

enum PrivateKey {
    P256(Box<EcdsaKeyPair>),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// Why a text gives no private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no PEM block of a private key in it.
    #[error("no private key in PEM: give the contents of a key file, `PRIVATE KEY` or `EC PRIVATE KEY`")]
    NotPem,
    /// The key is encrypted under a passphrase.
    #[error("private key is encrypted: decrypt it, or sign in a callback")]
    Encrypted,
    /// The key is damaged, or of a kind that peers do not accept.
    #[error("private key is not a P-256, P-384 or Ed25519 key in PKCS#8 or SEC 1 PEM")]
    Unsupported,
}

impl KeySigner {
    /// Reads a key of any [`KeyKind`] from PEM: `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC 1).
    ///
    /// Other blocks before it, such as the `EC PARAMETERS` that `openssl` writes, are passed over.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let block = private_key_block(pem)?;
        let key = if let Ok(secret) = p256::SecretKey::from_pem(block) {
            PrivateKey::P256(Box::new(key_pair(&secret).ok_or(KeyError::Unsupported)?))
        } else if let Ok(secret) = p384::SecretKey::from_pem(block) {
            PrivateKey::P384(secret.into())
        } else if let Ok(secret) = ed25519_dalek::SigningKey::from_pkcs8_pem(block) {
            PrivateKey::Ed25519(secret)
        } else {
            return Err(KeyError::Unsupported);
        };
        Ok(Self { key })
    }

    /// The key's kind.
    pub fn kind(&self) -> KeyKind {
        match self.key {
            PrivateKey::P256(_) => KeyKind::P256,
            PrivateKey::P384(_) => KeyKind::P384,
            PrivateKey::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The public key as a certificate carries it: an uncompressed SEC 1 point of 65 or 97 bytes, or the 32 bytes of
    /// an Ed25519 key.
    pub fn public_key(&self) -> Vec<u8> {
        match &self.key {
            PrivateKey::P256(key) => key.public_key().as_ref().to_vec(),
            PrivateKey::P384(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            PrivateKey::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
        }
    }

    /// Whether the key is the one that a certificate in PEM is for.
    pub fn is_of_certificate(&self, certificate_pem: &str) -> bool {
        let Some(certified) = PublicKey::of_certificate(certificate_pem.as_bytes()) else { return false };
        certified.kind() == self.kind() && certified.bytes() == self.public_key()
    }

    /// Signs at once; ECDSA with low S. What a signature on P-256 takes by chance depends on key and message as well,
    /// so poor randomness gives no key away; on P-384 it is by RFC 6979.
    pub(crate) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.key {
            PrivateKey::P256(key) => {
                let made = key.sign(&SystemRandom::new(), message).ok();
                let canonical = made.and_then(|made| KeyKind::P256.canonical(made.as_ref()));
                return canonical.ok_or_else(|| SignError::new("no signature was made: no randomness"));
            }
            PrivateKey::P384(key) => {
                let made: Result<p384::ecdsa::Signature, _> = key.sign_prehash(&Sha256::digest(message));
                made.map(|signature| signature.normalize_s().to_der().as_bytes().to_vec())
            }
            PrivateKey::Ed25519(key) => key.try_sign(message).map(|signature| signature.to_bytes().to_vec()),
        }
        .map_err(|source| SignError::new(source.to_string()))
    }
}

/// The key as `ring` has it.
fn key_pair(secret: &p256::SecretKey) -> Option<EcdsaKeyPair> {
    let (bytes, point) = (Zeroizing::new(secret.to_bytes()), secret.public_key().to_sec1_point(false));
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, bytes.as_slice(), point.as_bytes(), &random).ok()
}

impl Signer for KeySigner {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        Box::pin(std::future::ready(self.signature(message)))
    }
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeySigner({}, redacted)", self.kind())
    }
}

/// The key that a certificate is for.
pub(crate) enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PublicKey {
    /// None if the certificate can't be read, or is for another kind of key.
    pub(crate) fn of_certificate(pem: &[u8]) -> Option<Self> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
        Self::of_info(certificate.public_key())
    }

    /// The bits of a point do not tell its curve, so the algorithm and its parameter must.
    fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let bits = &info.subject_public_key.data;
        let curve = || info.algorithm.parameters.as_ref()?.as_oid().ok().map(|oid| oid.to_id_string());
        match info.algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.2.1" => match curve()?.as_str() {
                "1.2.840.10045.3.1.7" => {
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P256)
                }
                "1.3.132.0.34" => p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P384),
                _ => None,
            },
            "1.3.101.112" => {
                let bits = bits.as_ref().try_into().ok()?;
                ed25519_dalek::VerifyingKey::from_bytes(bits).ok().map(Self::Ed25519)
            }
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::P256(_) => KeyKind::P256,
            Self::P384(_) => KeyKind::P384,
            Self::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            Self::P384(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            Self::Ed25519(key) => key.to_bytes().to_vec(),
        }
    }

    /// Whether a canonical signature is this key's over the message, as a peer would find.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// The PEM block of the private key alone.
fn private_key_block(pem: &str) -> Result<&str, KeyError> {
    for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
        let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
        let block = pem.find(&begin).and_then(|from| {
            let length = pem.get(from..)?.find(&end)?.checked_add(end.len())?;
            pem.get(from..)?.get(..length)
        });
        match block {
            Some(block) if block.contains("ENCRYPTED") => return Err(KeyError::Encrypted),
            Some(block) => return Ok(block),
            None => {}
        }
    }
    Err(if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        KeyError::Encrypted
    } else {
        KeyError::NotPem
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_s_is_brought_low_and_the_numbers_alone_are_wrapped() {
        let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let low: p256::ecdsa::Signature = key.try_sign(b"message").unwrap();
        let low = low.normalize_s();
        let (r, s) = low.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        assert_ne!(high.to_der().as_bytes(), low.to_der().as_bytes());

        let expected = Some(low.to_der().as_bytes().to_vec());
        assert_eq!(KeyKind::P256.canonical(high.to_der().as_bytes()), expected);
        assert_eq!(KeyKind::P256.canonical(low.to_der().as_bytes()), expected);
        assert_eq!(KeyKind::P256.canonical(&high.to_bytes()), expected);
        assert!(KeyKind::P384.canonical(low.to_der().as_bytes()).is_some(), "DER names no curve");
        assert_eq!(KeyKind::P384.canonical(&low.to_bytes()), None);
        assert_eq!(KeyKind::Ed25519.canonical(&[0; 63]), None);
    }

    #[test]
    fn each_signature_is_another_one_of_low_s_by_the_keys_own_verifier() {
        use p256::pkcs8::EncodePrivateKey as _;

        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        let signer = KeySigner::from_pem(&secret.to_pkcs8_pem(Default::default()).unwrap()).unwrap();
        let public =
            PublicKey::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(&signer.public_key()).unwrap());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..64 {
            let signature = signer.signature(b"message").unwrap();
            assert!(public.verifies(b"message", &signature) && !public.verifies(b"another", &signature));
            assert_eq!(KeyKind::P256.canonical(&signature).as_ref(), Some(&signature), "low S, in DER");
            assert!(seen.insert(signature));
        }
    }

    #[test]
    fn nothing_but_a_private_key_is_read_as_one() {
        for (pem, encrypted) in [
            ("", false),
            ("garbage", false),
            ("-----BEGIN PRIVATE KEY-----", false),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", true),
            (
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----",
                true,
            ),
        ] {
            let error = KeySigner::from_pem(pem).unwrap_err();
            assert_eq!(matches!(error, KeyError::Encrypted), encrypted, "{pem}: {error}");
            assert_eq!(matches!(error, KeyError::NotPem), !encrypted, "{pem}: {error}");
        }
        let empty = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----";
        assert!(matches!(KeySigner::from_pem(empty), Err(KeyError::Unsupported)));
    }
}
