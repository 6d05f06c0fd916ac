//! Patients whose records are closed to some: by a guardian's term, by exceptions of what is passed on or granted on
//! paper, and by labels that follow a record to its next custodian.

use caretrail_tests::hospitals::text;
use serde_json::{Value, json};

use crate::world::{Story, decision_about};

/// What the guardian's permits never hold for.
const PROTECTED: &str = "QVXW-SENSITIVE-PROTECTED";

/// What the acts about these patients hand on.
#[derive(Default)]
pub(crate) struct Protected {
    pub(crate) patient: String,
    plain: String,
    /// Labelled, and kept by North.
    closed: String,
    /// Labelled too, and handed over to South.
    moving: String,
    /// The guardian's permit.
    guardians: String,
}

impl Story {
    /// Adds a record of a patient in the north.
    async fn add(&self, patient: &str, name: &str, labels: &str) -> String {
        self.caretrail.write(name, name.as_bytes());
        let line = format!("record add {name} --patient {patient} {labels}");
        text(&self.run_as("north/ada", &line).await.done()["record"])
    }

    /// How a clinician of South is answered about records: the effect of each.
    async fn effects(&self, clinician: &str, patient: &str, records: &[&String]) -> Vec<String> {
        let named: String = records.iter().map(|record| format!(" --record {record}")).collect();
        let ran = self.run_as(clinician, &format!("access request --patient {patient}{named}")).await;
        let reply: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        records.iter().map(|record| text(&decision_about(&reply, record)["effect"])).collect()
    }

    /// The same about the patient of these acts.
    async fn effects_of_three(&self, clinician: &str) -> Vec<String> {
        let Protected { patient, plain, closed, moving, .. } = &self.protected;
        self.effects(clinician, patient, &[plain, closed, moving]).await
    }

    /// Makes a key in a file, and gives the public one.
    async fn key(&self, file: &str) -> String {
        text(&self.caretrail.run(&format!("patient key {file}")).await.done()["public_key"])
    }
}

pub(crate) async fn a_guardians_permit_never_opens_what_the_term_protects(story: &mut Story) {
    story.key("minor.pem").await;
    let guardian = story.key("guardian.pem").await;
    let register = "patient register --key minor.pem --number 3";
    let patient = text(&story.run_as("north/service", register).await.done()["patient"]);
    let labelled = format!("--label {PROTECTED}");
    let plain = story.add(&patient, "growth.txt", "--no-labels").await;
    let closed = story.add(&patient, "counselling.txt", &labelled).await;
    let moving = story.add(&patient, "clinic.txt", &labelled).await;

    // South's labels are blinded by South, which is to keep one of the records later.
    let blind = format!("label blind --patient {patient} --label {PROTECTED}");
    let tags = story.run_as("south/service", &blind).await;
    story.caretrail.write("tags-of-south.json", tags.text().as_bytes());
    let add = format!(
        "guardian add --patient {patient} --key minor.pem --guardian {guardian} --quarters 2 \
         --protect {PROTECTED} --protect-tags tags-of-south.json"
    );
    let added = story.run_as("north/service", &add).await.done();
    let listed = story.run_as("north/service", &format!("guardian list {patient}")).await.done();
    let sets = listed["guardians"][0]["protected"].as_array().unwrap_or_else(|| panic!("{listed}"));
    let custodians: Vec<_> = sets.iter().map(|set| text(&set["custodian"])).collect();
    assert_eq!(custodians, ["NorthMSP", "SouthMSP"], "{added}");

    let grant = format!("consent grant --patient {patient} --key guardian.pem --to SouthMSP --for 1d");
    let guardians = text(&story.run_as("south/service", &grant).await.done()["consent"]);
    story.protected = Protected { patient, plain, closed, moving, guardians };
    assert_eq!(story.effects_of_three("south/ben").await, ["permit", "deny", "deny"]);
}

