//! The story on a peer in memory: denied, permitted, disclosed, ended, and all of it on record.

use caretrail_model::audit::Act;
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::Effect;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, RecordId, TxId};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use hlf_testpeer::Validity;

use crate::world::{
    Person, Staff, World, admin, commitments, person, policy, registering, requesting, staff,
};

struct Ward {
    world: World,
    author: Staff,
    reader: Staff,
    patient: Person,
    record: RecordId,
}

async fn ward() -> Ward {
    let world = World::constituted().await;
    let author = world.clinician("NorthMSP").await;
    let reader = world.clinician("SouthMSP").await;
    let patient = world.patient("NorthMSP").await;
    let record = world.record(&author, &patient).await;
    Ward { world, author, reader, patient, record }
}

impl Ward {
    async fn decide(&self) -> AccessDecision {
        self.world.done(&self.reader, &requesting(&self.patient, &[self.record])).await
    }

    fn disclosing(&self, decision: TxId, kem_key: u8) -> RecordDisclosure {
        RecordDisclosure {
            patient: self.patient.id,
            decision,
            record: self.record,
            version: 1,
            recipient: self.reader.actor.clone(),
            kem_key_digest: Digest::from_bytes([kem_key; 32]),
        }
    }
}

#[tokio::test]
async fn a_denial_commits_with_the_rule_that_decided() {
    let ward = ward().await;
    let submitted = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let reply: AccessDecision = submitted.outcome.json().unwrap();
    assert_eq!(reply.decisions[0].rule, Rule::NothingPermits);
    assert_eq!(submitted.outcome.event.unwrap().name, "access_decided");

    let entry = ward
        .world
        .seen(&ward.reader, &GetDecision { patient: ward.patient.id, decision: reply.decision })
        .await;
    assert_eq!(entry.actor, ward.reader.actor);
    let Act::AccessDecided(decided) = entry.act else { panic!("{entry:?}") };
    assert_eq!(decided.decisions, reply.decisions);
    assert_eq!((decided.facts.consents, decided.facts.standing), (0, 1));
}

#[tokio::test]
async fn a_consent_permits_until_it_is_ended_and_the_older_permit_ends_with_it() {
    let ward = ward().await;
    let carrier = staff("SouthMSP", Role::Service);
    let consent = ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &carrier).await;
    let permit = ward.decide().await;
    assert_eq!(permit.decisions[0].rule, Rule::ConsentPermits);
    assert_eq!(permit.decisions[0].consent, Some(consent));

    ward.world.done(&carrier, &ward.world.ending(&ward.patient, consent)).await;
    assert_eq!(ward.decide().await.decisions[0].rule, Rule::NothingPermits);
    let custodian = staff("NorthMSP", Role::Service);
    let refused = ward.world.refused(&custodian, &ward.disclosing(permit.decision, 1)).await;
    assert_eq!(refused, Code::PermitEnded);
}

#[tokio::test]
async fn a_disclosure_is_for_the_decided_recipient_once_and_before_the_permit_ends() {
    let ward = ward().await;
    let custodian = staff("NorthMSP", Role::Service);
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;
    let permit = ward.decide().await;

    let another =
        RecordDisclosure { recipient: ward.author.actor.clone(), ..ward.disclosing(permit.decision, 1) };
    assert_eq!(ward.world.refused(&custodian, &another).await, Code::DisclosureMismatch);
    let other_version = RecordDisclosure { version: 2, ..ward.disclosing(permit.decision, 1) };
    assert_eq!(ward.world.refused(&custodian, &other_version).await, Code::DisclosureMismatch);
    let other_hospital = staff("SouthMSP", Role::Service);
    let refused = ward.world.refused(&other_hospital, &ward.disclosing(permit.decision, 1)).await;
    assert_eq!(refused, Code::HospitalNotAllowed);

    let disclosed = ward.world.done(&custodian, &ward.disclosing(permit.decision, 1)).await;
    assert_eq!(disclosed.disclosed.recipient, ward.reader.actor);
    let get = GetDisclosure { patient: ward.patient.id, decision: permit.decision, record: ward.record };
    assert_eq!(ward.world.seen(&ward.reader, &get).await, disclosed);
    assert_eq!(ward.world.refused(&ward.author, &get).await, Code::RoleNotAllowed);
    let again = ward.world.refused(&custodian, &ward.disclosing(permit.decision, 1)).await;
    assert_eq!(again, Code::AlreadyDisclosed);
    let other_key = ward.world.refused(&custodian, &ward.disclosing(permit.decision, 2)).await;
    assert_eq!(other_key, Code::DisclosedToOtherKey);

    let late = ward.decide().await;
    ward.world.pass(300_000);
    let expired = ward.world.refused(&custodian, &ward.disclosing(late.decision, 1)).await;
    assert_eq!(expired, Code::PermitExpired);
}

