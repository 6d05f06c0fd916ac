//! Care relationships, emergency access, and the switch that stops everything.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Rule;
use caretrail_model::ids::Digest;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{EmergencyChoice, Operation, Stop};
use caretrail_model::time::DurationMs;
use hlf_testpeer::Validity;

use crate::world::{Ward, registering, requesting, staff, wide_policy};

fn stopping(ward: &Ward, stopped: bool) -> StopAll {
    StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped })) }
}

#[tokio::test]
async fn a_stop_works_at_once_without_reading_the_consents() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let submitted = ward.world.submitted(&ward.south, &stopping(&ward, true)).await;
    let reads: Vec<&str> = submitted.outcome.rwset.reads.keys().map(String::as_str).collect();
    assert!(reads.iter().all(|key| !key.starts_with("\0y\0")), "{reads:?}");
    assert_eq!(ward.rule().await, Rule::NothingPermits);
    ward.world.done(&ward.south, &stopping(&ward, false)).await;
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
}

#[tokio::test]
async fn a_stop_ordered_first_makes_the_decision_and_the_disclosure_invalid() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let permit = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let world = &ward.world;
    let stop = world.peer.invoke(&world.proposal(&ward.south, &stopping(&ward, true))).await.unwrap();
    let request = requesting(&ward.patient, &[ward.record]);
    let decision = world.peer.invoke(&world.proposal(&ward.reader, &request)).await.unwrap();
    let disclosing = ward.disclosing(permit.decision);
    let disclosure = world.peer.invoke(&world.proposal(&ward.north, &disclosing)).await.unwrap();
    let (_, validity) = world.peer.commit(&[stop, decision, disclosure]);
    assert_eq!(validity, [Validity::Valid, Validity::MvccReadConflict, Validity::MvccReadConflict]);
}

#[tokio::test]
async fn a_suspension_between_permit_and_release_releases_nothing() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let permit = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let suspend = SuspendPractitioner { subject: ward.reader.actor.subject };
    ward.world.done(&crate::world::admin("SouthMSP"), &suspend).await;
    assert_eq!(ward.world.refused(&ward.north, &ward.disclosing(permit.decision)).await, Code::PermitEnded);
}

fn opening(ward: &Ward, lasting: DurationMs) -> OpenRelationship {
    OpenRelationship {
        patient: ward.patient.id,
        subject: Some(ward.reader.actor.subject),
        until: ward.world.now().plus(lasting),
    }
}

#[tokio::test]
async fn a_rule_that_wants_care_wants_it_open() {
    let mut policy = wide_policy();
    policy.rules[0].needs_relationship = true;
    let ward = Ward::under(&policy).await;
    ward.grant(|_| {}).await;
    assert_eq!(ward.rule().await, Rule::NoRelationship);
    ward.world.done(&ward.south, &opening(&ward, DurationMs::from_secs(100))).await;
    let reply = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    assert_eq!(reply.decisions[0].rule, Rule::ConsentPermits);
    assert_eq!(reply.decisions[0].valid_until, Some(ward.world.now().plus(DurationMs::from_secs(100))));

    ward.world.pass(100_000);
    assert_eq!(ward.rule().await, Rule::NoRelationship, "it ends by itself");
    let whole = OpenRelationship { subject: None, ..opening(&ward, DurationMs::from_secs(100)) };
    ward.world.done(&ward.south, &whole).await;
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
    let close = CloseRelationship { patient: ward.patient.id, subject: None };
    ward.world.done(&ward.south, &close).await;
    assert_eq!(ward.rule().await, Rule::NoRelationship);
    assert_eq!(ward.world.refused(&ward.south, &close).await, Code::RelationshipUnknown);
}

#[tokio::test]
async fn nobody_opens_a_relationship_to_gain_by_it() {
    let ward = Ward::open().await;
    let hour = DurationMs::from_secs(3600);
    assert_eq!(ward.world.refused(&ward.reader, &opening(&ward, hour)).await, Code::RoleNotAllowed);
    let own = OpenRelationship { subject: Some(ward.south.actor.subject), ..opening(&ward, hour) };
    assert_eq!(ward.world.refused(&ward.south, &own).await, Code::RoleNotAllowed);
    let long = opening(&ward, DurationMs::from_days(3661));
    assert_eq!(ward.world.refused(&ward.south, &long).await, Code::RelationshipPeriod);
    let ended = opening(&ward, DurationMs::new(0).unwrap());
    assert_eq!(ward.world.refused(&ward.south, &ended).await, Code::RelationshipPeriod);

    // A hospital states its own care only: North's word about South's clinician is a relationship with North.
    ward.world.done(&ward.north, &opening(&ward, hour)).await;
    let get = GetRelationship {
        patient: ward.patient.id,
        msp_id: "SouthMSP".parse().unwrap(),
        subject: Some(ward.reader.actor.subject),
    };
    assert_eq!(ward.world.refused(&ward.reader, &get).await, Code::RelationshipUnknown);
}

