//! Records and their versions: added, never overwritten.

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    AmendRecord, GetRecord, ListRecords, NewRecord, RecordAdded, RecordHistory, RecordList, RecordVerified,
    RecordVersions, RecordView, RecordsAdded, RegisterOwnRecord, RegisterRecord, RegisterRecords,
    VerifyRecord,
};
use caretrail_model::code::Code;
use caretrail_model::ids::{PatientId, RecordId};
use caretrail_model::limits::{DERIVED_FROM_MAX, RECORD_VERSIONS_MAX, RECORDS_PER_BATCH_MAX};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::record::{Record, RecordVersion};
use caretrail_model::standing::Standing;
use caretrail_model::statement::Operation;
use caretrail_model::tag::RecordTags;
use caretrail_model::time::UnixMs;
use hlf_chaincode::{Failure, split_composite_key};

use super::Handle;
use crate::facts::AccessSlots;
use crate::failure::{refuse, require};
use crate::invocation::{Facts, Invocation, Reading, Slot, terms};
use crate::policy::writing::has_standing;
use crate::statements::StatementSlots;
use crate::stored::Listed;
use crate::{keys, pages, policy, statements};

impl Handle for RegisterRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordAdded, Failure> {
        let new = NewRecord {
            record: self.record,
            nonce: self.nonce,
            commitments: self.commitments,
            tags: self.tags,
        };
        let Adding { policy, at } =
            adding(invocation, &self.patient, std::slice::from_ref(&new), &self.derived_from).await?;
        add(invocation, &policy, &self.patient, new, self.derived_from, at)?;
        invocation.audit(&policy, &self.patient, at, Act::RecordRegistered { record: self.record })?;
        Ok(RecordAdded { record: self.record, version: 1 })
    }
}

impl Handle for RegisterRecords {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordsAdded, Failure> {
        require(
            (1..=RECORDS_PER_BATCH_MAX).contains(&self.records.len())
                && self.records.is_sorted_by(|a, b| a.record < b.record),
            Code::ArgumentOutOfBounds,
        )?;
        let Adding { policy, at } = adding(invocation, &self.patient, &self.records, &[]).await?;
        let max = usize::try_from(terms(&policy)?.batch_records_max).unwrap_or(RECORDS_PER_BATCH_MAX);
        require(self.records.len() <= max, Code::ArgumentOutOfBounds)?;
        let records: Vec<RecordId> = self.records.iter().map(|new| new.record).collect();
        for new in self.records {
            add(invocation, &policy, &self.patient, new, Vec::new(), at)?;
        }
        let act = Act::RecordsRegistered { records: records.clone() };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(RecordsAdded { records })
    }
}

impl Handle for AmendRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordAdded, Failure> {
        require(
            self.commitments.is_within_limits()
                && self.version <= RECORD_VERSIONS_MAX
                && are_sources(&self.derived_from),
            Code::ArgumentOutOfBounds,
        )?;
        let mut reading = invocation.reading()?;
        let slots = KeptSlots::add(&mut reading, invocation, &self.record)?;
        let sources = source_slots(&mut reading, &self.derived_from)?;
        let (policy, mut facts) = reading.fetch().await?;
        let (standing, record) = slots.take(&mut facts)?;
        let sources = take_sources(sources, &mut facts)?;
        let at = facts.effective();
        let newer = self.tags.is_some() || !self.derived_from.is_empty();
        require(policy.epoch > 1 || !newer, Code::EpochTooOld)?;
        require(has_standing(standing.as_ref(), invocation.role, at), Code::NotAuthorized)?;
        let record = of_custodian(record, invocation)?;
        require(record.patient == self.patient, Code::RecordUnknown)?;
        // A version that only labels anew cannot be told from one that says something else.
        require_not_patients_own(&record)?;
        require(!record.withdrawn, Code::RecordWithdrawn)?;
        require(self.version == record.version + 1, Code::VersionConflict)?;
        require_tags(self.tags.as_ref(), invocation)?;
        require_sources(&sources, &self.patient)?;

        let tags = self.tags.or(record.tags.clone());
        let changed = Record { version: self.version, tags, ..record.clone() };
        change(invocation, &policy, &self.record, Some(&record), changed, at)?;
        let version = RecordVersion {
            version: self.version,
            commitments: self.commitments,
            author: invocation.actor.clone(),
            derived_from: self.derived_from,
            at,
        };
        invocation.put(keys::version(&self.record, self.version)?, &version)?;
        let act = Act::RecordAmended { record: self.record, version: self.version };
        invocation.audit(&policy, &self.patient, at, act)?;
        Ok(RecordAdded { record: self.record, version: self.version })
    }
}