#[tokio::test]
async fn a_denial_is_never_disclosed_under() {
    let ward = ward().await;
    let denied = ward.decide().await;
    let custodian = staff("NorthMSP", Role::Service);
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;
    let refused = ward.world.refused(&custodian, &ward.disclosing(denied.decision, 1)).await;
    assert_eq!(refused, Code::DisclosureMismatch);
}

#[tokio::test]
async fn a_revocation_ordered_first_makes_the_decision_and_the_disclosure_invalid() {
    let ward = ward().await;
    let custodian = staff("NorthMSP", Role::Service);
    let consent = ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;
    let permit = ward.decide().await;

    let world = &ward.world;
    let ending = world.peer.invoke(&world.proposal(&custodian, &world.ending(&ward.patient, consent))).await;
    let request = requesting(&ward.patient, &[ward.record]);
    let decision = world.peer.invoke(&world.proposal(&ward.reader, &request)).await;
    let disclosure = ward.disclosing(permit.decision, 1);
    let disclosure = world.peer.invoke(&world.proposal(&custodian, &disclosure)).await;
    let (_, validity) = world.peer.commit(&[ending.unwrap(), decision.unwrap(), disclosure.unwrap()]);
    assert_eq!(validity, [Validity::Valid, Validity::MvccReadConflict, Validity::MvccReadConflict]);
}

#[tokio::test]
async fn the_same_request_id_returns_the_first_decision_and_no_other_request() {
    let ward = ward().await;
    let request = requesting(&ward.patient, &[ward.record]);
    let first = ward.world.done(&ward.reader, &request).await;
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &ward.reader).await;
    assert_eq!(ward.world.done(&ward.reader, &request).await, first);

    let changed = RequestAccess { purpose: Purpose::Hresch, ..request };
    assert_eq!(ward.world.refused(&ward.reader, &changed).await, Code::RequestIdReused);
}

#[tokio::test]
async fn absent_and_foreign_records_are_denied_alike() {
    let ward = ward().await;
    let stranger = ward.world.patient("NorthMSP").await;
    let foreign = ward.world.record(&ward.author, &stranger).await;
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &ward.reader).await;
    let absent = RecordId::from_bytes([0xff; 16]);
    for record in [foreign, absent] {
        let reply = ward.world.done(&ward.reader, &requesting(&ward.patient, &[record])).await;
        let decision = &reply.decisions[0];
        assert_eq!((decision.rule, decision.effect), (Rule::NothingPermits, Effect::Deny));
        assert_eq!((decision.consent, decision.version, decision.valid_until), (None, None, None));
    }
    let nobody = person("NorthMSP");
    let refused = ward.world.refused(&ward.reader, &requesting(&nobody, &[ward.record])).await;
    assert_eq!(refused, Code::PatientUnknown);
}

