//! Signing with an identity's private key.

use std::error::Error;
use std::fmt;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

/// Signs what a transaction's stages put before it.
///
/// Asynchronous, so that a key may live in another process or in hardware. [`crate::KeySigner`] signs with a key in
/// memory, [`Callback`] by a closure, and `HsmSigner` (feature `pkcs11`) in hardware.
///
/// An ECDSA signature is over the SHA-256 digest of the message, in DER or as its two numbers of fixed size; its S is
/// brought low by [`crate::Credentials`], for peers refuse high S. An Ed25519 signature is over the message.
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

    /// Whether there is no signer at all: the credentials are an identity alone.
    pub fn is_no_signer(&self) -> bool {
        self.0.is::<NoSigner>()
    }

    pub(crate) fn no_signer() -> Self {
        Self::new(NoSigner)
    }
}

/// Credentials without the means to sign.
#[derive(Debug, thiserror::Error)]
#[error("no signer: these credentials are an identity alone; sign elsewhere, and attach the signature")]
struct NoSigner;

/// A signer that is a closure, such as one that asks a key service.
///
/// ```
/// use hlf_gateway::{Callback, SignError};
///
/// async fn ask_key_service(digest: [u8; 32]) -> Result<Vec<u8>, std::io::Error> {
///     # let _ = digest;
///     Err(std::io::ErrorKind::Unsupported.into())
/// }
///
/// let signer = Callback::digest_async(|digest| async move {
///     ask_key_service(digest).await.map_err(SignError::new)
/// });
/// # let _ = signer;
/// ```
pub struct Callback {
    call: Call,
}

type Signature<'a> = BoxFuture<'a, Result<Vec<u8>, SignError>>;
type Call = Box<dyn for<'a> Fn(&'a [u8]) -> Signature<'a> + Send + Sync>;

impl Callback {
    /// Signs whole messages at once.
    pub fn message(sign: impl Fn(&[u8]) -> Result<Vec<u8>, SignError> + Send + Sync + 'static) -> Self {
        Self { call: Box::new(move |message| std::future::ready(sign(message)).boxed()) }
    }

    /// Signs whole messages, and may take its time.
    pub fn message_async<F, R>(sign: F) -> Self
    where
        F: Fn(Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<u8>, SignError>> + Send + 'static,
    {
        Self { call: Box::new(move |message| sign(message.to_vec()).boxed()) }
    }

    /// Signs SHA-256 digests at once; not for Ed25519, which signs messages.
    pub fn digest(sign: impl Fn([u8; 32]) -> Result<Vec<u8>, SignError> + Send + Sync + 'static) -> Self {
        Self {
            call: Box::new(move |message| std::future::ready(sign(Sha256::digest(message).into())).boxed()),
        }
    }

    /// Signs SHA-256 digests, and may take its time; not for Ed25519, which signs messages.
    pub fn digest_async<F, R>(sign: F) -> Self
    where
        F: Fn([u8; 32]) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<u8>, SignError>> + Send + 'static,
    {
        Self { call: Box::new(move |message| sign(Sha256::digest(message).into()).boxed()) }
    }
}

impl Signer for Callback {
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        (self.call)(message)
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Callback").finish_non_exhaustive()
    }
}
