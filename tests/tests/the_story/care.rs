//! A patient who is being treated, for a while; and emergencies, which another hospital reviews.

use caretrail_tests::caretrail::Ran;
use caretrail_tests::hospitals::text;
use serde_json::Value;

use crate::elsewhere::PARTY;
use crate::world::{Story, decision_about};

/// What the acts about this patient hand on.
#[derive(Default)]
pub(crate) struct Cared {
    pub(crate) patient: String,
    /// A record that is labelled with nothing, kept by North.
    pub(crate) record: String,
}

impl Story {
    /// How a clinician's request about that record is answered: the rule that decided, and by which transaction.
    pub(crate) async fn asked(&self, clinician: &str, purpose: &str) -> (String, String) {
        let Cared { patient, record } = &self.cared;
        let line = format!("access request --patient {patient} --record {record} --purpose {purpose}");
        let ran = self.run_as(clinician, &line).await;
        let reply: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let decision = decision_about(&reply, record);
        assert_eq!(ran.exit, Some(if decision["effect"] == "permit" { 0 } else { 2 }), "{ran:?}");
        (text(&decision["rule"]), text(&reply["decision"]))
    }

    /// The rule alone.
    pub(crate) async fn rule(&self, clinician: &str, purpose: &str) -> String {
        self.asked(clinician, purpose).await.0
    }

    /// The rule by which a request for it would be answered, as the patient's home sees it.
    pub(crate) async fn previewed(&self, actor: &str, purpose: &str) -> String {
        let Cared { record, .. } = &self.cared;
        let line = format!("access preview --record {record} --actor {actor} --purpose {purpose}");
        text(&self.of_cared("north/service", &line).await.done()["decisions"][0]["rule"])
    }

    /// Runs a line about that patient as an identity.
    pub(crate) async fn of_cared(&self, identity: &str, line: &str) -> Ran {
        self.run_as(identity, &format!("{line} --patient {}", self.cared.patient)).await
    }
}

pub(crate) async fn access_begins_and_ends_with_the_care(story: &mut Story) {
    let care = format!(
        "--sequence 4 --relying-party {PARTY} --purpose TREAT --purpose BTG --needs-care-relationship"
    );
    story.put_in_force(&care).await;
    story.caretrail.run("patient key late.pem").await.done();
    let registered = story.run_as("north/service", "patient register --key late.pem --number 5").await.done();
    story.cared.patient = text(&registered["patient"]);
    story.caretrail.write("admission.txt", b"admitted at night");
    let added = story.of_cared("north/ada", "record add admission.txt --no-labels").await.done();
    story.cared.record = text(&added["record"]);
    story.of_cared("south/service", "consent grant --key late.pem --to SouthMSP --for 1d").await.done();

    // The consent names the whole hospital; only who treats the patient is permitted.
    assert_eq!(story.rule("south/ben", "TREAT").await, "no_relationship");
    let open = "care open --clinician south/ben --for 1d";
    story.of_cared("south/ben", open).await.failed("ROLE_NOT_ALLOWED");
    story.of_cared("south/service", "care show --clinician south/ben").await.failed("RELATIONSHIP_UNKNOWN");
    let opened = story.of_cared("south/service", open).await.done();
    let shown = story.of_cared("south/service", "care show --clinician south/ben").await.done();
    assert_eq!(shown["until"], opened["until"]);
    assert_eq!(story.rule("south/ben", "TREAT").await, "consent_permits");
    assert_eq!(story.rule("south/cleo", "TREAT").await, "no_relationship");
    story.of_cared("south/service", "care close --clinician south/ben").await.done();
    assert_eq!(story.rule("south/ben", "TREAT").await, "no_relationship");

    // Of all of the hospital's clinicians.
    story.of_cared("south/service", "care open").await.done();
    assert_eq!(story.rule("south/cleo", "TREAT").await, "consent_permits");
    story.of_cared("south/service", "care close").await.done();
    story.of_cared("south/service", "care close").await.failed("RELATIONSHIP_UNKNOWN");
    assert_eq!(story.rule("south/cleo", "TREAT").await, "no_relationship");
    story.of_cared("south/service", "care open --clinician south/cleo").await.done();

    // Whom the hospital suspends is permitted nothing, from that moment on.
    assert_eq!(story.rule("south/cleo", "TREAT").await, "consent_permits");
    let suspended = story.run_as("south/admin", "practitioner suspend south/cleo").await.done();
    assert_eq!(suspended["suspended"], true);
    assert_eq!(story.rule("south/cleo", "TREAT").await, "no_standing");
    story.run_as("south/admin", "practitioner authorize south/cleo --purpose TREAT --for 30d").await.done();
    assert_eq!(story.rule("south/cleo", "TREAT").await, "consent_permits");
}

