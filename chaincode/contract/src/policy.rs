//! The decision: a pure and total function of a request, the ledger's facts and an instant.
//!
//! Which table decides follows from the epoch of the policy in force: [`epoch_1`] or [`epoch_2`]. A build holds
//! both, so that a consortium changes over by its policy while its members run builds of either age.
//! Whether a new record may be added is [`writing`]'s table.
//!
//! `first_engine_only` leaves the second engine out: a build as old as that, which tests put on a channel beside a
//! build of today.

use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::consent::{Action, LiveConsents};
use caretrail_model::decision::Decision;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, PatientId, RecordId};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::{ConsortiumPolicy, EPOCHS};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::tag::RecordTags;
use caretrail_model::time::UnixMs;

pub mod epoch_1;
#[cfg_attr(first_engine_only, path = "policy/absent.rs")]
pub mod epoch_2;
#[cfg(test)]
mod tests_world;
pub mod writing;

/// The epochs whose engines this build has.
pub const ENGINES: &[u32] = if cfg!(first_engine_only) { &[1] } else { &EPOCHS };

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// In which role.
    pub role: Role,
    /// The patient.
    pub patient: &'a PatientId,
    /// The record.
    pub record: &'a RecordId,
    /// What is to be done.
    pub action: Action,
    /// What for.
    pub purpose: Purpose,
}

/// What the ledger holds.
#[derive(Clone, Copy, Debug)]
pub struct LedgerFacts<'a> {
    /// The policy in force.
    pub policy: &'a ConsortiumPolicy,
    /// The actor's standing.
    pub standing: Option<&'a Standing>,
    /// The patient.
    pub patient: &'a Patient,
    /// The patient's live consents.
    pub consents: &'a LiveConsents,
    /// The patient's guardians.
    pub guardians: &'a Guardians,
    /// The patient's stop switch.
    pub stop: Option<&'a StopSwitch>,
    /// The actor's own care relationship with the patient.
    pub relationship: Option<&'a Relationship>,
    /// The care relationship of all clinicians of the actor's hospital.
    pub hospital_relationship: Option<&'a Relationship>,
    /// The glass that the actor broke for the patient.
    pub break_glass: Option<&'a BrokenGlass>,
    /// The record.
    pub record: Option<&'a Record>,
}

/// A record that somebody wants to add.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Who adds it.
    pub actor: &'a Actor,
    /// In which role.
    pub role: Role,
    /// Whose record it is.
    pub patient: &'a PatientId,
    /// Its id.
    pub record: &'a RecordId,
    /// Its labels.
    pub tags: Option<&'a RecordTags>,
}

/// Whether an actor may add a record, and why: what [`writing`]'s table gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MayAdd {
    /// The actor has no standing.
    NoStanding,
    /// The actor's hospital is the patient's home.
    ByCustody,
    /// The patient is in the actor's care.
    ByCare,
    /// The patient permits it.
    ByConsent,
    /// Nothing lets the actor, or something keeps the actor from it.
    Not,
}

impl MayAdd {
    /// Whether the record may be added.
    pub const fn allows(self) -> bool {
        matches!(self, Self::ByCustody | Self::ByCare | Self::ByConsent)
    }
}

/// Decides, by the table of the engine that the policy in force names.
pub fn decide(request: &Request<'_>, facts: &LedgerFacts<'_>, effective: UnixMs) -> Decision {
    match facts.policy.epoch {
        1 => epoch_1::decide(request, facts, effective),
        _ => epoch_2::decide(request, facts, effective),
    }
}
