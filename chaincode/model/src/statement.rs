//! What a patient signs: exact bytes that are verified, parsed and kept, never serialised again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::consent::Provision;
use crate::ids::{ChaincodeName, ChannelName, Digest, KeyId, MspId, Nonce, PatientId, RecordId, StatementId};
use crate::json::from_one_shape;
use crate::limits::STATEMENT_BYTES_MAX;
use crate::record::Commitments;
use crate::tag::{TagSet, sets_are_well_formed};
use crate::time::{Period, UnixMs};
use crate::webauthn::{Accepted, AssertionError, signed_bytes};

/// The format that a statement names first.
pub const FORMAT: &str = "caretrail-statement/1";

/// A statement: who decides what, where it counts, and until when it can be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The channel it counts on.
    pub channel: ChannelName,
    /// The chaincode it counts in.
    pub chaincode: ChaincodeName,
    /// Who decides.
    pub patient: PatientId,
    /// Its single-use id, derived from patient, key and nonce.
    pub id: StatementId,
    /// What the id is derived with.
    pub nonce: Nonce,
    /// The key that signs.
    pub key: KeyId,
    /// Last instant at which the contract accepts it.
    pub submit_by: UnixMs,
    /// What is decided.
    pub operation: Operation,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($body:ident) = $text:literal;)*) => {
        /// What a statement decides: its `operation` and `body`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Operation {
            $($(#[$doc])* $name($body),)*
        }

        impl Operation {
            /// The name of every operation, in the order above.
            pub const NAMES: &[&str] = &[$($text,)*];

            /// Its name in the text.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// Reads the body of the operation of this name; nothing when it is none.
            pub fn from_body(name: &str, body: &str) -> Option<Self> {
                match name {
                    $($text => from_one_shape(body).ok().map(Self::$name),)*
                    _ => None,
                }
            }

            fn to_body(&self) -> Result<Box<RawValue>, serde_json::Error> {
                match self { $(Self::$name(body) => serde_json::value::to_raw_value(body),)* }
            }
        }
    };
}

operations! {
    /// Binds the patient's first key.
    RegisterPatient(Registration) = "register_patient";
    /// Puts a provision in force.
    GrantConsent(Grant) = "grant_consent";
    /// Ends one.
    EndConsent(Ending) = "end_consent";
    /// Stops every permit, or lifts the stop.
    StopAll(Stop) = "stop_all";
    /// Refuses emergency access, or allows it again.
    RefuseEmergency(EmergencyChoice) = "refuse_emergency";
    /// Binds the first key of a patient who was registered on paper; signed by that key.
    BindKey(NewKey) = "bind_key";
    /// Replaces the key; signed by the one in force.
    RotateKey(NewKey) = "rotate_key";
    /// Asks for a lost key to be replaced; signed by the new one.
    RecoverKey(NewKey) = "recover_key";
    /// Refuses a recovery; signed by the key in force.
    CancelRecovery(Cancellation) = "cancel_recovery";
    /// Appoints a guardian, or renews the term.
    AddGuardian(GuardianTerm) = "add_guardian";
    /// Ends a guardian's term; signed by the patient or that guardian.
    EndGuardian(GuardianEnd) = "end_guardian";
    /// Adds a record of the patient's own.
    RegisterRecord(OwnRecord) = "register_record";
    /// Asks for a correction of a clinician's record.
    RequestCorrection(CorrectionRequest) = "request_correction";
}

/// The JSON text: the body stays raw until its operation is known, so that every level refuses
/// duplicate and unknown fields.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: String,
    channel: ChannelName,
    chaincode: ChaincodeName,
    patient: PatientId,
    id: StatementId,
    nonce: Nonce,
    key: KeyId,
    submit_by: UnixMs,
    operation: String,
    body: Box<RawValue>,
}

impl Statement {
    fn from_json(json: &str) -> Option<Self> {
        let text: Text = serde_json::from_str(json).ok()?;
        if !json.trim_start().starts_with('{') {
            return None;
        }
        if text.format != FORMAT {
            return None;
        }
        let operation = Operation::from_body(&text.operation, text.body.get())?;
        Some(Self {
            channel: text.channel,
            chaincode: text.chaincode,
            patient: text.patient,
            id: text.id,
            nonce: text.nonce,
            key: text.key,
            submit_by: text.submit_by,
            operation,
        })
    }

    /// The text to sign, in the one order that this crate writes; whoever signs it signs these exact bytes.
    ///
    /// # Errors
    /// When the statement cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Text {
            format: FORMAT.to_owned(),
            channel: self.channel.clone(),
            chaincode: self.chaincode.clone(),
            patient: self.patient,
            id: self.id,
            nonce: self.nonce,
            key: self.key,
            submit_by: self.submit_by,
            operation: self.operation.name().to_owned(),
            body: self.operation.to_body()?,
        })
    }
}

/// Body of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The hospital that carries the registration.
    pub home: MspId,
    /// The first key.
    pub public_key: PublicKey,
    /// What the patient id is derived with.
    pub patient_nonce: Nonce,
}

