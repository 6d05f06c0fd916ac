//! What a hospital alone knows: which of its numbers is which patient, and the secrets of its records.
//!
//! None of it goes to the channel. Everything is stored before the transaction that makes it true is
//! submitted, so that a crash at any point loses nothing; a row is settled once its outcome is known.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caretrail_model::ids::{Digest, MspId, PatientId, RecordId, TxId};
use caretrail_model::record::Commitments;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::database::{Bytes, Database, DatabaseError, Schema};
use crate::ledger_name::LedgerName;
use crate::secret::{RandomnessError, VersionSecret};
use crate::storage_key::{STORED_SECRET_BYTES, StorageKey};
use crate::version::VersionId;

/// Longest hospital number, in bytes.
pub const HOSPITAL_NUMBER_BYTES_MAX: usize = 64;

const SCHEMA: Schema = Schema {
    application_id: 0x4354_4853,
    version: 1,
    tables: "
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
    ",
};

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
    /// A stored secret does not decrypt.
    #[error("the stored secret of {id} is damaged: restore the store from a backup")]
    SecretDamaged {
        /// The version.
        id: VersionId,
    },
}

/// A version as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// Which version.
    pub id: VersionId,
    /// Whose record it is.
    pub patient: PatientId,
    /// What it is held to.
    pub commitments: Commitments,
}

/// Something that was stored and whose transaction's outcome is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What waits.
    pub subject: PendingSubject,
    /// The transaction that was submitted last for it.
    pub tx_id: Option<TxId>,
}

/// What waits for its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingSubject {
    /// A patient's registration.
    Patient(PatientId),
    /// A version.
    Version(StoredVersion),
}

