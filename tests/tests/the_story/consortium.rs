//! Who belongs to the consortium, and who is who.

use std::os::unix::fs::PermissionsExt as _;

use caretrail_tests::caretrail::Caretrail;
use caretrail_tests::hospitals::{actor, text};
use caretrail_tests::processes;
use caretrail_tests::until::now_unix_ms;
use hlf_protos::protos::TxValidationCode;
use serde_json::{Value, json};

use crate::world::{NUMBER, Story};

pub(crate) async fn the_first_policy_is_in_force_once_both_admins_approved(story: &mut Story) {
    story.run_as("north/admin", "policy show").await.failed("NO_POLICY");

    let draft = story.caretrail.run("policy draft").await;
    let policy: Value = serde_json::from_str(draft.text()).unwrap();
    let members: Vec<_> = policy["members"].as_array().unwrap().iter().map(|m| text(&m["msp_id"])).collect();
    assert_eq!(members, ["NorthMSP", "SouthMSP"]);
    story.caretrail.write("policy.json", draft.text().as_bytes());

    let refused = story.run_as("north/service", "policy propose policy.json").await;
    assert_eq!(refused.failed("ROLE_NOT_ALLOWED").stage, "endorse");
    let proposed = story.run_as("north/admin", "policy propose policy.json").await.done();
    let approve = format!("policy approve {}", text(&proposed["digest"]));
    let approved = story.run_as("north/admin", &approve).await.done();
    assert_eq!(approved["in_force"], false);
    assert_eq!(approved["approved"], json!(["NorthMSP"]));
    assert_eq!(approved["missing"], json!(["SouthMSP"]));
    // Half of the members is not all that the first policy names.
    story.run_as("north/admin", "policy show").await.failed("NO_POLICY");

    let approved = story.run_as("south/admin", &approve).await.done();
    assert_eq!(approved["in_force"], true);
    assert_eq!(approved["approved"], json!(["NorthMSP", "SouthMSP"]));
    for admin in ["north/admin", "south/admin"] {
        assert_eq!(story.run_as(admin, "policy show").await.done(), policy);
    }
}

pub(crate) async fn each_hospital_authorises_its_own_clinicians(story: &mut Story) {
    for name in ["north/ada", "north/eve", "south/ben", "south/cleo"] {
        let actor = story.clinician(name).await;
        let (msp_id, subject) = actor.split_once('/').unwrap();
        let expected = if name.starts_with("north/") { "NorthMSP" } else { "SouthMSP" };
        assert_eq!(msp_id, expected);
        assert!(subject.len() == 32 && subject.bytes().all(|byte| byte.is_ascii_hexdigit()), "{subject}");
    }
    // A clinician authorises nobody, not even for a moment.
    let line = "practitioner authorize north/eve --purpose TREAT --for 30d";
    story.run_as("north/ada", line).await.failed("ROLE_NOT_ALLOWED");
    for (name, admin) in
        [("north/ada", "north/admin"), ("south/ben", "south/admin"), ("south/cleo", "south/admin")]
    {
        let line = format!("practitioner authorize {name} --purpose TREAT --for 30d");
        let standing = story.run_as(admin, &line).await.done();
        assert_eq!(standing["role"], "clinician");
        assert_eq!(standing["purposes"], json!(["TREAT"]));
        assert_eq!(standing["suspended"], false);
    }
    story.run_as("north/admin", "practitioner show north/eve").await.failed("STANDING_UNKNOWN");
}

pub(crate) async fn a_hospital_alone_writes_nothing(story: &mut Story) {
    let eve = actor(&story.actor("north/eve").await);
    let call = json!({
        "subject": eve.subject,
        "role": "clinician",
        "purposes": ["TREAT"],
        "until": now_unix_ms() + 3_600_000,
    });
    let gateway = story.gateway("north/admin").await;
    let contract = gateway.contract("records", "caretrail");
    // North's own peer endorses what North's admin may do, and North's admin submits it without South's.
    let proposal = contract.proposal("AuthorizePractitioner").arg(call.to_string());
    let endorsed = proposal.endorsing_organizations(["NorthMSP"]).build().unwrap().endorse().await.unwrap();
    let status = endorsed.submit().await.unwrap().commit_status().await.unwrap();
    assert_eq!(status.code, TxValidationCode::EndorsementPolicyFailure);
    for auditor in ["north/auditor", "south/auditor"] {
        story.run_as(auditor, "practitioner show north/eve").await.failed("STANDING_UNKNOWN");
    }
}

pub(crate) async fn a_patient_is_registered_by_their_own_key_and_found_by_number(story: &mut Story) {
    let made = story.caretrail.run("patient key patient.pem").await.done();
    let mode = std::fs::metadata(story.caretrail.file("patient.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let find = format!("patient find {NUMBER}");
    story.run_as("north/service", &find).await.invalid("INPUT_INVALID");
    let register = format!("patient register --key patient.pem --number {NUMBER}");
    let registered = story.run_as("north/service", &register).await.done();
    story.patient = text(&registered["patient"]);
    assert_eq!(story.patient.len(), 32);

    let found = story.run_as("north/service", &find).await.done();
    assert_eq!(found, json!({ "patient": story.patient }));
    // The number is North's own: South has never heard of it.
    story.run_as("south/service", &find).await.invalid("INPUT_INVALID");

    // Both hospitals' peers hold the patient with the key, and nothing else of the person.
    for service in ["north/service", "south/service"] {
        let line = format!("patient show {}", story.patient);
        let mut shown = story.run_as(service, &line).await.done();
        let fields = shown.as_object_mut().unwrap();
        assert_eq!(fields.remove("home").unwrap(), "NorthMSP");
        assert_eq!(fields.remove("key").unwrap(), made["key"]);
        let mut rest: Vec<_> = fields.keys().map(String::as_str).collect();
        rest.sort_unstable();
        assert_eq!(rest, ["at", "public_key", "sequence"]);
    }
}

pub(crate) async fn a_clinician_whom_nobody_authorised_is_refused(story: &mut Story) {
    let before = story.transactions().await;
    story.caretrail.write("note.txt", b"unauthorised");
    let line = format!("record add note.txt --patient {}", story.patient);
    let failure = story.run_as("north/eve", &line).await.failed("NOT_AUTHORIZED");
    assert_eq!(failure.stage, "endorse");
    assert_eq!(failure.msp_id.as_deref(), Some("NorthMSP"));
    assert!(!failure.retryable);
    assert!(failure.fix.contains("admin authorise"), "{}", failure.fix);
    assert!(failure.message.contains("RegisterRecord"), "{}", failure.message);
    assert_eq!(story.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn everything_ends_when_it_is_told_to(story: &mut Story) {
    story.end_daemons().await;
    let caretrail: &Caretrail = &story.caretrail;
    assert_eq!(
        processes::marked(caretrail.state()).len(),
        6,
        "an orderer, three peers, two chaincode services"
    );
    let ran = caretrail.run("network down").await;
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    assert_eq!(processes::marked(caretrail.state()), [0_u32; 0]);
}