impl Handle for RegisterOwnRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordAdded, Failure> {
        let statement = statements::parse(&self.signed)?;
        let Operation::RegisterRecord(own) = &statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let record = own.record;
        let derived = RecordId::derive_own(&statement.key, &statement.patient, &own.record_nonce);
        require(record == derived, Code::RecordIdForeign)?;
        require(own.commitments.is_within_limits(), Code::ArgumentOutOfBounds)?;
        require(&own.custodian == invocation.msp_id(), Code::HospitalNotAllowed)?;
        let mut reading = invocation.reading()?;
        let slots = StatementSlots::add(&mut reading, &statement)?;
        let held = reading.add(keys::record(&record)?);
        let (policy, mut facts) = reading.fetch().await?;
        let known = slots.take(&mut facts)?;
        let exists = facts.take(held)?.is_some();
        let at = facts.effective();
        known.accept_own(&self.signed, &statement.key, &policy, at)?;
        require(!exists, Code::RecordExists)?;

        let new =
            NewRecord { record, nonce: own.record_nonce, commitments: own.commitments.clone(), tags: None };
        let head = Record { own: Some(statement.key), ..first(invocation, &statement.patient, &new, at) };
        add_first(invocation, &policy, &statement.patient, new, head, Vec::new(), at)?;
        let act = Act::OwnRecordRegistered { record, statement: statement.id };
        statements::keep(invocation, &statement, self.signed, at)?;
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(RecordAdded { record, version: 1 })
    }
}

impl Handle for GetRecord {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordView, Failure> {
        let record = fetch_own(&self.record, invocation).await?;
        let mut versions = fetch_versions(&self.record, record.version..=record.version, invocation).await?;
        let newest = versions.pop().ok_or_else(|| refuse(Code::StateUnreadable))?;
        Ok(RecordView { record, newest })
    }
}

impl Handle for RecordHistory {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<RecordVersions, Failure> {
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

/// What adding records takes.
struct Adding {
    policy: ConsortiumPolicy,
    at: UnixMs,
}

/// Whether the caller may add these records of a patient.
///
/// At the patient's home one read is enough; what another hospital's right follows from is read once the home is
/// known, so that the home's registrations do not depend on consents.
async fn adding(
    invocation: &Invocation<'_>,
    patient_id: &PatientId,
    records: &[NewRecord],
    derived_from: &[RecordId],
) -> Result<Adding, Failure> {
    require(
        records.iter().all(|new| new.commitments.is_within_limits()) && are_sources(derived_from),
        Code::ArgumentOutOfBounds,
    )?;
    for new in records {
        let derived = RecordId::derive(&invocation.actor, patient_id, &new.nonce);
        require(new.record == derived, Code::RecordIdForeign)?;
    }
    let mut reading = invocation.reading()?;
    let standing = reading.add(keys::standing(&invocation.actor)?);
    let patient = reading.add(keys::patient(patient_id)?);
    let mut held = Vec::with_capacity(records.len());
    for new in records {
        held.push(reading.add(keys::record(&new.record)?));
    }
    let sources = source_slots(&mut reading, derived_from)?;
    let (policy, mut facts) = reading.fetch().await?;
    let standing = facts.take(standing)?;
    let patient = facts.take(patient)?;
    let mut exists = false;
    for slot in held {
        exists |= facts.take(slot)?.is_some();
    }
    let sources = take_sources(sources, &mut facts)?;
    let at = facts.effective();
    let newer = !derived_from.is_empty() || records.iter().any(|new| new.tags.is_some());
    require(policy.epoch > 1 || !newer, Code::EpochTooOld)?;
    // The first two rows of the table of who may add; the others take a second read.
    require(has_standing(standing.as_ref(), invocation.role, at), Code::NotAuthorized)?;
    let patient = patient.ok_or_else(|| refuse(Code::PatientUnknown))?;
    let at = if &patient.home == invocation.msp_id() {
        at
    } else {
        require(policy.epoch > 1, Code::HospitalNotAllowed)?;
        may_add_elsewhere(invocation, patient_id, records, at).await?
    };
    require(!exists, Code::RecordExists)?;
    for new in records {
        require_tags(new.tags.as_ref(), invocation)?;
    }
    require_sources(&sources, patient_id)?;
    Ok(Adding { policy, at })
}

/// Whether another hospital than the home may add the records; gives the effective time with what that rests on.
async fn may_add_elsewhere(
    invocation: &Invocation<'_>,
    patient: &PatientId,
    records: &[NewRecord],
    at: UnixMs,
) -> Result<UnixMs, Failure> {
    let mut reading = invocation.reading()?;
    let slots = AccessSlots::add(&mut reading, &invocation.actor, patient)?;
    let (policy, mut facts) = reading.fetch().await?;
    let known = slots.take(&mut facts)?;
    let at = facts.effective().max(at);
    let facts = known.of(&policy, None);
    for new in records {
        let new = policy::NewRecord {
            actor: &invocation.actor,
            role: invocation.role,
            patient,
            record: &new.record,
            tags: new.tags.as_ref(),
        };
        require(policy::writing::decide(&new, &facts, at).allows(), Code::HospitalNotAllowed)?;
    }
    Ok(at)
}

/// The head of a record's first version.
fn first(invocation: &Invocation<'_>, patient: &PatientId, new: &NewRecord, at: UnixMs) -> Record {
    Record {
        patient: *patient,
        custodian: invocation.msp_id().clone(),
        version: 1,
        sequence: None,
        tags: new.tags.clone(),
        withdrawn: false,
        offered_to: None,
        own: None,
        at,
    }
}

fn add(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    patient: &PatientId,
    new: NewRecord,
    derived_from: Vec<RecordId>,
    at: UnixMs,
) -> Result<(), Failure> {
    let head = first(invocation, patient, &new, at);
    add_first(invocation, policy, patient, new, head, derived_from, at)
}

fn add_first(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    patient: &PatientId,
    new: NewRecord,
    head: Record,
    derived_from: Vec<RecordId>,
    at: UnixMs,
) -> Result<(), Failure> {
    change(invocation, policy, &new.record, None, head, at)?;
    let version = RecordVersion {
        version: 1,
        commitments: new.commitments,
        author: invocation.actor.clone(),
        derived_from,
        at,
    };
    invocation.put(keys::version(&new.record, 1)?, &version)?;
    invocation.put(keys::listed(patient, &new.record)?, &Listed { at })
}

/// Writes a record's head, and keeps the one before by its sequence number, so that decisions can be replayed from it:
/// as number 0 what an older engine wrote without.
pub(super) fn change(
    invocation: &Invocation<'_>,
    policy: &ConsortiumPolicy,
    id: &RecordId,
    before: Option<&Record>,
    record: Record,
    at: UnixMs,
) -> Result<u64, Failure> {
    if policy.epoch == 1 {
        invocation.put(keys::record(id)?, &Record { at, ..record })?;
        return Ok(0);
    }
    if let Some(before) = before {
        invocation.put(keys::record_of_sequence(id, before.sequence.unwrap_or(0))?, before)?;
    }
    let sequence = record.sequence.unwrap_or(0) + 1;
    invocation.put(keys::record(id)?, &Record { sequence: Some(sequence), at, ..record })?;
    Ok(sequence)
}

/// Where the caller's standing and a record will be.
pub(super) struct KeptSlots {
    standing: Slot<Standing>,
    record: Slot<Record>,
}

impl KeptSlots {
    pub(super) fn add(
        reading: &mut Reading<'_>,
        invocation: &Invocation<'_>,
        record: &RecordId,
    ) -> Result<Self, Failure> {
        Ok(Self {
            standing: reading.add(keys::standing(&invocation.actor)?),
            record: reading.add(keys::record(record)?),
        })
    }

