//! A patient's own key, and the statements that it signs.

use std::fmt;
use std::path::Path;

use caretrail_model::ids::{KeyId, MspId, Nonce, PatientId, StatementId};
use caretrail_model::statement::{
    Ending, Grant, Operation, PublicKey, Registration, SignedStatement, Statement, StatementError,
};
use caretrail_model::time::UnixMs;
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};

use crate::disk::{KeyFileError, create_key_file, read_key_file};
use crate::ledger_name::LedgerName;
use crate::secret::{RandomnessError, random_16};

/// A patient's P-256 private key, in a file that only the patient reads.
#[derive(Clone)]
pub struct PatientKey {
    key: SigningKey,
    public_key: PublicKey,
}

/// A patient's key that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PatientKeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// There is no key without randomness.
    #[error("no patient key was made")]
    Randomness(#[from] RandomnessError),
}

/// A statement that was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignStatementError {
    /// A statement's id is random.
    #[error("the statement was not signed")]
    Randomness(#[from] RandomnessError),
    /// It cannot be written as JSON.
    #[error("the statement cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A text that was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignTextError {
    /// It is no statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It was prepared for another key.
    #[error(
        "the statement was prepared for key {key}: sign it with that key, or prepare it anew for this one"
    )]
    OtherKey {
        /// The key that it names.
        key: KeyId,
    },
}

/// A statement, signed, with the id that its patient has by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRegistration {
    /// The id that the registration gives the patient.
    pub patient: PatientId,
    /// The statement, for a hospital to carry.
    pub signed: SignedStatement,
}

impl PatientKey {
    /// Makes a key and writes it to a new file: PKCS#8 PEM, mode 0600.
    ///
    /// # Errors
    /// When there is a file already, or it cannot be written.
    pub fn generate(path: &Path) -> Result<Self, PatientKeyError> {
        let secret = SecretKey::try_generate().map_err(RandomnessError::from)?;
        let malformed = || KeyFileError::Malformed { path: path.to_owned(), expected: EXPECTED };
        let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(|_| malformed())?;
        create_key_file(path, pem.as_bytes())?;
        Ok(Self::from(&secret))
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// When it cannot be read, is exposed to others, or holds no P-256 key.
    pub fn load(path: &Path) -> Result<Self, PatientKeyError> {
        let content = read_key_file(path)?;
        let secret = std::str::from_utf8(&content)
            .ok()
            .and_then(|pem| SecretKey::from_pkcs8_pem(pem).ok())
            .ok_or_else(|| KeyFileError::Malformed { path: path.to_owned(), expected: EXPECTED })?;
        Ok(Self::from(&secret))
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs the registration of this key as the patient's first, for the hospital `home` to carry.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn register(
        &self,
        ledger: &LedgerName,
        home: &MspId,
        submit_by: UnixMs,
    ) -> Result<SignedRegistration, SignStatementError> {
        let patient_nonce = Nonce::from_bytes(random_16()?);
        let patient = PatientId::derive(home, &self.public_key.to_sec1_bytes(), &patient_nonce);
        let registration =
            Registration { home: home.clone(), public_key: self.public_key.clone(), patient_nonce };
        let signed = self.sign(ledger, patient, submit_by, Operation::RegisterPatient(registration))?;
        Ok(SignedRegistration { patient, signed })
    }

    /// Signs a grant.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn grant(
        &self,
        ledger: &LedgerName,
        patient: PatientId,
        grant: Grant,
        submit_by: UnixMs,
    ) -> Result<SignedStatement, SignStatementError> {
        self.sign(ledger, patient, submit_by, Operation::GrantConsent(grant))
    }

    /// Signs the end of a live consent.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn end(
        &self,
        ledger: &LedgerName,
        patient: PatientId,
        consent: StatementId,
        submit_by: UnixMs,
    ) -> Result<SignedStatement, SignStatementError> {
        self.sign(ledger, patient, submit_by, Operation::EndConsent(Ending { consent }))
    }

    /// Signs the exact text of a statement that was prepared for this key.
    ///
    /// # Errors
    /// When the text is no statement, or names another key.
    pub fn sign_text(&self, text: &str) -> Result<SignedStatement, SignTextError> {
        let statement = crate::statements::read(text)?;
        if statement.key != self.public_key.id() {
            return Err(SignTextError::OtherKey { key: statement.key });
        }
        Ok(SignedStatement::sign_text(text.to_owned(), &self.key))
    }

    /// Signs any operation.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(
        &self,
        ledger: &LedgerName,
        patient: PatientId,
        submit_by: UnixMs,
        operation: Operation,
    ) -> Result<SignedStatement, SignStatementError> {
        let nonce = Nonce::from_bytes(random_16()?);
        let key = self.public_key.id();
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
        Ok(SignedStatement::sign(&statement, &self.key)?)
    }
}

const EXPECTED: &str = "a P-256 private key in PKCS#8 PEM";

impl From<&SecretKey> for PatientKey {
    fn from(secret: &SecretKey) -> Self {
        let key = SigningKey::from(secret);
        Self { public_key: PublicKey::from(*key.verifying_key()), key }
    }
}

impl fmt::Debug for PatientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientKey").field("id", &self.public_key.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn ledger() -> LedgerName {
        LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() }
    }

    #[test]
    fn a_key_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patient.key");
        let key = PatientKey::generate(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(
            PatientKey::generate(&path),
            Err(PatientKeyError::File(KeyFileError::Exists { .. }))
        ));
        assert_eq!(PatientKey::load(&path).unwrap().public_key(), key.public_key());

        let other = folder.path().join("other.key");
        create_key_file(&other, b"-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(matches!(
            PatientKey::load(&other),
            Err(PatientKeyError::File(KeyFileError::Malformed { .. }))
        ));
        assert!(!format!("{key:?}").contains("SigningKey"));
    }

    #[test]
    fn statements_verify_and_are_each_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let key = PatientKey::generate(&folder.path().join("patient.key")).unwrap();
        let home: MspId = "NorthMSP".parse().unwrap();
        let submit_by = UnixMs::new(5_000).unwrap();
        let registered = key.register(&ledger(), &home, submit_by).unwrap();
        let statement = registered.signed.verify(key.public_key()).unwrap();
        assert_eq!(statement.patient, registered.patient);
        let Operation::RegisterPatient(body) = statement.operation else { panic!("not a registration") };
        let derived = PatientId::derive(&home, &body.public_key.to_sec1_bytes(), &body.patient_nonce);
        assert_eq!(derived, registered.patient);

        let consent = StatementId::from_bytes([3; 16]);
        let ends: Vec<_> = (0..2)
            .map(|_| key.end(&ledger(), registered.patient, consent, submit_by).unwrap())
            .map(|signed| signed.verify(key.public_key()).unwrap().id)
            .collect();
        assert_ne!(ends[0], ends[1]);

        let ending = Operation::EndConsent(Ending { consent });
        let key_id = key.public_key().id();
        let text =
            crate::statements::prepare(&ledger(), registered.patient, key_id, submit_by, ending).unwrap();
        assert!(key.sign_text(&text).unwrap().verify(key.public_key()).is_ok());
        let other = PatientKey::generate(&folder.path().join("other.key")).unwrap();
        assert!(matches!(other.sign_text(&text), Err(SignTextError::OtherKey { key }) if key == key_id));
    }
}