pub(crate) async fn one_record_is_labelled_anew_and_another_in_its_new_custodians_words(story: &mut Story) {
    let Protected { patient, closed, moving, .. } = &story.protected;
    let (patient, closed, moving) = (patient.clone(), closed.clone(), moving.clone());
    // One record, by its own name: no longer protected, and protected again.
    let renew = format!("label renew --record {closed}");
    let renewed = story.run_as("north/ada", &format!("{renew} --no-labels")).await.rows();
    assert_eq!((renewed.len(), &renewed[0]["version"]), (1, &json!(2)));
    assert_eq!(story.effects_of_three("south/ben").await, ["permit", "permit", "deny"]);
    story.run_as("north/ada", &format!("{renew} --label {PROTECTED}")).await.rows();
    assert_eq!(story.effects_of_three("south/ben").await, ["permit", "deny", "deny"]);

    // With North's labels void and none of South's, the record counts as the more private case; with those that South
    // names, what is said of South's labels holds for it.
    let offer = format!("record transfer {moving} --patient {patient} --to SouthMSP");
    story.run_as("north/service", &offer).await.done();
    let accept = format!("record accept {moving} --patient {patient} --label {PROTECTED}");
    story.run_as("south/ben", &accept).await.failed("ROLE_NOT_ALLOWED");
    story.run_as("south/service", &accept).await.done();
    assert_eq!(story.effects_of_three("south/ben").await, ["permit", "deny", "deny"]);
    let grant = format!("consent grant --patient {patient} --key minor.pem --to south/cleo");
    let line = format!("{grant} --label {PROTECTED} --for 1h");
    let own = text(&story.run_as("south/service", &line).await.done()["consent"]);
    // The guardian's permit names everybody in the south; the patient's own opens what South labelled so.
    assert_eq!(story.effects_of_three("south/cleo").await, ["permit", "deny", "permit"]);
    let end = format!("consent end {own} --patient {patient} --key minor.pem");
    story.run_as("south/service", &end).await.done();
    assert_eq!(story.effects_of_three("south/cleo").await, ["permit", "deny", "deny"]);
}

pub(crate) async fn what_is_passed_on_excepts_what_it_says(story: &mut Story) {
    let Protected { patient, plain, guardians, .. } = &story.protected;
    let end = |consent: &str| format!("consent end {consent} --patient {patient} --key minor.pem");
    story.run_as("south/service", &end(guardians)).await.done();
    let grant = format!(
        "consent grant --patient {patient} --key minor.pem --to south/ben --action read --action delegate --for 2d"
    );
    let parent = text(&story.run_as("south/service", &grant).await.done()["consent"]);
    assert_eq!(story.effects_of_three("south/ben").await, ["permit", "permit", "permit"]);

    let pass_on = format!(
        "consent delegate {parent} --patient {patient} --to south/cleo --for 1h --except record={plain},purpose=TREAT \
         --except custodian=SouthMSP"
    );
    story.run_as("south/cleo", &pass_on).await.failed("DELEGATION_UNKNOWN");
    story.run_as("south/ben", &pass_on).await.done();
    assert_eq!(story.effects_of_three("south/cleo").await, ["deny", "permit", "deny"]);
    story.run_as("south/service", &end(&parent)).await.done();
    assert_eq!(story.effects_of_three("south/cleo").await, ["deny", "deny", "deny"]);
}

pub(crate) async fn a_permit_on_paper_excepts_and_protects_as_well(story: &mut Story) {
    let registered = story.run_as("north/service", "patient register-paper --number 4").await.done();
    let patient = text(&registered["patient"]);
    let plain = story.add(&patient, "on-paper.txt", "--no-labels").await;
    let closed = story.add(&patient, "on-paper-closed.txt", &format!("--label {PROTECTED}")).await;

    let grant = format!("paper grant --patient {patient} --to south/ben --for 1d --except label={PROTECTED}");
    let waiting = text(&story.run_as("north/service", &grant).await.done()["id"]);
    assert_eq!(story.effects("south/ben", &patient, &[&plain, &closed]).await, ["deny", "deny"]);
    let confirm = |id: &str| format!("paper confirm {id} --patient {patient}");
    story.run_as("north/service", &confirm(&waiting)).await.failed("SECOND_HOSPITAL");
    story.run_as("south/service", &confirm(&waiting)).await.done();
    assert_eq!(story.effects("south/ben", &patient, &[&plain, &closed]).await, ["permit", "deny"]);

    let guardian = story.key("guardian-on-paper.pem").await;
    let add = format!("paper add-guardian --patient {patient} --guardian {guardian} --protect {PROTECTED}");
    let waiting = text(&story.run_as("north/service", &add).await.done()["id"]);
    story.run_as("south/service", &confirm(&waiting)).await.done();
    let grant =
        format!("consent grant --patient {patient} --key guardian-on-paper.pem --to south/cleo --for 1h");
    story.run_as("south/service", &grant).await.done();
    assert_eq!(story.effects("south/cleo", &patient, &[&plain, &closed]).await, ["permit", "deny"]);
}