/// Body of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What is put in force.
    pub provision: Provision,
    /// The live consent that it replaces, in the same transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<StatementId>,
}

/// Body of an ending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// The live consent that ends.
    pub consent: StatementId,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

bodies! {
    /// Body of a stop.
    Stop {
        /// Whether everything is stopped.
        stopped: bool,
    }
    /// Body of a choice about emergency access.
    EmergencyChoice {
        /// Whether it is refused.
        refused: bool,
    }
    /// Body of a binding, a rotation or a recovery.
    NewKey {
        /// The new key.
        public_key: PublicKey,
    }
    /// Body of a cancellation.
    Cancellation {
        /// The recovery that is refused: the statement of its new key.
        recovery: StatementId,
    }
    /// Body of an appointment.
    GuardianTerm {
        /// The guardian's key.
        public_key: PublicKey,
        /// When the guardian decides; it ends with a calendar quarter (UTC).
        term: Period,
        /// Records that the guardian's permits never hold for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        protected: Vec<TagSet>,
    }
    /// Body of the end of a guardian's term.
    GuardianEnd {
        /// The guardian's key.
        guardian: KeyId,
    }
    /// Body of a record that the patient adds.
    OwnRecord {
        /// The record, derived from the signing key, the patient and the nonce.
        record: RecordId,
        /// What its id is derived with.
        record_nonce: Nonce,
        /// The hospital that keeps it, and carries this.
        custodian: MspId,
        /// What version 1 is held to.
        commitments: Commitments,
    }
    /// Body of a correction request.
    CorrectionRequest {
        /// The record.
        record: RecordId,
        /// The version that is to be corrected.
        version: u64,
        /// SHA-256 of what is to be corrected.
        request_digest: Digest,
    }
}

impl GuardianTerm {
    /// Whether the term holds an instant, ends with a quarter, and its protected tags are within bounds.
    pub fn is_well_formed(&self) -> bool {
        !self.term.is_empty()
            && self.term.until.is_quarter_start()
            && (self.protected.is_empty() || sets_are_well_formed(&self.protected))
    }
}

/// A statement's exact text with the proof of its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The exact text that was signed, at most 16 KiB of UTF-8.
    pub statement: String,
    /// Who signed it.
    pub proof: Proof,
}

/// How a statement's author is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// ECDSA P-256 over SHA-256 of the text (RFC 7518 ES256), low S.
    Es256 {
        /// r ‖ s, 64 bytes, unpadded base64url.
        signature: String,
    },
    /// A WebAuthn assertion with ES256, whose challenge is the SHA-256 of the text; see [`webauthn`](crate::webauthn).
    Webauthn {
        /// The authenticator data, unpadded base64url.
        authenticator_data: String,
        /// The client data's exact JSON, unpadded base64url.
        client_data: String,
        /// r ‖ s, 64 bytes, unpadded base64url, low S: converted from the authenticator's DER by whoever carries it.
        signature: String,
    },
}

/// A statement that is not what a patient signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The text is longer than the limit.
    #[error("the statement is longer than {STATEMENT_BYTES_MAX} bytes")]
    TooLong,
    /// The text is not a statement of a known format.
    #[error("the statement's text is not a `{FORMAT}`")]
    Malformed,
    /// The id is not the one that patient, key and nonce give.
    #[error("the statement's id does not follow from its patient, key and nonce")]
    ForeignId,
    /// The signature is not 64 bytes of base64url, or has a high S.
    #[error("the signature is not 64 bytes of unpadded base64url with a low S")]
    MalformedSignature,
    /// The signature is not by the named key, or not over this text.
    #[error("the signature was not made by the patient's key over this text")]
    WrongSignature,
    /// The WebAuthn assertion does not count.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
}

impl SignedStatement {
    /// Parses the text without trusting it: [`verify`](Self::verify) says who signed it.
    ///
    /// # Errors
    /// When the text is no statement, or its id is not its own.
    pub fn parse(&self) -> Result<Statement, StatementError> {
        if self.statement.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::TooLong);
        }
        let statement = Statement::from_json(&self.statement).ok_or(StatementError::Malformed)?;
        if statement.id != StatementId::derive(&statement.patient, &statement.key, &statement.nonce) {
            return Err(StatementError::ForeignId);
        }
        Ok(statement)
    }

    /// Checks an ES256 proof over the exact text with `key`, and returns what the text says. No WebAuthn
    /// assertion counts here: [`verify_with`](Self::verify_with) says which do.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse); a key that the statement does not name; a wrong signature.
    pub fn verify(&self, key: &PublicKey) -> Result<Statement, StatementError> {
        self.verify_with(key, &Accepted::default())
    }

    /// Checks the proof over the exact text with `key`, and returns what the text says.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify); an assertion that is not `accepted`.
    pub fn verify_with(&self, key: &PublicKey, accepted: &Accepted<'_>) -> Result<Statement, StatementError> {
        let statement = self.parse()?;
        if statement.key != key.id() {
            return Err(StatementError::WrongSignature);
        }
        match &self.proof {
            Proof::Es256 { signature } => verify_es256(key, self.statement.as_bytes(), signature)?,
            Proof::Webauthn { authenticator_data, client_data, signature } => {
                let signed =
                    signed_bytes(self.statement.as_bytes(), authenticator_data, client_data, accepted)?;
                verify_es256(key, &signed, signature)?;
            }
        }
        Ok(statement)
    }

    /// Signs the statement's JSON text; the same text is carried and kept.
    ///
    /// # Errors
    /// When the statement cannot be written as JSON.
    pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Self, serde_json::Error> {
        Ok(Self::sign_text(statement.to_json()?, key))
    }

    /// Signs a text as it is.
    pub fn sign_text(text: String, key: &SigningKey) -> Self {
        let signature: Signature = key.sign(text.as_bytes());
        Self {
            statement: text,
            proof: Proof::Es256 { signature: URL_SAFE_NO_PAD.encode(signature.normalize_s().to_bytes()) },
        }
    }
}