#[tokio::test]
async fn care_and_permits_to_write_let_another_hospital_add_records() {
    let ward = Ward::open().await;
    let adding = || registering(&ward.reader, &ward.patient);
    assert_eq!(ward.world.refused(&ward.reader, &adding()).await, Code::HospitalNotAllowed);
    ward.world.done(&ward.south, &opening(&ward, DurationMs::from_secs(3600))).await;
    let record = ward.world.done(&ward.reader, &adding()).await.record;
    let view = ward.world.seen(&ward.south, &GetRecord { record }).await;
    assert_eq!(view.record.custodian.as_str(), "SouthMSP");

    let denial = ward
        .grant(|p| {
            p.effect = Effect::Deny;
            p.actions = vec![Action::Write];
        })
        .await;
    assert_eq!(ward.world.refused(&ward.reader, &adding()).await, Code::HospitalNotAllowed);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, denial)).await;
    let close = CloseRelationship { patient: ward.patient.id, subject: Some(ward.reader.actor.subject) };
    ward.world.done(&ward.south, &close).await;
    ward.grant(|p| p.actions = vec![Action::Write]).await;
    let submitted = ward.world.submitted(&ward.reader, &adding()).await;
    let trips = ["GET_STATE_MULTIPLE", "GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"];
    assert_eq!(submitted.outcome.requests, trips);
    ward.world.done(&ward.south, &stopping(&ward, true)).await;
    assert_eq!(ward.world.refused(&ward.reader, &adding()).await, Code::HospitalNotAllowed);
    ward.world.record(&ward.author, &ward.patient).await;
}

fn breaking(ward: &Ward) -> BreakGlass {
    BreakGlass { patient: ward.patient.id, reason_digest: Digest::from_bytes([5; 32]) }
}

fn reviewing(ward: &Ward, justified: bool) -> ReviewBreakGlass {
    ReviewBreakGlass {
        patient: ward.patient.id,
        clinician: ward.reader.actor.clone(),
        justified,
        finding_digest: Digest::from_bytes([6; 32]),
    }
}

#[tokio::test]
async fn broken_glass_opens_for_its_time_and_is_reviewed_by_another_hospital_before_the_next() {
    let ward = Ward::open().await;
    ward.grant(|p| p.effect = Effect::Deny).await;
    ward.world.done(&ward.south, &stopping(&ward, true)).await;
    assert_eq!(ward.rule_for(Purpose::Btg).await, Rule::NothingPermits);
    let broken = ward.world.submitted(&ward.reader, &breaking(&ward)).await;
    assert_eq!(broken.outcome.event.unwrap().name, "glass_broken");
    let request = RequestAccess { purpose: Purpose::Btg, ..requesting(&ward.patient, &[ward.record]) };
    let reply = ward.world.done(&ward.reader, &request).await;
    let decision = &reply.decisions[0];
    assert_eq!((decision.rule, decision.consent), (Rule::BreakGlass, None));
    assert_eq!(decision.valid_until, Some(ward.world.now().plus(DurationMs::from_secs(60))));
    assert_eq!(ward.rule_for(Purpose::Treat).await, Rule::NothingPermits, "for no other purpose");
    ward.world.done(&ward.north, &ward.disclosing(reply.decision)).await;

    ward.world.pass(60_000);
    assert_eq!(ward.rule_for(Purpose::Btg).await, Rule::NothingPermits);
    assert_eq!(ward.world.refused(&ward.reader, &breaking(&ward)).await, Code::ReviewPending);
    let own = staff("SouthMSP", Role::Auditor);
    assert_eq!(ward.world.refused(&own, &reviewing(&ward, true)).await, Code::SecondHospital);
    let other = staff("NorthMSP", Role::Auditor);
    ward.world.done(&other, &reviewing(&ward, true)).await;
    assert_eq!(ward.world.refused(&other, &reviewing(&ward, true)).await, Code::ReviewedAlready);
    ward.world.done(&ward.reader, &breaking(&ward)).await;
    assert_eq!(ward.rule_for(Purpose::Btg).await, Rule::BreakGlass);
    ward.world.done(&other, &reviewing(&ward, false)).await;
    assert_eq!(ward.rule_for(Purpose::Btg).await, Rule::NothingPermits, "an unjustified one ends at once");
    let get = GetBreakGlass { patient: ward.patient.id, clinician: ward.reader.actor.clone() };
    assert_eq!(ward.world.seen(&ward.reader, &get).await.sequence, 4);
}

#[tokio::test]
async fn a_patient_who_refuses_emergency_access_is_not_overruled() {
    let ward = Ward::open().await;
    ward.world.done(&ward.reader, &breaking(&ward)).await;
    let choosing = |refused| RefuseEmergency {
        signed: ward.signed(Operation::RefuseEmergency(EmergencyChoice { refused })),
    };
    ward.world.done(&ward.south, &choosing(true)).await;
    assert_eq!(ward.rule_for(Purpose::Btg).await, Rule::EmergencyRefused);
    let other = staff("NorthMSP", Role::Auditor);
    ward.world.done(&other, &reviewing(&ward, true)).await;
    assert_eq!(ward.world.refused(&ward.reader, &breaking(&ward)).await, Code::EmergencyRefused);
    ward.world.done(&ward.south, &choosing(false)).await;
    ward.world.done(&ward.reader, &breaking(&ward)).await;
}

#[tokio::test]
async fn nobody_breaks_the_glass_who_may_not_claim_emergencies() {
    let ward = Ward::open().await;
    let plain = ward.world.clinician("SouthMSP").await;
    assert_eq!(ward.world.refused(&plain, &breaking(&ward)).await, Code::NotAuthorized);
    let nobody = staff("SouthMSP", Role::Clinician);
    assert_eq!(ward.world.refused(&nobody, &breaking(&ward)).await, Code::NotAuthorized);
    assert_eq!(ward.world.refused(&ward.south, &breaking(&ward)).await, Code::RoleNotAllowed);
    let auditor = staff("NorthMSP", Role::Auditor);
    assert_eq!(ward.world.refused(&auditor, &reviewing(&ward, true)).await, Code::BreakGlassUnknown);
}
