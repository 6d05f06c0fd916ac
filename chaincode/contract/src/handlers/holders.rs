//! Who can see a record, now or at another instant: by deciding, never by listing consents.

use std::collections::BTreeSet;

use caretrail_model::calls::{Holder, HolderPage, Holders, ListHolders, WhoCanSee};
use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, LiveConsents};
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, MspId, PatientId, RecordId, Subject};
use caretrail_model::limits::{BOOKMARK_BYTES_MAX, HOLDERS_PER_PAGE_MAX, HOLDERS_WHOLE_MAX};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::{ConsortiumPolicy, Member};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;
use hlf_chaincode::{Failure, split_composite_key};

use super::Handle;
use crate::facts::AccessFacts;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::keys::{self, Key};
use crate::pages;
use crate::policy::{Request, decide};
use crate::stored::{PolicyInForce, Stored, decode};

impl Handle for WhoCanSee {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Holders, Failure> {
        let question = Question::of(invocation, self.record, self.at).await?;
        let mut holders = Vec::new();
        let mut bookmark = String::new();
        let mut practitioners = 0;
        loop {
            let (page, decided_for) = question.page(invocation, HOLDERS_PER_PAGE_MAX, bookmark).await?;
            practitioners += decided_for;
            // Never a part of them as if it were all.
            require(practitioners <= HOLDERS_WHOLE_MAX, Code::HoldersTooMany)?;
            holders.extend(page.holders);
            bookmark = page.bookmark;
            if bookmark.is_empty() {
                return Ok(Holders { at: question.at, holders });
            }
        }
    }
}

impl Handle for ListHolders {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<HolderPage, Failure> {
        let question = Question::of(invocation, self.record, self.at).await?;
        let entries = pages::entries(self.page_entries).min(HOLDERS_PER_PAGE_MAX);
        Ok(question.page(invocation, entries, self.bookmark).await?.0)
    }
}

/// Who can see a record at an instant, and what does not depend on whom.
struct Question {
    id: RecordId,
    at: UnixMs,
    /// Whether the instant is past, so that what was in force then decides.
    past: bool,
    policy: ConsortiumPolicy,
    patient_id: PatientId,
    patient: Patient,
    consents: LiveConsents,
    guardians: Guardians,
    stop: Option<StopSwitch>,
    record: Option<Record>,
    /// Ascending; nobody of another hospital can be permitted anything.
    hospitals: Vec<MspId>,
}

