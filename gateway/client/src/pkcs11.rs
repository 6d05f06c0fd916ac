//! Keys in hardware, by PKCS#11.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::{KeyKind, SignError, Signer};

/// A PKCS#11 module, loaded and initialised: the library that its vendor delivers with the hardware.
///
/// One per process and module is enough; clones share it.
///
/// ```no_run
/// # fn signer(identity: hlf_gateway::Identity, pin: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use hlf_gateway::{Credentials, Hsm, HsmKey};
///
/// let hsm = Hsm::load("/usr/lib/softhsm/libsofthsm2.so")?;
/// let signer = hsm.signer("north", pin, HsmKey::Label("user1"))?;
/// let credentials = Credentials::new(identity, signer);
/// # let _ = credentials;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hsm {
    module: PathBuf,
    pkcs11: Pkcs11,
}

/// Which private key of a token signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HsmKey<'a> {
    /// The key with this identifier (`CKA_ID`).
    Id(&'a [u8]),
    /// The key with this label (`CKA_LABEL`).
    Label(&'a str),
}

/// A private key that stays in its token; one session, which signs one message at a time.
///
/// Signs on Tokio's threads for blocking work, so it must be used within a Tokio runtime.
pub struct HsmSigner {
    session: Arc<Mutex<Session>>,
    key: ObjectHandle,
    kind: KeyKind,
}

/// Why a token gives no signer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HsmError {
    /// The module can't be loaded or initialised.
    #[error("PKCS#11 module `{}` can't be used: check that the path is the vendor's library", module.display())]
    Module {
        /// The module's path.
        module: PathBuf,
        /// What the library or the loader says.
        source: TokenError,
    },
    /// No token has the label.
    #[error("no token is labelled `{label}`: there are {}", known(present))]
    NoToken {
        /// The label that was asked for.
        label: String,
        /// Labels of the tokens that are there.
        present: Vec<String>,
    },
    /// The token refuses the PIN.
    #[error("token `{label}` refuses the PIN: check it before the token locks itself")]
    Pin {
        /// The token's label.
        label: String,
        /// What the token says.
        source: TokenError,
    },
    /// The token has no such private key.
    #[error("token `{label}` has no such private key: check the key's id or label")]
    NoKey {
        /// The token's label.
        label: String,
    },
    /// The key is of a kind that peers do not accept.
    #[error("the key in token `{label}` is not P-256, P-384 or Ed25519")]
    Unsupported {
        /// The token's label.
        label: String,
    },
    /// The token fails.
    #[error("token `{label}` failed")]
    Token {
        /// The token's label.
        label: String,
        /// What the token says.
        source: TokenError,
    },
}

impl Hsm {
    /// Loads and initialises a module; one that this process has initialised before will do.
    pub fn load(module: impl AsRef<Path>) -> Result<Self, HsmError> {
        let module = module.as_ref().to_owned();
        let failed = |source| HsmError::Module { module: module.clone(), source };
        let pkcs11 = Pkcs11::new(&module).map_err(failed)?;
        match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                Ok(Self { module, pkcs11 })
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Logs into the token with this label, as its user, and finds the key.
    pub fn signer(&self, token: &str, pin: &str, key: HsmKey<'_>) -> Result<HsmSigner, HsmError> {
        let label = || token.to_owned();
        let failed = |source| HsmError::Token { label: label(), source };
        let mut present = Vec::new();
        let mut slot = None;
        for candidate in self.pkcs11.get_slots_with_token().map_err(failed)? {
            let info = self.pkcs11.get_token_info(candidate).map_err(failed)?;
            if info.label() == token {
                slot = Some(candidate);
                break;
            }
            present.push(info.label().to_owned());
        }
        let Some(slot) = slot else { return Err(HsmError::NoToken { label: label(), present }) };

        let session = self.pkcs11.open_ro_session(slot).map_err(failed)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            // Sessions of one process share their login.
            Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(source) => return Err(HsmError::Pin { label: label(), source }),
        }
        let wanted = match key {
            HsmKey::Id(id) => Attribute::Id(id.to_vec()),
            HsmKey::Label(label) => Attribute::Label(label.as_bytes().to_vec()),
        };
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), wanted];
        let found = session.find_objects(&template).map_err(failed)?;
        let Some(key) = found.first().copied() else { return Err(HsmError::NoKey { label: label() }) };
        let attributes = session.get_attributes(key, &[AttributeType::EcParams]).map_err(failed)?;
        let kind = attributes.iter().find_map(|attribute| match attribute {
            Attribute::EcParams(parameters) => kind(parameters),
            _ => None,
        });
        let Some(kind) = kind else { return Err(HsmError::Unsupported { label: label() }) };
        Ok(HsmSigner { session: Arc::new(Mutex::new(session)), key, kind })
    }
}

impl HsmSigner {
    /// The key's kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
}

impl Signer for HsmSigner {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let (session, key, kind) = (Arc::clone(&self.session), self.key, self.kind);
        let data = match kind {
            KeyKind::P256 | KeyKind::P384 => Sha256::digest(message).to_vec(),
            KeyKind::Ed25519 => message.to_vec(),
        };
        Box::pin(async move {
            let signed = tokio::task::spawn_blocking(move || {
                let mechanism = match kind {
                    KeyKind::P256 | KeyKind::P384 => Mechanism::Ecdsa,
                    KeyKind::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
                };
                // A panic elsewhere leaves the token's own state as it was.
                session.lock().unwrap_or_else(PoisonError::into_inner).sign(&mechanism, key, &data)
            });
            let signature = signed.await.map_err(SignError::new)?.map_err(SignError::new)?;
            kind.canonical(&signature)
                .ok_or_else(|| SignError::new(format!("token gave something else than a {kind} signature")))
        })
    }
}

impl fmt::Debug for Hsm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hsm").field("module", &self.module).finish_non_exhaustive()
    }
}

impl fmt::Debug for HsmSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HsmSigner").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The kind that a key's curve parameters in DER tell: the curve's OID, or for Ed25519 its name.
fn kind(parameters: &[u8]) -> Option<KeyKind> {
    match parameters {
        b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07" => Some(KeyKind::P256),
        b"\x06\x05\x2b\x81\x04\x00\x22" => Some(KeyKind::P384),
        b"\x06\x03\x2b\x65\x70" | b"\x13\x0cedwards25519" => Some(KeyKind::Ed25519),
        _ => None,
    }
}

fn known(labels: &[String]) -> String {
    if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
}
