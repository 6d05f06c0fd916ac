//! What a hospital alone knows: which of its numbers is which patient, the secrets of its records, and what its tags
//! stand for.
//!
//! None of it goes to the channel. Everything is stored before the transaction that makes it true is
//! submitted, so that a crash at any point loses nothing; a row is settled once its outcome is known.

mod patients;
mod releases;
mod tags;
#[cfg(test)]
mod tests;
mod versions;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caretrail_model::ids::PatientId;
use rusqlite::OptionalExtension as _;

pub use releases::Release;
pub use tags::BlindError;
pub use versions::{Pending, PendingSubject, StoredVersion};

use crate::database::{Bytes, Database, DatabaseError, Schema, ledger_row};
use crate::ledger_name::LedgerName;
use crate::secret::RandomnessError;
use crate::storage_key::StorageKey;
use crate::version::VersionId;

/// Longest hospital number, in bytes.
pub const HOSPITAL_NUMBER_BYTES_MAX: usize = 64;

const SCHEMA: Schema = Schema { application_id: 0x4354_4853, steps: &[NUMBERS_AND_SECRETS, TAGS, ENDS] };

const NUMBERS_AND_SECRETS: &str = "
    CREATE TABLE storage_key (id BLOB NOT NULL) STRICT;
    CREATE TABLE ledgers (
        ledger INTEGER PRIMARY KEY,
        channel TEXT NOT NULL,
        chaincode TEXT NOT NULL,
        UNIQUE (channel, chaincode)
    ) STRICT;
    CREATE TABLE patients (
        ledger INTEGER NOT NULL REFERENCES ledgers,
        number TEXT NOT NULL,
        patient BLOB NOT NULL,
        tx_id BLOB,
        settled INTEGER NOT NULL,
        PRIMARY KEY (ledger, number, patient),
        UNIQUE (ledger, patient)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE versions (
        ledger INTEGER NOT NULL REFERENCES ledgers,
        record BLOB NOT NULL,
        version INTEGER NOT NULL,
        content_commitment BLOB NOT NULL,
        patient BLOB NOT NULL,
        blob_digest BLOB NOT NULL,
        sealed_bytes INTEGER NOT NULL,
        stored_secret BLOB NOT NULL,
        tx_id BLOB,
        settled INTEGER NOT NULL,
        PRIMARY KEY (ledger, record, version, content_commitment)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE releases (
        ledger INTEGER NOT NULL REFERENCES ledgers,
        decision BLOB NOT NULL,
        record BLOB NOT NULL,
        disclosure BLOB NOT NULL,
        recipient_msp TEXT NOT NULL,
        blob_digest BLOB NOT NULL,
        PRIMARY KEY (ledger, decision, record)
    ) STRICT, WITHOUT ROWID;
";

const TAGS: &str = "
    CREATE TABLE tag_keys (
        ledger INTEGER NOT NULL REFERENCES ledgers,
        patient BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        stored_key BLOB NOT NULL,
        PRIMARY KEY (ledger, patient, epoch)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE labels (
        ledger INTEGER NOT NULL REFERENCES ledgers,
        patient BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        tag BLOB NOT NULL,
        stored_label BLOB NOT NULL,
        PRIMARY KEY (ledger, patient, epoch, tag),
        FOREIGN KEY (ledger, patient, epoch) REFERENCES tag_keys
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX versions_by_patient ON versions (ledger, patient);
";

const ENDS: &str = "
    ALTER TABLE releases ADD COLUMN valid_until INTEGER;
";

/// The store of one hospital for one ledger.
#[derive(Debug)]
pub struct HospitalStore {
    database: Mutex<Database>,
    ledger: i64,
    storage_key: StorageKey,
}

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum HospitalError {
    /// The database fails.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A secret is encrypted with fresh random bytes.
    #[error("the secret was not stored")]
    Randomness(#[from] RandomnessError),
    /// The store was written with another storage key.
    #[error("the storage key is not the one of this store: name the key file that the store was made with")]
    OtherStorageKey,
    /// The hospital number is empty, too long, or holds control characters.
    #[error("the hospital number must be 1 to {HOSPITAL_NUMBER_BYTES_MAX} bytes without control characters")]
    NumberMalformed,
    /// The number is another patient's.
    #[error("the hospital number is registered for patient {patient}: use that patient, or another number")]
    NumberTaken {
        /// The patient.
        patient: PatientId,
    },
    /// The patient has another number.
    #[error("patient {patient} is registered under another hospital number: find it by that number")]
    PatientTaken {
        /// The patient.
        patient: PatientId,
    },
    /// A stored tag key or label does not decrypt.
    #[error("a stored tag key or label of patient {patient} is damaged: restore the store from a backup")]
    TagsDamaged {
        /// The patient.
        patient: PatientId,
    },
    /// A stored secret does not decrypt.
    #[error("the stored secret of {id} is damaged: restore the store from a backup")]
    SecretDamaged {
        /// The version.
        id: VersionId,
    },
}

impl HospitalStore {
    /// Opens the store in a file, made with mode 0600 when there is none, for one ledger.
    ///
    /// # Errors
    /// When the database cannot be used, or was made with another storage key.
    pub fn open(path: &Path, storage_key: StorageKey, name: &LedgerName) -> Result<Self, HospitalError> {
        let mut database = Database::open(path, &SCHEMA)?;
        let key_id = *storage_key.id().as_bytes();
        let (known_key, ledger) = database.write(|connection| {
            let known_key = connection
                .query_row("SELECT id FROM storage_key", [], |row| row.get::<_, Bytes<32>>(0))
                .optional()?;
            if known_key.is_none() {
                connection.execute("INSERT INTO storage_key VALUES (?1)", [key_id])?;
            }
            let known_key = known_key.map_or(key_id, |known| known.0);
            Ok((known_key, ledger_row(connection, name)?))
        })?;
        if known_key != key_id {
            return Err(HospitalError::OtherStorageKey);
        }
        Ok(Self { database: Mutex::new(database), ledger, storage_key })
    }

    /// Reads a row, so that a store that does not answer is known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn probe(&self) -> Result<(), HospitalError> {
        self.database()
            .read(|connection| connection.query_row("SELECT count(*) FROM storage_key", [], |_| Ok(())))?;
        Ok(())
    }

    /// A thread that panicked inside a transaction left it rolled back: the database stays usable.
    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
