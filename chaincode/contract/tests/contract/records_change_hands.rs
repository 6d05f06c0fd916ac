//! Batches, withdrawals, custody, corrections, and records of a patient's own.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Effect, Exception, Grantee, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, Nonce, RecordId, Tag};
use caretrail_model::role::Role;
use caretrail_model::statement::{CorrectionRequest, Operation, OwnRecord};
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::DurationMs;

use crate::world::{Ward, World, admin, commitments, random, registering, requesting, staff, wide_policy};

fn batch(ward: &Ward, count: usize) -> RegisterRecords {
    let mut records: Vec<NewRecord> = (0..count)
        .map(|_| {
            let RegisterRecord { record, nonce, commitments, .. } = registering(&ward.author, &ward.patient);
            NewRecord { record, nonce, commitments, tags: None }
        })
        .collect();
    records.sort_by_key(|new| new.record);
    RegisterRecords { patient: ward.patient.id, records }
}

#[tokio::test]
async fn a_hundred_records_take_two_round_trips() {
    let ward = Ward::open().await;
    let batch = batch(&ward, 100);
    let submitted = ward.world.submitted(&ward.author, &batch).await;
    assert_eq!(submitted.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    // Head, version and list entry of each; one audit entry.
    assert_eq!(submitted.outcome.rwset.writes.len(), 301);
    let added: RecordsAdded = submitted.outcome.json().unwrap();
    assert_eq!(added.records.len(), 100);

    ward.grant(|_| {}).await;
    let reply = ward.world.done(&ward.reader, &requesting(&ward.patient, &added.records)).await;
    assert!(reply.decisions.iter().all(|decision| decision.rule == Rule::ConsentPermits));
}

#[tokio::test]
async fn a_batch_is_whole_or_not_at_all() {
    let ward = Ward::open().await;
    let good = batch(&ward, 3);
    let none = RegisterRecords { records: vec![], ..good.clone() };
    assert_eq!(ward.world.refused(&ward.author, &none).await, Code::ArgumentOutOfBounds);
    let too_many = batch(&ward, 101);
    assert_eq!(ward.world.refused(&ward.author, &too_many).await, Code::ArgumentOutOfBounds);
    let mut twice = good.clone();
    twice.records[1] = twice.records[0].clone();
    assert_eq!(ward.world.refused(&ward.author, &twice).await, Code::ArgumentOutOfBounds);
    let mut squatted = good.clone();
    squatted.records[2].nonce = Nonce::from_bytes([0; 16]);
    assert_eq!(ward.world.refused(&ward.author, &squatted).await, Code::RecordIdForeign);
    ward.world.done(&ward.author, &good).await;
    assert_eq!(ward.world.refused(&ward.author, &good).await, Code::RecordExists);
}

#[tokio::test]
async fn limits_are_the_policys() {
    let mut policy = wide_policy();
    let terms = policy.terms.as_mut().unwrap();
    (terms.batch_records_max, terms.request_records_max, terms.provisions_max) = (2, 2, 1);
    let ward = Ward::under(&policy).await;
    assert_eq!(ward.world.refused(&ward.author, &batch(&ward, 3)).await, Code::ArgumentOutOfBounds);
    ward.world.done(&ward.author, &batch(&ward, 2)).await;
    let three: Vec<RecordId> = (1..=3).map(|id| RecordId::from_bytes([id; 16])).collect();
    let refused = ward.world.refused(&ward.reader, &requesting(&ward.patient, &three)).await;
    assert_eq!(refused, Code::ArgumentOutOfBounds);
    ward.grant(|_| {}).await;
    let grant = caretrail_model::statement::Grant { provision: ward.provision(|_| {}), supersedes: None };
    let signed = ward.signed(Operation::GrantConsent(grant));
    assert_eq!(ward.world.refused(&ward.south, &GrantConsent { signed }).await, Code::ConsentsFull);
}

#[tokio::test]
async fn a_withdrawn_record_stays_and_is_released_to_nobody() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let permit = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let withdraw = WithdrawRecord { patient: ward.patient.id, record: ward.record };
    assert_eq!(ward.world.refused(&ward.reader, &withdraw).await, Code::RecordUnknown);
    ward.world.done(&ward.author, &withdraw).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);
    assert_eq!(ward.world.refused(&ward.north, &ward.disclosing(permit.decision)).await, Code::PermitEnded);
    assert_eq!(ward.world.refused(&ward.author, &withdraw).await, Code::RecordWithdrawn);
    let view = ward.world.seen(&ward.north, &GetRecord { record: ward.record }).await;
    assert!(view.record.withdrawn);
    assert_eq!(view.newest.version, 1);
}