/// A release that is on record, so that its blob may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The transaction that decided.
    pub decision: TxId,
    /// The record.
    pub record: RecordId,
    /// The transaction that put the disclosure on record.
    pub disclosure: TxId,
    /// The recipient's hospital.
    pub recipient_msp: MspId,
    /// The sealed blob that was released.
    pub blob_digest: Digest,
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

    /// Stores which patient a hospital number stands for, before the patient is registered.
    ///
    /// While no registration under a number is settled, several may wait under it: one whose outcome was
    /// unknown, and the one that was made after it. None is lost, whichever comes to the channel.
    ///
    /// # Errors
    /// When the number is malformed or another patient's, or the patient has another one.
    pub fn store_patient(
        &self,
        number: &str,
        patient: &PatientId,
        tx_id: Option<&TxId>,
    ) -> Result<(), HospitalError> {
        let printable = !number.chars().any(char::is_control);
        if number.is_empty() || number.len() > HOSPITAL_NUMBER_BYTES_MAX || !printable {
            return Err(HospitalError::NumberMalformed);
        }
        enum Found {
            Free,
            Number(PatientId),
            Patient,
        }
        let found = self.database().write(|connection| {
            let of_number = connection
                .query_row(
                    "SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2 AND settled = 1",
                    params![self.ledger, number],
                    |row| row.get::<_, Bytes<16>>(0),
                )
                .optional()?;
            if let Some(known) = of_number.map(|known| PatientId::from_bytes(known.0))
                && known != *patient
            {
                return Ok(Found::Number(known));
            }
            let of_patient: Option<String> = connection
                .query_row(
                    "SELECT number FROM patients WHERE ledger = ?1 AND patient = ?2",
                    params![self.ledger, patient.as_bytes()],
                    |row| row.get(0),
                )
                .optional()?;
            if of_patient.is_some_and(|known| known != number) {
                return Ok(Found::Patient);
            }
            connection.execute(
                "INSERT INTO patients VALUES (?1, ?2, ?3, ?4, 0)
                 ON CONFLICT (ledger, patient) DO UPDATE SET tx_id = coalesce(excluded.tx_id, tx_id)",
                params![self.ledger, number, patient.as_bytes(), tx_id.map(TxId::as_bytes)],
            )?;
            Ok(Found::Free)
        })?;
        match found {
            Found::Free => Ok(()),
            Found::Number(patient) => Err(HospitalError::NumberTaken { patient }),
            Found::Patient => Err(HospitalError::PatientTaken { patient: *patient }),
        }
    }

    /// The patients whose registration under a number is not settled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending_patients(&self, number: &str) -> Result<Vec<PatientId>, HospitalError> {
        Ok(self.database().read(|connection| {
            let mut patients = connection
                .prepare("SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2 AND settled = 0")?;
            let patients = patients.query_map(params![self.ledger, number], |row| {
                Ok(PatientId::from_bytes(row.get::<_, Bytes<16>>(0)?.0))
            })?;
            patients.collect()
        })?)
    }

    /// Notes that a patient's registration is on the channel.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle_patient(&self, patient: &PatientId) -> Result<(), HospitalError> {
        self.change("UPDATE patients SET settled = 1 WHERE ledger = ?1 AND patient = ?2", patient)
    }

    /// Forgets a patient whose registration was refused for good; a settled one stays.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_patient(&self, patient: &PatientId) -> Result<(), HospitalError> {
        self.change("DELETE FROM patients WHERE ledger = ?1 AND patient = ?2 AND settled = 0", patient)
    }

    /// The patient of a hospital number; one whose registration is settled before one that waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn patient(&self, number: &str) -> Result<Option<PatientId>, HospitalError> {
        let row = self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2
                     ORDER BY settled DESC LIMIT 1",
                    params![self.ledger, number],
                    |row| row.get::<_, Bytes<16>>(0),
                )
                .optional()
        })?;
        Ok(row.map(|patient| PatientId::from_bytes(patient.0)))
    }

    /// The hospital number of a patient.
    ///
    /// # Errors
    /// When the database fails.
    pub fn number(&self, patient: &PatientId) -> Result<Option<String>, HospitalError> {
        Ok(self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT number FROM patients WHERE ledger = ?1 AND patient = ?2",
                    params![self.ledger, patient.as_bytes()],
                    |row| row.get(0),
                )
                .optional()
        })?)
    }

    /// Stores a version's secret, encrypted, before the version is submitted; on disk when this returns.
    ///
    /// Several sealed documents may wait for the same version number: the channel's commitment says which
    /// one became it.
    ///
    /// # Errors
    /// When the secret cannot be encrypted or the database fails.
    pub fn store_version(
        &self,
        version: &StoredVersion,
        secret: &VersionSecret,
        tx_id: Option<&TxId>,
    ) -> Result<(), HospitalError> {
        let stored_secret = self.storage_key.wrap(&version.id, secret)?;
        let StoredVersion { id, patient, commitments } = version;
        self.database().write(|connection| {
            connection.execute(
                "INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
                 ON CONFLICT DO UPDATE SET tx_id = excluded.tx_id",
                params![
                    self.ledger,
                    id.record.as_bytes(),
                    id.version,
                    commitments.content_commitment.as_bytes(),
                    patient.as_bytes(),
                    commitments.blob_digest.as_bytes(),
                    commitments.sealed_bytes,
                    stored_secret,
                    tx_id.map(TxId::as_bytes),
                ],
            )
        })?;
        Ok(())
    }

    /// Notes that a version is on the channel.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle_version(&self, id: &VersionId, content_commitment: &Digest) -> Result<(), HospitalError> {
        self.change_version("UPDATE versions SET settled = 1", id, content_commitment)
    }

    /// Destroys the secret of a version that was refused for good; a settled one stays.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_version(&self, id: &VersionId, content_commitment: &Digest) -> Result<(), HospitalError> {
        self.change_version("DELETE FROM versions", id, content_commitment)
    }

    /// The secret of the version that the channel holds under this content commitment.
    ///
    /// # Errors
    /// When the database fails, or the stored secret is damaged.
    pub fn secret(
        &self,
        id: &VersionId,
        content_commitment: &Digest,
    ) -> Result<Option<VersionSecret>, HospitalError> {
        let stored = self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT stored_secret FROM versions
                     WHERE ledger = ?1 AND record = ?2 AND version = ?3 AND content_commitment = ?4",
                    params![self.ledger, id.record.as_bytes(), id.version, content_commitment.as_bytes()],
                    |row| row.get::<_, Bytes<STORED_SECRET_BYTES>>(0),
                )
                .optional()
        })?;
        let Some(stored) = stored else { return Ok(None) };
        self.storage_key.unwrap(id, &stored.0).map(Some).map_err(|_| HospitalError::SecretDamaged { id: *id })
    }

    /// Everything whose outcome is not settled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending(&self) -> Result<Vec<Pending>, HospitalError> {
        Ok(self.database().read(|connection| {
            let mut patients = connection
                .prepare("SELECT patient, tx_id FROM patients WHERE ledger = ?1 AND settled = 0")?;
            let patients = patients.query_map([self.ledger], |row| {
                let patient = PatientId::from_bytes(row.get::<_, Bytes<16>>(0)?.0);
                Ok(Pending { subject: PendingSubject::Patient(patient), tx_id: tx_id(row, 1)? })
            })?;
            let mut versions = connection.prepare(
                "SELECT record, version, content_commitment, patient, blob_digest, sealed_bytes, tx_id
                 FROM versions WHERE ledger = ?1 AND settled = 0",
            )?;
            let versions = versions.query_map([self.ledger], |row| {
                let version = stored_version(row)?;
                Ok(Pending { subject: PendingSubject::Version(version), tx_id: tx_id(row, 6)? })
            })?;
            patients.chain(versions).collect()
        })?)
    }

    /// Stores a release whose disclosure is VALID in a block.
    ///
    /// # Errors
    /// When the database fails.
    pub fn store_release(&self, release: &Release) -> Result<(), HospitalError> {
        self.database().write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO releases VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    self.ledger,
                    release.decision.as_bytes(),
                    release.record.as_bytes(),
                    release.disclosure.as_bytes(),
                    release.recipient_msp.as_str(),
                    release.blob_digest.as_bytes(),
                ],
            )
        })?;
        Ok(())
    }

    /// The release of a record under a decision.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(&self, decision: &TxId, record: &RecordId) -> Result<Option<Release>, HospitalError> {
        Ok(self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT disclosure, recipient_msp, blob_digest FROM releases
                     WHERE ledger = ?1 AND decision = ?2 AND record = ?3",
                    params![self.ledger, decision.as_bytes(), record.as_bytes()],
                    |row| {
                        let msp_id: String = row.get(1)?;
                        Ok(Release {
                            decision: *decision,
                            record: *record,
                            disclosure: TxId::from_bytes(row.get::<_, Bytes<32>>(0)?.0),
                            recipient_msp: msp_id.parse().map_err(|error| {
                                rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error))
                            })?,
                            blob_digest: Digest::from_bytes(row.get::<_, Bytes<32>>(2)?.0),
                        })
                    },
                )
                .optional()
        })?)
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

    fn change(&self, statement: &str, patient: &PatientId) -> Result<(), HospitalError> {
        self.database()
            .write(|connection| connection.execute(statement, params![self.ledger, patient.as_bytes()]))?;
        Ok(())
    }

    fn change_version(
        &self,
        what: &str,
        id: &VersionId,
        content_commitment: &Digest,
    ) -> Result<(), HospitalError> {
        let statement = format!(
            "{what} WHERE ledger = ?1 AND record = ?2 AND version = ?3 AND content_commitment = ?4 AND settled = 0"
        );
        self.database().write(|connection| {
            connection.execute(
                &statement,
                params![self.ledger, id.record.as_bytes(), id.version, content_commitment.as_bytes()],
            )
        })?;
        Ok(())
    }

    /// A thread that panicked inside a transaction left it rolled back: the database stays usable.
    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of a ledger, made when there is none.
