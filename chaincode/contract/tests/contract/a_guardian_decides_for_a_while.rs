//! Guardians: terms that end, denials that stay, and records that are a minor's own matter.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Effect, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{RecordId, StatementId, Tag};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{
    Ending, Grant, GuardianEnd, GuardianTerm, Operation, PublicKey, SignedStatement, Stop,
};
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use p256::ecdsa::SigningKey;

use crate::world::{START, Ward, at, commitments, fresh_key, refusal, wide_policy};

/// 1 April 2026, the end of the quarter that the tests begin in.
const QUARTER: i64 = 1_775_001_600_000;
/// 1 July 2026.
const NEXT_QUARTER: i64 = 1_782_864_000_000;

struct Home {
    ward: Ward,
    mother: SigningKey,
    father: SigningKey,
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from(*key.verifying_key())
}

async fn home() -> Home {
    home_under(&wide_policy()).await
}

async fn home_under(policy: &ConsortiumPolicy) -> Home {
    let home = Home { ward: Ward::under(policy).await, mother: fresh_key(), father: fresh_key() };
    for guardian in [&home.mother, &home.father] {
        home.ward.world.done(&home.ward.south, &home.appointing(guardian, QUARTER)).await;
    }
    home
}

impl Home {
    fn appointing(&self, guardian: &SigningKey, until: i64) -> AddGuardian {
        self.appointing_for(guardian, self.ward.world.now(), at(until), vec![])
    }

    fn appointing_for(
        &self,
        guardian: &SigningKey,
        from: UnixMs,
        until: UnixMs,
        protected: Vec<TagSet>,
    ) -> AddGuardian {
        let term = GuardianTerm { public_key: public(guardian), term: Period { from, until }, protected };
        AddGuardian { signed: self.ward.signed(Operation::AddGuardian(term)) }
    }

    fn by(&self, guardian: &SigningKey, operation: Operation) -> SignedStatement {
        self.ward.world.signed_by(guardian, self.ward.patient.id, operation)
    }

    /// A grant of a guardian, for most of a year.
    async fn grant(&self, guardian: &SigningKey, effect: Effect) -> StatementId {
        let provision = self.ward.provision(|p| {
            p.effect = effect;
            p.period.until = at(START).plus(DurationMs::from_days(300));
        });
        let grant = Operation::GrantConsent(Grant { provision, supersedes: None });
        let signed = self.by(guardian, grant);
        self.ward.world.done(&self.ward.south, &GrantConsent { signed }).await.consent
    }

    fn ending(&self, guardian: &SigningKey, consent: StatementId) -> EndConsent {
        EndConsent { signed: self.by(guardian, Operation::EndConsent(Ending { consent })) }
    }
}

#[tokio::test]
async fn a_permit_ends_with_the_guardian_and_a_denial_stays() {
    let home = home().await;
    home.grant(&home.mother, Effect::Permit).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    home.ward.world.pass(QUARTER - START - 1);
    let asking = crate::world::requesting(&home.ward.patient, &[home.ward.record]);
    let last = home.ward.world.done(&home.ward.reader, &asking).await;
    assert_eq!(last.decisions[0].valid_until, Some(at(QUARTER)), "no longer than the term");
    home.ward.world.pass(1);
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);

    // Appointed anew after a gap, what was permitted before stays over.
    home.ward.world.pass(1_000);
    let anew = home.appointing(&home.mother, NEXT_QUARTER);
    home.ward.world.done(&home.ward.south, &anew).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    home.grant(&home.mother, Effect::Permit).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
}

#[tokio::test]
async fn a_term_that_is_renewed_in_time_goes_on() {
    let home = home().await;
    home.grant(&home.mother, Effect::Permit).await;
    let renewal = home.appointing(&home.mother, NEXT_QUARTER);
    home.ward.world.done(&home.ward.south, &renewal).await;
    home.ward.world.pass(QUARTER - START + 1);
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    let list = ListGuardians { patient: home.ward.patient.id };
    assert_eq!(home.ward.world.seen(&home.ward.south, &list).await.guardians.len(), 2);
}