    pub(super) fn take(self, facts: &mut Facts) -> Result<(Option<Standing>, Option<Record>), Failure> {
        Ok((facts.take(self.standing)?, facts.take(self.record)?))
    }
}

/// Tags are the own hospital's: nobody else could have made them.
pub(super) fn require_tags(tags: Option<&RecordTags>, invocation: &Invocation<'_>) -> Result<(), Failure> {
    let own = tags.is_none_or(|tags| tags.is_well_formed() && &tags.custodian == invocation.msp_id());
    require(own, Code::TagsInvalid)
}

fn are_sources(derived_from: &[RecordId]) -> bool {
    derived_from.len() <= DERIVED_FROM_MAX && derived_from.is_sorted_by(|a, b| a < b)
}

fn source_slots(reading: &mut Reading<'_>, derived_from: &[RecordId]) -> Result<Vec<Slot<Record>>, Failure> {
    derived_from.iter().map(|source| Ok(reading.add(keys::record(source)?))).collect()
}

fn take_sources(slots: Vec<Slot<Record>>, facts: &mut Facts) -> Result<Vec<Option<Record>>, Failure> {
    slots.into_iter().map(|slot| facts.take(slot)).collect()
}

fn require_sources(sources: &[Option<Record>], patient: &PatientId) -> Result<(), Failure> {
    let of_patient =
        |source: &Option<Record>| source.as_ref().is_some_and(|source| &source.patient == patient);
    require(sources.iter().all(of_patient), Code::DerivedFromUnknown)
}

/// A record that another hospital keeps answers like one that is not there.
pub(super) fn of_custodian(record: Option<Record>, invocation: &Invocation<'_>) -> Result<Record, Failure> {
    record
        .filter(|record| &record.custodian == invocation.msp_id())
        .ok_or_else(|| refuse(Code::RecordUnknown))
}

/// What a patient added stays as the patient's key signed it, with whom it named.
pub(super) fn require_not_patients_own(record: &Record) -> Result<(), Failure> {
    require(record.own.is_none(), Code::PatientsOwnRecord)
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