#[tokio::test]
async fn register_access_and_disclosure_take_two_round_trips_and_a_hundred_records_no_more() {
    let ward = ward().await;
    let custodian = staff("NorthMSP", Role::Service);
    let register = ward.world.submitted(&ward.author, &registering(&ward.author, &ward.patient)).await;
    assert_eq!(register.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;

    let mut records = vec![ward.record];
    records.extend((0..99).map(|n| RecordId::from_bytes([n; 16])));
    let access = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &records)).await;
    assert_eq!(access.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);

    let decision: AccessDecision = access.outcome.json().unwrap();
    let disclosure = ward.world.submitted(&custodian, &ward.disclosing(decision.decision, 1)).await;
    assert_eq!(disclosure.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
}

#[tokio::test]
async fn a_peer_without_batches_gives_the_same_answers() {
    let world = World::with(|peer| peer.write_batch(None).multi_get(None)).await;
    world.constitute().await;
    let author = world.clinician("NorthMSP").await;
    let reader = world.clinician("SouthMSP").await;
    let patient = world.patient("NorthMSP").await;
    let record = world.record(&author, &patient).await;
    world.grant(&patient, world.provision(&reader), &reader).await;
    let reply = world.done(&reader, &requesting(&patient, &[record])).await;
    assert_eq!(reply.decisions[0].rule, Rule::ConsentPermits);
}

#[tokio::test]
async fn versions_are_added_in_turn_and_all_of_them_stay() {
    let ward = ward().await;
    let amend = |version| AmendRecord {
        patient: ward.patient.id,
        record: ward.record,
        version,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    assert_eq!(ward.world.refused(&ward.author, &amend(1)).await, Code::VersionConflict);
    assert_eq!(ward.world.refused(&ward.author, &amend(3)).await, Code::VersionConflict);
    let second = amend(2);
    ward.world.done(&ward.author, &second).await;
    ward.world.done(&ward.author, &amend(3)).await;
    assert_eq!(ward.world.refused(&ward.reader, &amend(4)).await, Code::RecordUnknown);

    let history = |page_entries, bookmark: &str| RecordHistory {
        record: ward.record,
        page_entries,
        bookmark: bookmark.into(),
    };
    let numbers = |page: &RecordVersions| page.versions.iter().map(|v| v.version).collect::<Vec<_>>();
    let page = ward.world.seen(&ward.author, &history(2, "")).await;
    assert_eq!((numbers(&page), page.bookmark.as_str()), (vec![3, 2], "1"));
    let last = ward.world.seen(&ward.author, &history(2, &page.bookmark)).await;
    assert_eq!((numbers(&last), last.bookmark.as_str()), (vec![1], ""));
    assert_eq!(ward.world.refused(&ward.author, &history(2, "4")).await, Code::BookmarkInvalid);

    let verify = |version, commitments| VerifyRecord { record: ward.record, version, commitments };
    let held = ward.world.seen(&ward.reader, &verify(2, second.commitments.clone())).await;
    assert!(held.content_commitment_matches && held.blob_matches);
    let other = ward.world.seen(&ward.reader, &verify(3, second.commitments)).await;
    assert!(!other.content_commitment_matches && !other.blob_matches);
}

#[tokio::test]
async fn who_can_see_is_decided_and_not_listed() {
    let ward = ward().await;
    let service = staff("NorthMSP", Role::Service);
    let suspended = ward.world.clinician("SouthMSP").await;
    let holders = |at| WhoCanSee { record: ward.record, at };
    assert!(ward.world.seen(&service, &holders(None)).await.holders.is_empty());

    for clinician in [&ward.reader, &suspended] {
        ward.world.grant(&ward.patient, ward.world.provision(clinician), &service).await;
    }
    let suspend = SuspendPractitioner { subject: suspended.actor.subject };
    ward.world.done(&admin("SouthMSP"), &suspend).await;
    let now = ward.world.seen(&service, &holders(None)).await;
    assert_eq!(now.holders.len(), 1);
    assert_eq!(now.holders[0].actor, ward.reader.actor);
    assert_eq!(now.holders[0].purposes, [Purpose::Treat]);

    let later = ward.world.now().plus(DurationMs::from_secs(3600));
    assert!(ward.world.seen(&service, &holders(Some(later))).await.holders.is_empty());
    let foreign = staff("SouthMSP", Role::Service);
    assert_eq!(ward.world.refused(&foreign, &holders(None)).await, Code::RecordUnknown);
}

#[tokio::test]
async fn every_act_is_in_the_log_of_the_home_hospitals_auditor() {
    let ward = ward().await;
    let custodian = staff("NorthMSP", Role::Service);
    ward.decide().await;
    let consent = ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;
    let permit = ward.decide().await;
    ward.world.done(&custodian, &ward.disclosing(permit.decision, 1)).await;
    ward.world.done(&custodian, &ward.world.ending(&ward.patient, consent)).await;

    let auditor = staff("NorthMSP", Role::Auditor);
    let (mut kinds, mut bookmark) = (Vec::new(), String::new());
    loop {
        let call = AccessLog { patient: ward.patient.id, page_entries: 3, bookmark };
        let page = ward.world.seen(&auditor, &call).await;
        assert!(page.entries.len() <= 3);
        kinds.extend(page.entries.iter().map(|entry| entry.act.kind()));
        bookmark = page.bookmark;
        if bookmark.is_empty() {
            break;
        }
    }
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "access_decided",
            "access_decided",
            "consent_ended",
            "consent_granted",
            "disclosed",
            "patient_registered",
            "record_registered"
        ]
    );

    let log =
        |bookmark: &str| AccessLog { patient: ward.patient.id, page_entries: 0, bookmark: bookmark.into() };
    assert_eq!(
        ward.world.refused(&staff("SouthMSP", Role::Auditor), &log("")).await,
        Code::HospitalNotAllowed
    );
    assert_eq!(ward.world.refused(&ward.author, &log("")).await, Code::RoleNotAllowed);
    let stranger = ward.world.patient("NorthMSP").await;
    let foreign = format!("\u{0}a\u{0}{}\u{0}{}\u{0}", stranger.id, "0".repeat(64));
    assert_eq!(ward.world.refused(&auditor, &log(&foreign)).await, Code::BookmarkInvalid);
}

