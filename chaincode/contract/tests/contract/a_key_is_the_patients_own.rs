//! Keys that are rotated and recovered, and patients who have none yet.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::Effect;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Nonce, PatientId, StatementId};
use caretrail_model::paper::PaperAct;
use caretrail_model::patient::RecoveryEnd;
use caretrail_model::role::Role;
use caretrail_model::statement::{Cancellation, Ending, Grant, GuardianTerm, NewKey, Operation, PublicKey};
use caretrail_model::time::{DurationMs, Period};
use p256::ecdsa::SigningKey;

use crate::world::{Person, Staff, Ward, at, fresh_key, random, requesting, staff};

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from(*key.verifying_key())
}

fn new_key(key: &SigningKey) -> NewKey {
    NewKey { public_key: public(key) }
}

#[tokio::test]
async fn the_old_key_binds_the_new_one_and_says_nothing_any_more() {
    let mut ward = Ward::open().await;
    let consent = ward.grant(|_| {}).await;
    let (old, new) = (ward.patient.key.clone(), fresh_key());
    let rotation = |key| RotateKey {
        signed: ward.world.signed_by(key, ward.patient.id, Operation::RotateKey(new_key(&new))),
    };
    assert_eq!(ward.world.refused(&ward.south, &rotation(&new)).await, Code::StatementSignature);
    let rotated = ward.world.done(&ward.south, &rotation(&old)).await;
    assert_eq!((rotated.sequence, rotated.key), (2, Some(public(&new).id())));

    let end = ward.world.ending(&ward.patient, consent);
    assert_eq!(ward.world.refused(&ward.south, &end).await, Code::StatementSignature);
    assert_eq!(ward.rule().await, Rule::ConsentPermits, "what the old key signed stands");
    let signer = GetSigner { patient: ward.patient.id, key: public(&old).id() };
    assert_eq!(ward.world.seen(&ward.south, &signer).await.public_key, public(&old));

    ward.patient.key = new.clone();
    let back = RotateKey { signed: ward.signed(Operation::RotateKey(new_key(&old))) };
    assert_eq!(ward.world.refused(&ward.south, &back).await, Code::KeyInUse);
    let end = ward.world.ending(&ward.patient, consent);
    ward.world.done(&ward.south, &end).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);
}

struct Lost {
    ward: Ward,
    new: SigningKey,
    recovery: StatementId,
}

async fn lost() -> Lost {
    let ward = Ward::open().await;
    let new = fresh_key();
    let signed = ward.world.signed_by(&new, ward.patient.id, Operation::RecoverKey(new_key(&new)));
    let recovery = signed.parse().unwrap().id;
    ward.world.done(&ward.north, &RecoverKey { signed }).await;
    Lost { ward, new, recovery }
}

impl Lost {
    fn confirming(&self) -> ConfirmRecovery {
        ConfirmRecovery { patient: self.ward.patient.id, recovery: self.recovery }
    }

    fn completing(&self) -> CompleteRecovery {
        CompleteRecovery { patient: self.ward.patient.id, recovery: self.recovery }
    }

    fn cancelling(&self) -> CancelRecovery {
        let cancellation = Cancellation { recovery: self.recovery };
        CancelRecovery { signed: self.ward.signed(Operation::CancelRecovery(cancellation)) }
    }
}

#[tokio::test]
async fn a_recovery_takes_two_hospitals_and_its_time() {
    let lost = lost().await;
    let world = &lost.ward.world;
    assert_eq!(world.refused(&lost.ward.south, &lost.completing()).await, Code::RecoveryNotDue);
    assert_eq!(world.refused(&lost.ward.north, &lost.confirming()).await, Code::SecondHospital);
    let confirmed = world.done(&lost.ward.south, &lost.confirming()).await;
    assert_eq!(confirmed.due, Some(world.now().plus(DurationMs::from_secs(72))));
    assert_eq!(world.refused(&lost.ward.south, &lost.confirming()).await, Code::RecoveryUnknown);

    world.pass(71_999);
    assert_eq!(world.refused(&lost.ward.north, &lost.completing()).await, Code::RecoveryNotDue);
    world.pass(1);
    let patient = world.done(&lost.ward.north, &lost.completing()).await;
    assert_eq!(patient.key, Some(public(&lost.new).id()));
    assert_eq!(world.refused(&lost.ward.north, &lost.completing()).await, Code::RecoveryUnknown);
    assert_eq!(world.refused(&lost.ward.south, &lost.cancelling()).await, Code::StatementSignature);
}

