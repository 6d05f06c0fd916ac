//! Batches, withdrawals, custody, corrections, records of a patient's own, and permits that are passed on.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Exception, Grantee, Provision, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, Nonce, RecordId, StatementId, Tag};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{CorrectionRequest, Operation, OwnRecord};
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::DurationMs;

use crate::world::{
    Staff, Ward, World, admin, commitments, random, refusal, registering, requesting, staff, wide_policy,
};

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
    // Head, its copy, version and list entry of each; one audit entry.
    assert_eq!(submitted.outcome.rwset.writes.len(), 401);
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

/// A permit of the reader's to pass on, and a colleague to pass it on to.
async fn delegating() -> (Ward, Staff, StatementId) {
    let ward = Ward::open().await;
    let colleague = staff("SouthMSP", Role::Clinician);
    ward.world.authorize_for(&colleague, Role::Clinician, &[Purpose::Treat], DurationMs::from_days(1)).await;
    let parent = ward.grant(|p| p.actions = vec![Action::Read, Action::Delegate]).await;
    (ward, colleague, parent)
}

fn passing_on(
    ward: &Ward,
    to: &Staff,
    parent: StatementId,
    adjust: impl FnOnce(&mut Provision),
) -> DelegateConsent {
    let nonce = Nonce::from_bytes(random());
    let mut provision = ward.world.provision(to);
    adjust(&mut provision);
    let id = StatementId::derive_for(&ward.reader.actor, &ward.patient.id, &nonce);
    DelegateConsent { patient: ward.patient.id, parent, id, nonce, provision }
}

#[tokio::test]
async fn a_permit_is_passed_on_narrower_and_ends_with_the_one_it_came_from() {
    let (ward, colleague, parent) = delegating().await;
    let asking = async || ward.world.decided(&colleague, &requesting(&ward.patient, &[ward.record])).await;
    type Widen = fn(&mut Provision);
    let wider: [Widen; 6] = [
        |p| p.actions = vec![Action::Read, Action::Delegate],
        |p| p.actions = vec![Action::Read, Action::Write],
        |p| p.purposes = vec![Purpose::Treat, Purpose::Hresch],
        |p| p.period.until = p.period.until.plus(DurationMs::new(1).unwrap()),
        |p| p.effect = Effect::Deny,
        |p| p.period.from = crate::world::at(crate::world::START - 1),
    ];
    for widen in wider {
        let call = passing_on(&ward, &colleague, parent, widen);
        assert_eq!(ward.world.refused(&ward.reader, &call).await, Code::DelegationWider);
    }
    let call = passing_on(&ward, &colleague, parent, |_| {});
    let stolen = DelegateConsent { id: StatementId::from_bytes([1; 16]), ..call.clone() };
    assert_eq!(ward.world.refused(&ward.reader, &stolen).await, Code::GrantIdForeign);
    let nobodys = passing_on(&ward, &colleague, StatementId::from_bytes([1; 16]), |_| {});
    assert_eq!(ward.world.refused(&ward.reader, &nobodys).await, Code::DelegationUnknown);

    ward.world.done(&ward.reader, &call).await;
    assert_eq!(asking().await, (Rule::ConsentPermits, Some(call.id)));
    let end = EndDelegation { patient: ward.patient.id, consent: call.id };
    assert_eq!(ward.world.refused(&colleague, &end).await, Code::ConsentUnknown);
    ward.world.done(&ward.reader, &end).await;
    assert_eq!(asking().await.0, Rule::NothingPermits);

    ward.world.done(&ward.reader, &passing_on(&ward, &colleague, parent, |_| {})).await;
    assert_eq!(asking().await.0, Rule::ConsentPermits);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, parent)).await;
    assert_eq!(asking().await.0, Rule::NothingPermits);
    let list = ListConsents { patient: ward.patient.id };
    assert!(ward.world.seen(&ward.north, &list).await.consents.is_empty());
}

