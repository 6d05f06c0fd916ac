//! Every call of the first engine, made on a channel with builds of both ages.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, Nonce, RecordId, RequestId};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Commitments;
use caretrail_model::role::Role;
use caretrail_model::statement::{Ending, Operation, Stop};
use caretrail_model::time::DurationMs;
use caretrail_tests::actors::{Person, granting, now};
use caretrail_tests::both::propose;
use caretrail_tests::made::Made;

use crate::world::{Age, Told};

fn commitments(byte: u8) -> Commitments {
    let digest = |more| Digest::from_bytes([byte + more; 32]);
    Commitments { content_commitment: digest(0), blob_digest: digest(1), sealed_bytes: 4096 }
}

fn requesting(patient: &Person, record: RecordId, request: u8) -> RequestAccess {
    RequestAccess {
        request: RequestId::from_bytes([request; 16]),
        patient: patient.id,
        records: vec![record],
        action: Action::Read,
        purpose: Purpose::Treat,
    }
}

pub(crate) async fn under_the_first_engine_builds_of_both_ages_endorse_every_call_alike(age: &mut Age) {
    let mut made = Made::none(age);

    // The consortium.
    let policy = serde_json::to_string(&made.world.first).unwrap();
    let digest = made.done("north/admin", &ProposePolicy { policy }).await.digest;
    made.done("north/admin", &ApprovePolicy { digest }).await;
    assert!(made.done("south/admin", &ApprovePolicy { digest }).await.in_force);
    assert_eq!(made.seen("south/auditor", &GetPolicy {}).await, made.world.first);
    for (name, admin) in [("north/ada", "north/admin"), ("south/ben", "south/admin")] {
        let authorize = AuthorizePractitioner {
            subject: made.world.actor(name).subject,
            role: Role::Clinician,
            purposes: vec![Purpose::Treat],
            until: now().plus(DurationMs::from_days(1)),
        };
        made.done(admin, &authorize).await;
    }
    let ben = made.world.actor("south/ben");
    made.seen("north/auditor", &GetStanding { actor: ben.clone() }).await;

    // A patient with records.
    let patient = made.person("patient").await;
    assert_eq!(made.seen("south/auditor", &GetPatient { patient: patient.id }).await.sequence, 1);
    let mut records = Vec::new();
    for byte in [1, 2] {
        let nonce = Nonce::from_bytes([byte; 16]);
        let register = RegisterRecord {
            patient: patient.id,
            record: RecordId::derive(&made.world.actor("north/ada"), &patient.id, &nonce),
            nonce,
            commitments: commitments(byte),
            tags: None,
            derived_from: vec![],
        };
        records.push(made.done("north/ada", &register).await.record);
    }
    let record = records[0];
    let amend = AmendRecord {
        patient: patient.id,
        record,
        version: 2,
        commitments: commitments(3),
        tags: None,
        derived_from: vec![],
    };
    made.done("north/ada", &amend).await;
    assert_eq!(made.seen("north/ada", &GetRecord { record }).await.newest.version, 2);
    let (page_entries, bookmark) = (1, String::new());
    made.seen("north/ada", &RecordHistory { record, page_entries, bookmark: bookmark.clone() }).await;
    let list = ListRecords { patient: patient.id, page_entries, bookmark };
    assert!(!made.seen("north/ada", &list).await.bookmark.is_empty());
    made.seen("north/ada", &VerifyRecord { record, version: 2, commitments: commitments(3) }).await;

    // Denied, permitted, asked again, disclosed.
    let denied = made.done("south/ben", &requesting(&patient, record, 1)).await;
    assert_eq!((denied.epoch, denied.decisions[0].rule), (1, Rule::NothingPermits));
    let permit = made.world.provision("south/ben");
    let signed = made.world.signed(&patient, granting(permit));
    let consent = made.done("south/service", &GrantConsent { signed: signed.clone() }).await.consent;
    let permitted = made.done("south/ben", &requesting(&patient, record, 2)).await;
    assert_eq!(permitted.decisions[0].rule, Rule::ConsentPermits);
    let again = made.done("south/ben", &requesting(&patient, record, 2)).await;
    assert_eq!(again, permitted);
    let decision = permitted.decision;
    made.seen("south/ben", &GetDecision { patient: patient.id, decision }).await;
    let disclose = RecordDisclosure {
        patient: patient.id,
        decision,
        record,
        version: 2,
        recipient: ben.clone(),
        kem_key_digest: Digest::from_bytes([7; 32]),
    };
    made.done("north/service", &disclose).await;
    made.seen("south/ben", &GetDisclosure { patient: patient.id, decision, record }).await;
    let statement = signed.parse().unwrap().id;
    made.seen("north/auditor", &GetStatement { patient: patient.id, statement }).await;
    assert_eq!(made.seen("north/service", &ListConsents { patient: patient.id }).await.consents.len(), 1);
    for at in [None, Some(now().plus(DurationMs::from_days(2)))] {
        made.seen("north/service", &WhoCanSee { record, at }).await;
    }

    // A denial beats it, and ends.
    let mut denial = made.world.provision("south/ben");
    denial.effect = Effect::Deny;
    let signed = made.world.signed(&patient, granting(denial));
    let refusing = made.done("north/service", &GrantConsent { signed }).await.consent;
    let denied = made.done("south/ben", &requesting(&patient, record, 3)).await;
    assert_eq!(denied.decisions[0].rule, Rule::ConsentDenies, "the first engine masks nothing");
    let ending = made.world.signed(&patient, Operation::EndConsent(Ending { consent: refusing }));
    made.done("south/ben", &EndConsent { signed: ending }).await;

    // Suspended, and authorised again.
    let subject = ben.subject;
    made.done("south/admin", &SuspendPractitioner { subject }).await;
    let denied = made.done("south/ben", &requesting(&patient, record, 4)).await;
    assert_eq!(denied.decisions[0].rule, Rule::NoStanding);
    let authorize = AuthorizePractitioner {
        subject,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat],
        until: now().plus(DurationMs::from_days(1)),
    };
    made.done("south/admin", &authorize).await;
    let log = AccessLog { patient: patient.id, page_entries: 100, bookmark: String::new() };
    assert!(made.seen("north/auditor", &log).await.entries.len() > 10);

    made.demand_every_call_until_epoch(1);
    age.told = Some(Told { patient, record, consent, permit: permitted });
}