#[tokio::test]
async fn custody_is_taken_over_by_the_one_it_is_offered_to() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let offer = |to: Option<&str>| TransferCustody {
        patient: ward.patient.id,
        record: ward.record,
        to: to.map(|to| to.parse().unwrap()),
    };
    let tags = |custodian: &str| RecordTags {
        custodian: custodian.parse().unwrap(),
        epoch: 1,
        tags: (1..=8).map(|tag| Tag::from_bytes([tag; 16])).collect(),
    };
    let accept = |tags| AcceptCustody { patient: ward.patient.id, record: ward.record, tags };
    assert_eq!(ward.world.refused(&ward.south, &accept(None)).await, Code::CustodyNotOffered);
    assert_eq!(ward.world.refused(&ward.south, &offer(Some("SouthMSP"))).await, Code::RecordUnknown);
    assert_eq!(ward.world.refused(&ward.north, &offer(Some("EastMSP"))).await, Code::ArgumentOutOfBounds);
    ward.world.done(&ward.north, &offer(Some("SouthMSP"))).await;
    ward.world.done(&ward.north, &offer(None)).await;
    assert_eq!(ward.world.refused(&ward.south, &accept(None)).await, Code::CustodyNotOffered);
    ward.world.done(&ward.north, &offer(Some("SouthMSP"))).await;
    assert_eq!(ward.world.refused(&ward.south, &accept(Some(tags("NorthMSP")))).await, Code::TagsInvalid);
    ward.world.done(&ward.south, &accept(Some(tags("SouthMSP")))).await;

    let permit = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    assert_eq!(permit.decisions[0].custodian, Some("SouthMSP".parse().unwrap()));
    let disclosing = ward.disclosing(permit.decision);
    assert_eq!(ward.world.refused(&ward.north, &disclosing).await, Code::HospitalNotAllowed);
    ward.world.done(&ward.south, &disclosing).await;
    let amend = AmendRecord {
        patient: ward.patient.id,
        record: ward.record,
        version: 2,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    assert_eq!(ward.world.refused(&ward.author, &amend).await, Code::RecordUnknown);
    ward.world.done(&ward.reader, &amend).await;
}

#[tokio::test]
async fn a_correction_is_asked_for_and_answered_and_overwrites_nothing() {
    let ward = Ward::open().await;
    let asking = |number, version| RequestCorrection {
        signed: ward.signed(Operation::RequestCorrection(CorrectionRequest {
            record: ward.record,
            version,
            request_digest: Digest::from_bytes([8; 32]),
        })),
        number,
    };
    assert_eq!(ward.world.refused(&ward.south, &asking(2, 1)).await, Code::CorrectionNumber);
    assert_eq!(ward.world.refused(&ward.south, &asking(1, 2)).await, Code::VersionConflict);
    ward.world.done(&ward.south, &asking(1, 1)).await;
    assert_eq!(ward.world.refused(&ward.south, &asking(1, 1)).await, Code::CorrectionNumber);
    ward.world.done(&ward.south, &asking(2, 1)).await;

    let answering = |number, accepted| AnswerCorrection {
        patient: ward.patient.id,
        record: ward.record,
        number,
        accepted,
        reason_digest: Digest::from_bytes([9; 32]),
    };
    assert_eq!(ward.world.refused(&ward.reader, &answering(1, true)).await, Code::RecordUnknown);
    assert_eq!(ward.world.refused(&ward.author, &answering(3, true)).await, Code::CorrectionUnknown);
    ward.world.done(&ward.author, &answering(1, false)).await;
    assert_eq!(ward.world.refused(&ward.author, &answering(1, true)).await, Code::CorrectionAnswered);
    let get = GetCorrection { record: ward.record, number: 1 };
    let correction = ward.world.seen(&ward.north, &get).await;
    assert!(!correction.answer.unwrap().accepted);
    let view = ward.world.seen(&ward.north, &GetRecord { record: ward.record }).await;
    assert_eq!(view.record.version, 1);
}