#[tokio::test]
async fn a_permit_is_passed_on_within_its_scope() {
    let (ward, colleague, everything) = delegating().await;
    let another = ward.world.record(&ward.author, &ward.patient).await;
    let named = |records: &[RecordId]| {
        let mut records = records.to_vec();
        records.sort();
        Scope::Records { records }
    };
    let kept = |msp_id: &str| Scope::Custodian { msp_id: msp_id.parse().unwrap() };
    let tagged = |custodian: &str, epoch, tags: &[u8]| Scope::Tags {
        sets: vec![TagSet {
            custodian: custodian.parse().unwrap(),
            epoch,
            tags: tags.iter().map(|tag| Tag::from_bytes([*tag; 16])).collect(),
        }],
    };
    let all = Scope::All {};
    let passes = async |parent, scope: &Scope| {
        let call = passing_on(&ward, &colleague, parent, |p| p.scope = scope.clone());
        ward.world.peer.invoke(&ward.world.proposal(&ward.reader, &call)).await.unwrap()
    };
    for (wide, within, beyond) in [
        (
            named(&[ward.record]),
            vec![named(&[ward.record])],
            vec![named(&[ward.record, another]), named(&[another])],
        ),
        (kept("NorthMSP"), vec![kept("NorthMSP")], vec![kept("SouthMSP"), named(&[ward.record])]),
        (
            tagged("NorthMSP", 1, &[1, 2]),
            vec![tagged("NorthMSP", 1, &[2])],
            vec![tagged("NorthMSP", 1, &[2, 3]), tagged("NorthMSP", 2, &[2]), tagged("SouthMSP", 1, &[2])],
        ),
    ] {
        let parent = ward
            .grant(|p| {
                p.actions = vec![Action::Read, Action::Delegate];
                p.scope = wide.clone();
            })
            .await;
        for scope in &within {
            let outcome = passes(parent, scope).await;
            assert!(outcome.is_ok(), "{scope:?} is within {wide:?}\n{outcome}");
            assert!(passes(everything, scope).await.is_ok(), "{scope:?} is within everything");
        }
        for scope in beyond.iter().chain([&all]) {
            let code = refusal(&passes(parent, scope).await);
            assert_eq!(code, Code::DelegationWider, "{scope:?} is beyond {wide:?}");
        }
    }
    assert!(passes(everything, &all).await.is_ok());
}

#[tokio::test]
async fn only_the_person_who_may_passes_on_and_only_once() {
    let (ward, colleague, parent) = delegating().await;
    let own = passing_on(&ward, &colleague, parent, |_| {});
    ward.world.done(&ward.reader, &own).await;
    let third = ward.world.clinician("SouthMSP").await;
    for grant in [parent, own.id] {
        let mut call = passing_on(&ward, &third, grant, |_| {});
        call.id = StatementId::derive_for(&colleague.actor, &ward.patient.id, &call.nonce);
        assert_eq!(ward.world.refused(&colleague, &call).await, Code::DelegationUnknown);
    }
    let plain = ward.grant(|_| {}).await;
    let call = passing_on(&ward, &third, plain, |_| {});
    assert_eq!(ward.world.refused(&ward.reader, &call).await, Code::DelegationUnknown);
}