pub(crate) async fn broken_glass_is_flagged_and_reviewed_elsewhere(story: &mut Story) {
    story.caretrail.write("reason.txt", b"unconscious on arrival");
    story.caretrail.write("finding.txt", b"as it was told");
    let glass = "emergency break --reason reason.txt";
    let review = "emergency review --clinician south/ben --finding finding.txt";

    // It takes the hospital's word that a clinician may, and the clinician's act.
    assert_eq!(story.rule("south/ben", "BTG").await, "purpose_not_held");
    let authorize = "practitioner authorize south/ben --purpose TREAT --purpose BTG --for 30d";
    story.run_as("south/admin", authorize).await.done();
    assert_eq!(story.rule("south/ben", "BTG").await, "nothing_permits");
    story.of_cared("south/service", glass).await.failed("ROLE_NOT_ALLOWED");
    let broken = story.of_cared("south/ben", glass).await.done();
    assert!(broken["review"].is_null(), "{broken}");
    let (rule, opened) = story.asked("south/ben", "BTG").await;
    assert_eq!(rule, "break_glass");
    let shown = story.of_cared("south/auditor", "emergency show --clinician south/ben").await.done();
    assert_eq!(shown["broken_in"], broken["tx_id"]);
    // Who could see the record then is answered with it, and with the one who treats the patient.
    let holders = format!("audit who-can-see {}", story.cared.record);
    let able: Vec<_> =
        story.run_as("north/auditor", &holders).await.rows().iter().map(|row| text(&row["actor"])).collect();
    for name in ["south/ben", "south/cleo"] {
        assert!(able.contains(&story.actor(name).await), "{name} is not of {able:?}");
    }

    // Until another hospital has reviewed it, the glass is not broken again.
    story.of_cared("south/ben", glass).await.failed("REVIEW_PENDING");
    story.of_cared("south/auditor", review).await.failed("SECOND_HOSPITAL");
    let reviewed = story.of_cared("north/auditor", review).await.done();
    assert_eq!(reviewed["review"]["justified"], true);
    story.of_cared("north/auditor", review).await.failed("REVIEWED_ALREADY");
    story.of_cared("south/ben", glass).await.done();
    // What was not justified ends at once.
    story.of_cared("north/auditor", &format!("{review} --unjustified")).await.done();
    assert_eq!(story.rule("south/ben", "BTG").await, "nothing_permits");

    // The patient may refuse it altogether.
    story.of_cared("south/service", "patient refuse-emergency --key late.pem").await.done();
    story.of_cared("south/ben", glass).await.failed("EMERGENCY_REFUSED");
    let (rule, refused) = story.asked("south/ben", "BTG").await;
    assert_eq!(rule, "emergency_refused");
    assert_eq!(story.previewed("south/ben", "BTG").await, "emergency_refused");
    story.of_cared("south/service", "patient refuse-emergency --key late.pem --allow").await.done();
    story.of_cared("south/ben", glass).await.done();
    assert_eq!(story.previewed("south/ben", "BTG").await, "break_glass");

    // Both decisions can be made again, whatever came after them.
    for (decision, rule) in [(opened, "break_glass"), (refused, "emergency_refused")] {
        let replay = format!("access replay {decision}");
        let again = story.of_cared("north/auditor", &replay).await.done();
        assert_eq!(
            (&again["matches"], text(&again["decisions"][0]["rule"])),
            (&true.into(), rule.to_owned())
        );
        story.of_cared("south/auditor", &replay).await.failed("HOSPITAL_NOT_ALLOWED");
    }
    story.put_in_force(&format!("--sequence 5 --relying-party {PARTY}")).await;
    assert_eq!(story.rule("south/ben", "BTG").await, "role_not_allowed");
}
