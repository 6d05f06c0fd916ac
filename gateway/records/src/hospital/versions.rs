//! Sealed versions, their secrets, and everything that waits for its outcome.

use caretrail_model::ids::{Digest, PatientId, RecordId, TxId};
use caretrail_model::record::Commitments;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{HospitalError, HospitalStore};
use crate::database::Bytes;
use crate::secret::VersionSecret;
use crate::storage_key::STORED_SECRET_BYTES;
use crate::version::VersionId;

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

impl HospitalStore {
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