#[tokio::test]
async fn a_hospital_that_left_the_consortium_receives_nothing_more() {
    let ward = ward().await;
    let custodian = staff("NorthMSP", Role::Service);
    ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &custodian).await;
    let permit = ward.decide().await;

    let mut next = policy();
    next.sequence = 2;
    next.members[1].msp_id = "WestMSP".parse().unwrap();
    let text = serde_json::to_string(&next).unwrap();
    let digest = ward.world.done(&admin("NorthMSP"), &ProposePolicy { policy: text }).await.digest;
    for msp in ["NorthMSP", "SouthMSP"] {
        ward.world.done(&admin(msp), &ApprovePolicy { digest }).await;
    }
    let refused = ward.world.refused(&custodian, &ward.disclosing(permit.decision, 1)).await;
    assert_eq!(refused, Code::PermitEnded);
    let holders = ward.world.seen(&custodian, &WhoCanSee { record: ward.record, at: None }).await;
    assert!(holders.holders.is_empty());
}

#[tokio::test]
async fn every_standing_and_every_set_of_consents_is_kept_for_replay() {
    let ward = ward().await;
    ward.world.authorize(&ward.reader).await;
    let consent = ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &ward.reader).await;
    ward.world.done(&ward.reader, &ward.world.ending(&ward.patient, consent)).await;
    let keys = ward.world.peer.ledger().keys("records");
    let kept = |namespace: &str, of: &str| {
        keys.iter().filter(|key| key.starts_with(&format!("\0{namespace}\0")) && key.contains(of)).count()
    };
    assert_eq!(kept("sn", &ward.reader.actor.subject.to_string()), 2);
    assert_eq!(kept("yn", &ward.patient.id.to_string()), 2);
}