/// A renewal for the next quarter takes nothing of the one that runs.
#[tokio::test]
async fn a_term_that_is_renewed_ahead_of_time_is_not_suspended_until_then() {
    let home = home().await;
    let world = &home.ward.world;
    home.grant(&home.mother, Effect::Permit).await;
    let renewal = home.appointing_for(&home.mother, at(QUARTER), at(NEXT_QUARTER), vec![]);
    let renewed = world.done(&home.ward.south, &renewal).await;
    let mother = renewed.guardians.iter().find(|guardian| guardian.key == public(&home.mother).id()).unwrap();
    assert_eq!(mother.term, Period { from: at(START), until: at(NEXT_QUARTER) });
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    home.grant(&home.mother, Effect::Deny).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits, "she decides today");

    // Somebody new begins when the term does.
    let stranger = fresh_key();
    let later = home.appointing_for(&stranger, at(QUARTER), at(NEXT_QUARTER), vec![]);
    world.done(&home.ward.south, &later).await;
    let provision = home.ward.provision(|_| {});
    let grant = Operation::GrantConsent(Grant { provision, supersedes: None });
    let signed = home.by(&stranger, grant);
    assert_eq!(world.refused(&home.ward.south, &GrantConsent { signed }).await, Code::StatementSignature);
}

#[tokio::test]
async fn guardians_who_disagree_deny_and_end_no_denial_of_another() {
    let home = home().await;
    let permit = home.grant(&home.mother, Effect::Permit).await;
    let denial = home.grant(&home.father, Effect::Deny).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    let world = &home.ward.world;
    let refused = world.refused(&home.ward.south, &home.ending(&home.mother, denial)).await;
    assert_eq!(refused, Code::NotTheAuthor);

    // The denial outlives the guardian; the patient ends it.
    let dismissal = GuardianEnd { guardian: public(&home.father).id() };
    let resigned = home.by(&home.father, Operation::EndGuardian(dismissal));
    world.done(&home.ward.south, &EndGuardian { signed: resigned }).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    let late = home.ending(&home.father, denial);
    assert_eq!(world.refused(&home.ward.south, &late).await, Code::StatementSignature);
    world.done(&home.ward.south, &world.ending(&home.ward.patient, denial)).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    let ended = home.ending(&home.mother, permit);
    world.done(&home.ward.south, &ended).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
}

#[tokio::test]
async fn a_guardian_appoints_nobody_and_dismisses_nobody_else() {
    let home = home().await;
    let world = &home.ward.world;
    let period = Period { from: world.now(), until: at(QUARTER) };
    let term = GuardianTerm { public_key: public(&fresh_key()), term: period, protected: vec![] };
    let signed = home.by(&home.mother, Operation::AddGuardian(term));
    assert_eq!(world.refused(&home.ward.south, &AddGuardian { signed }).await, Code::StatementSignature);
    let dismissal = GuardianEnd { guardian: public(&home.father).id() };
    let signed = home.by(&home.mother, Operation::EndGuardian(dismissal.clone()));
    assert_eq!(world.refused(&home.ward.south, &EndGuardian { signed }).await, Code::StatementSignature);
    let signed = home.ward.signed(Operation::EndGuardian(dismissal));
    world.done(&home.ward.south, &EndGuardian { signed: signed.clone() }).await;
    let again = home.ward.signed(Operation::EndGuardian(GuardianEnd { guardian: public(&home.father).id() }));
    assert_eq!(world.refused(&home.ward.south, &EndGuardian { signed: again }).await, Code::GuardianUnknown);
}

#[tokio::test]
async fn a_stop_is_lifted_by_the_patient_or_the_guardian_who_made_it() {
    let home = home().await;
    home.grant(&home.mother, Effect::Permit).await;
    let world = &home.ward.world;
    let switching =
        |key: &SigningKey, stopped| StopAll { signed: home.by(key, Operation::StopAll(Stop { stopped })) };
    world.done(&home.ward.south, &switching(&home.mother, true)).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    let other = switching(&home.father, false);
    assert_eq!(world.refused(&home.ward.south, &other).await, Code::NotTheAuthor);
    world.done(&home.ward.south, &switching(&home.mother, false)).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    world.done(&home.ward.south, &switching(&home.father, true)).await;
    world.done(&home.ward.south, &switching(&home.ward.patient.key, false)).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
}