#[tokio::test]
async fn the_old_key_cancels_a_recovery_at_any_time() {
    let lost = lost().await;
    let world = &lost.ward.world;
    world.done(&lost.ward.south, &lost.confirming()).await;
    world.pass(72_000);
    let cancelled = world.done(&lost.ward.south, &lost.cancelling()).await;
    assert_eq!(cancelled.ended, Some(RecoveryEnd::Cancelled));
    assert_eq!(world.refused(&lost.ward.north, &lost.completing()).await, Code::RecoveryUnknown);
    let patient = world.seen(&lost.ward.north, &GetPatient { patient: lost.ward.patient.id }).await;
    assert_eq!(patient.key, Some(lost.ward.patient.public_key().id()));
}

#[tokio::test]
async fn who_rotates_the_key_has_not_lost_it() {
    let lost = lost().await;
    let world = &lost.ward.world;
    world.done(&lost.ward.south, &lost.confirming()).await;
    let signed = lost.ward.signed(Operation::RotateKey(new_key(&fresh_key())));
    world.done(&lost.ward.south, &RotateKey { signed }).await;
    world.pass(72_000);
    assert_eq!(world.refused(&lost.ward.north, &lost.completing()).await, Code::RecoveryUnknown);
}

#[tokio::test]
async fn one_recovery_waits_at_a_time_and_only_the_home_opens_it() {
    let lost = lost().await;
    let opening = |key: &SigningKey| RecoverKey {
        signed: lost.ward.world.signed_by(key, lost.ward.patient.id, Operation::RecoverKey(new_key(key))),
    };
    let another = opening(&fresh_key());
    assert_eq!(lost.ward.world.refused(&lost.ward.south, &another).await, Code::HospitalNotAllowed);
    assert_eq!(lost.ward.world.refused(&lost.ward.north, &another).await, Code::RecoveryPending);
    lost.ward.world.done(&lost.ward.south, &lost.cancelling()).await;
    let own = opening(&lost.ward.patient.key);
    assert_eq!(lost.ward.world.refused(&lost.ward.north, &own).await, Code::KeyInUse);
    lost.ward.world.done(&lost.ward.north, &another).await;
}

/// A patient without a key, with a record.
struct Paper {
    ward: Ward,
    patient: Person,
}

async fn paper() -> Paper {
    let ward = Ward::open().await;
    let nonce = Nonce::from_bytes(random());
    let id = PatientId::derive_on_paper(&"NorthMSP".parse().unwrap(), &nonce);
    let foreign = RegisterPaperPatient { patient: id, nonce };
    assert_eq!(ward.world.refused(&ward.south, &foreign).await, Code::PatientIdForeign);
    ward.world.done(&ward.north, &foreign).await;
    assert_eq!(ward.world.refused(&ward.north, &foreign).await, Code::PatientExists);
    let patient = Person { key: fresh_key(), id, nonce, home: "NorthMSP" };
    let record = ward.world.record(&ward.author, &patient).await;
    Paper { ward: Ward { record, ..ward }, patient }
}

impl Paper {
    fn acting(&self, by: &Staff, act: PaperAct) -> ActOnPaper {
        let nonce = Nonce::from_bytes(random());
        let id = StatementId::derive_for(&by.actor, &self.patient.id, &nonce);
        ActOnPaper { patient: self.patient.id, id, nonce, act }
    }

    fn granting(&self, effect: Effect, lasting: DurationMs) -> PaperAct {
        let provision = self.ward.provision(|p| {
            p.effect = effect;
            p.period.until = p.period.from.plus(lasting);
        });
        PaperAct::Grant { provision }
    }

    fn confirming(&self, id: StatementId) -> ConfirmPaper {
        ConfirmPaper { patient: self.patient.id, id }
    }

    async fn decision(&self) -> caretrail_model::decision::Decision {
        let request = requesting(&self.patient, &[self.ward.record]);
        self.ward.world.done(&self.ward.reader, &request).await.decisions.remove(0)
    }
}

