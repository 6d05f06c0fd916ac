//! Two engines side by side: the policy switches, and what the older one says stays what it was.

use std::collections::BTreeSet;

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Rule;
use caretrail_model::for_each_call;
use caretrail_model::ids::Digest;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{EmergencyChoice, Grant, GuardianTerm, NewKey, Operation, PublicKey, Stop};
use caretrail_model::time::{DurationMs, Period};
use p256::ecdsa::SigningKey;

use crate::endorsed;
use crate::tables::compare;
use crate::world::{
    Person, START, Staff, Ward, World, admin, at, commitments, fresh_key, person, policy, registering,
    requesting, staff, wide_policy,
};

const ENDORSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/endorsed-under-epoch-1.md");

fn first_epoch() -> ConsortiumPolicy {
    ConsortiumPolicy { epoch: 1, terms: None, ..policy() }
}

/// Keys that a build reads and writes which knows the first engine only.
#[tokio::test]
async fn under_the_first_epoch_nothing_newer_is_read_written_or_said() {
    let mut narrow = first_epoch();
    narrow.rules[0].purposes = vec![caretrail_model::purpose::Purpose::Treat];
    let ward = Ward::under(&narrow).await;
    ward.grant(|p| p.effect = Effect::Deny).await;
    let asked = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let reply: AccessDecision = asked.outcome.json().unwrap();
    assert_eq!((reply.epoch, reply.decisions[0].rule), (1, Rule::ConsentDenies), "not masked, as it was");
    assert!(reply.decisions[0].consent.is_some());
    let known = ["a", "c", "i", "o", "p", "q", "r", "s", "sn", "t", "v", "x", "y", "yn"];
    let kind = |key: &str| key.trim_start_matches('\0').split('\0').next().unwrap().to_owned();
    for read in asked.outcome.rwset.reads.keys() {
        assert!(known.contains(&kind(read).as_str()), "{read:?}");
    }
    for key in ward.world.peer.ledger().keys("records") {
        assert!(known.contains(&kind(&key).as_str()), "{key:?}");
    }
    let entry =
        ward.world.peer.ledger().value("records", &format!("\0a\0{}\0{}\0", ward.patient.id, reply.decision));
    let entry = String::from_utf8(entry.unwrap()).unwrap();
    assert!(
        entry.contains("\"facts\":{\"policy\":1,\"patient\":1,\"consents\":1,\"standing\":1}"),
        "{entry}"
    );
    let held = ward.world.peer.ledger().value("records", &format!("\0r\0{}\0", ward.record)).unwrap();
    let held = String::from_utf8(held).unwrap();
    assert_eq!(held.matches('"').count(), 12, "patient, custodian, version and time: {held}");

    let stop = StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped: true })) };
    assert_eq!(ward.world.refused(&ward.south, &stop).await, Code::EpochTooOld);
    let provision = ward.provision(|p| p.actions = vec![Action::Read, Action::Delegate]);
    let grant = caretrail_model::statement::Grant { provision, supersedes: None };
    let signed = ward.signed(Operation::GrantConsent(grant));
    assert_eq!(ward.world.refused(&ward.south, &GrantConsent { signed }).await, Code::StatementMalformed);
}

