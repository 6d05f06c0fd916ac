//! Labels of records that this hospital keeps: which they are, and how they are blinded anew.

use std::path::Path;

use caretrail_model::calls::{AcceptCustody, GetRecord, RecordAdded, RecordChanged, RecordView};
use caretrail_model::code::Code;
use caretrail_model::ids::{PatientId, RecordId};
use caretrail_model::label::Label;
use caretrail_model::tag::RecordTags;

use super::documents::DocumentWorkflowError;
use crate::custody::Custody;
use crate::document::Document;
use crate::hospital::{BlindError, HospitalError};
use crate::records::{Committed, Records};

/// What a hospital knows of the labels of one of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLabels {
    /// The record.
    pub record: RecordId,
    /// Epoch of the key that blinded them; nothing for a record whose labels nobody named.
    pub epoch: Option<u32>,
    /// Whether that is the patient's newest tag key here: only then consents by label can tell this record apart.
    pub comparable: bool,
    /// The labels, ascending; nothing when nobody named them, or when they were blinded with a key that this store does
    /// not have.
    pub labels: Option<Vec<Label>>,
}

impl Records {
    /// The labels of a record that this hospital keeps.
    ///
    /// # Errors
    /// When the contract refuses, or the store fails.
    pub async fn record_labels(
        &self,
        custody: &Custody,
        record: RecordId,
    ) -> Result<RecordLabels, DocumentWorkflowError> {
        let held = self.evaluate(&GetRecord { record }).await?.record;
        Ok(self.labels_of(custody, record, &held.patient, held.tags.as_ref())?)
    }

    /// The labels of every record of a patient that this hospital keeps and seals, by record.
    ///
    /// # Errors
    /// When the contract refuses, or the store fails.
    pub async fn patient_labels(
        &self,
        custody: &Custody,
        patient: &PatientId,
    ) -> Result<Vec<RecordLabels>, DocumentWorkflowError> {
        let mut labelled = Vec::new();
        for record in custody.store.records_of(patient)? {
            let held = match self.evaluate(&GetRecord { record }).await {
                Ok(view) => view.record,
                // Another hospital keeps it by now: this one has only what it sealed.
                Err(error) if error.code() == Some(Code::RecordUnknown) => continue,
                Err(error) => return Err(error.into()),
            };
            labelled.push(self.labels_of(custody, record, &held.patient, held.tags.as_ref())?);
        }
        Ok(labelled)
    }

    /// Seals a record's newest version once more as its next one, with its labels blinded by the newest tag key: those
    /// that are given, else those that it has. The document passes through a temporary file in `folder`.
    ///
    /// # Errors
    /// When its labels are not known here, or as [`amend_record`](Self::amend_record).
    pub async fn relabel_record(
        &self,
        custody: &Custody,
        record: RecordId,
        labels: Option<Vec<Label>>,
        folder: &Path,
    ) -> Result<Committed<RecordAdded>, DocumentWorkflowError> {
        // All of it of one moment: what a colleague changes meanwhile is not undone, but refuses this.
        let RecordView { record: held, newest } = self.evaluate(&GetRecord { record }).await?;
        let labels = match labels {
            Some(labels) => labels,
            None => {
                let known = self.labels_of(custody, record, &held.patient, held.tags.as_ref())?;
                known.labels.ok_or(BlindError::KeyUnknown { record })?
            }
        };
        let sources = newest.derived_from.clone();
        let opened = self.open_held(custody, record, newest, folder).await?.opened;
        let document = Document::from_opened(&opened)?.labelled(labels).derived_from(sources);
        self.amend_held(custody, record, &held, document).await
    }

    /// Takes custody of a record over that was offered, with its labels as this hospital names them.
    ///
    /// # Errors
    /// When there are too many labels, the store fails, or the contract refuses.
    pub async fn accept_custody(
        &self,
        custody: &Custody,
        patient: PatientId,
        record: RecordId,
        labels: Option<&[Label]>,
    ) -> Result<Committed<RecordChanged>, DocumentWorkflowError> {
        let tags = self.tags_of(custody, &patient, &record, labels)?;
        Ok(self.submit(&AcceptCustody { patient, record, tags }).await?)
    }

    fn labels_of(
        &self,
        custody: &Custody,
        record: RecordId,
        patient: &PatientId,
        tags: Option<&RecordTags>,
    ) -> Result<RecordLabels, HospitalError> {
        let store = &custody.store;
        let Some(tags) = tags else {
            return Ok(RecordLabels { record, epoch: None, comparable: false, labels: None });
        };
        let own = tags.custodian == self.actor().msp_id;
        let known = own && store.knows_tags_of(patient, tags.epoch)?;
        let mut labels = Vec::new();
        for tag in tags.tags.iter().filter(|_| known) {
            labels.extend(store.label(patient, tags.epoch, tag)?);
        }
        labels.sort_unstable();
        Ok(RecordLabels {
            record,
            epoch: Some(tags.epoch),
            comparable: own && store.tag_epoch(patient)? == Some(tags.epoch),
            labels: known.then_some(labels),
        })
    }
}
