//! Tag keys, and the labels that tags stand for: encrypted here, and nowhere else at all.

use std::time::{SystemTime, UNIX_EPOCH};

use caretrail_model::hash::{Domain, framed};
use caretrail_model::ids::{MspId, PatientId, RecordId, Tag};
use caretrail_model::label::{Label, filler};
use caretrail_model::limits::{LABEL_BYTES_MAX, TAGS_PER_RECORD, TAGS_PER_SET_MAX};
use caretrail_model::tag::{RecordTags, TagSet};
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{HospitalError, HospitalStore};
use crate::database::Bytes;
use crate::secret::fill_random;
use crate::storage_key::StorageKey;

/// Labels that were not blinded.
#[derive(Debug, thiserror::Error)]
pub enum BlindError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] HospitalError),
    /// A record has room for eight tags.
    #[error("a record takes at most {TAGS_PER_RECORD} labels: name fewer")]
    TooMany,
    /// A scope names one to 32 labels of a custodian.
    #[error("name 1 to {TAGS_PER_SET_MAX} labels")]
    SetSize,
    /// The tags of a record are of a key that is not in this store.
    #[error(
        "the labels of record {record} were blinded with a key that this store does not have: name all of its labels anew"
    )]
    KeyUnknown {
        /// The record.
        record: RecordId,
    },
}

/// The secret that blinds the labels of one patient in one epoch.
struct TagKey {
    epoch: u32,
    key: Zeroizing<[u8; 32]>,
}

impl HospitalStore {
    /// The tags of a record with these labels, filled up to eight; the patient's first use makes the tag key.
    ///
    /// # Errors
    /// When there are more than eight, or the store fails.
    pub fn record_tags(
        &self,
        custodian: &MspId,
        patient: &PatientId,
        record: &RecordId,
        labels: &[Label],
    ) -> Result<RecordTags, BlindError> {
        let (TagKey { epoch, key }, mut tags) = self.blind(patient, labels)?;
        if tags.len() > TAGS_PER_RECORD {
            return Err(BlindError::TooMany);
        }
        for number in 0..u8::MAX {
            if tags.len() == TAGS_PER_RECORD {
                break;
            }
            // One that is there already is passed by.
            tags.push(filler(&key, record, number));
            tags.sort_unstable();
            tags.dedup();
        }
        Ok(RecordTags { custodian: custodian.clone(), epoch, tags })
    }

    /// The labels, blinded for a patient's statement about the records that this hospital keeps.
    ///
    /// # Errors
    /// When there is none or more than 32, or the store fails.
    pub fn tag_set(
        &self,
        custodian: &MspId,
        patient: &PatientId,
        labels: &[Label],
    ) -> Result<TagSet, BlindError> {
        if labels.is_empty() || labels.len() > TAGS_PER_SET_MAX {
            return Err(BlindError::SetSize);
        }
        let (TagKey { epoch, .. }, tags) = self.blind(patient, labels)?;
        Ok(TagSet { custodian: custodian.clone(), epoch, tags })
    }

    /// Makes a new tag key for a patient, and gives its epoch. Tags of earlier epochs can no longer be compared with
    /// those that are made from now on.
    ///
    /// # Errors
    /// When the store fails.
    pub fn rotate_tag_key(&self, patient: &PatientId) -> Result<u32, HospitalError> {
        Ok(self.new_tag_key(patient, true)?.epoch)
    }

