//! Access: asked for, denied, permitted, released, ended.

use std::time::Duration;

use caretrail_model::calls::{GetStatement, RecordDisclosure};
use caretrail_model::code::Code;
use caretrail_model::statement::Operation;
use caretrail_records::release::KemKey;
use caretrail_tests::hospitals::{actor, number, text};
use caretrail_tests::until::{now_unix_ms, until};
use hlf_protos::protos::TxValidationCode;
use serde_json::{Value, json};

use crate::world::{BUNDLE, SCAN, Story, decision_about};

pub(crate) async fn south_is_denied_and_the_denial_is_committed(story: &mut Story) {
    let request = format!("{} --purpose TREAT --request 00112233445566778899aabbccddeeff", story.request());
    let denied = story.run_as("south/ben", &request).await.denied();
    assert_eq!(
        denied["decisions"],
        json!([{
            "record": story.bundle, "effect": "deny", "rule": "nothing_permits"
        }])
    );
    let tx_id = text(&denied["tx_id"]);
    assert_eq!(denied["decision"], denied["tx_id"]);

    // VALID in that very block, as a peer says and as the block itself says.
    let status = story.gateway("south/ben").await.commit_status("records", &tx_id).await.unwrap();
    assert_eq!((status.code, status.block_number), (TxValidationCode::Valid, number(&denied["block"])));
    let shown = story.run_as("south/ben", &format!("tx status {tx_id}")).await.done();
    assert_eq!((&shown["validation_code"], &shown["block"]), (&json!("VALID"), &denied["block"]));
    let explained = story.run_as("south/admin", &format!("tx explain {tx_id}")).await.done();
    assert_eq!(explained["transaction"]["creator"]["msp_id"], "SouthMSP", "{explained}");
    assert_eq!(explained["cause"]["kind"], "valid");
    story.run_as("south/ben", &format!("tx explain {tx_id}")).await.failed("BLOCKS_DENIED");
    let nowhere = story.run_as("south/admin", &format!("tx explain {}", "0".repeat(64))).await;
    assert_eq!(nowhere.exit, Some(4), "{nowhere:?}");
    let told = story.chain().await.told("caretrail").pop().unwrap();
    assert_eq!(
        (&told.tx_id, told.block, told.event.as_str()),
        (&tx_id, status.block_number, "access_decided")
    );
    assert_eq!(told.entry["act"]["decisions"], denied["decisions"]);

    // Asked again under the same id: the same decision, and no second entry.
    let again = story.run_as("south/ben", &request).await.denied();
    assert_eq!(again["decision"], denied["decision"]);
    assert_eq!(story.chain().await.told("caretrail").pop().unwrap(), told);
    // And that id is for no other request.
    let other = format!("{request} --record {}", story.scan);
    story.run_as("south/ben", &other).await.failed("REQUEST_ID_REUSED");

    // Nor is North's own clinician let in by working there: a permit rests on a consent.
    let own = story.run_as("north/eve", &story.request()).await.denied();
    assert_eq!(own["decisions"][0]["rule"], "no_standing");
    let shown = format!("access show {tx_id} --patient {}", story.patient);
    let entry = story.run_as("north/auditor", &shown).await.done();
    assert_eq!(entry, told.entry);
    story.denial = tx_id;
}

pub(crate) async fn the_daemons_are_ready_and_release_nothing_on_a_denial(story: &mut Story) {
    let fetch = story.fetch(&story.bundle, &story.denial, "denied.json");
    let failure = story.run_as("south/ben", &fetch).await.failed("DAEMON_UNREACHABLE");
    assert!(failure.retryable && failure.fix.contains("daemon runs"), "{failure:?}");

    story.serve("north").await;
    story.serve("south").await;
    let failure = story.run_as("south/ben", &fetch).await.failed("ACCESS_DENIED");
    assert_eq!(failure.msp_id.as_deref(), Some("NorthMSP"));
    assert!(!story.caretrail.file("denied.json").exists());
    assert_eq!(story.disclosures().await, []);
}

