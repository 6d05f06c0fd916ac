//! What every act starts from: a network with a policy, clinicians, a patient and a record.

use std::ops::Deref;
use std::path::PathBuf;

use caretrail_tests::caretrail::Ran;
use caretrail_tests::hospitals::{Hospitals, text};
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;

/// A document that every act may add.
pub(crate) const NOTE: &str = "note.txt";

/// Two hospitals at work.
pub(crate) struct Ward {
    hospitals: Hospitals,
    /// Where acts that need a network of their own make it.
    pub(crate) folder: PathBuf,
    pub(crate) patient: String,
    pub(crate) record: String,
}

impl World for Ward {
    async fn stand_up(stage: &Stage) -> Self {
        let hospitals = Hospitals::stand_up(stage.folder()).await;
        hospitals.constitute().await;
        for (name, admin) in [("north/ada", "north/admin"), ("south/ben", "south/admin")] {
            hospitals.clinician(name).await;
            hospitals.caretrail.run_as(admin, &format!("practitioner authorize {name}")).await.done();
        }
        hospitals.caretrail.run("patient key patient.pem").await.done();
        let register = "patient register --key patient.pem --number 1";
        let patient = text(&hospitals.caretrail.run_as("north/service", register).await.done()["patient"]);
        hospitals.caretrail.write(NOTE, b"a note");
        let add = format!("record add {NOTE} --patient {patient}");
        let record = text(&hospitals.caretrail.run_as("north/ada", &add).await.done()["record"]);
        Self { hospitals, folder: stage.folder().to_owned(), patient, record }
    }
}

impl Deref for Ward {
    type Target = Hospitals;

    fn deref(&self) -> &Hospitals {
        &self.hospitals
    }
}

impl Ward {
    /// Runs a line as an identity.
    pub(crate) async fn run_as(&self, identity: &str, line: &str) -> Ran {
        self.caretrail.run_as(identity, line).await
    }

    /// The line that adds the note.
    pub(crate) fn add(&self) -> String {
        format!("record add {NOTE} --patient {}", self.patient)
    }

    /// The line that asks for the record.
    pub(crate) fn request(&self) -> String {
        format!("access request --patient {} --record {}", self.patient, self.record)
    }

    /// Everything works: both hospitals' peers endorse, order and commit, and a document opens.
    pub(crate) async fn demand_health(&self) {
        let status = self.status().await;
        assert!(status.ready, "{status:?}");
        self.run_as("north/ada", &self.add()).await.done();
        self.run_as("south/ben", &self.request()).await.denied();
        self.run_as("north/ada", &format!("record verify {}", self.record)).await.done();
    }
}
