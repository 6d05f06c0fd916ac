//! Statements that are prepared here, signed elsewhere, and carried.
//!
//! What is signed is a statement's exact text. [`prepare`] makes it, [`plain_words`] says what it means, a key file
//! ([`PatientKey::sign_text`](crate::patient_key::PatientKey::sign_text)) or a passkey ([`Assertion::prove`]) signs it,
//! and [`Records::carry`](crate::Records::carry) carries it by whichever call it is for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::hash::sha256;
use caretrail_model::ids::{KeyId, MspId, Nonce, PatientId, StatementId};
use caretrail_model::statement::{
    Operation, Proof, PublicKey, Registration, SignedStatement, Statement, StatementError,
};
use caretrail_model::time::UnixMs;
use caretrail_model::webauthn::RelyingParty;
use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use crate::ledger_name::LedgerName;
use crate::secret::{RandomnessError, random_16};

mod words;

pub use words::{Naming, plain_words, plain_words_naming};

/// A statement that was not prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A statement's id is random.
    #[error("the statement was not prepared")]
    Randomness(#[from] RandomnessError),
    /// It cannot be written as JSON.
    #[error("the statement cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The body is none of the operation.
    #[error("the text is no statement: compare operation and body with the documented format")]
    Malformed,
}

/// The text of a statement, for the key `key` to sign.
///
/// # Errors
/// When there is no randomness.
pub fn prepare(
    ledger: &LedgerName,
    patient: PatientId,
    key: KeyId,
    submit_by: UnixMs,
    operation: Operation,
) -> Result<String, PrepareError> {
    let nonce = Nonce::from_bytes(random_16()?);
    let statement = Statement {
        channel: ledger.channel.clone(),
        chaincode: ledger.chaincode.clone(),
        patient,
        id: StatementId::derive(&patient, &key, &nonce),
        nonce,
        key,
        submit_by,
        operation,
    };
    Ok(statement.to_json()?)
}

/// The text of the registration of a key that is elsewhere, such as a passkey's, for that key to sign and the hospital
/// `home` to carry; with the id that it gives the patient.
///
/// # Errors
/// When there is no randomness.
pub fn prepare_registration(
    ledger: &LedgerName,
    home: &MspId,
    public_key: PublicKey,
    submit_by: UnixMs,
) -> Result<(PatientId, String), PrepareError> {
    let patient_nonce = Nonce::from_bytes(random_16()?);
    let patient = PatientId::derive(home, &public_key.to_sec1_bytes(), &patient_nonce);
    let key = public_key.id();
    let registration = Registration { home: home.clone(), public_key, patient_nonce };
    let text = prepare(ledger, patient, key, submit_by, Operation::RegisterPatient(registration))?;
    Ok((patient, text))
}

/// Reads the text of a statement, without trusting it.
///
/// # Errors
/// When it is none.
pub fn read(text: &str) -> Result<Statement, StatementError> {
    unproven(text.to_owned()).parse()
}

fn unproven(statement: String) -> SignedStatement {
    SignedStatement { statement, proof: Proof::Es256 { signature: String::new() } }
}

/// What an authenticator is asked to sign for the text of a statement: SHA-256 of its bytes, as unpadded base64url.
pub fn challenge(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()).as_bytes())
}

/// What a page gives to `navigator.credentials.get` so that a passkey signs a statement, as JSON that
/// `PublicKeyCredential.parseRequestOptionsFromJSON` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyRequest {
    /// The exact text of the statement.
    pub statement: String,
    /// The options.
    #[serde(rename = "publicKey")]
    pub public_key: RequestOptions,
}

/// WebAuthn's `PublicKeyCredentialRequestOptions`, as far as they are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    /// The [`challenge`] of the statement.
    pub challenge: String,
    /// The relying party: one that the consortium's policy names.
    pub rp_id: String,
    /// `required` where the policy wants users to be verified, else `preferred`.
    pub user_verification: String,
}

impl PasskeyRequest {
    /// Asks for a signature of `statement` by a passkey of a relying party.
    pub fn new(statement: String, relying_party: &RelyingParty, user_verification: bool) -> Self {
        let public_key = RequestOptions {
            challenge: challenge(&statement),
            rp_id: relying_party.to_string(),
            user_verification: if user_verification { "required" } else { "preferred" }.to_owned(),
        };
        Self { statement, public_key }
    }
}

/// What a browser gives for `navigator.credentials.get`, as unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// The authenticator data.
    pub authenticator_data: String,
    /// The client data's JSON. Browsers spell it so.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// The signature, DER.
    pub signature: String,
}

/// An assertion as a browser writes the whole credential: `JSON.stringify(credential)`.
#[derive(Deserialize)]
#[serde(untagged)]
enum AssertionJson {
    Credential { response: Assertion },
    Response(Assertion),
}

/// An assertion that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the assertion's signature is no ECDSA P-256 signature in DER and base64url: ask the browser for ES256"
)]
pub struct AssertionMalformed;

impl Assertion {
    /// Reads an assertion: the credential that `navigator.credentials.get` gave, as JSON, or its `response` alone.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        Ok(match serde_json::from_str(json)? {
            AssertionJson::Credential { response } | AssertionJson::Response(response) => response,
        })
    }

    /// The text with this assertion as its proof; the signature takes the one form that the contract accepts.
    ///
    /// # Errors
    /// When the signature is none of P-256.
    pub fn prove(&self, statement: String) -> Result<SignedStatement, AssertionMalformed> {
        let der = URL_SAFE_NO_PAD.decode(&self.signature).map_err(|_| AssertionMalformed)?;
        let signature = Signature::from_der(&der).map_err(|_| AssertionMalformed)?.normalize_s();
        let proof = Proof::Webauthn {
            authenticator_data: self.authenticator_data.clone(),
            client_data: self.client_data_json.clone(),
            signature: URL_SAFE_NO_PAD.encode(signature.to_bytes()),
        };
        Ok(SignedStatement { statement, proof })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_statement_is_said_to_be_none() {
        assert!(read("{}").is_err());
        let assertion = Assertion {
            authenticator_data: String::new(),
            client_data_json: String::new(),
            signature: "AAAA".to_owned(),
        };
        assert_eq!(assertion.prove(String::new()), Err(AssertionMalformed));
    }

    #[test]
    fn an_assertion_is_read_alone_or_within_its_credential() {
        let alone = r#"{"authenticatorData":"AA","clientDataJSON":"BB","signature":"CC","userHandle":null}"#;
        let whole = format!(r#"{{"id":"x","rawId":"x","type":"public-key","response":{alone}}}"#);
        let expected = Assertion {
            authenticator_data: "AA".to_owned(),
            client_data_json: "BB".to_owned(),
            signature: "CC".to_owned(),
        };
        assert_eq!(Assertion::from_json(alone).unwrap(), expected);
        assert_eq!(Assertion::from_json(&whole).unwrap(), expected);
        assert!(Assertion::from_json("{}").is_err());
    }

    #[test]
    fn a_passkey_is_asked_for_the_digest_of_the_text() {
        let party = "patients.example".parse().unwrap();
        let asked = serde_json::to_value(PasskeyRequest::new("abc".to_owned(), &party, true)).unwrap();
        assert_eq!(
            asked,
            serde_json::json!({
                "statement": "abc",
                // The first test vector of SHA-256 (FIPS 180), as base64url.
                "publicKey": {
                    "challenge": "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
                    "rpId": "patients.example",
                    "userVerification": "required"
                }
            })
        );
    }
}