/// Passing on is an action as any other: the consortium's rules, the patient's denials and exceptions are asked.
#[tokio::test]
async fn nothing_is_passed_on_that_rules_denials_or_exceptions_keep_from_it() {
    let mut policy = wide_policy();
    policy.rules[0].actions = vec![Action::Read, Action::Write];
    let ward = Ward::under(&policy).await;
    let colleague = ward.world.clinician("SouthMSP").await;
    let parent = ward.grant(|p| p.actions = vec![Action::Read, Action::Delegate]).await;
    let call = passing_on(&ward, &colleague, parent, |_| {});
    assert_eq!(ward.world.refused(&ward.reader, &call).await, Code::RoleNotAllowed);

    let (ward, colleague, parent) = delegating().await;
    let world = &ward.world;
    let passes = async |scope: Scope| {
        let call = passing_on(&ward, &colleague, parent, |p| p.scope = scope);
        world.peer.invoke(&world.proposal(&ward.reader, &call)).await.unwrap()
    };
    let denying = async |adjust: fn(&mut Provision)| {
        ward.grant(|p| {
            (p.effect, p.actions) = (Effect::Deny, vec![Action::Delegate]);
            adjust(p);
        })
        .await
    };
    let named = |record| Scope::Records { records: vec![record] };
    let beside = [
        denying(|p| p.purposes = vec![Purpose::Hresch]).await,
        denying(|p| p.grantee = Grantee::Hospital { msp_id: "NorthMSP".parse().unwrap() }).await,
        denying(|p| p.period.from = p.period.from.plus(DurationMs::from_secs(60))).await,
        denying(|p| {
            p.exceptions = vec![Exception { grantee: Some(p.grantee.clone()), ..Exception::default() }];
            p.grantee = Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
        })
        .await,
        denying(|p| p.scope = Scope::Records { records: vec![RecordId::from_bytes([1; 16])] }).await,
    ];
    let outcome = passes(named(ward.record)).await;
    assert!(outcome.is_ok(), "none of them is about it\n{outcome}");
    // Everything holds the record that the last one names.
    assert_eq!(refusal(&passes(Scope::All {}).await), Code::DelegationUnknown);
    for denial in beside {
        world.done(&ward.south, &world.ending(&ward.patient, denial)).await;
    }
    for denial in [
        denying(|p| p.purposes = vec![Purpose::Treat, Purpose::Hresch]).await,
        denying(|p| p.grantee = Grantee::Role { msp_id: "SouthMSP".parse().unwrap(), role: Role::Clinician })
            .await,
    ] {
        assert_eq!(refusal(&passes(named(ward.record)).await), Code::DelegationUnknown);
        world.done(&ward.south, &world.ending(&ward.patient, denial)).await;
    }
}

/// What was passed on counts no more once the patient keeps it from whoever did so.
#[tokio::test]
async fn what_was_passed_on_ends_with_the_right_to() {
    let (ward, colleague, parent) = delegating().await;
    let asking = async || ward.world.decided(&colleague, &requesting(&ward.patient, &[ward.record])).await.0;
    let call = passing_on(&ward, &colleague, parent, |_| {});
    ward.world.done(&ward.reader, &call).await;
    assert_eq!(asking().await, Rule::ConsentPermits);
    let denial = ward.grant(|p| (p.effect, p.actions) = (Effect::Deny, vec![Action::Delegate])).await;
    assert_eq!(asking().await, Rule::NothingPermits);
    assert_eq!(ward.rule().await, Rule::ConsentPermits, "whoever passed it on still reads");
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, denial)).await;
    assert_eq!(asking().await, Rule::ConsentPermits);

    // A grant that passes on but for one record, and one that passes on nothing.
    let excepting = async |scope| {
        ward.grant(|p| {
            p.actions = vec![Action::Read, Action::Delegate];
            p.exceptions = vec![Exception { actions: vec![Action::Delegate], scope, ..Exception::default() }];
        })
        .await
    };
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, parent)).await;
    let but_one = excepting(Some(Scope::Records { records: vec![ward.record] })).await;
    ward.world.done(&ward.reader, &passing_on(&ward, &colleague, but_one, |_| {})).await;
    assert_eq!(asking().await, Rule::NothingPermits);
    let another = ward.world.record(&ward.author, &ward.patient).await;
    let other = ward.world.decided(&colleague, &requesting(&ward.patient, &[another])).await.0;
    assert_eq!(other, Rule::ConsentPermits);
    let nothing = excepting(None).await;
    let call = passing_on(&ward, &colleague, nothing, |_| {});
    assert_eq!(ward.world.refused(&ward.reader, &call).await, Code::DelegationUnknown);
}