#[tokio::test]
async fn a_permit_on_paper_takes_two_hospitals_ends_within_its_time_and_is_flagged() {
    let paper = paper().await;
    let world = &paper.ward.world;
    let north = &paper.ward.north;
    let days = DurationMs::from_days;
    let long = paper.acting(north, paper.granting(Effect::Permit, days(91)));
    assert_eq!(world.refused(north, &long).await, Code::ConsentInvalid);
    let foreign = paper.acting(&paper.ward.south, paper.granting(Effect::Permit, days(90)));
    assert_eq!(world.refused(&paper.ward.south, &foreign).await, Code::HospitalNotAllowed);

    let permit = paper.acting(north, paper.granting(Effect::Permit, days(90)));
    assert!(!world.done(north, &permit).await.done);
    assert_eq!(world.refused(north, &permit).await, Code::GrantIdUsed);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
    assert_eq!(world.refused(north, &paper.confirming(permit.id)).await, Code::SecondHospital);
    assert!(world.done(&paper.ward.south, &paper.confirming(permit.id)).await.done);
    assert_eq!(world.refused(&paper.ward.south, &paper.confirming(permit.id)).await, Code::PaperUnknown);
    let decision = paper.decision().await;
    assert_eq!(
        (decision.rule, decision.paper, decision.consent),
        (Rule::ConsentPermits, true, Some(permit.id))
    );

    // A denial works at once; ending it opens, and waits.
    let denial = paper.acting(north, paper.granting(Effect::Deny, days(300)));
    assert!(world.done(north, &denial).await.done);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
    let reopening = paper.acting(north, PaperAct::End { consent: denial.id });
    assert!(!world.done(north, &reopening).await.done);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
    world.done(&paper.ward.south, &paper.confirming(reopening.id)).await;
    assert_eq!(paper.decision().await.rule, Rule::ConsentPermits);

    // A stop works at once; lifting it waits. An ending of a permit works at once.
    let stop = paper.acting(north, PaperAct::StopAll { stopped: true });
    assert!(world.done(north, &stop).await.done);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
    let lift = paper.acting(north, PaperAct::StopAll { stopped: false });
    assert!(!world.done(north, &lift).await.done);
    world.done(&paper.ward.south, &paper.confirming(lift.id)).await;
    assert_eq!(paper.decision().await.rule, Rule::ConsentPermits);
    let end = paper.acting(north, PaperAct::End { consent: permit.id });
    assert!(world.done(north, &end).await.done);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
}

/// What waits for a second hospital opens nothing that was closed after it was proposed.
#[tokio::test]
async fn an_act_on_paper_lapses_when_what_it_changes_was_changed_or_its_time_is_over() {
    let paper = paper().await;
    let world = &paper.ward.world;
    let (north, south) = (&paper.ward.north, &paper.ward.south);
    let waiting = async |act| {
        let acting = paper.acting(north, act);
        assert!(!world.done(north, &acting).await.done);
        paper.confirming(acting.id)
    };
    let stopping = || paper.acting(north, PaperAct::StopAll { stopped: true });
    let permit = waiting(paper.granting(Effect::Permit, DurationMs::from_days(90))).await;
    world.done(south, &permit).await;

    // All of it happens at one instant: not the time of a change tells what was seen, but its number.
    world.done(north, &stopping()).await;
    let lift = waiting(PaperAct::StopAll { stopped: false }).await;
    world.done(north, &stopping()).await;
    assert_eq!(world.refused(south, &lift).await, Code::PaperLapsed);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
    world.done(south, &waiting(PaperAct::StopAll { stopped: false }).await).await;
    assert_eq!(paper.decision().await.rule, Rule::ConsentPermits);

    let until = at(1_775_001_600_000);
    let term = |key: &SigningKey| GuardianTerm {
        public_key: public(key),
        term: Period { from: world.now(), until },
        protected: vec![],
    };
    let (mother, father) = (fresh_key(), fresh_key());
    let appointed = waiting(PaperAct::AddGuardian { term: term(&mother) }).await;
    let again = waiting(PaperAct::AddGuardian { term: term(&mother) }).await;
    world.done(south, &appointed).await;
    let dismissing = PaperAct::EndGuardian { guardian: public(&mother).id() };
    world.done(north, &paper.acting(north, dismissing)).await;
    assert_eq!(world.refused(south, &again).await, Code::PaperLapsed, "dismissed since");

    // The policy's time for statements is a day.
    let day = 24 * 3_600_000;
    let in_time = waiting(paper.granting(Effect::Permit, DurationMs::from_days(50))).await;
    let late = waiting(paper.granting(Effect::Permit, DurationMs::from_days(50))).await;
    let guardian = waiting(PaperAct::AddGuardian { term: term(&father) }).await;
    world.pass(day);
    world.done(south, &in_time).await;
    world.pass(1);
    for lapsed in [late, guardian] {
        assert_eq!(world.refused(south, &lapsed).await, Code::PaperLapsed);
    }
}