/// Whoever stops what is stopped already becomes nobody who could lift the stop of another.
#[tokio::test]
async fn no_guardian_lifts_anothers_stop_by_stopping_once_more() {
    let home = home().await;
    home.grant(&home.mother, Effect::Permit).await;
    let world = &home.ward.world;
    let switching =
        |key: &SigningKey, stopped| StopAll { signed: home.by(key, Operation::StopAll(Stop { stopped })) };
    for first in [&home.ward.patient.key, &home.mother] {
        world.done(&home.ward.south, &switching(first, true)).await;
        world.done(&home.ward.south, &switching(&home.father, true)).await;
        for guardian in [&home.father, &home.mother] {
            let lifting = switching(guardian, false);
            assert_eq!(world.refused(&home.ward.south, &lifting).await, Code::NotTheAuthor);
        }
        assert_eq!(home.ward.rule().await, Rule::NothingPermits);
        world.done(&home.ward.south, &switching(&home.ward.patient.key, false)).await;
        assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    }

    // An own stop that is put once more stays an own one; the patient's over it is the patient's.
    for stopped in [true, true, false] {
        world.done(&home.ward.south, &switching(&home.mother, stopped)).await;
    }
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    world.done(&home.ward.south, &switching(&home.mother, true)).await;
    world.done(&home.ward.south, &switching(&home.ward.patient.key, true)).await;
    let lifting = switching(&home.mother, false);
    assert_eq!(world.refused(&home.ward.south, &lifting).await, Code::NotTheAuthor);
}

#[tokio::test]
async fn a_term_ends_with_a_quarter_and_within_a_year() {
    let home = home().await;
    let world = &home.ward.world;
    let now = world.now();
    let another = fresh_key();
    let birthday = at(QUARTER).plus(DurationMs::from_days(11));
    let far = at(1_806_537_600_000); // 1 April 2027, more than a year ahead.
    for until in [birthday, far, now] {
        let call = home.appointing_for(&another, now, until, vec![]);
        assert_eq!(world.refused(&home.ward.south, &call).await, Code::GuardianTermInvalid, "{until}");
    }
    let own = home.appointing(&home.ward.patient.key, QUARTER);
    assert_eq!(world.refused(&home.ward.south, &own).await, Code::KeyInUse);
    for _ in 2..8 {
        world.done(&home.ward.south, &home.appointing(&fresh_key(), QUARTER)).await;
    }
    let ninth = home.appointing(&fresh_key(), QUARTER);
    assert_eq!(world.refused(&home.ward.south, &ninth).await, Code::GuardiansFull);
}

#[tokio::test]
async fn what_a_minor_keeps_to_themselves_no_guardian_opens() {
    let home = home().await;
    let world = &home.ward.world;
    let tag = |byte| Tag::from_bytes([byte; 16]);
    let protected = vec![TagSet { custodian: "NorthMSP".parse().unwrap(), epoch: 1, tags: vec![tag(200)] }];
    let term = home.appointing_for(&home.mother, world.now(), at(QUARTER), protected);
    world.done(&home.ward.south, &term).await;
    home.grant(&home.mother, Effect::Permit).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits, "without labels nobody knows");

    let amend = |version, tags: Vec<Tag>| AmendRecord {
        patient: home.ward.patient.id,
        record: home.ward.record,
        version,
        commitments: commitments(),
        tags: Some(RecordTags { custodian: "NorthMSP".parse().unwrap(), epoch: 1, tags }),
        derived_from: vec![],
    };
    world.done(&home.ward.author, &amend(2, (1..=8).map(tag).collect())).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);
    world.done(&home.ward.author, &amend(3, (193..=200).map(tag).collect())).await;
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    home.ward.grant(|_| {}).await;
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits, "the minor opens it");
}

/// Guardians together take half of a patient's places; with the rest the patient denies what they permitted.
#[tokio::test]
async fn a_guardian_who_fills_the_provisions_keeps_no_denial_of_the_patient_out() {
    let mut policy = wide_policy();
    policy.terms.as_mut().unwrap().provisions_max = 9;
    let home = home_under(&policy).await;
    let world = &home.ward.world;
    let granting = |key: &SigningKey, effect, supersedes| {
        let provision = home.ward.provision(|p| p.effect = effect);
        GrantConsent { signed: home.by(key, Operation::GrantConsent(Grant { provision, supersedes })) }
    };
    let permit = home.grant(&home.mother, Effect::Permit).await;
    for _ in 1..4 {
        home.grant(&home.mother, Effect::Permit).await;
    }
    for (guardian, effect) in [(&home.mother, Effect::Permit), (&home.father, Effect::Deny)] {
        let refused = world.refused(&home.ward.south, &granting(guardian, effect, None)).await;
        assert_eq!(refused, Code::ConsentsFull, "half of nine places");
    }
    assert_eq!(home.ward.rule().await, Rule::ConsentPermits);

    // What the patient signs takes no place of theirs, and theirs none of the patient's.
    for _ in 0..5 {
        home.ward.grant(|p| p.effect = Effect::Deny).await;
    }
    assert_eq!(home.ward.rule().await, Rule::NothingPermits);
    let tenth = granting(&home.ward.patient.key, Effect::Deny, None);
    assert_eq!(world.refused(&home.ward.south, &tenth).await, Code::ConsentsFull);

    // A guardian's denial finds room in place of a permit that another put in force.
    let denial = granting(&home.father, Effect::Deny, Some(permit));
    world.done(&home.ward.south, &denial).await;
    let listed = world.seen(&home.ward.north, &ListConsents { patient: home.ward.patient.id }).await.consents;
    let of = |effect| listed.iter().filter(|live| live.provision.effect == effect).count();
    assert_eq!((of(Effect::Permit), of(Effect::Deny)), (3, 6));
}