pub(crate) async fn the_patients_consent_is_carried_by_south_and_permits(story: &mut Story) {
    let grant = format!(
        "consent grant --patient {} --key patient.pem --to south/ben --purpose TREAT --for 30d",
        story.patient
    );
    let granted = story.run_as("south/service", &grant).await.done();
    story.consent = text(&granted["consent"]);

    // Author is the signature, carrier is the transaction's creator; the exact text is kept.
    let auditor = story.records("north/auditor").await;
    let statement =
        GetStatement { patient: story.patient.parse().unwrap(), statement: story.consent.parse().unwrap() };
    let carried = auditor.evaluate(&statement).await.unwrap();
    assert_eq!(carried.carrier, actor(&story.actor("south/service").await));
    assert_eq!(carried.tx_id.to_string(), granted["tx_id"]);
    let Operation::GrantConsent(signed) = carried.signed.parse().unwrap().operation else {
        panic!("not a grant: {}", carried.signed.statement)
    };
    let live =
        story.run_as("north/service", &format!("consent list --patient {}", story.patient)).await.done();
    let provision = serde_json::to_value(&signed.provision).unwrap();
    assert_eq!(live["consents"], json!([{ "id": story.consent, "provision": provision }]));

    let request = format!("{} --record {} --purpose TREAT", story.request(), story.scan);
    let permitted = story.run_as("south/ben", &request).await.done();
    for record in [&story.bundle, &story.scan] {
        assert_eq!(
            decision_about(&permitted, record),
            &json!({
                "record": record,
                "effect": "permit",
                "rule": "consent_permits",
                "consent": story.consent,
                "version": 1,
                "valid_until": number(&permitted["at"]) + 5 * 60 * 1000,
            })
        );
    }
    // The same consent is not for another person, nor for another purpose.
    let other = story.run_as("south/cleo", &story.request()).await.denied();
    assert_eq!(other["decisions"][0]["rule"], "nothing_permits");
    let purpose = story.run_as("south/ben", &format!("{} --purpose HRESCH", story.request())).await.denied();
    assert_eq!(purpose["decisions"][0]["rule"], "role_not_allowed");
    story.permit = text(&permitted["decision"]);
}

pub(crate) async fn north_releases_once_the_disclosure_is_committed(story: &mut Story) {
    for (record, file) in [(story.bundle.clone(), BUNDLE), (story.scan.clone(), SCAN)] {
        let output = format!("fetched-{file}");
        let fetch = story.fetch(&record, &story.permit, &output);
        let fetched = story.run_as("south/ben", &fetch).await.done();
        assert_eq!(story.caretrail.read(&output), story.caretrail.read(file));
        assert_eq!((&fetched["matches"], &fetched["version"]), (&json!(true), &json!(1)));
        assert_eq!(fetched["content_commitment"], story.commitments(&record).await[0].content_commitment);

        let disclosed = story.disclosures().await.pop().unwrap();
        assert_eq!(fetched["disclosure"], disclosed.tx_id);
        let act = &disclosed.entry["act"];
        assert_eq!((&act["decision"], &act["record"]), (&json!(story.permit), &json!(record)));
        assert_eq!((&act["version"], &act["purpose"]), (&json!(1), &json!("TREAT")));
        let (msp_id, subject) = (&act["recipient"]["msp_id"], &act["recipient"]["subject"]);
        assert_eq!(format!("{}/{}", text(msp_id), text(subject)), story.actor("south/ben").await);
        let north = story.actor("north/service").await;
        assert_eq!(disclosed.entry["actor"]["subject"], north.split_once('/').unwrap().1);
    }
    assert_eq!(story.disclosures().await.len(), 2);
    story.disclosure = story.disclosures().await[0].tx_id.clone();

    // A lost answer loses no document: the same key gets the same one, without another disclosure.
    let before = story.transactions().await;
    let again = story.fetch(&story.bundle, &story.permit, "fetched-twice.json");
    let fetched = story.run_as("south/ben", &again).await.done();
    assert_eq!(fetched["disclosure"], story.disclosure);
    assert_eq!(story.caretrail.read("fetched-twice.json"), story.caretrail.read(BUNDLE));
    assert_eq!(story.transactions().await, before);
}

pub(crate) async fn a_release_is_for_one_identity_and_one_key(story: &mut Story) {
    let before = story.transactions().await;
    let fetch = story.fetch(&story.bundle, &story.permit, "another.json");
    // Another hospital's is not even told that there is such a decision.
    story.run_as("north/ada", &fetch).await.failed("DECISION_UNKNOWN");
    for other in ["south/cleo", "south/service"] {
        let failure = story.run_as(other, &fetch).await.failed("CERTIFICATE_FOREIGN");
        assert!(failure.fix.contains("very identity"), "{}", failure.fix);
    }
    let other_key = format!("{fetch} --kem-key another.key");
    story.run_as("south/ben", &other_key).await.failed("DISCLOSED_TO_OTHER_KEY");
    let other_record = story.fetch(&"0".repeat(32), &story.permit, "another.json");
    story.run_as("south/ben", &other_record).await.failed("RECORD_NOT_DECIDED");
    let other_decision = story.fetch(&story.bundle, &"0".repeat(64), "another.json");
    story.run_as("south/ben", &other_decision).await.failed("DECISION_UNKNOWN");

    assert!(!story.caretrail.file("another.json").exists());
    assert_eq!(story.transactions().await, before, "no disclosure was put on record");
}

pub(crate) async fn the_patient_sees_who_can_see(story: &mut Story) {
    let holders = story.run_as("north/service", &format!("consent holders {}", story.bundle)).await.done();
    let ben = actor(&story.actor("south/ben").await);
    assert_eq!(
        holders["holders"],
        json!([{
            "actor": { "msp_id": "SouthMSP", "subject": ben.subject },
            "role": "clinician",
            "purposes": ["TREAT"],
            "consents": [story.consent],
        }])
    );
    // A day after the consent's end there is nobody.
    let later = now_unix_ms() + 31 * 24 * 3600 * 1000;
    let line = format!("consent holders {} --at {later}", story.bundle);
    assert_eq!(story.run_as("north/service", &line).await.done()["holders"], json!([]));
    story.run_as("south/service", &line).await.failed("RECORD_UNKNOWN");
}