impl Question {
    async fn of(invocation: &Invocation<'_>, id: RecordId, at: Option<UnixMs>) -> Result<Self, Failure> {
        let mut reading = invocation.reading()?;
        let record = reading.add(keys::record(&id)?);
        let (_, mut facts) = reading.fetch().await?;
        let record = facts.take(record)?.ok_or_else(|| refuse(Code::RecordUnknown))?;
        let of_record = facts.effective();

        // Whose consents to read follows from the record.
        let patient_id = record.patient;
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&patient_id)?);
        let consents = reading.add(keys::consents(&patient_id)?);
        let guardians = reading.add_newer(keys::guardians(&patient_id)?);
        let stop = reading.add_newer(keys::stop(&patient_id)?);
        let (policy, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::StateUnreadable))?;
        let consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        let guardians = facts.take(guardians)?.unwrap_or(Guardians::NONE);
        let stop = facts.take(stop)?;
        let now = facts.effective().max(of_record);
        // A record of another home answers like one that is not there.
        require(&patient.home == invocation.msp_id(), Code::RecordUnknown)?;

        let past = policy.epoch > 1 && at.is_some_and(|at| at < now);
        let at = at.map_or(now, |at| if past { at } else { at.max(now) });
        let mut question = Self {
            id,
            at,
            past,
            policy,
            patient_id,
            patient,
            consents,
            guardians,
            stop,
            record: Some(record),
            hospitals: Vec::new(),
        };
        if past {
            question.go_back(invocation).await?;
        }
        question.hospitals = question.candidates(invocation).await?;
        Ok(question)
    }

    /// Puts everything as it was at the instant.
    async fn go_back(&mut self, invocation: &Invocation<'_>) -> Result<(), Failure> {
        let (at, patient) = (self.at, self.patient_id);
        let newest = PolicyInForce { policy: self.policy.clone(), at: UnixMs::EPOCH };
        let policy = as_of(invocation, at, newest.policy.sequence, keys::policy_of_sequence).await?;
        self.policy = policy.ok_or_else(|| refuse(Code::NoPolicy))?.policy;
        let consents =
            as_of(invocation, at, self.consents.sequence, |n| keys::consents_of_sequence(&patient, n))
                .await?;
        self.consents = consents.unwrap_or(LiveConsents::NONE);
        let guardians =
            as_of(invocation, at, self.guardians.sequence, |n| keys::guardians_of_sequence(&patient, n))
                .await?;
        self.guardians = guardians.unwrap_or(Guardians::NONE);
        let stops = self.stop.as_ref().map_or(0, |stop| stop.sequence);
        self.stop = as_of(invocation, at, stops, |n| keys::stop_of_sequence(&patient, n)).await?;
        if self.patient.at > at {
            let sequence = self.patient.sequence;
            self.patient = as_of(invocation, at, sequence, |n| keys::patient_of_sequence(&patient, n))
                .await?
                .unwrap_or_else(|| self.patient.clone());
        }
        if let Some(record) = self.record.take_if(|record| record.at > at) {
            let id = self.id;
            let before = record.sequence.unwrap_or(0).saturating_sub(1);
            self.record = as_of(invocation, at, before, |n| keys::record_of_sequence(&id, n)).await?;
            if self.record.is_none() {
                self.record = self.unnumbered(invocation, record).await?;
            }
        }
        Ok(())
    }

    /// The record as it was before its changes were numbered, if it was there: all that changed of it then were its
    /// versions, on which nothing that is asked depends.
    async fn unnumbered(
        &self,
        invocation: &Invocation<'_>,
        newest: Record,
    ) -> Result<Option<Record>, Failure> {
        let mut reading = invocation.reading()?;
        let copy = reading.add(keys::record_of_sequence(&self.id, 0)?);
        let first = reading.add(keys::version(&self.id, 1)?);
        let (_, mut facts) = reading.fetch().await?;
        let unnumbered = facts.take(copy)?.unwrap_or(newest);
        let was_there = facts.take(first)?.is_some_and(|first| first.at <= self.at);
        Ok(Some(unnumbered).filter(|record| was_there && record.sequence.is_none()))
    }

    /// Hospitals that a consent names, and members where somebody broke the glass.
    async fn candidates(&self, invocation: &Invocation<'_>) -> Result<Vec<MspId>, Failure> {
        let mut hospitals: BTreeSet<MspId> =
            self.consents.consents.iter().map(|consent| consent.provision.grantee.msp_id().clone()).collect();
        if self.policy.epoch > 1 {
            let patient = self.patient_id.to_string();
            // One of a hospital's is enough, however many broke the glass in the patient's life.
            let one = pages::page(1, String::new())?;
            for Member { msp_id, .. } in &self.policy.members {
                if hospitals.contains(msp_id) {
                    continue;
                }
                let of_hospital = [patient.as_str(), msp_id.as_str()];
                let broken =
                    invocation.tx.partial_composite_page(keys::BREAK_GLASS, &of_hospital, &one).await?;
                if !broken.entries.is_empty() {
                    hospitals.insert(msp_id.clone());
                }
            }
        }
        Ok(hospitals.into_iter().collect())
    }

    /// Decides for the next practitioners, and says for how many. A bookmark is a hospital, and a bookmark of its
    /// practitioners.
    async fn page(
        &self,
        invocation: &Invocation<'_>,
        entries: u32,
        bookmark: String,
    ) -> Result<(HolderPage, usize), Failure> {
        require(bookmark.len() <= BOOKMARK_BYTES_MAX, Code::BookmarkInvalid)?;
        let (hospital, inner) = match bookmark.split_once('\n') {
            Some((hospital, inner)) => (Some(hospital), inner.to_owned()),
            None => (None, bookmark),
        };
        require(hospital.is_some() || inner.is_empty(), Code::BookmarkInvalid)?;
        let index = match hospital {
            None => 0,
            Some(hospital) => self
                .hospitals
                .iter()
                .position(|msp_id| msp_id.as_str() == hospital)
                .ok_or_else(|| refuse(Code::BookmarkInvalid))?,
        };
        let Some(msp_id) = self.hospitals.get(index) else {
            return Ok((HolderPage { at: self.at, holders: Vec::new(), bookmark: String::new() }, 0));
        };
        let page = pages::page(entries, inner)?;
        let found = invocation.tx.partial_composite_page(keys::STANDING, &[msp_id.as_str()], &page).await?;
        let mut practitioners = Vec::with_capacity(found.entries.len());
        for entry in &found.entries {
            let (_, attributes) = split_composite_key(&entry.key)?;
            let subject: Option<Subject> = attributes.get(1).and_then(|subject| subject.parse().ok());
            let subject = subject.ok_or_else(|| refuse(Code::StateUnreadable))?;
            practitioners.push((subject, decode::<Standing>(&entry.value)?));
        }
        let decided_for = practitioners.len();
        let holders = self.holders(invocation, msp_id, practitioners).await?;
        let bookmark = match (found.bookmark, self.hospitals.get(index + 1)) {
            (Some(inner), _) => format!("{msp_id}\n{inner}"),
            (None, Some(next)) => format!("{next}\n"),
            (None, None) => String::new(),
        };
        Ok((HolderPage { at: self.at, holders, bookmark }, decided_for))
    }

    async fn holders(
        &self,
        invocation: &Invocation<'_>,
        msp_id: &MspId,
        practitioners: Vec<(Subject, Standing)>,
    ) -> Result<Vec<Holder>, Failure> {
        let patient = self.patient_id;
        let mut reading = invocation.reading()?;
        let hospital = reading.add_newer(keys::relationship(&patient, msp_id, None)?);
        let mut slots = Vec::with_capacity(practitioners.len());
        for (subject, standing) in practitioners {
            let actor = Actor { msp_id: msp_id.clone(), subject };
            let relationship = reading.add_newer(keys::relationship(&patient, msp_id, Some(&subject))?);
            let broken = reading.add_newer(keys::break_glass(&patient, &actor)?);
            slots.push((actor, standing, relationship, broken));
        }
        let (_, mut facts) = reading.fetch().await?;
        let hospital = facts.take(hospital)?;
        let hospital = self
            .back_then(
                invocation,
                hospital,
                |relationship: &Relationship| relationship.sequence,
                |n| keys::relationship_of_sequence(&patient, msp_id, None, n),
            )
            .await?;
        let mut holders = Vec::new();
        for (actor, standing, relationship, broken) in slots {
            let (relationship, broken) = (facts.take(relationship)?, facts.take(broken)?);
            let standing = self
                .back_then(
                    invocation,
                    Some(standing),
                    |standing: &Standing| standing.sequence,
                    |n| keys::standing_of_sequence(&actor, n),
                )
                .await?;
            let relationship = self
                .back_then(
                    invocation,
                    relationship,
                    |held: &Relationship| held.sequence,
                    |n| keys::relationship_of_sequence(&patient, msp_id, Some(&actor.subject), n),
                )
                .await?;
            let break_glass = self
                .back_then(
                    invocation,
                    broken,
                    |broken: &BrokenGlass| broken.sequence,
                    |n| keys::break_glass_of_sequence(&patient, &actor, n),
                )
                .await?;
            let Some(standing) = standing else { continue };
            let known = AccessFacts {
                standing: Some(standing.clone()),
                patient: self.patient.clone(),
                consents: self.consents.clone(),
                guardians: self.guardians.clone(),
                stop: self.stop.clone(),
                relationship,
                hospital_relationship: hospital.clone(),
                break_glass,
            };
            holders.extend(self.holder(actor, &standing, &known));
        }
        Ok(holders)
    }

    /// What a practitioner may read the record for, if anything.
    fn holder(&self, actor: Actor, standing: &Standing, known: &AccessFacts) -> Option<Holder> {
        let (mut purposes, mut consents) = (Vec::new(), Vec::new());
        for purpose in Purpose::ALL {
            let request = Request {
                actor: &actor,
                role: standing.role,
                patient: &self.patient_id,
                record: &self.id,
                action: Action::Read,
                purpose,
            };
            let decision = decide(&request, &known.of(&self.policy, self.record.as_ref()), self.at);
            if decision.effect == Effect::Permit {
                purposes.push(purpose);
                consents.extend(decision.consent);
            }
        }
        (!purposes.is_empty()).then_some(Holder { actor, role: standing.role, purposes, consents })
    }

    /// A value as it was at the instant, when that is past.
    async fn back_then<T: Stored>(
        &self,
        invocation: &Invocation<'_>,
        newest: Option<T>,
        sequence: impl Fn(&T) -> u64,
        key: impl Fn(u64) -> Result<Key<T>, hlf_chaincode::KeyError>,
    ) -> Result<Option<T>, Failure> {
        match newest {
            Some(newest) if self.past && newest.at() > self.at => {
                as_of(invocation, self.at, sequence(&newest), key).await
            }
            newest => Ok(newest),
        }
    }
}

/// The newest copy that was written at `at` or before, of those that are numbered 1 to `newest`.
async fn as_of<T: Stored>(
    invocation: &Invocation<'_>,
    at: UnixMs,
    newest: u64,
    key: impl Fn(u64) -> Result<Key<T>, hlf_chaincode::KeyError>,
) -> Result<Option<T>, Failure> {
    let (mut found, mut low, mut high) = (None, 1, newest);
    // Times never go back from one sequence number to the next, so halving finds it.
    while low <= high {
        let middle = low + (high - low) / 2;
        let mut reading = invocation.reading()?;
        let slot = reading.add(key(middle)?);
        let (_, mut facts) = reading.fetch().await?;
        let copy = facts.take(slot)?;
        match copy {
            Some(copy) if copy.at() <= at => {
                found = Some(copy);
                low = middle + 1;
            }
            _ => high = middle - 1,
        }
    }
    Ok(found)
}