pub(crate) fn ledger_row(connection: &Connection, name: &LedgerName) -> rusqlite::Result<i64> {
    let key = params![name.channel.as_str(), name.chaincode.as_str()];
    connection.execute("INSERT OR IGNORE INTO ledgers (channel, chaincode) VALUES (?1, ?2)", key)?;
    connection
        .query_row("SELECT ledger FROM ledgers WHERE channel = ?1 AND chaincode = ?2", key, |row| row.get(0))
}

fn tx_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TxId>> {
    Ok(row.get::<_, Option<Bytes<32>>>(column)?.map(|bytes| TxId::from_bytes(bytes.0)))
}

fn stored_version(row: &Row<'_>) -> rusqlite::Result<StoredVersion> {
    Ok(StoredVersion {
        id: VersionId { record: RecordId::from_bytes(row.get::<_, Bytes<16>>(0)?.0), version: row.get(1)? },
        patient: PatientId::from_bytes(row.get::<_, Bytes<16>>(3)?.0),
        commitments: Commitments {
            content_commitment: Digest::from_bytes(row.get::<_, Bytes<32>>(2)?.0),
            blob_digest: Digest::from_bytes(row.get::<_, Bytes<32>>(4)?.0),
            sealed_bytes: row.get(5)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn ledger(chaincode: &str) -> LedgerName {
        LedgerName { channel: "records".parse().unwrap(), chaincode: chaincode.parse().unwrap() }
    }

    fn open(folder: &TempDir, chaincode: &str) -> HospitalStore {
        let key = StorageKey::load_or_create(&folder.path().join("storage.key")).unwrap();
        HospitalStore::open(&folder.path().join("hospital.sqlite"), key, &ledger(chaincode)).unwrap()
    }

    fn patient(byte: u8) -> PatientId {
        PatientId::from_bytes([byte; 16])
    }

    fn version(commitment: u8) -> StoredVersion {
        StoredVersion {
            id: VersionId { record: RecordId::from_bytes([4; 16]), version: 1 },
            patient: patient(1),
            commitments: Commitments {
                content_commitment: Digest::from_bytes([commitment; 32]),
                blob_digest: Digest::from_bytes([6; 32]),
                sealed_bytes: 4132,
            },
        }
    }

    #[test]
    fn a_number_finds_its_patient_again_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        store.store_patient("MRN-0042", &patient(1), None).unwrap();
        store.settle_patient(&patient(1)).unwrap();
        drop(store);

        let store = open(&folder, "caretrail");
        assert_eq!(store.patient("MRN-0042").unwrap(), Some(patient(1)));
        assert_eq!(store.number(&patient(1)).unwrap().as_deref(), Some("MRN-0042"));
        assert_eq!(store.patient("MRN-0043").unwrap(), None);
        assert!(matches!(
            store.store_patient("MRN-0042", &patient(2), None),
            Err(HospitalError::NumberTaken { patient: known }) if known == patient(1)
        ));
        assert!(matches!(
            store.store_patient("MRN-0043", &patient(1), None),
            Err(HospitalError::PatientTaken { .. })
        ));
        store.store_patient("MRN-0042", &patient(1), None).unwrap();
        assert!(store.pending().unwrap().is_empty(), "stored again, it stays settled");
        assert_eq!(open(&folder, "other").patient("MRN-0042").unwrap(), None, "another ledger");
        for malformed in ["", "MRN\n1", &"9".repeat(65)] {
            assert!(matches!(
                store.store_patient(malformed, &patient(3), None),
                Err(HospitalError::NumberMalformed)
            ));
        }
    }

    #[test]
    fn a_refused_registration_frees_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        let tx_id = TxId::from_bytes([8; 32]);
        store.store_patient("MRN-1", &patient(1), Some(&tx_id)).unwrap();
        assert_eq!(
            store.pending().unwrap(),
            [Pending { subject: PendingSubject::Patient(patient(1)), tx_id: Some(tx_id) }]
        );
        store.forget_patient(&patient(1)).unwrap();
        assert_eq!(store.patient("MRN-1").unwrap(), None);
        store.store_patient("MRN-1", &patient(2), None).unwrap();
        store.settle_patient(&patient(2)).unwrap();
        store.forget_patient(&patient(2)).unwrap();
        assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(2)), "a settled one stays");
    }

    #[test]
    fn a_number_waits_for_whichever_registration_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        let tx_id = TxId::from_bytes([8; 32]);
        store.store_patient("MRN-1", &patient(1), Some(&tx_id)).unwrap();
        store.store_patient("MRN-1", &patient(2), None).unwrap();
        assert_eq!(store.pending_patients("MRN-1").unwrap(), [patient(1), patient(2)]);
        store.settle_patient(&patient(1)).unwrap();
        assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(1)));
        assert_eq!(store.pending_patients("MRN-1").unwrap(), [patient(2)]);
        store.forget_patient(&patient(2)).unwrap();
        assert!(matches!(
            store.store_patient("MRN-1", &patient(2), None),
            Err(HospitalError::NumberTaken { patient: known }) if known == patient(1)
        ));
    }

    #[test]
    fn the_commitment_says_which_secret_became_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        let (refused, kept) = (VersionSecret::random().unwrap(), VersionSecret::random().unwrap());
        store.store_version(&version(1), &refused, None).unwrap();
        store.store_version(&version(2), &kept, Some(&TxId::from_bytes([7; 32]))).unwrap();
        assert_eq!(store.pending().unwrap().len(), 2);
        drop(store);

        let store = open(&folder, "caretrail");
        let id = version(1).id;
        store.forget_version(&id, &Digest::from_bytes([1; 32])).unwrap();
        store.settle_version(&id, &Digest::from_bytes([2; 32])).unwrap();
        assert!(store.pending().unwrap().is_empty());
        assert!(store.secret(&id, &Digest::from_bytes([1; 32])).unwrap().is_none());
        let found = store.secret(&id, &Digest::from_bytes([2; 32])).unwrap().unwrap();
        assert_eq!(found.as_bytes(), kept.as_bytes());
        store.forget_version(&id, &Digest::from_bytes([2; 32])).unwrap();
        assert!(store.secret(&id, &Digest::from_bytes([2; 32])).unwrap().is_some(), "a settled one stays");
    }

    #[test]
    fn a_secret_is_never_in_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        let secret = VersionSecret::random().unwrap();
        store.store_version(&version(1), &secret, None).unwrap();
        drop(store);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!content.windows(32).any(|window| window == secret.as_bytes()));
        }
    }

    #[test]
    fn another_storage_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder, "caretrail"));
        let other = StorageKey::load_or_create(&folder.path().join("other.key")).unwrap();
        let opened = HospitalStore::open(&folder.path().join("hospital.sqlite"), other, &ledger("caretrail"));
        assert!(matches!(opened, Err(HospitalError::OtherStorageKey)));
    }

    #[test]
    fn a_release_is_found_by_decision_and_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, "caretrail");
        let release = Release {
            decision: TxId::from_bytes([1; 32]),
            record: RecordId::from_bytes([2; 16]),
            disclosure: TxId::from_bytes([3; 32]),
            recipient_msp: "SouthMSP".parse().unwrap(),
            blob_digest: Digest::from_bytes([4; 32]),
        };
        store.store_release(&release).unwrap();
        store.store_release(&release).unwrap();
        assert_eq!(store.release(&release.decision, &release.record).unwrap(), Some(release.clone()));
        assert_eq!(store.release(&release.disclosure, &release.record).unwrap(), None);
        store.probe().unwrap();
    }
}