fn verify_es256(key: &PublicKey, message: &[u8], signature: &str) -> Result<(), StatementError> {
    let bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| StatementError::MalformedSignature)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| StatementError::MalformedSignature)?;
    if signature.normalize_s() != signature {
        return Err(StatementError::MalformedSignature);
    }
    key.0.verify(message, &signature).map_err(|_| StatementError::WrongSignature)
}

/// A patient's P-256 public key: uncompressed SEC1, 65 bytes, unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key, uncompressed SEC1: 65 bytes.
    pub fn to_sec1_bytes(&self) -> Vec<u8> {
        self.0.to_sec1_point(false).as_bytes().to_vec()
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        KeyId::derive(&self.to_sec1_bytes())
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.to_sec1_bytes()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let refused = || serde::de::Error::custom("not an uncompressed P-256 point in unpadded base64url");
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| refused())?;
        if bytes.len() != 65 {
            return Err(refused());
        }
        VerifyingKey::from_sec1_bytes(&bytes).map(Self).map_err(|_| refused())
    }
}

impl JsonSchema for PublicKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{87}$",
            "description": "P-256 point, uncompressed SEC1, unpadded base64url"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let mut secret = [0; 32];
        loop {
            getrandom::fill(&mut secret).unwrap();
            if let Ok(key) = SigningKey::from_slice(&secret) {
                return key;
            }
        }
    }

    fn statement(key: &PublicKey) -> Statement {
        let nonce = Nonce::from_bytes([5; 16]);
        let patient = PatientId::from_bytes([1; 16]);
        Statement {
            channel: "records".parse().unwrap(),
            chaincode: "caretrail".parse().unwrap(),
            patient,
            id: StatementId::derive(&patient, &key.id(), &nonce),
            nonce,
            key: key.id(),
            submit_by: UnixMs::new(1_000).unwrap(),
            operation: Operation::EndConsent(Ending { consent: StatementId::from_bytes([9; 16]) }),
        }
    }

    #[test]
    fn a_signed_statement_says_what_was_signed() {
        let signing = key();
        let public = PublicKey::from(*signing.verifying_key());
        let signed = SignedStatement::sign(&statement(&public), &signing).unwrap();
        assert_eq!(signed.verify(&public), Ok(statement(&public)));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let signing = key();
        let public = PublicKey::from(*signing.verifying_key());
        let signed = SignedStatement::sign(&statement(&public), &signing).unwrap();
        for at in 0..signed.statement.len() {
            let mut bytes = signed.statement.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let changed = SignedStatement { statement: text, ..signed.clone() };
            assert!(changed.verify(&public).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_key_and_a_high_s_are_refused() {
        let signing = key();
        let public = PublicKey::from(*signing.verifying_key());
        let signed = SignedStatement::sign(&statement(&public), &signing).unwrap();
        let other = PublicKey::from(*key().verifying_key());
        assert_eq!(signed.verify(&other), Err(StatementError::WrongSignature));

        let Proof::Es256 { signature } = &signed.proof else { panic!("another proof") };
        let low = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let high = Signature::from_scalars(*low.r(), -*low.s()).unwrap();
        let forged = SignedStatement {
            proof: Proof::Es256 { signature: URL_SAFE_NO_PAD.encode(high.to_bytes()) },
            ..signed
        };
        assert_eq!(forged.verify(&public), Err(StatementError::MalformedSignature));
    }

    #[test]
    fn duplicate_and_unknown_fields_are_refused_at_every_level() {
        let public = PublicKey::from(*key().verifying_key());
        let text = statement(&public).to_json().unwrap();
        assert!(Statement::from_json(&text).is_some());
        for (from, to) in [
            ("{\"format\"", "{\"extra\":1,\"format\""),
            ("{\"format\"", "{\"format\":\"caretrail-statement/1\",\"format\""),
            ("\"body\":{", "\"body\":{\"extra\":1,"),
            ("\"body\":{", "\"body\":{\"consent\":\"00000000000000000000000000000000\","),
            ("end_consent", "endconsent"),
        ] {
            let spoiled = text.replacen(from, to, 1);
            assert_ne!(spoiled, text);
            assert!(Statement::from_json(&spoiled).is_none(), "{spoiled}");
        }
    }
}