/// A permit is passed on eight times, and all that was passed on takes half of a patient's places and of their bytes.
#[tokio::test]
async fn what_is_passed_on_leaves_room_and_gives_way_to_a_denial() {
    let mut policy = wide_policy();
    policy.terms.as_mut().unwrap().provisions_max = 20;
    let ward = Ward::under(&policy).await;
    let colleague = ward.world.clinician("SouthMSP").await;
    let delegable = async || ward.grant(|p| p.actions = vec![Action::Read, Action::Delegate]).await;
    let (first, second) = (delegable().await, delegable().await);
    let passing = async |parent| {
        let call = passing_on(&ward, &colleague, parent, |_| {});
        ward.world.peer.submit(&ward.world.proposal(&ward.reader, &call)).await.unwrap()
    };
    for _ in 0..8 {
        assert!(passing(first).await.is_valid());
    }
    assert_eq!(refusal(&passing(first).await.outcome), Code::ConsentsFull, "eight of one permit");
    for _ in 0..2 {
        assert!(passing(second).await.is_valid());
    }
    assert_eq!(refusal(&passing(second).await.outcome), Code::ConsentsFull, "half of twenty places");

    // All places are taken; each more is one of what was passed on, the newest first.
    for _ in 0..8 {
        ward.grant(|p| p.grantee = Grantee::Hospital { msp_id: "NorthMSP".parse().unwrap() }).await;
    }
    ward.grant(|p| p.effect = Effect::Deny).await;
    let listed = ward.world.seen(&ward.north, &ListConsents { patient: ward.patient.id }).await.consents;
    let passed_on: Vec<StatementId> =
        listed.iter().filter_map(|live| Some(live.delegated.as_ref()?.parent)).collect();
    assert_eq!((listed.len(), passed_on), (20, [vec![first; 8], vec![second]].concat()));
    assert_eq!(ward.rule().await, Rule::NothingPermits);

    // What nobody passed on gives way to nothing.
    for _ in 0..9 {
        ward.grant(|p| p.effect = Effect::Deny).await;
    }
    let provision = ward.provision(|p| p.effect = Effect::Deny);
    let grant = caretrail_model::statement::Grant { provision, supersedes: None };
    let signed = ward.signed(Operation::GrantConsent(grant));
    assert_eq!(ward.world.refused(&ward.south, &GrantConsent { signed }).await, Code::ConsentsFull);
}

/// As many bytes as a value may have are the patient's, too.
#[tokio::test]
async fn what_is_passed_on_leaves_half_of_the_bytes() {
    let ward = Ward::open().await;
    let colleague = ward.world.clinician("SouthMSP").await;
    let records = |first: u8| Scope::Records {
        records: (0..100).map(|id| RecordId::from_bytes([first + id; 16])).collect(),
    };
    let mut parents = Vec::new();
    for _ in 0..2 {
        parents.push(ward.grant(|p| p.actions = vec![Action::Read, Action::Delegate]).await);
    }
    // A provision of a hundred records has more than 3,500 bytes, so seven of them have no room in 24 KiB.
    let mut passed_on = 0;
    for parent in parents.iter().cycle().take(8) {
        let call = passing_on(&ward, &colleague, *parent, |p| p.scope = records(0));
        let submitted = ward.world.peer.submit(&ward.world.proposal(&ward.reader, &call)).await.unwrap();
        if !submitted.outcome.is_ok() {
            assert_eq!(refusal(&submitted.outcome), Code::ConsentsFull);
            break;
        }
        passed_on += 1;
    }
    assert_eq!(passed_on, 6);
    for _ in 0..12 {
        ward.grant(|p| {
            p.effect = Effect::Deny;
            p.scope = records(100);
        })
        .await;
    }
    let listed = ward.world.seen(&ward.north, &ListConsents { patient: ward.patient.id }).await.consents;
    assert!(listed.iter().filter(|live| live.delegated.is_some()).count() < passed_on);
    assert_eq!(listed.iter().filter(|live| live.provision.effect == Effect::Deny).count(), 12);
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
