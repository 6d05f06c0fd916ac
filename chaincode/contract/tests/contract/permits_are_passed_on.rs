//! Permits that one clinician passes on to another: narrower, once, and while nothing the patient decided says no.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Exception, Grantee, Provision, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Nonce, RecordId, StatementId, Tag};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::Operation;
use caretrail_model::tag::TagSet;
use caretrail_model::time::DurationMs;

use crate::world::{Staff, Ward, random, refusal, requesting, staff, wide_policy};

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
