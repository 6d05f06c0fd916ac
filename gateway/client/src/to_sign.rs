//! Messages that an identity signs: here, or elsewhere.

use std::time::Instant;

use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::SignError;
use crate::keys::PublicKey;
use crate::session::Session;

/// Why bytes are not the stage that they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// They are something else, damaged, or contradict themselves.
    #[error("bytes are not {what}: {reason}")]
    Bytes {
        /// What they should be.
        what: &'static str,
        /// Where they are not.
        reason: &'static str,
    },
    /// They carry a signature that peers would refuse.
    #[error("bytes of {what} carry a signature that can't be used")]
    Signature {
        /// What they should be.
        what: &'static str,
        /// What is wrong with the signature.
        source: SignatureError,
    },
}

/// Why a signature that was made elsewhere can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is empty.
    #[error("signature is empty")]
    Empty,
    /// It is not in a form that the certificate's key gives.
    #[error("signature is not one of the certificate's kind of key: ECDSA is DER, Ed25519 64 bytes")]
    Form,
    /// It was made by another key, or over other bytes.
    #[error(
        "signature is not the certificate's over this message: sign `message`, or its `digest` with an ECDSA key, by the key of the identity that made it"
    )]
    Foreign,
}

/// A message with the identity that it names, signed once.
pub(crate) struct ToSign {
    creator: Vec<u8>,
    message: Vec<u8>,
    signature: OnceCell<Vec<u8>>,
}

impl ToSign {
    pub(crate) fn new(creator: Vec<u8>, message: Vec<u8>) -> Self {
        Self { creator, message, signature: OnceCell::new() }
    }

    /// A message that comes from elsewhere, with its signature if that is not empty.
    pub(crate) fn imported(
        what: &'static str,
        creator: Vec<u8>,
        message: Vec<u8>,
        signature: &[u8],
    ) -> Result<Self, ImportError> {
        let unsigned = Self::new(creator, message);
        if signature.is_empty() {
            return Ok(unsigned);
        }
        unsigned.with_signature(signature).map_err(|source| ImportError::Signature { what, source })
    }

    pub(crate) fn creator(&self) -> &[u8] {
        &self.creator
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.message).into()
    }

    /// The signature, or nothing if there is none yet.
    pub(crate) fn signature(&self) -> Vec<u8> {
        self.signature.get().cloned().unwrap_or_default()
    }

    /// The signature, made now if there is none.
    ///
    /// An identity's message is signed for that identity alone: another's signature would only be refused.
    pub(crate) async fn signed(&self, session: &Session) -> Result<Vec<u8>, SignError> {
        let signature = self.signature.get_or_try_init(|| async {
            if session.creator == self.creator {
                session.sign(&self.message).await
            } else {
                Err(SignError::new("it was made for another identity, whose signature must be attached"))
            }
        });
        signature.await.cloned()
    }

    /// As [`Self::signed`], by a time.
    pub(crate) async fn signed_by(&self, session: &Session, until: Instant) -> Result<Vec<u8>, SignError> {
        let late = || SignError::new("the signer did not answer within the time of the call");
        tokio::time::timeout_at(until.into(), self.signed(session)).await.unwrap_or_else(|_| Err(late()))
    }

    /// As [`Self::signed`], by a time if there is one.
    pub(crate) async fn signed_by_any(
        &self,
        session: &Session,
        until: Option<Instant>,
    ) -> Result<Vec<u8>, SignError> {
        match until {
            Some(until) => self.signed_by(session, until).await,
            None => self.signed(session).await,
        }
    }

    /// The message with a signature that was made elsewhere, which is checked as a peer would.
    ///
    /// What can't be checked, for its creator shows no certificate that is known here, is left to the peers.
    pub(crate) fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        if signature.is_empty() {
            return Err(SignatureError::Empty);
        }
        let creator = SerializedIdentity::decode(self.creator.as_slice()).unwrap_or_default();
        let signature = match PublicKey::of_certificate(&creator.id_bytes) {
            None => signature.to_vec(),
            Some(key) => {
                let signature = key.kind().canonical(signature).ok_or(SignatureError::Form)?;
                if !key.verifies(&self.message, &signature) {
                    return Err(SignatureError::Foreign);
                }
                signature
            }
        };
        Ok(Self { signature: OnceCell::from(signature), ..self })
    }
}

/// Decodes a part of what was imported.
pub(crate) fn part<M: hlf_protos::prost::Message + Default>(
    what: &'static str,
    bytes: &[u8],
    reason: &'static str,
) -> Result<M, ImportError> {
    M::decode(bytes).map_err(|_| ImportError::Bytes { what, reason })
}

/// Whether a creator's certificate is past its end by this machine's clock.
pub(crate) fn is_expired(creator: &[u8]) -> bool {
    let creator = SerializedIdentity::decode(creator).unwrap_or_default();
    let Ok((_, block)) = x509_parser::pem::parse_x509_pem(&creator.id_bytes) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&block.contents) else { return false };
    certificate.validity().not_after < ASN1Time::now()
}

/// The MSP id of a creator; empty if it can't be read.
pub(crate) fn msp_id(creator: &[u8]) -> String {
    SerializedIdentity::decode(creator).unwrap_or_default().mspid
}
