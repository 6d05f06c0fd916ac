//! Records and their versions: added, never overwritten.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    AmendRecord, GetRecord, ListRecords, RecordAdded, RecordHistory, RecordList, RecordVerified,
    RecordVersions, RecordView, RegisterRecord, VerifyRecord,
};
use caretrail_model::code::Code;
use caretrail_model::ids::{PatientId, RecordId};
use caretrail_model::limits::RECORD_VERSIONS_MAX;
use caretrail_model::record::{Commitments, Record, RecordVersion};
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;
use hlf_chaincode::{Failure, split_composite_key};

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::stored::Listed;
use crate::{keys, pages};

/// Who reads a custodian's own records and their history.
const READERS: [Role; 3] = [Role::Clinician, Role::Auditor, Role::Service];

impl Handle for RegisterRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordAdded, Failure> {
        invocation.for_roles(&[Role::Clinician])?;
        require(self.commitments.is_within_limits(), Code::ArgumentOutOfBounds)?;
        require(
            self.record == RecordId::derive(&invocation.actor, &self.patient, &self.nonce),
            Code::RecordIdForeign,
        )?;
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&invocation.actor)?);
        let patient = reading.add(keys::patient(&self.patient)?);
        let record = reading.add(keys::record(&self.record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let standing = facts.take(standing)?;
        let patient = facts.take(patient)?;
        let exists = facts.take(record)?.is_some();
        let at = facts.effective();
        require_authorized(invocation, standing.as_ref(), at)?;
        let patient = patient.ok_or_else(|| refuse(Code::PatientUnknown))?;
        require(&patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;
        require(!exists, Code::RecordExists)?;

        add_version(invocation, &self.patient, &self.record, 1, self.commitments, at)?;
        invocation.put(keys::listed(&self.patient, &self.record)?, &Listed { at })?;
        invocation.audit(&policy, &self.patient, at, Act::RecordRegistered { record: self.record })?;
        Ok(RecordAdded { record: self.record, version: 1 })
    }
}

impl Handle for AmendRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordAdded, Failure> {
        invocation.for_roles(&[Role::Clinician])?;
        require(
            self.commitments.is_within_limits() && self.version <= RECORD_VERSIONS_MAX,
            Code::ArgumentOutOfBounds,
        )?;
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&invocation.actor)?);
        let record = reading.add(keys::record(&self.record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let standing = facts.take(standing)?;
        let record = facts.take(record)?;
        let at = facts.effective();
        require_authorized(invocation, standing.as_ref(), at)?;
        let record = of_custodian(record, invocation)?;
        require(record.patient == self.patient, Code::RecordUnknown)?;
        require(self.version == record.version + 1, Code::VersionConflict)?;

        add_version(invocation, &self.patient, &self.record, self.version, self.commitments, at)?;
        let act = Act::RecordAmended { record: self.record, version: self.version };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(RecordAdded { record: self.record, version: self.version })
    }
}

impl Handle for GetRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordView, Failure> {
        invocation.for_roles(&READERS)?;
        let record = fetch_own(&self.record, invocation).await?;
        let mut versions = fetch_versions(&self.record, record.version..=record.version, invocation).await?;
        let newest = versions.pop().ok_or_else(|| refuse(Code::StateUnreadable))?;
        Ok(RecordView { record, newest })
    }
}

impl Handle for RecordHistory {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordVersions, Failure> {
        invocation.for_roles(&READERS)?;
        let entries = pages::entries(self.page_entries);
        let record = fetch_own(&self.record, invocation).await?;
        let newest = match self.bookmark.as_str() {
            "" => record.version,
            bookmark => bookmark
                .parse()
                .ok()
                .filter(|version| (1..=record.version).contains(version))
                .ok_or_else(|| refuse(Code::BookmarkInvalid))?,
        };
        let oldest = newest.saturating_sub(u64::from(entries) - 1).max(1);
        let mut versions = fetch_versions(&self.record, oldest..=newest, invocation).await?;
        versions.reverse();
        let bookmark = if oldest > 1 { (oldest - 1).to_string() } else { String::new() };
        Ok(RecordVersions { versions, bookmark })
    }
}

impl Handle for ListRecords {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordList, Failure> {
        invocation.for_roles(&READERS)?;
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        require(&patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;

        let page = pages::page(self.page_entries, self.bookmark)?;
        let found =
            invocation.tx.partial_composite_page(keys::LISTED, &[self.patient.to_string()], &page).await?;
        let mut records = Vec::with_capacity(found.entries.len());
        for entry in &found.entries {
            let (_, attributes) = split_composite_key(&entry.key)?;
            let record = attributes.get(1).and_then(|record| record.parse().ok());
            records.push(record.ok_or_else(|| refuse(Code::StateUnreadable))?);
        }
        Ok(RecordList { records, bookmark: found.bookmark.unwrap_or_default() })
    }
}

impl Handle for VerifyRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordVerified, Failure> {
        require(self.version <= RECORD_VERSIONS_MAX, Code::ArgumentOutOfBounds)?;
        let mut reading = invocation.reading()?;
        let version = reading.add(keys::version(&self.record, self.version)?);
        let (_, mut facts) = reading.fetch().await?;
        let held = facts.take(version)?.map(|version| version.commitments);
        Ok(RecordVerified {
            content_commitment_matches: held
                .as_ref()
                .is_some_and(|held| held.content_commitment == self.commitments.content_commitment),
            blob_matches: held.as_ref().is_some_and(|held| {
                held.blob_digest == self.commitments.blob_digest
                    && held.sealed_bytes == self.commitments.sealed_bytes
            }),
        })
    }
}

fn require_authorized(
    invocation: &Invocation<'_>,
    standing: Option<&Standing>,
    at: UnixMs,
) -> Result<(), Failure> {
    let authorized =
        standing.is_some_and(|standing| standing.role == invocation.role && standing.holds_at(at));
    require(authorized, Code::NotAuthorized)
}

fn add_version(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    record: &RecordId,
    version: u64,
    commitments: Commitments,
    at: UnixMs,
) -> Result<(), Failure> {
    let head = Record { patient: *patient, custodian: invocation.msp_id().clone(), version, at };
    let body = RecordVersion { version, commitments, author: invocation.actor.clone(), at };
    invocation.put(keys::record(record)?, &head)?;
    invocation.put(keys::version(record, version)?, &body)
}

/// A record that another hospital keeps answers like one that is not there.
fn of_custodian(record: Option<Record>, invocation: &Invocation<'_>) -> Result<Record, Failure> {
    record
        .filter(|record| &record.custodian == invocation.msp_id())
        .ok_or_else(|| refuse(Code::RecordUnknown))
}

async fn fetch_own(record: &RecordId, invocation: &Invocation<'_>) -> Result<Record, Failure> {
    let mut reading = invocation.reading()?;
    let slot = reading.add(keys::record(record)?);
    let (_, mut facts) = reading.fetch().await?;
    of_custodian(facts.take(slot)?, invocation)
}

/// The versions in `range`, ascending; all of them are there, since versions are never deleted.
async fn fetch_versions(
    record: &RecordId,
    range: std::ops::RangeInclusive<u64>,
    invocation: &Invocation<'_>,
) -> Result<Vec<RecordVersion>, Failure> {
    let mut reading = invocation.reading()?;
    let mut slots = Vec::new();
    for version in range {
        slots.push(reading.add(keys::version(record, version)?));
    }
    let (_, mut facts) = reading.fetch().await?;
    slots.into_iter().map(|slot| facts.take(slot)?.ok_or_else(|| refuse(Code::StateUnreadable))).collect()
}
