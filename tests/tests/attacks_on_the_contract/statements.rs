//! Statements that are withheld, repeated, late, or for elsewhere.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Nonce, PatientId, RecordId};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{Ending, Operation, Registration, Stop};
use caretrail_model::time::{DurationMs, UnixMs};
use caretrail_records::LedgerName;
use caretrail_tests::actors::{granting, now};
use hlf_protos::protos::TxValidationCode;

use crate::world::{Siege, random};

pub(crate) async fn a_carrier_withholds_a_revocation(siege: &mut Siege) {
    let patient = siege.person("withheld").await;
    let record = siege.add(&patient, None).await;
    let consent = siege.permit(&patient, "south/ben").await;
    let ending = siege.signed(&patient, Operation::EndConsent(Ending { consent }));
    let end = EndConsent { signed: ending };
    // North is handed it, has it endorsed, and keeps the transaction to itself.
    let (_, withheld) = siege.endorsed(&siege.propose("north/service", &end)).await;
    let request = crate::world::requesting(&patient, record);
    assert_eq!(siege.done("south/ben", &request).await.decisions[0].rule, Rule::ConsentPermits);
    // The patient hands the very same bytes to somebody else, who need not even be asked nicely: any enrolled actor does.
    siege.done("south/auditor", &end).await;
    let request = crate::world::requesting(&patient, record);
    assert_eq!(siege.done("south/ben", &request).await.decisions[0].rule, Rule::NothingPermits);
    let kept = GetStatement { patient: patient.id, statement: end.signed.parse().unwrap().id };
    let kept = siege.seen("north/auditor", &kept).await;
    assert_eq!((&kept.signed, kept.carrier), (&end.signed, siege.actor("south/auditor")));
    // What North held back has become worthless.
    siege.order_in_vain(&withheld, TxValidationCode::MvccReadConflict).await;
    assert_eq!(siege.refused("north/service", &end).await, Code::StatementReplayed);
}

pub(crate) async fn a_statement_is_replayed(siege: &mut Siege) {
    let patient = siege.person("replayed").await;
    let signed = siege.signed(&patient, granting(siege.provision("south/ben")));
    let grant = GrantConsent { signed: signed.clone() };
    let consent = siege.done("north/service", &grant).await.consent;
    for identity in ["north/service", "south/service", "south/ben"] {
        assert_eq!(siege.refused(identity, &grant).await, Code::StatementReplayed, "{identity}");
    }
    let end = EndConsent { signed: siege.signed(&patient, Operation::EndConsent(Ending { consent })) };
    siege.done("south/service", &end).await;
    // Ended is ended: the grant does not bring it back, and a statement of one kind is none of another.
    assert_eq!(siege.refused("south/ben", &grant).await, Code::StatementReplayed);
    assert_eq!(siege.refused("south/ben", &EndConsent { signed }).await, Code::StatementForeign);
    // Two carriers at once: one counts.
    let stop = StopAll { signed: siege.signed(&patient, Operation::StopAll(Stop { stopped: true })) };
    let (_, first) = siege.endorsed(&siege.propose("north/service", &stop)).await;
    let (_, second) = siege.endorsed(&siege.propose("south/service", &stop)).await;
    assert_eq!(siege.order(&first).await, TxValidationCode::Valid);
    siege.order_in_vain(&second, TxValidationCode::MvccReadConflict).await;
}

pub(crate) async fn a_statement_is_carried_too_late_or_too_early(siege: &mut Siege) {
    let ledger = siege.hospitals.ledger();
    let longest = siege.policy.durations.statement_ms_max;
    let signed_by = |submit_by: UnixMs| {
        let operation = granting(siege.provision("south/ben"));
        siege.patient.key.sign(&ledger, siege.patient.id, submit_by, operation).unwrap()
    };
    let stale = signed_by(UnixMs::new(now().get() - 1000).unwrap());
    let early = signed_by(now().plus(longest).plus(DurationMs::from_secs(3600)));
    for (signed, code) in [(stale, Code::StatementExpired), (early, Code::StatementTooEarly)] {
        for identity in ["north/service", "south/service"] {
            let grant = GrantConsent { signed: signed.clone() };
            assert_eq!(siege.refused(identity, &grant).await, code, "{identity}");
        }
    }
    siege.demand_no_consent().await;
}

