//! What the acts hand on to each other.

use std::ops::{Deref, DerefMut};

use caretrail_tests::caretrail::Ran;
use caretrail_tests::chain::Told;
use caretrail_tests::hospitals::{Hospitals, number, text};
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use serde_json::Value;

use crate::care::Cared;
use crate::elsewhere::Elsewhere;
use crate::protected::Protected;

/// The hospital's own number of the patient, which must stay there.
pub(crate) const NUMBER: &str = "HN-20771-QVX";
/// The documents' files.
pub(crate) const BUNDLE: &str = "bundle.json";
pub(crate) const SCAN: &str = "scan.pdf";

/// The two hospitals, and what is known by now.
pub(crate) struct Story {
    hospitals: Hospitals,
    pub(crate) patient: String,
    /// The record of the FHIR bundle.
    pub(crate) bundle: String,
    /// The record of the scanned document.
    pub(crate) scan: String,
    /// The decision that denied.
    pub(crate) denial: String,
    /// The consent in force.
    pub(crate) consent: String,
    /// The decision that permitted both records.
    pub(crate) permit: String,
    /// The disclosure of the bundle under that permit.
    pub(crate) disclosure: String,
    /// The second patient.
    pub(crate) elsewhere: Elsewhere,
    /// The third patient.
    pub(crate) protected: Protected,
    /// The patient of the acts about care, and after them.
    pub(crate) cared: Cared,
}

impl World for Story {
    async fn stand_up(stage: &Stage) -> Self {
        let unknown = String::new;
        Self {
            hospitals: Hospitals::stand_up(stage.folder()).await,
            patient: unknown(),
            bundle: unknown(),
            scan: unknown(),
            denial: unknown(),
            consent: unknown(),
            permit: unknown(),
            disclosure: unknown(),
            elsewhere: Elsewhere::default(),
            protected: Protected::default(),
            cared: Cared::default(),
        }
    }
}

impl Deref for Story {
    type Target = Hospitals;

    fn deref(&self) -> &Hospitals {
        &self.hospitals
    }
}

impl DerefMut for Story {
    fn deref_mut(&mut self) -> &mut Hospitals {
        &mut self.hospitals
    }
}

impl Story {
    /// Runs a line as an identity.
    pub(crate) async fn run_as(&self, identity: &str, line: &str) -> Ran {
        self.caretrail.run_as(identity, line).await
    }

    /// The line by which the bundle is asked for.
    pub(crate) fn request(&self) -> String {
        format!("access request --patient {} --record {}", self.patient, self.bundle)
    }

    /// The line by which a record is fetched under a decision.
    pub(crate) fn fetch(&self, record: &str, decision: &str, output: &str) -> String {
        format!("record fetch {record} --patient {} --decision {decision} --output {output}", self.patient)
    }

    /// The disclosures on the channel, in their order.
    pub(crate) async fn disclosures(&self) -> Vec<Told> {
        let mut told = self.chain().await.told("caretrail");
        told.retain(|told| told.event == "disclosed");
        told
    }

    /// The commitments of a record's versions as the channel holds them, newest first.
    pub(crate) async fn commitments(&self, record: &str) -> Vec<Commitments> {
        let history = self.run_as("north/ada", &format!("record history {record}")).await.rows();
        history.iter().map(Commitments::of).collect()
    }
}

/// What the channel holds of a version.
pub(crate) struct Commitments {
    pub(crate) version: u64,
    pub(crate) content_commitment: String,
    pub(crate) blob_digest: String,
    pub(crate) sealed_bytes: u64,
}

impl Commitments {
    fn of(version: &Value) -> Self {
        let commitments = &version["commitments"];
        Self {
            version: number(&version["version"]),
            content_commitment: text(&commitments["content_commitment"]),
            blob_digest: text(&commitments["blob_digest"]),
            sealed_bytes: number(&commitments["sealed_bytes"]),
        }
    }
}

/// The decision about one record in a reply.
pub(crate) fn decision_about<'r>(reply: &'r Value, record: &str) -> &'r Value {
    let decisions = reply["decisions"].as_array().expect("decisions");
    decisions.iter().find(|decision| decision["record"] == record).expect("a decision about the record")
}