/// What a build of any age endorses under the first epoch: its sections never change.
#[tokio::test]
async fn what_the_first_engine_endorses_is_what_it_always_endorsed() {
    let world = World::empty().await;
    let mut sections = Sections { world: &world, calls: Vec::new(), text: String::new() };
    let admins = [admin("NorthMSP"), admin("SouthMSP")];
    let policy = serde_json::to_string(&first_epoch()).unwrap();
    let digest = sections.done(&admins[0], &ProposePolicy { policy }).await.digest;
    for own in &admins {
        sections.done(own, &ApprovePolicy { digest }).await;
    }
    let clinicians = [staff("NorthMSP", Role::Clinician), staff("SouthMSP", Role::Clinician)];
    for (own, clinician) in admins.iter().zip(&clinicians) {
        let authorize = AuthorizePractitioner {
            subject: clinician.actor.subject,
            role: Role::Clinician,
            purposes: vec![Purpose::Treat],
            until: world.now().plus(DurationMs::from_days(1)),
        };
        sections.done(own, &authorize).await;
    }
    let [author, reader] = &clinicians;
    let service = staff("NorthMSP", Role::Service);
    let patient = person("NorthMSP");
    sections.done(&service, &RegisterPatient { signed: world.registration(&patient) }).await;
    let register = registering(author, &patient);
    let record = sections.done(author, &register).await.record;
    let grant = Grant { provision: world.provision(reader), supersedes: None };
    let granted = world.signed(&patient, Operation::GrantConsent(grant));
    let consent = sections.done(&service, &GrantConsent { signed: granted }).await.consent;
    let decision = sections.done(reader, &requesting(&patient, &[record])).await.decision;
    let disclosing = RecordDisclosure {
        patient: patient.id,
        decision,
        record,
        version: 1,
        recipient: reader.actor.clone(),
        kem_key_digest: Digest::from_bytes([1; 32]),
    };
    sections.done(&service, &disclosing).await;
    let amend = AmendRecord {
        patient: patient.id,
        record,
        version: 2,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    sections.done(author, &amend).await;
    sections.done(&service, &world.ending(&patient, consent)).await;
    sections.done(&admins[1], &SuspendPractitioner { subject: reader.actor.subject }).await;
    sections.done(reader, &requesting(&patient, &[record])).await;

    let mut submitted = BTreeSet::new();
    macro_rules! first {
        ($call:ident) => {
            if <$call as Call>::WRITES && <$call as Call>::SINCE_EPOCH == 1 {
                submitted.insert(<$call as Call>::NAME);
            }
        };
    }
    for_each_call!(first);
    assert_eq!(sections.calls.into_iter().collect::<BTreeSet<_>>(), submitted);
    let head = "# What is endorsed under epoch 1\n\n\
                Generated by `chaincode/contract/tests/contract/epochs.rs`, in the way of \
                [what is endorsed under epoch 2](endorsed-under-epoch-2.md). It never changes.\n\n";
    compare(ENDORSED, &format!("{head}{}", sections.text));
}

/// What is endorsed of one call after the other.
struct Sections<'w> {
    world: &'w World,
    calls: Vec<&'static str>,
    text: String,
}

impl Sections<'_> {
    async fn done<C: Call>(&mut self, by: &Staff, call: &C) -> C::Reply {
        let submitted = self.world.submitted(by, call).await;
        self.calls.push(C::NAME);
        self.text.push_str(&endorsed::section(&format!("`{}`", C::NAME), &submitted.outcome));
        submitted.outcome.json().unwrap()
    }
}

#[tokio::test]
async fn a_policy_switches_to_the_next_epoch_and_never_back() {
    let ward = Ward::under(&first_epoch()).await;
    let consent = ward.grant(|_| {}).await;
    let old = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    ward.world.put_in_force(&ConsortiumPolicy { sequence: 2, ..wide_policy() }).await;

    // What was written before is read as before, and the same transaction asks once more only the first time.
    let custodian = staff("NorthMSP", Role::Service);
    ward.world.done(&custodian, &ward.disclosing(old.decision)).await;
    let asked = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    assert_eq!(asked.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    let reply: AccessDecision = asked.outcome.json().unwrap();
    assert_eq!((reply.epoch, reply.decisions[0].rule), (2, Rule::ConsentPermits));
    let auditor = staff("NorthMSP", Role::Auditor);
    let replay = ReplayDecision { patient: ward.patient.id, decision: old.decision };
    assert_eq!(ward.world.refused(&auditor, &replay).await, Code::ReplayUnavailable);
    let stop = StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped: true })) };
    ward.world.done(&ward.south, &stop).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, consent)).await;

    let back = serde_json::to_string(&ConsortiumPolicy { sequence: 3, ..first_epoch() }).unwrap();
    let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy: back }).await;
    assert_eq!(refused, Code::PolicySequence);
}

