//! The examples of `docs/ihe-pcf.md`: each is a sound body, and decides what its level promises.

use caretrail_contract::policy::{LedgerFacts, Request, decide};
use caretrail_model::calls::StopAll;
use caretrail_model::consent::{Action, LiveConsent, LiveConsents, Provision};
use caretrail_model::decision::Rule;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, KeyId, PatientId, RecordId, StatementId, Subject, Tag};
use caretrail_model::patient::Patient;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::statement::{Operation, Stop};
use caretrail_model::tag::RecordTags;
use caretrail_model::time::DurationMs;

use crate::world::{START, Ward, at, wide_policy};

fn examples() -> Vec<Provision> {
    let page = include_str!("../../../../docs/ihe-pcf.md");
    page.split("```json\n")
        .skip(1)
        .map(|block| {
            let body = block.split("\n```").next().unwrap();
            let Some(Operation::GrantConsent(grant)) = Operation::from_body("grant_consent", body) else {
                panic!("no grant: {body}")
            };
            grant.provision.validate(DurationMs::from_days(366)).unwrap();
            grant.provision
        })
        .collect()
}

/// Which rule decides for a clinician in the south who asks to read a record in the north that carries a label.
fn rule(provisions: &[&Provision], subject: u8, purpose: Purpose, label: u8) -> Rule {
    let actor = Actor { msp_id: "SouthMSP".parse().unwrap(), subject: Subject::from_bytes([subject; 16]) };
    let standing = Standing {
        sequence: 1,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat, Purpose::Hresch],
        until: at(START + 10),
        suspended: false,
        by: actor.clone(),
        at: at(1),
    };
    let patient = Patient {
        sequence: 1,
        home: "NorthMSP".parse().unwrap(),
        key: Some(KeyId::from_bytes([1; 16])),
        public_key: None,
        refuses_emergency: false,
        at: at(1),
    };
    let record = Record {
        patient: PatientId::from_bytes([1; 16]),
        custodian: "NorthMSP".parse().unwrap(),
        version: 1,
        sequence: Some(1),
        tags: Some(RecordTags {
            custodian: "NorthMSP".parse().unwrap(),
            epoch: 1,
            tags: vec![Tag::from_bytes([label; 16])],
        }),
        withdrawn: false,
        offered_to: None,
        own: None,
        at: at(1),
    };
    let consents = (1..)
        .zip(provisions)
        .map(|(id, provision)| LiveConsent::signed(StatementId::from_bytes([id; 16]), (*provision).clone()))
        .collect();
    let request = Request {
        actor: &actor,
        role: Role::Clinician,
        patient: &PatientId::from_bytes([1; 16]),
        record: &RecordId::from_bytes([4; 16]),
        action: Action::Read,
        purpose,
    };
    let facts = LedgerFacts {
        policy: &wide_policy(),
        standing: Some(&standing),
        patient: &patient,
        consents: &LiveConsents { sequence: 1, consents, at: at(1) },
        guardians: &Guardians::NONE,
        stop: None,
        relationship: None,
        hospital_relationship: None,
        break_glass: None,
        record: Some(&record),
    };
    decide(&request, &facts, at(START)).rule
}

#[test]
fn each_level_is_said_and_decided() {
    let examples = examples();
    let [basic, opt_out, opted_out, by_role, by_person, by_time, but_labelled, deny_labelled] =
        examples.as_slice()
    else {
        panic!("{} examples", examples.len())
    };
    let (permits, nothing, denies) = (Rule::ConsentPermits, Rule::NothingPermits, Rule::ConsentDenies);
    let cases: [(&[&Provision], u8, Purpose, u8, Rule); 19] = [
        (&[basic], 2, Purpose::Treat, 7, permits),
        (&[basic], 2, Purpose::Hresch, 7, nothing),
        (&[opt_out], 2, Purpose::Treat, 7, permits),
        (&[opt_out, opted_out], 3, Purpose::Clintrch, 7, permits),
        (&[opt_out, opted_out], 2, Purpose::Treat, 7, denies),
        (&[opted_out, opt_out], 2, Purpose::Clintrch, 8, denies),
        (&[opted_out], 3, Purpose::Treat, 7, nothing),
        (&[by_role], 3, Purpose::Hresch, 7, permits),
        (&[by_role], 3, Purpose::Clintrch, 7, nothing),
        (&[by_person], 2, Purpose::Treat, 7, permits),
        (&[by_person], 3, Purpose::Treat, 7, nothing),
        (&[by_time], 2, Purpose::Treat, 7, permits),
        (&[by_time], 2, Purpose::Treat, 8, nothing),
        (&[but_labelled], 2, Purpose::Treat, 8, permits),
        (&[but_labelled], 2, Purpose::Treat, 7, nothing),
        (&[basic, deny_labelled], 3, Purpose::Treat, 8, permits),
        (&[basic, deny_labelled], 3, Purpose::Treat, 7, denies),
        (&[basic, deny_labelled], 2, Purpose::Treat, 7, permits),
        (&[deny_labelled], 2, Purpose::Treat, 7, nothing),
    ];
    for (number, (provisions, subject, purpose, label, expected)) in cases.into_iter().enumerate() {
        assert_eq!(rule(provisions, subject, purpose, label), expected, "case {number}");
    }
}

#[tokio::test]
async fn a_withdrawal_decides_from_its_transaction_on() {
    let (ward, examples) = (Ward::open().await, examples());
    let basic = &examples[0];
    let granted = ward.world.grant(&ward.patient, basic.clone(), &ward.north).await;
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, granted)).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);

    ward.world.grant(&ward.patient, basic.clone(), &ward.north).await;
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
    let stop = ward.signed(Operation::StopAll(Stop { stopped: true }));
    ward.world.done(&ward.south, &StopAll { signed: stop }).await;
    assert_eq!(ward.rule().await, Rule::Stopped.told());
}