#[tokio::test]
async fn a_patient_adds_a_record_of_their_own() {
    let ward = Ward::open().await;
    let nonce = Nonce::from_bytes(random());
    let own = |custodian: &str, record| {
        let own = OwnRecord {
            record,
            record_nonce: nonce,
            custodian: custodian.parse().unwrap(),
            commitments: commitments(),
        };
        RegisterOwnRecord { signed: ward.signed(Operation::RegisterRecord(own)) }
    };
    let key = ward.patient.public_key().id();
    let record = RecordId::derive_own(&key, &ward.patient.id, &nonce);
    let foreign = own("SouthMSP", RecordId::from_bytes([1; 16]));
    assert_eq!(ward.world.refused(&ward.south, &foreign).await, Code::RecordIdForeign);
    let call = own("SouthMSP", record);
    assert_eq!(ward.world.refused(&ward.north, &call).await, Code::HospitalNotAllowed);
    ward.world.done(&ward.south, &call).await;
    assert_eq!(ward.world.refused(&ward.south, &own("SouthMSP", record)).await, Code::RecordExists);
    let view = ward.world.seen(&ward.south, &GetRecord { record }).await;
    assert_eq!((view.record.own, view.record.custodian.as_str()), (Some(key), "SouthMSP"));
    let listed = ListRecords { patient: ward.patient.id, page_entries: 0, bookmark: String::new() };
    assert_eq!(ward.world.seen(&ward.north, &listed).await.records.len(), 2);
}