pub(crate) async fn a_statement_of_another_channel_is_carried(siege: &mut Siege) {
    let [elsewhere, _] = Siege::other_ledgers();
    carried_from(siege, elsewhere).await;
}

pub(crate) async fn a_statement_for_another_chaincode_is_carried(siege: &mut Siege) {
    let [_, notary] = Siege::other_ledgers();
    carried_from(siege, notary).await;
}

/// The same patient, with the same key, on another ledger of the same hospitals: what is signed for one is nothing in the
/// other.
async fn carried_from(siege: &mut Siege, other: LedgerName) {
    let policy = ConsortiumPolicy {
        channel: other.channel.clone(),
        chaincode: other.chaincode.clone(),
        ..siege.policy.clone()
    };
    siege.put_in_force(&policy).await;
    let nonce = Nonce::from_bytes(random());
    let key = siege.key(&format!("{}-{}", other.channel, other.chaincode));
    let home = "NorthMSP".parse().unwrap();
    let patient = PatientId::derive(&home, &key.public_key().to_sec1_bytes(), &nonce);
    let here = siege.hospitals.ledger();
    let registration = Registration { home, public_key: key.public_key().clone(), patient_nonce: nonce };
    let sign = |ledger: &LedgerName, operation: Operation| {
        key.sign(ledger, patient, caretrail_tests::actors::soon(), operation).unwrap()
    };
    let registered = |ledger: &LedgerName| RegisterPatient {
        signed: sign(ledger, Operation::RegisterPatient(registration.clone())),
    };
    let (register_here, register_there) = (registered(&here), registered(&other));
    for (ledger, register) in [(&here, &register_there), (&other, &register_here)] {
        assert_eq!(siege.refused_on(ledger, "north/service", register).await, Code::StatementForeign);
    }
    for (ledger, register) in [(&here, &register_here), (&other, &register_there)] {
        assert_eq!(siege.done_on(ledger, "north/service", register).await.patient, patient);
    }
    let provision = siege.provision("south/ben");
    let grant = GrantConsent { signed: sign(&other, granting(provision)) };
    for identity in ["north/service", "south/service"] {
        let refused = siege.refused_on(&here, identity, &grant).await;
        assert_eq!(refused, Code::StatementForeign, "{identity}");
    }
    siege.done_on(&other, "south/service", &grant).await;
    assert_eq!(siege.refused_on(&here, "south/service", &grant).await, Code::StatementForeign);
    assert_eq!(siege.seen("north/service", &ListConsents { patient }).await.consents, []);
}

pub(crate) async fn an_id_is_squatted(siege: &mut Siege) {
    // South sees North's registration before it is ordered, and would register the same id first.
    let key = siege.key("squatted");
    let home = "NorthMSP".parse().unwrap();
    let registration =
        key.register(&siege.hospitals.ledger(), &home, caretrail_tests::actors::soon()).unwrap();
    let register = RegisterPatient { signed: registration.signed };
    assert_eq!(siege.refused("south/service", &register).await, Code::HospitalNotAllowed);
    let thief = siege.key("squatter");
    let claim = Registration {
        home: "SouthMSP".parse().unwrap(),
        public_key: thief.public_key().clone(),
        patient_nonce: Nonce::from_bytes(random()),
    };
    let operation = Operation::RegisterPatient(claim);
    let signed = thief
        .sign(&siege.hospitals.ledger(), registration.patient, caretrail_tests::actors::soon(), operation)
        .unwrap();
    assert_eq!(siege.refused("south/service", &RegisterPatient { signed }).await, Code::PatientIdForeign);
    assert_eq!(siege.done("north/service", &register).await.patient, registration.patient);

    // A record's id is its maker's.
    let registering = siege.registering(&siege.patient, None);
    assert_eq!(siege.refused("south/ben", &registering).await, Code::RecordIdForeign);
    let own = RecordId::derive(&siege.actor("south/ben"), &siege.patient.id, &registering.nonce);
    assert_ne!(own, registering.record);
    siege.done("north/ada", &registering).await;
}
