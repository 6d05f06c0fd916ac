//! Permits that are used at a custodian's daemon when they should no longer be.

use std::time::Duration;

use caretrail_model::calls::*;
use caretrail_model::decision::Rule;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Ending, Operation};
use caretrail_model::time::DurationMs;
use caretrail_tests::actors::now;
use caretrail_tests::hospitals::text;
use caretrail_tests::until::{now_unix_ms, until};
use hlf_protos::protos::TxValidationCode;

use crate::world::{Siege, authorize};

/// What ben's program says when it asks North's daemon for the record.
async fn fetch(siege: &Siege, decision: &str, output: &str) -> caretrail_tests::caretrail::Ran {
    let (record, patient) = (siege.record, siege.patient.id);
    let line = format!("record fetch {record} --patient {patient} --decision {decision} --output {output}");
    siege.hospitals.caretrail.run_as("south/ben", &line).await
}

pub(crate) async fn a_permit_is_held_back_and_used_late(siege: &mut Siege) {
    siege.hospitals.serve("north").await;
    let mut brief = siege.provision("south/ben");
    brief.period.until = now().plus(DurationMs::from_secs(20));
    let patient = &siege.patient;
    let signed = siege.signed(patient, caretrail_tests::actors::granting(brief.clone()));
    siege.done("south/service", &GrantConsent { signed }).await;
    let request = siege.requesting();
    let (answer, held) = siege.endorsed(&siege.propose("south/ben", &request)).await;
    let decided: AccessDecision = serde_json::from_slice(&answer.response.unwrap().payload).unwrap();
    assert_eq!(decided.decisions[0].valid_until, Some(brief.period.until), "no longer than the consent");
    let end = brief.period.until.get();
    until("the permit's end", Duration::from_secs(120), async || (now_unix_ms() >= end).then_some(())).await;

    // Nothing that it read has changed: late as it is, it is VALID, and opens nothing.
    assert_eq!(siege.order(&held).await, TxValidationCode::Valid);
    let before = siege.hospitals.transactions().await;
    fetch(siege, &decided.decision.to_string(), "held.txt").await.failed("PERMIT_EXPIRED");
    assert!(!siege.hospitals.caretrail.file("held.txt").exists());
    assert_eq!(siege.hospitals.transactions().await, before, "no disclosure was put on record");
}

pub(crate) async fn a_practitioner_is_suspended_between_permit_and_release(siege: &mut Siege) {
    let signed =
        siege.signed(&siege.patient, caretrail_tests::actors::granting(siege.provision("south/ben")));
    let consent = siege.done("south/service", &GrantConsent { signed }).await.consent;
    let permit = siege.asked().await;
    assert_eq!(permit.decisions[0].rule, Rule::ConsentPermits);
    let decision = permit.decision.to_string();
    let subject = siege.actor("south/ben").subject;
    siege.done("south/admin", &SuspendPractitioner { subject }).await;
    let before = siege.hospitals.transactions().await;
    fetch(siege, &decision, "suspended.txt").await.failed("PERMIT_ENDED");
    assert!(!siege.hospitals.caretrail.file("suspended.txt").exists());
    assert_eq!(siege.hospitals.transactions().await, before, "no disclosure was put on record");

    // Authorised again, the same permit has time left, and the record is released: it was the suspension.
    authorize(siege, "south/ben", vec![Purpose::Treat, Purpose::Hresch]).await;
    let fetched = fetch(siege, &decision, "released.txt").await.done();
    siege.note(&text(&fetched["disclosure"])).await;
    assert_eq!(siege.hospitals.caretrail.read("released.txt"), b"a note");
    let signed = siege.signed(&siege.patient, Operation::EndConsent(Ending { consent }));
    siege.done("south/service", &EndConsent { signed }).await;
    siege.hospitals.end_daemons().await;
}