pub(crate) async fn a_revocation_denies_the_next_request_and_ends_older_permits(story: &mut Story) {
    let older = story.run_as("south/ben", &story.request()).await.done();
    // A disclosure that both hospitals endorse while the consent still holds, and that is late for the orderer.
    let ben = story.actor("south/ben").await;
    let gateway = story.gateway("north/service").await;
    let late = disclosure(story, &story.bundle, &text(&older["decision"]), &ben);
    let contract = gateway.contract("records", "caretrail");
    let proposal =
        contract.proposal("RecordDisclosure").arg(serde_json::to_vec(&late).unwrap()).build().unwrap();
    let endorsed = proposal.endorse().await.unwrap();

    let end = format!("consent end {} --patient {} --key patient.pem", story.consent, story.patient);
    let ended = story.run_as("north/service", &end).await.done();
    let status = endorsed.submit().await.unwrap().commit_status().await.unwrap();
    assert_eq!(status.code, TxValidationCode::MvccReadConflict, "the revocation was ordered first");
    let shown = story.run_as("north/service", &format!("tx status {}", status.tx_id)).await;
    assert_eq!(shown.exit, Some(1), "{shown:?}");
    assert!(shown.stdout.contains("MVCC_READ_CONFLICT"), "{shown:?}");
    // And why: the revocation changed what it had read.
    let explained = story.run_as("north/admin", &format!("tx explain {}", status.tx_id)).await;
    assert_eq!(explained.exit, Some(1), "{explained:?}");
    let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(explained["transaction"]["function"], "RecordDisclosure");
    assert_eq!(explained["cause"]["kind"], "conflict");
    assert_eq!(explained["cause"]["conflicts"][0]["winner"]["tx_id"], ended["tx_id"], "{explained}");
    assert_eq!(story.disclosures().await.len(), 2, "it had no effect");

    // It ended: it cannot end twice.
    story.run_as("north/service", &end).await.failed("CONSENT_UNKNOWN");

    let holders = story.run_as("north/service", &format!("consent holders {}", story.bundle)).await.done();
    assert_eq!(holders["holders"], json!([]));
    let denied = story.run_as("south/ben", &story.request()).await.denied();
    assert_eq!(denied["decisions"][0]["rule"], "nothing_permits");

    let before = story.transactions().await;
    assert!(now_unix_ms() < number(&older["decisions"][0]["valid_until"]), "the older permit has time left");
    let fetch = story.fetch(&story.bundle, &text(&older["decision"]), "ended.json");
    story.run_as("south/ben", &fetch).await.failed("PERMIT_ENDED");
    assert!(!story.caretrail.file("ended.json").exists());
    assert_eq!(story.transactions().await, before, "no disclosure was put on record");
}

pub(crate) async fn a_permit_past_its_end_releases_nothing(story: &mut Story) {
    story.put_in_force("--sequence 2 --permit 2s").await;
    let policy = story.run_as("south/admin", "policy show").await.done();
    assert_eq!((&policy["sequence"], &policy["durations"]["permit_ms"]), (&json!(2), &json!(2000)));

    let request = format!("access request --patient {} --record {}", story.patient, story.scan);
    let permitted = story.run_as("south/ben", &request).await.done();
    let valid_until = number(&permitted["decisions"][0]["valid_until"]);
    assert_eq!(valid_until, number(&permitted["at"]) + 2000);
    until("the permit's end", Duration::from_secs(60), async || (now_unix_ms() >= valid_until).then_some(()))
        .await;

    let before = story.transactions().await;
    let decision = text(&permitted["decision"]);
    let fetch = story.fetch(&story.scan, &decision, "late.pdf");
    story.run_as("south/ben", &fetch).await.failed("PERMIT_EXPIRED");
    assert!(!story.caretrail.file("late.pdf").exists());

    // Nor would the contract have it, whatever North's daemon did.
    let disclosure = disclosure(story, &story.scan, &decision, &story.actor("south/ben").await);
    let refused = story.records("north/service").await.submit(&disclosure).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::PermitExpired));
    assert_eq!(story.transactions().await, before, "no disclosure was put on record");
    let disclosed: Vec<Value> = story.disclosures().await.into_iter().map(|told| told.entry).collect();
    assert!(disclosed.iter().all(|entry| entry["act"]["decision"] != decision.as_str()));
}

/// What North's daemon would put on record to release version 1 of a record to a fresh key.
fn disclosure(story: &Story, record: &str, decision: &str, recipient: &str) -> RecordDisclosure {
    RecordDisclosure {
        patient: story.patient.parse().unwrap(),
        decision: decision.parse().unwrap(),
        record: record.parse().unwrap(),
        version: 1,
        recipient: actor(recipient),
        kem_key_digest: KemKey::generate().unwrap().public().digest(),
    }
}
