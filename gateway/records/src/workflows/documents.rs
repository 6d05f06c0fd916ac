//! Adding, amending, opening and checking records that this hospital keeps.

use std::path::Path;

use caretrail_model::calls::{
    AmendRecord, GetRecord, NewRecord, RecordAdded, RecordHistory, RecordsAdded, RegisterOwnRecord,
    RegisterRecord, RegisterRecords,
};
use caretrail_model::ids::{Nonce, PatientId, RecordId};
use caretrail_model::label::Label;
use caretrail_model::limits::PAGE_ENTRIES_MAX;
use caretrail_model::record::{Commitments, Record, RecordVersion};
use caretrail_model::statement::{Operation, OwnRecord};
use caretrail_model::tag::RecordTags;
use caretrail_model::time::UnixMs;

use crate::call_error::CallError;
use crate::custody::{Custody, Stopped, blocking};
use crate::document::{Document, DocumentError};
use crate::hospital::{BlindError, HospitalError, StoredVersion};
use crate::patient_key::{PatientKey, SignStatementError};
use crate::records::{Committed, Records};
use crate::seal::{OpenError, Opened, SealError, Sealed, open, seal};
use crate::secret::{RandomnessError, random_16};
use crate::vault::VaultError;
use crate::version::VersionId;

/// A record that was not added, amended or opened.
#[derive(Debug, thiserror::Error)]
pub enum DocumentWorkflowError {
    /// There is no record id without randomness.
    #[error("no record id was made")]
    Randomness(#[from] RandomnessError),
    /// The patient's own record was not signed.
    #[error(transparent)]
    Sign(#[from] SignStatementError),
    /// The document to be sealed cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The document was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The vault fails.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] HospitalError),
    /// Its labels were not blinded.
    #[error(transparent)]
    Labels(#[from] BlindError),
    /// A batch, or a record of the patient's own, says less than a single record.
    #[error("{what} cannot say {cannot}: add the record by itself")]
    SaysTooMuch {
        /// What was to be added.
        what: &'static str,
        /// What its call has no place for.
        cannot: &'static str,
    },
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The blob was not opened.
    #[error("{id} was not opened")]
    Open {
        /// The version.
        id: VersionId,
        /// What does not match.
        source: OpenError,
    },
    /// The channel holds no such version.
    #[error("the channel holds no {id}: list the record's history")]
    NoSuchVersion {
        /// The version.
        id: VersionId,
    },
    /// The store holds no secret of it.
    #[error(
        "this hospital's store holds no secret of {id}: it was sealed elsewhere, or the store was replaced"
    )]
    NoSecret {
        /// The version.
        id: VersionId,
    },
    /// The program is being stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A version that was opened and is what the channel commits to.
#[derive(Debug)]
pub struct OpenedVersion {
    /// What the channel holds of it.
    pub on_channel: RecordVersion,
    /// The document.
    pub opened: Opened,
}

impl Records {
    /// Seals a document as a patient's new record, keeps blob and secret, and commits its version 1.
    ///
    /// # Errors
    /// Says at which step it failed; nothing is on the channel then, except that the outcome may be unknown.
    pub async fn add_record(
        &self,
        custody: &Custody,
        patient: PatientId,
        document: Document,
    ) -> Result<Committed<RecordAdded>, DocumentWorkflowError> {
        let nonce = Nonce::from_bytes(random_16()?);
        let record = RecordId::derive(self.actor(), &patient, &nonce);
        let id = VersionId { record, version: 1 };
        let tags = self.tags_of(custody, &patient, &record, document.labels())?;
        let derived_from = document.sources().to_vec();
        let sealed = seal_into_vault(custody, id, document).await?;
        let commitments = sealed.commitments.clone();
        let call = RegisterRecord { patient, record, nonce, commitments, tags, derived_from };
        self.submit_version(custody, id, patient, &sealed, &call).await
    }

    /// Seals documents as a patient's new records, up to 100, and commits them in one transaction.
    ///
    /// # Errors
    /// As [`add_record`](Self::add_record); all of them are on the channel, or none.
    pub async fn add_records(
        &self,
        custody: &Custody,
        patient: PatientId,
        documents: Vec<Document>,
    ) -> Result<Committed<RecordsAdded>, DocumentWorkflowError> {
        if documents.iter().any(|document| !document.sources().is_empty()) {
            return Err(says_too_much("a record of a batch", "what it was made from"));
        }
        let mut sealed = Vec::with_capacity(documents.len());
        for document in documents {
            match self.sealed_first(custody, &patient, document).await {
                Ok(one) => sealed.push(one),
                Err(error) => {
                    // Without their secrets, which nobody has kept yet, the ones before are only bytes.
                    for (id, .., sealed) in &sealed {
                        if let Err(left) = remove_blob(custody, sealed).await {
                            tracing::warn!(%id, error = %left, "a blob that nobody can open is left in the vault");
                        }
                    }
                    return Err(error);
                }
            }
        }
        sealed.sort_by_key(|(id, ..)| id.record);
        let new = |(id, nonce, tags, sealed): &(VersionId, Nonce, Option<RecordTags>, Sealed)| NewRecord {
            record: id.record,
            nonce: *nonce,
            commitments: sealed.commitments.clone(),
            tags: tags.clone(),
        };
        let call = RegisterRecords { patient, records: sealed.iter().map(new).collect() };
        let store = &custody.store;
        let note = |tx_id: &_| {
            for (id, .., sealed) in &sealed {
                let version = StoredVersion { id: *id, patient, commitments: sealed.commitments.clone() };
                store.store_version(&version, &sealed.secret, Some(tx_id))?;
            }
            Ok(())
        };
        let outcome = self.submit_noted(&call, note).await;
        for (id, .., sealed) in &sealed {
            self.settle_submitted(custody, id, sealed, outcome.as_ref().err()).await;
        }
        Ok(outcome?)
    }

    /// A document of a batch, sealed as a new record's first version.
    async fn sealed_first(
        &self,
        custody: &Custody,
        patient: &PatientId,
        document: Document,
    ) -> Result<(VersionId, Nonce, Option<RecordTags>, Sealed), DocumentWorkflowError> {
        let nonce = Nonce::from_bytes(random_16()?);
        let record = RecordId::derive(self.actor(), patient, &nonce);
        let id = VersionId { record, version: 1 };
        let tags = self.tags_of(custody, patient, &record, document.labels())?;
        Ok((id, nonce, tags, seal_into_vault(custody, id, document).await?))
    }

    /// Seals a document as a record of the patient's own, which the patient's key signs and this hospital keeps.
    ///
    /// # Errors
    /// As [`add_record`](Self::add_record).
    pub async fn add_own_record(
        &self,
        custody: &Custody,
        key: &PatientKey,
        patient: PatientId,
        document: Document,
        submit_by: UnixMs,
    ) -> Result<Committed<RecordAdded>, DocumentWorkflowError> {
        if document.labels().is_some() || !document.sources().is_empty() {
            return Err(says_too_much("a record of the patient's own", "labels, or what it was made from"));
        }
        let record_nonce = Nonce::from_bytes(random_16()?);
        let record = RecordId::derive_own(&key.public_key().id(), &patient, &record_nonce);
        let id = VersionId { record, version: 1 };
        let sealed = seal_into_vault(custody, id, document).await?;
        let own = Operation::RegisterRecord(OwnRecord {
            record,
            record_nonce,
            custodian: self.actor().msp_id.clone(),
            commitments: sealed.commitments.clone(),
        });
        let signed = key.sign(self.ledger(), patient, submit_by, own)?;
        self.submit_version(custody, id, patient, &sealed, &RegisterOwnRecord { signed }).await
    }

    /// Seals a document as a record's next version; the earlier ones stay. When nobody named its labels, the record
    /// keeps those that it has.
    ///
    /// # Errors
    /// As [`add_record`](Self::add_record).
    pub async fn amend_record(
        &self,
        custody: &Custody,
        record: RecordId,
        document: Document,
    ) -> Result<Committed<RecordAdded>, DocumentWorkflowError> {
        let held = self.evaluate(&GetRecord { record }).await?.record;
        self.amend_held(custody, record, &held, document).await
    }

    /// The same for a record as it was seen: the contract refuses when it was amended since.
    pub(super) async fn amend_held(
        &self,
        custody: &Custody,
        record: RecordId,
        held: &Record,
        document: Document,
    ) -> Result<Committed<RecordAdded>, DocumentWorkflowError> {
        let patient = held.patient;
        let id = VersionId { record, version: held.version + 1 };
        let tags = self.tags_of(custody, &patient, &record, document.labels())?;
        let derived_from = document.sources().to_vec();
        let sealed = seal_into_vault(custody, id, document).await?;
        let commitments = sealed.commitments.clone();
        let call = AmendRecord { patient, record, version: id.version, commitments, tags, derived_from };
        self.submit_version(custody, id, patient, &sealed, &call).await
    }

    /// Opens a version that this hospital keeps, the newest when none is named, and checks every byte of it
    /// against the channel. The document lies in a file in `folder`, without a name if it can, until it is saved.
    ///
    /// # Errors
    /// Names exactly what does not match.
    pub async fn open_record(
        &self,
        custody: &Custody,
        record: RecordId,
        version: Option<u64>,
        folder: &Path,
    ) -> Result<OpenedVersion, DocumentWorkflowError> {
        let on_channel = self.record_version(record, version).await?;
        self.open_held(custody, record, on_channel, folder).await
    }

    /// The same for a version as the channel holds it.
    pub(super) async fn open_held(
        &self,
        custody: &Custody,
        record: RecordId,
        on_channel: RecordVersion,
        folder: &Path,
    ) -> Result<OpenedVersion, DocumentWorkflowError> {
        let id = VersionId { record, version: on_channel.version };
        let (custody, folder) = (custody.clone(), folder.to_owned());
        let commitments = on_channel.commitments.clone();
        let opened = blocking(move || open_from_vault(&custody, &id, &commitments, &folder)).await??;
        Ok(OpenedVersion { on_channel, opened })
    }

    /// What the channel holds of a version, the newest when none is named.
    ///
    /// # Errors
    /// When there is no such version, or the contract refuses.
    pub async fn record_version(
        &self,
        record: RecordId,
        version: Option<u64>,
    ) -> Result<RecordVersion, DocumentWorkflowError> {
        let newest = self.evaluate(&GetRecord { record }).await?.newest;
        let Some(version) = version.filter(|version| *version != newest.version) else {
            return Ok(newest);
        };
        self.record_history(record)
            .await?
            .into_iter()
            .find(|held| held.version == version)
            .ok_or(DocumentWorkflowError::NoSuchVersion { id: VersionId { record, version } })
    }

    /// Every version of a record, newest first.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn record_history(&self, record: RecordId) -> Result<Vec<RecordVersion>, CallError> {
        let mut versions = Vec::new();
        let mut bookmark = String::new();
        loop {
            let call = RecordHistory { record, page_entries: PAGE_ENTRIES_MAX, bookmark };
            let page = self.evaluate(&call).await?;
            versions.extend(page.versions);
            bookmark = page.bookmark;
            if bookmark.is_empty() {
                return Ok(versions);
            }
        }
    }

    /// The labels, blinded by this hospital; nothing when nobody named them.
    pub(super) fn tags_of(
        &self,
        custody: &Custody,
        patient: &PatientId,
        record: &RecordId,
        labels: Option<&[Label]>,
    ) -> Result<Option<RecordTags>, BlindError> {
        let own = &self.actor().msp_id;
        labels.map(|labels| custody.store.record_tags(own, patient, record, labels)).transpose()
    }

    /// Stores the secret, submits, and settles.
    async fn submit_version<C: caretrail_model::calls::Call>(
        &self,
        custody: &Custody,
        id: VersionId,
        patient: PatientId,
        sealed: &Sealed,
        call: &C,
    ) -> Result<Committed<C::Reply>, DocumentWorkflowError> {
        let store = &custody.store;
        let version = StoredVersion { id, patient, commitments: sealed.commitments.clone() };
        // A short write to a local file, on disk before the transaction is sent.
        let note = |tx_id: &_| store.store_version(&version, &sealed.secret, Some(tx_id)).map_err(Into::into);
        let outcome = self.submit_noted(call, note).await;
        self.settle_submitted(custody, &id, sealed, outcome.as_ref().err()).await;
        Ok(outcome?)
    }

    /// Settles a version that was submitted, or forgets it when that certainly had no effect.
    ///
    /// The channel's answer is told whatever becomes of this note, which is settled later, from the channel.
    async fn settle_submitted(
        &self,
        custody: &Custody,
        id: &VersionId,
        sealed: &Sealed,
        error: Option<&CallError>,
    ) {
        let settled = match error {
            None => settle(custody, id, sealed),
            Some(error) if error.had_no_effect() => forget(custody, id, sealed).await,
            Some(_) => Ok(()),
        };
        if let Err(error) = settled {
            tracing::warn!(%id, %error, "the store does not know the version's outcome; it is asked for later");
        }
    }
}

fn settle(custody: &Custody, id: &VersionId, sealed: &Sealed) -> Result<(), DocumentWorkflowError> {
    Ok(custody.store.settle_version(id, &sealed.commitments.content_commitment)?)
}

/// The secret first: a blob without its secret is only bytes, should the rest fail.
async fn forget(custody: &Custody, id: &VersionId, sealed: &Sealed) -> Result<(), DocumentWorkflowError> {
    custody.store.forget_version(id, &sealed.commitments.content_commitment)?;
    remove_blob(custody, sealed).await
}

async fn remove_blob(custody: &Custody, sealed: &Sealed) -> Result<(), DocumentWorkflowError> {
    let vault = std::sync::Arc::clone(&custody.vault);
    let blob_digest = sealed.commitments.blob_digest;
    Ok(blocking(move || vault.remove(&blob_digest)).await??)
}

fn says_too_much(what: &'static str, cannot: &'static str) -> DocumentWorkflowError {
    DocumentWorkflowError::SaysTooMuch { what, cannot }
}

async fn seal_into_vault(
    custody: &Custody,
    id: VersionId,
    mut document: Document,
) -> Result<Sealed, DocumentWorkflowError> {
    let vault = std::sync::Arc::clone(&custody.vault);
    blocking(move || {
        let mut staged = vault.stage()?;
        let sealed = seal(&mut document, &id, &mut staged)?;
        staged.keep(&sealed.commitments.blob_digest)?;
        Ok(sealed)
    })
    .await?
}

fn open_from_vault(
    custody: &Custody,
    id: &VersionId,
    commitments: &Commitments,
    folder: &Path,
) -> Result<Opened, DocumentWorkflowError> {
    let secret = custody
        .store
        .secret(id, &commitments.content_commitment)?
        .ok_or(DocumentWorkflowError::NoSecret { id: *id })?;
    let blob = custody.vault.open(&commitments.blob_digest, 0)?;
    open(blob.content, &secret, id, commitments, folder)
        .map_err(|source| DocumentWorkflowError::Open { id: *id, source })
}
