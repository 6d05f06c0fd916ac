//! A patient's key: replaced by the patient, recovered when it is lost, and first bound by one who had none.

use std::time::Duration;

use caretrail_tests::hospitals::text;
use caretrail_tests::until::until;

use crate::elsewhere::PARTY;
use crate::world::Story;

/// How long a recovery that is due at once may take to be due, by the peers' clocks.
const DUE_WITHIN: Duration = Duration::from_secs(120);

impl Story {
    /// Whether a key signs for the patient of the acts about care.
    async fn signs(&self, key: &str) -> bool {
        let grant = format!("consent grant --key {key} --to south/cleo --for 1h");
        let ran = self.of_cared("south/service", &grant).await;
        match ran.exit {
            Some(0) => true,
            _ => {
                ran.failed("STATEMENT_SIGNATURE");
                false
            }
        }
    }
}

pub(crate) async fn a_lost_key_is_recovered_by_two_hospitals_and_time(story: &mut Story) {
    let patient = story.cared.patient.clone();
    for name in ["newer.pem", "newest.pem"] {
        story.caretrail.run(&format!("patient key {name}")).await.done();
    }
    let of_first = story.run_as("north/service", &format!("patient show {patient}")).await.done();
    let rotate = "patient rotate-key --key late.pem --new-key newer.pem";
    let rotated = story.of_cared("south/service", rotate).await.done();
    assert_ne!(rotated["key"], of_first["key"]);
    assert_eq!((story.signs("late.pem").await, story.signs("newer.pem").await), (false, true));
    // What the first one signed can still be verified by it.
    let signer = format!("patient signer {patient} {}", text(&of_first["key"]));
    let signer = story.run_as("south/service", &signer).await.done();
    assert_eq!(signer["public_key"], of_first["public_key"]);

    // Who has the key in force has three days to cancel what others open.
    let recover = "patient recover-key --key newest.pem";
    story.of_cared("south/service", recover).await.failed("HOSPITAL_NOT_ALLOWED");
    let recovery = text(&story.of_cared("north/service", recover).await.done()["statement"]);
    let confirm = format!("patient confirm-recovery {patient} {recovery}");
    let complete = format!("patient complete-recovery {patient} {recovery}");
    story.of_cared("north/service", recover).await.failed("RECOVERY_PENDING");
    story.run_as("north/service", &confirm).await.failed("SECOND_HOSPITAL");
    story.run_as("north/service", &complete).await.failed("RECOVERY_NOT_DUE");
    let confirmed = story.run_as("south/service", &confirm).await.done();
    story.run_as("north/service", &complete).await.failed("RECOVERY_NOT_DUE");
    let shown = story.run_as("north/service", &format!("patient recovery {patient}")).await.done();
    assert_eq!(shown["due"], confirmed["due"]);
    let cancel = format!("patient cancel-recovery {recovery} --key newer.pem");
    assert_eq!(story.of_cared("south/service", &cancel).await.done()["ended"], "cancelled");
    story.run_as("north/service", &complete).await.failed("RECOVERY_UNKNOWN");

    // The same code with a policy of a second: nobody cancels, and the new key is in force.
    story.put_in_force(&format!("--sequence 6 --relying-party {PARTY} --recovery 1s")).await;
    let recovery = text(&story.of_cared("north/service", recover).await.done()["statement"]);
    story.run_as("south/service", &format!("patient confirm-recovery {patient} {recovery}")).await.done();
    let complete = format!("patient complete-recovery {patient} {recovery}");
    until("the recovery to be due", DUE_WITHIN, async || {
        let ran = story.run_as("south/service", &complete).await;
        if ran.exit != Some(0) {
            ran.failed("RECOVERY_NOT_DUE");
        }
        (ran.exit == Some(0)).then_some(())
    })
    .await;
    assert_eq!((story.signs("newer.pem").await, story.signs("newest.pem").await), (false, true));
}

pub(crate) async fn what_is_done_on_paper_needs_two_hospitals_until_a_key_is_bound(story: &mut Story) {
    let registered = story.run_as("north/service", "patient register-paper --number 6").await.done();
    let patient = text(&registered["patient"]);
    let at = async |hospital: &str, line: &str| {
        story.run_as(&format!("{hospital}/service"), &format!("{line} --patient {patient}")).await
    };
    let id = async |line: &str| text(&at("north", line).await.done()["id"]);

    // What closes works at once; what opens waits for the other hospital.
    assert_eq!(at("north", "paper stop").await.done()["paper"]["done"], true);
    let lift = id("paper stop --lift").await;
    assert_eq!(at("south", &format!("paper show {lift}")).await.done()["done"], false);
    let confirmed = at("south", &format!("paper confirm {lift}")).await.done();
    assert_eq!((&confirmed["done"], &confirmed["act"]["stopped"]), (&true.into(), &false.into()));

    let grant = id("paper grant --to south/ben --for 1d").await;
    let consents = async || {
        let listed = at("north", "consent list").await.done();
        listed["consents"].as_array().unwrap().len()
    };
    assert_eq!(consents().await, 0);
    at("south", &format!("paper confirm {grant}")).await.done();
    assert_eq!(consents().await, 1);
    assert_eq!(at("north", &format!("paper end {grant}")).await.done()["paper"]["done"], true);
    assert_eq!(consents().await, 0);

    let guardian = story.caretrail.run("patient key paper-guardian.pem").await.done();
    let add = format!("paper add-guardian --guardian {}", text(&guardian["public_key"]));
    let appointed = id(&add).await;
    at("south", &format!("paper confirm {appointed}")).await.done();
    let end = format!("paper end-guardian {}", text(&guardian["key"]));
    assert_eq!(at("north", &end).await.done()["paper"]["done"], true);

    story.caretrail.run("patient key found.pem").await.done();
    at("south", "patient bind-key --key found.pem").await.failed("HOSPITAL_NOT_ALLOWED");
    at("north", "patient bind-key --key found.pem").await.done();
    at("north", "paper grant --to south/ben --for 1d").await.failed("KEY_BOUND");
    at("south", "consent grant --key found.pem --to south/ben --for 1h").await.done();
    assert_eq!(consents().await, 1);
}