/// A child: no key of its own, and guardians whom two hospitals vouch for.
#[tokio::test]
async fn a_guardian_of_a_patient_without_a_key_is_appointed_by_two_hospitals_and_dismissed_by_one() {
    let paper = paper().await;
    let world = &paper.ward.world;
    let north = &paper.ward.north;
    let mother = fresh_key();
    let term = GuardianTerm {
        public_key: public(&mother),
        term: Period { from: world.now(), until: at(1_775_001_600_000) },
        protected: vec![],
    };
    let appointing = paper.acting(north, PaperAct::AddGuardian { term });
    world.done(north, &appointing).await;
    let granting = || {
        let provision = paper.ward.provision(|_| {});
        let grant = Operation::GrantConsent(Grant { provision, supersedes: None });
        GrantConsent { signed: world.signed_by(&mother, paper.patient.id, grant) }
    };
    assert_eq!(world.refused(north, &granting()).await, Code::StatementSignature);
    world.done(&paper.ward.south, &paper.confirming(appointing.id)).await;
    world.done(north, &granting()).await;
    let decision = paper.decision().await;
    assert_eq!((decision.rule, decision.paper), (Rule::ConsentPermits, false), "the guardian signed it");

    let dismissing = paper.acting(north, PaperAct::EndGuardian { guardian: public(&mother).id() });
    assert!(world.done(north, &dismissing).await.done);
    assert_eq!(paper.decision().await.rule, Rule::NothingPermits);
}

#[tokio::test]
async fn nothing_is_done_on_paper_once_a_key_is_bound() {
    let paper = paper().await;
    let world = &paper.ward.world;
    let north = &paper.ward.north;
    let lasting = DurationMs::from_days(1);
    let (done, waiting) = (
        paper.acting(north, paper.granting(Effect::Permit, lasting)),
        paper.acting(north, paper.granting(Effect::Permit, lasting)),
    );
    for permit in [&done, &waiting] {
        world.done(north, permit).await;
    }
    world.done(&paper.ward.south, &paper.confirming(done.id)).await;
    assert_eq!(paper.decision().await.rule, Rule::ConsentPermits);

    let thief = fresh_key();
    let binding = |key: &SigningKey, by: &SigningKey| BindKey {
        signed: world.signed_by(by, paper.patient.id, Operation::BindKey(new_key(key))),
    };
    let key = &paper.patient.key;
    assert_eq!(world.refused(north, &binding(key, &thief)).await, Code::StatementSignature);
    assert_eq!(world.refused(&paper.ward.south, &binding(key, key)).await, Code::HospitalNotAllowed);
    world.done(north, &binding(key, key)).await;
    assert_eq!(world.refused(north, &binding(&thief, &thief)).await, Code::KeyBound);

    assert_eq!(paper.decision().await.rule, Rule::NothingPermits, "a permit on paper ends with the binding");
    assert_eq!(world.refused(&paper.ward.south, &paper.confirming(waiting.id)).await, Code::KeyBound);
    let more = paper.acting(north, paper.granting(Effect::Deny, lasting));
    assert_eq!(world.refused(north, &more).await, Code::KeyBound);
    let ending = Operation::EndConsent(Ending { consent: done.id });
    world
        .done(&staff("SouthMSP", Role::Service), &EndConsent { signed: world.signed(&paper.patient, ending) })
        .await;
}