/// The custodian keeps it, and has no say in what it says, whether it is released, and who keeps it.
#[tokio::test]
async fn a_patients_own_record_is_changed_withdrawn_and_given_away_by_nobody() {
    let ward = Ward::open().await;
    let nonce = Nonce::from_bytes(random());
    let record = RecordId::derive_own(&ward.patient.public_key().id(), &ward.patient.id, &nonce);
    let own = OwnRecord {
        record,
        record_nonce: nonce,
        custodian: "NorthMSP".parse().unwrap(),
        commitments: commitments(),
    };
    let call = RegisterOwnRecord { signed: ward.signed(Operation::RegisterRecord(own)) };
    ward.world.done(&ward.north, &call).await;
    let before = ward.world.seen(&ward.north, &GetRecord { record }).await;

    let amend = AmendRecord {
        patient: ward.patient.id,
        record,
        version: 2,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    let relabel = AmendRecord {
        commitments: before.newest.commitments.clone(),
        tags: Some(RecordTags {
            custodian: "NorthMSP".parse().unwrap(),
            epoch: 1,
            tags: (1..=8).map(|tag| Tag::from_bytes([tag; 16])).collect(),
        }),
        ..amend.clone()
    };
    for change in [amend, relabel] {
        assert_eq!(ward.world.refused(&ward.author, &change).await, Code::PatientsOwnRecord);
    }
    let withdraw = WithdrawRecord { patient: ward.patient.id, record };
    assert_eq!(ward.world.refused(&ward.author, &withdraw).await, Code::PatientsOwnRecord);
    let offer = TransferCustody { patient: ward.patient.id, record, to: Some("SouthMSP".parse().unwrap()) };
    assert_eq!(ward.world.refused(&ward.north, &offer).await, Code::PatientsOwnRecord);
    assert_eq!(ward.world.refused(&ward.south, &offer).await, Code::RecordUnknown, "as any other's");
    assert_eq!(ward.world.seen(&ward.north, &GetRecord { record }).await, before);
}

#[tokio::test]
async fn a_record_names_what_it_was_made_from() {
    let ward = Ward::open().await;
    let stranger = ward.world.patient("NorthMSP").await;
    let foreign = ward.world.record(&ward.author, &stranger).await;
    let deriving = |derived_from| RegisterRecord { derived_from, ..registering(&ward.author, &ward.patient) };
    for unknown in [foreign, RecordId::from_bytes([1; 16])] {
        let refused = ward.world.refused(&ward.author, &deriving(vec![unknown])).await;
        assert_eq!(refused, Code::DerivedFromUnknown);
    }
    let record = ward.world.done(&ward.author, &deriving(vec![ward.record])).await.record;
    let view = ward.world.seen(&ward.north, &GetRecord { record }).await;
    assert_eq!(view.newest.derived_from, [ward.record]);
}

#[tokio::test]
async fn a_consent_is_replaced_at_once_or_stays() {
    let ward = Ward::open().await;
    let first = ward.grant(|_| {}).await;
    let replacing = |supersedes, until: DurationMs| {
        let provision = ward.provision(|p| p.period.until = p.period.from.plus(until));
        let grant = caretrail_model::statement::Grant { provision, supersedes: Some(supersedes) };
        GrantConsent { signed: ward.signed(Operation::GrantConsent(grant)) }
    };
    let unsound = replacing(first, DurationMs::from_days(400));
    assert_eq!(ward.world.refused(&ward.south, &unsound).await, Code::ConsentInvalid);
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
    let second = ward.world.done(&ward.south, &replacing(first, DurationMs::from_days(1))).await.consent;
    let list = ward.world.seen(&ward.north, &ListConsents { patient: ward.patient.id }).await;
    assert_eq!(list.consents.iter().map(|live| live.id).collect::<Vec<_>>(), [second]);
    assert_eq!(list.sequence, 2);
    let again = replacing(first, DurationMs::from_days(1));
    assert_eq!(ward.world.refused(&ward.south, &again).await, Code::ConsentUnknown);
}

#[tokio::test]
async fn labels_and_exceptions_decide_through_the_whole_contract() {
    let ward = Ward::open().await;
    let tags = |first: u8| RecordTags {
        custodian: "NorthMSP".parse().unwrap(),
        epoch: 1,
        tags: (first..first + 8).map(|tag| Tag::from_bytes([tag; 16])).collect(),
    };
    let labelled = RegisterRecord { tags: Some(tags(10)), ..registering(&ward.author, &ward.patient) };
    let short = RegisterRecord {
        tags: Some(RecordTags { tags: vec![Tag::from_bytes([1; 16])], ..tags(10) }),
        ..registering(&ward.author, &ward.patient)
    };
    assert_eq!(ward.world.refused(&ward.author, &short).await, Code::TagsInvalid);
    let record = ward.world.done(&ward.author, &labelled).await.record;
    let scope = |tag: u8| Scope::Tags {
        sets: vec![TagSet {
            custodian: "NorthMSP".parse().unwrap(),
            epoch: 1,
            tags: vec![Tag::from_bytes([tag; 16])],
        }],
    };
    ward.grant(|p| p.scope = scope(10)).await;
    let asking = requesting(&ward.patient, &[record, ward.record]);
    let rules = async || -> Vec<(RecordId, Rule)> {
        let asking = RequestAccess {
            request: caretrail_model::ids::RequestId::from_bytes(random()),
            ..asking.clone()
        };
        let reply = ward.world.done(&ward.reader, &asking).await;
        reply.decisions.iter().map(|decision| (decision.record, decision.rule)).collect()
    };
    assert!(rules().await.contains(&(record, Rule::ConsentPermits)));
    assert!(rules().await.contains(&(ward.record, Rule::NothingPermits)), "untagged, so not permitted");
    ward.grant(|_| {}).await;
    assert!(rules().await.contains(&(ward.record, Rule::ConsentPermits)));
    ward.grant(|p| {
        p.effect = Effect::Deny;
        p.scope = scope(99);
        p.exceptions = vec![Exception {
            grantee: Some(Grantee::Hospital { msp_id: "NorthMSP".parse().unwrap() }),
            ..Exception::default()
        }];
    })
    .await;
    assert!(rules().await.contains(&(record, Rule::ConsentPermits)), "another label is not denied");
    assert!(rules().await.contains(&(ward.record, Rule::NothingPermits)), "untagged, so denied");
}

#[tokio::test]
async fn a_hospital_that_is_none_of_them_changes_nothing() {
    let ward = Ward::open().await;
    let world: &World = &ward.world;
    let east = admin("EastMSP");
    let withdraw = WithdrawRecord { patient: ward.patient.id, record: ward.record };
    let clinician = staff("EastMSP", Role::Clinician);
    assert_eq!(world.refused(&clinician, &withdraw).await, Code::NotAMember);
    let offer = TransferCustody { patient: ward.patient.id, record: ward.record, to: None };
    assert_eq!(world.refused(&east, &offer).await, Code::NotAMember);
}