    /// The epoch of a patient's newest tag key; none before the first label.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tag_epoch(&self, patient: &PatientId) -> Result<Option<u32>, HospitalError> {
        Ok(self.database().read(|connection| {
            connection.query_row(
                "SELECT max(epoch) FROM tag_keys WHERE ledger = ?1 AND patient = ?2",
                params![self.ledger, patient.as_bytes()],
                |row| row.get(0),
            )
        })?)
    }

    /// Whether this store has the key of an epoch, and so knows what its tags stand for.
    ///
    /// # Errors
    /// When the database fails.
    pub fn knows_tags_of(&self, patient: &PatientId, epoch: u32) -> Result<bool, HospitalError> {
        Ok(self.database().read(|connection| {
            connection.query_row(
                "SELECT count(*) FROM tag_keys WHERE ledger = ?1 AND patient = ?2 AND epoch = ?3",
                params![self.ledger, patient.as_bytes(), epoch],
                |row| row.get::<_, i64>(0),
            )
        })? > 0)
    }

    /// The label that a tag of this hospital stands for; none when it stands for none or for one that was blinded
    /// elsewhere.
    ///
    /// # Errors
    /// When the database fails or the stored label is damaged.
    pub fn label(&self, patient: &PatientId, epoch: u32, tag: &Tag) -> Result<Option<Label>, HospitalError> {
        let stored = self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT stored_label FROM labels WHERE ledger = ?1 AND patient = ?2 AND epoch = ?3 AND tag = ?4",
                    params![self.ledger, patient.as_bytes(), epoch, tag.as_bytes()],
                    |row| row.get::<_, Vec<u8>>(0),
                )
                .optional()
        })?;
        let Some(stored) = stored else { return Ok(None) };
        let damaged = || HospitalError::TagsDamaged { patient: *patient };
        let padded =
            self.storage_key.decrypt(&label_data(patient, epoch, tag), &stored).map_err(|_| damaged())?;
        unpadded(&padded).map(Some).ok_or_else(damaged)
    }

    /// The records of a patient whose versions this store holds, ascending.
    ///
    /// # Errors
    /// When the database fails.
    pub fn records_of(&self, patient: &PatientId) -> Result<Vec<RecordId>, HospitalError> {
        Ok(self.database().read(|connection| {
            let mut records = connection.prepare(
                "SELECT DISTINCT record FROM versions WHERE ledger = ?1 AND patient = ?2 AND settled = 1
                 ORDER BY record",
            )?;
            let records = records.query_map(params![self.ledger, patient.as_bytes()], |row| {
                Ok(RecordId::from_bytes(row.get::<_, Bytes<16>>(0)?.0))
            })?;
            records.collect()
        })?)
    }

    /// Blinds labels with the newest key, and keeps what their tags stand for; ascending, each once.
    fn blind(&self, patient: &PatientId, labels: &[Label]) -> Result<(TagKey, Vec<Tag>), HospitalError> {
        let TagKey { epoch, key } = self.new_tag_key(patient, false)?;
        let mut rows = Vec::with_capacity(labels.len());
        for label in labels {
            let tag = label.blinded(&key);
            let stored = self.storage_key.encrypt(&label_data(patient, epoch, &tag), &*padded(label))?;
            rows.push((tag, stored));
        }
        self.database().write(|connection| {
            let mut insert = connection
                .prepare("INSERT INTO labels VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?;
            for (tag, stored) in &rows {
                insert.execute(params![self.ledger, patient.as_bytes(), epoch, tag.as_bytes(), stored])?;
            }
            Ok(())
        })?;
        let mut tags: Vec<_> = rows.into_iter().map(|(tag, _)| tag).collect();
        tags.sort_unstable();
        tags.dedup();
        Ok((TagKey { epoch, key }, tags))
    }

    /// A patient's newest tag key; made when there is none, or when `rotated` asks for another one.
    fn new_tag_key(&self, patient: &PatientId, rotated: bool) -> Result<TagKey, HospitalError> {
        let mut fresh = Zeroizing::new([0; 32]);
        fill_random(fresh.as_mut_slice())?;
        let now = unix_s();
        // Looked for and made in one transaction, so that two programs make one key.
        let (epoch, stored) = self.database().write(|connection| {
            let newest: Option<(u32, Vec<u8>)> = connection
                .query_row(
                    "SELECT epoch, stored_key FROM tag_keys WHERE ledger = ?1 AND patient = ?2
                     ORDER BY epoch DESC LIMIT 1",
                    params![self.ledger, patient.as_bytes()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let epoch = match newest {
                Some(newest) if !rotated => return Ok(newest),
                Some((epoch, _)) => now.max(epoch.saturating_add(1)),
                None => now,
            };
            let stored = wrap_key(&self.storage_key, patient, epoch, &fresh)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            connection.execute(
                "INSERT INTO tag_keys VALUES (?1, ?2, ?3, ?4)",
                params![self.ledger, patient.as_bytes(), epoch, stored],
            )?;
            Ok((epoch, stored))
        })?;
        let damaged = || HospitalError::TagsDamaged { patient: *patient };
        let opened = self.storage_key.decrypt(&key_data(patient, epoch), &stored).map_err(|_| damaged())?;
        let key = opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| damaged())?;
        Ok(TagKey { epoch, key })
    }
}

fn wrap_key(
    storage_key: &StorageKey,
    patient: &PatientId,
    epoch: u32,
    key: &[u8; 32],
) -> Result<Vec<u8>, crate::secret::RandomnessError> {
    storage_key.encrypt(&key_data(patient, epoch), key)
}

fn key_data(patient: &PatientId, epoch: u32) -> Vec<u8> {
    framed(Domain::StoredTagKey, &[patient.as_bytes(), &epoch.to_be_bytes()])
}

fn label_data(patient: &PatientId, epoch: u32, tag: &Tag) -> Vec<u8> {
    framed(Domain::StoredLabel, &[patient.as_bytes(), &epoch.to_be_bytes(), tag.as_bytes()])
}

/// A label at one length, so that the stored one does not tell its own: its bytes' number, its bytes, zeros.
fn padded(label: &Label) -> Zeroizing<[u8; LABEL_BYTES_MAX + 1]> {
    let mut padded = Zeroizing::new([0; LABEL_BYTES_MAX + 1]);
    let text = label.as_str().as_bytes();
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    padded.iter_mut().zip(std::iter::once(&length).chain(text)).for_each(|(byte, part)| *byte = *part);
    padded
}

fn unpadded(padded: &[u8]) -> Option<Label> {
    let (length, text) = padded.split_first()?;
    std::str::from_utf8(text.get(..usize::from(*length))?).ok()?.parse().ok()
}

/// Seconds of this machine's clock; 1 when it stands before 1970.
fn unix_s() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    u32::try_from(since).unwrap_or(u32::MAX)
}