/// As many bytes as a value may have are the patient's, too.
#[tokio::test]
async fn guardians_leave_half_of_the_bytes() {
    let home = home().await;
    let world = &home.ward.world;
    let wide = |effect| {
        home.ward.provision(|p| {
            p.effect = effect;
            p.scope = Scope::Records { records: (0..100).map(|id| RecordId::from_bytes([id; 16])).collect() };
        })
    };
    // A provision of a hundred records has more than 3,500 bytes, so seven of them have no room in 24 KiB.
    let mut granted = 0;
    for guardian in [&home.mother, &home.father].into_iter().cycle().take(12) {
        let grant = Grant { provision: wide(Effect::Permit), supersedes: None };
        let call = GrantConsent { signed: home.by(guardian, Operation::GrantConsent(grant)) };
        let submitted = world.peer.submit(&world.proposal(&home.ward.south, &call)).await.unwrap();
        if !submitted.outcome.is_ok() {
            assert_eq!(refusal(&submitted.outcome), Code::ConsentsFull);
            break;
        }
        granted += 1;
    }
    assert_eq!(granted, 6);
    for _ in 0..6 {
        world.grant(&home.ward.patient, wide(Effect::Deny), &home.ward.south).await;
    }
}

/// What a guardian drafts is shown as it would count: for the term, but for what is protected, and no denial of
/// another's ends.
#[tokio::test]
async fn a_guardians_draft_is_previewed_as_the_guardians() {
    let home = home().await;
    let (ward, world) = (&home.ward, &home.ward.world);
    let as_mother = PreviewConsent {
        signer: Some(public(&home.mother).id()),
        ..ward.drafting(|p| p.period.until = at(NEXT_QUARTER))
    };
    let changes = ward.changes(&as_mother).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.after.rule, change.after.valid_until), (Rule::ConsentPermits, Some(at(QUARTER))));
    for own in [None, Some(ward.patient.public_key().id())] {
        let changes = ward.changes(&PreviewConsent { signer: own, ..as_mother.clone() }).await;
        assert_eq!(changes[0].after.valid_until, Some(at(NEXT_QUARTER)), "the patient's own holds longer");
    }
    let stranger = PreviewConsent { signer: Some(public(&fresh_key()).id()), ..as_mother.clone() };
    assert_eq!(world.refused(&ward.north, &stranger).await, Code::GuardianUnknown);

    let denial = home.grant(&home.father, Effect::Deny).await;
    let ending = PreviewConsent { ends: Some(denial), ..ward.previewing() };
    let by = |guardian: &SigningKey| PreviewConsent { signer: Some(public(guardian).id()), ..ending.clone() };
    assert_eq!(world.refused(&ward.north, &by(&home.mother)).await, Code::NotTheAuthor);
    assert_eq!(ward.changes(&by(&home.father)).await.len(), 1);
    world.done(&ward.south, &home.ending(&home.father, denial)).await;

    let tags = vec![Tag::from_bytes([200; 16])];
    let protected = vec![TagSet { custodian: "NorthMSP".parse().unwrap(), epoch: 1, tags }];
    let term = home.appointing_for(&home.mother, world.now(), at(QUARTER), protected);
    world.done(&ward.south, &term).await;
    assert_eq!(ward.changes(&as_mother).await, [], "without labels nobody knows");
    world.pass(QUARTER - START);
    assert_eq!(world.refused(&ward.north, &as_mother).await, Code::GuardianUnknown);
}
