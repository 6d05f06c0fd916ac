//! What a patient adds, has corrected, stops, and takes back.

use caretrail_tests::hospitals::text;
use serde_json::json;

use crate::world::Story;

pub(crate) async fn a_patient_adds_records_and_has_others_corrected(story: &mut Story) {
    for name in ["first.txt", "second.txt", "third.txt", "diary.txt"] {
        story.caretrail.write(name, format!("what {name} says").as_bytes());
    }
    let batch = "record add-all first.txt second.txt third.txt --no-labels";
    let added = story.of_cared("north/ada", batch).await.done();
    let batch = added["records"].as_array().unwrap().clone();
    assert_eq!(batch.len(), 3, "{added}");
    let own = story.of_cared("north/service", "record add-own diary.txt --key late.pem").await.done();
    let listed = story.of_cared("north/ada", "record list").await.rows();
    for record in batch.iter().chain([&own["record"]]) {
        assert!(listed.iter().any(|row| &row["record"] == record), "{record} of {listed:?}");
    }
    let verify = format!("record verify {} --output diary-again.txt", text(&own["record"]));
    story.run_as("north/service", &verify).await.done();
    assert_eq!(story.caretrail.read("diary-again.txt"), b"what diary.txt says");
    // Whoever keeps it changes nothing of it.
    let own = text(&own["record"]);
    let amend = format!("record amend {own} first.txt");
    story.run_as("north/ada", &amend).await.failed("PATIENTS_OWN_RECORD");
    let withdraw = format!("record withdraw {own}");
    story.of_cared("north/ada", &withdraw).await.failed("PATIENTS_OWN_RECORD");
    let transfer = format!("record transfer {own} --to SouthMSP");
    story.of_cared("north/service", &transfer).await.failed("PATIENTS_OWN_RECORD");

    // A clinician's record is never written over: the patient asks, and the custodian answers, each time once.
    let record = story.cared.record.clone();
    story.caretrail.write("wrong.txt", b"it was in the morning");
    story.caretrail.write("answer.txt", b"so it was");
    let ask = format!("record request-correction {record} --key late.pem --text wrong.txt");
    let answer = format!("record answer-correction {record} --reason answer.txt");
    let show = format!("record correction {record}");
    story.of_cared("north/ada", &answer).await.failed("CORRECTION_UNKNOWN");
    let asked = story.of_cared("south/service", &ask).await.done();
    assert_eq!(story.run_as("north/service", &show).await.done()["request_digest"], asked["request_digest"]);
    story.of_cared("south/ben", &format!("{answer} --accept")).await.failed("RECORD_UNKNOWN");
    story.of_cared("north/ada", &format!("{answer} --accept")).await.done();
    story.of_cared("north/ada", &answer).await.failed("CORRECTION_ANSWERED");
    assert_eq!(story.run_as("north/service", &show).await.done()["answer"]["accepted"], true);
    story.of_cared("south/service", &ask).await.failed("CORRECTION_NUMBER");
    story.of_cared("south/service", &format!("{ask} --number 2")).await.done();
    let refused = story.of_cared("north/ada", &format!("{answer} --number 2")).await.done();
    assert_eq!(refused["answer"]["accepted"], false);

    let withdraw = format!("record withdraw {}", text(&batch[0]));
    story.of_cared("north/ada", &withdraw).await.done();
    story.of_cared("north/ada", &withdraw).await.failed("RECORD_WITHDRAWN");
    let preview = format!("access preview --record {} --actor south/cleo", text(&batch[0]));
    let previewed = story.of_cared("north/service", &preview).await.done();
    assert_eq!(previewed["decisions"][0]["rule"], "record_withdrawn");
}

pub(crate) async fn a_patient_stops_everything_and_takes_single_permits_back(story: &mut Story) {
    assert_eq!(story.rule("south/ben", "TREAT").await, "consent_permits");
    story.of_cared("south/service", "consent stop --key late.pem").await.done();
    // Whoever asks learns that nothing permits it; why, the patient's home sees.
    assert_eq!(story.rule("south/ben", "TREAT").await, "nothing_permits");
    assert_eq!(story.previewed("south/ben", "TREAT").await, "stopped");
    story.of_cared("south/service", "consent stop --key late.pem --lift").await.done();
    assert_eq!(story.rule("south/ben", "TREAT").await, "consent_permits");

    // The same by a statement that is prepared at one hospital, signed elsewhere, and carried by another.
    let shown = story.run_as("north/service", &format!("patient show {}", story.cared.patient)).await.done();
    let prepare = format!("consent prepare --signer {} --operation stop_all", text(&shown["key"]));
    let body = "--body {\"stopped\":true}";
    let prepared = story.of_cared("north/service", &format!("{prepare} {body}")).await;
    story.caretrail.write("stop.json", prepared.text().as_bytes());
    let words = story.caretrail.run("consent show stop.json").await.done()["words"].to_string();
    assert!(words.contains("Nobody may use any of my permits"), "{words}");
    let signed = story.caretrail.run("consent sign stop.json --key late.pem").await;
    story.caretrail.write("stop-signed.json", signed.text().as_bytes());
    story.run_as("south/service", "consent submit stop-signed.json").await.done();
    assert_eq!(story.previewed("south/ben", "TREAT").await, "stopped");
    story.run_as("north/service", "consent submit stop-signed.json").await.failed("STATEMENT_REPLAYED");
    story.of_cared("north/service", "consent stop --key late.pem --lift").await.done();

    // Who passed a permit on takes it back; whom it was passed on to cannot.
    let grant = "consent grant --key late.pem --to south/ben --action read --action delegate --for 2d";
    let parent = text(&story.of_cared("south/service", grant).await.done()["consent"]);
    let pass_on = format!("consent delegate {parent} --to south/cleo --for 1h");
    let passed = text(&story.of_cared("south/ben", &pass_on).await.done()["consent"]);
    let end = format!("consent end-delegation {passed}");
    story.of_cared("south/cleo", &end).await.failed("CONSENT_UNKNOWN");
    story.of_cared("south/ben", &end).await.done();
    story.of_cared("south/ben", &end).await.failed("CONSENT_UNKNOWN");

    // A guardian's term ends by the patient's word, and with it what the guardian may sign.
    let guardian = story.caretrail.run("patient key late-guardian.pem").await.done();
    let add =
        format!("guardian add --key late.pem --guardian {} --quarters 1", text(&guardian["public_key"]));
    story.of_cared("north/service", &add).await.done();
    let grant = "consent grant --key late-guardian.pem --to south/ben --for 1h";
    story.of_cared("south/service", grant).await.done();
    let end = format!("guardian end {} --key late.pem", text(&guardian["key"]));
    assert_eq!(story.of_cared("south/service", &end).await.done()["guardians"], json!([]));
    story.of_cared("south/service", grant).await.failed("STATEMENT_SIGNATURE");

    let known = story.caretrail.run("label known").await.rows();
    assert!(known.iter().any(|row| row["label"] == "HIV"), "{known:?}");
}
