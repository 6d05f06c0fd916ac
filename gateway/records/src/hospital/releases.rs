//! Releases that are on record.

use caretrail_model::ids::{Digest, MspId, RecordId, TxId};
use caretrail_model::time::UnixMs;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, params};

use super::{HospitalError, HospitalStore};
use crate::database::Bytes;

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
    /// First instant at which the permit can no longer be used.
    pub valid_until: UnixMs,
}

impl HospitalStore {
    /// Stores a release whose disclosure is VALID in a block.
    ///
    /// # Errors
    /// When the database fails.
    pub fn store_release(&self, release: &Release) -> Result<(), HospitalError> {
        self.database().write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO releases VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    self.ledger,
                    release.decision.as_bytes(),
                    release.record.as_bytes(),
                    release.disclosure.as_bytes(),
                    release.recipient_msp.as_str(),
                    release.blob_digest.as_bytes(),
                    release.valid_until.get(),
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
                    "SELECT disclosure, recipient_msp, blob_digest, valid_until FROM releases
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
                            // Of one that an earlier program stored, nobody noted it: it is over.
                            valid_until: row
                                .get::<_, Option<u64>>(3)?
                                .and_then(UnixMs::new)
                                .unwrap_or(UnixMs::EPOCH),
                        })
                    },
                )
                .optional()
        })?)
    }
}