/// A record and a patient that the older engine wrote have no copy with a number until the newer one changes them.
#[tokio::test]
async fn what_was_written_before_is_replayed_and_known_for_every_instant() {
    let ward = Ward::under(&first_epoch()).await;
    let world = &ward.world;
    world.pass(1_000);
    ward.grant(|_| {}).await;
    let granted = world.now();
    let amend = |version| AmendRecord {
        patient: ward.patient.id,
        record: ward.record,
        version,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    };
    world.pass(1_000);
    world.done(&ward.author, &amend(2)).await;
    world.pass(1_000);
    world.put_in_force(&ConsortiumPolicy { sequence: 2, ..wide_policy() }).await;
    let asked = world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let auditor = staff("NorthMSP", Role::Auditor);
    let replay = ReplayDecision { patient: ward.patient.id, decision: asked.decision };
    let told = async || {
        let replayed = world.seen(&auditor, &replay).await;
        assert!(replayed.matches);
        assert_eq!(replayed.decisions, asked.decisions);
        let who = async |at| {
            let whole = WhoCanSee { record: ward.record, at: Some(at) };
            world.seen(&ward.north, &whole).await.holders.into_iter().map(|h| h.actor).collect::<Vec<_>>()
        };
        assert_eq!(who(at(START)).await, [], "before it was granted");
        let reader = [ward.reader.actor.clone()];
        for instant in [granted, asked.at] {
            assert_eq!(who(instant).await, reader, "{instant}");
        }
    };
    told().await;

    world.pass(1_000);
    world.done(&ward.author, &amend(3)).await;
    told().await;
    world.done(&ward.author, &WithdrawRecord { patient: ward.patient.id, record: ward.record }).await;
    let refusing = Operation::RefuseEmergency(EmergencyChoice { refused: true });
    world.done(&ward.south, &RefuseEmergency { signed: ward.signed(refusing) }).await;
    told().await;
}

/// The older engine kept no keys one by one: the first one is kept when it is replaced.
#[tokio::test]
async fn a_first_key_that_was_bound_before_is_known_after_it_was_replaced() {
    let ward = Ward::under(&first_epoch()).await;
    let world = &ward.world;
    let rotating = world.patient("NorthMSP").await;
    world.put_in_force(&ConsortiumPolicy { sequence: 2, ..wide_policy() }).await;
    let signer = |person: &Person| GetSigner { patient: person.id, key: person.public_key().id() };
    let period = Period { from: world.now(), until: at(1_775_001_600_000) };
    let term = GuardianTerm { public_key: rotating.public_key(), term: period, protected: vec![] };
    let own = AddGuardian { signed: world.signed(&rotating, Operation::AddGuardian(term)) };
    assert_eq!(world.refused(&ward.south, &own).await, Code::KeyInUse);
    let new_key = |key: &SigningKey| NewKey { public_key: PublicKey::from(*key.verifying_key()) };
    let before = [
        world.seen(&ward.south, &signer(&ward.patient)).await,
        world.seen(&ward.south, &signer(&rotating)).await,
    ];

    world.pass(1_000);
    let new = fresh_key();
    let signed = world.signed(&rotating, Operation::RotateKey(new_key(&new)));
    world.done(&ward.south, &RotateKey { signed }).await;
    let back = world.signed_by(&new, rotating.id, Operation::RotateKey(new_key(&rotating.key)));
    assert_eq!(world.refused(&ward.south, &RotateKey { signed: back }).await, Code::KeyInUse);

    let new = fresh_key();
    let signed = world.signed_by(&new, ward.patient.id, Operation::RecoverKey(new_key(&new)));
    let recovery = signed.parse().unwrap().id;
    world.done(&ward.north, &RecoverKey { signed }).await;
    world.done(&ward.south, &ConfirmRecovery { patient: ward.patient.id, recovery }).await;
    world.pass(72_000);
    let complete = CompleteRecovery { patient: ward.patient.id, recovery };
    let trips = world.submitted(&ward.north, &complete).await.outcome.round_trips();
    assert_eq!(trips, 3, "which key is replaced follows from the first read");
    for (person, before) in [&ward.patient, &rotating].into_iter().zip(before) {
        assert_eq!(world.seen(&ward.south, &signer(person)).await, before);
    }
}

/// What a newer build proposes may be of a shape that this one cannot read; it says what is to be done about it.
#[tokio::test]
async fn a_policy_for_an_engine_that_this_build_lacks_is_not_endorsed() {
    let ward = Ward::under(&policy()).await;
    let next = serde_json::to_string(&ConsortiumPolicy { sequence: 2, ..policy() }).unwrap();
    for newer in ["\"epoch\":3", "\"epoch\":3,\"unheard_of\":{\"epoch\":1}", "\"epoch\":4294967295"] {
        let policy = next.replacen("\"epoch\":2", newer, 1);
        let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy }).await;
        assert_eq!(refused, Code::EngineUnknown, "{newer}");
    }
    for (from, to) in [("\"epoch\":2", "\"epoch\":0"), ("\"epoch\":2", "\"epoch\":3,\"epoch\":2"), ("}", "")]
    {
        let policy = next.replacen(from, to, 1);
        let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy }).await;
        assert_eq!(refused, Code::PolicyInvalid, "{to}");
    }
}
