//! Who a client is.

use std::fmt;
use std::sync::Arc;

use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::Message as _;

use crate::{KeyKind, SignError, Signer};

/// A member of an organisation: the public half of what signs transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Id of the organisation in the channel's configuration, such as `NorthMSP`.
    pub msp_id: String,
    /// The enrolment certificate in PEM, byte for byte as peers shall see it: transaction ids depend on it.
    pub certificate_pem: String,
}

impl Identity {
    /// A transaction's creator as Fabric writes it: the encoding of `msp.SerializedIdentity`.
    pub fn creator(&self) -> Vec<u8> {
        let identity = SerializedIdentity {
            mspid: self.msp_id.clone(),
            id_bytes: self.certificate_pem.clone().into_bytes(),
        };
        identity.encode_to_vec()
    }
}

/// An identity, with the means to sign for it or without.
#[derive(Clone)]
pub struct Credentials {
    identity: Identity,
    /// None for a certificate that can't be read: whether it will do is for the peers to say.
    key_kind: Option<KeyKind>,
    signer: Option<Arc<dyn Signer>>,
}

impl Credentials {
    /// Joins an identity and its signer; [`crate::MspFolder`] checks that they belong together.
    pub fn new(identity: Identity, signer: impl Signer + 'static) -> Self {
        Self { signer: Some(Arc::new(signer)), ..Self::without_signer(identity) }
    }

    /// An identity alone, whose key is elsewhere: what it asks for is signed there, message by message.
    ///
    /// Whatever would have to be signed here fails with [`SignError::is_no_signer`].
    pub fn without_signer(identity: Identity) -> Self {
        Self { key_kind: KeyKind::of_certificate(&identity.certificate_pem), identity, signer: None }
    }

    /// The identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Signs a message that is not a transaction with the identity's key, as [`Signer::sign`] does; the S of an ECDSA
    /// signature is low.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let Some(signer) = &self.signer else { return Err(SignError::no_signer()) };
        let signature = signer.sign(message).await?;
        match self.key_kind {
            Some(kind) => kind.canonical(&signature).ok_or_else(|| {
                SignError::new(format!(
                    "signer gave something else than a signature of the certificate's {kind} key"
                ))
            }),
            None => Ok(signature),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("msp_id", &self.identity.msp_id).finish_non_exhaustive()
    }
}