pub(crate) async fn what_the_older_build_does_not_know_is_endorsed_by_neither(age: &mut Age) {
    let told = age.told.as_ref().unwrap();
    let stop = StopAll { signed: age.signed(&told.patient, Operation::StopAll(Stop { stopped: true })) };
    let holders = ListHolders { record: told.record, at: None, page_entries: 1, bookmark: String::new() };
    let mut delegable = age.provision("south/ben");
    delegable.actions = vec![Action::Read, Action::Delegate];
    let delegable = GrantConsent { signed: age.signed(&told.patient, granting(delegable)) };
    let service = age.gateway("north/service");
    // Newer calls: unknown to the one, refused by the other until the policy knows them.
    for proposal in
        [propose(service, "records", "caretrail", &stop), propose(service, "records", "caretrail", &holders)]
    {
        let [north, south] = age.both.answers(&proposal).await;
        for (answer, message) in [(north, Code::EpochTooOld.as_str()), (south, "FUNCTION_UNKNOWN")] {
            let said = answer.response.unwrap();
            assert!(said.status >= 400 && answer.endorsement.is_none(), "{said:?}");
            assert_eq!(said.message, message);
        }
    }
    // A consent that the first engine could not apply: refused by both.
    assert_eq!(age.refused("north/service", &delegable).await, Code::StatementMalformed);
}
