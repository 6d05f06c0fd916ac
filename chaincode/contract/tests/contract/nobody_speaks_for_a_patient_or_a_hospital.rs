//! Refusals: forged, replayed and stale statements, foreign identities, wrong clocks, hostile arguments.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::Provision;
use caretrail_model::ids::{ChannelName, Nonce, RecordId, StatementId};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::role::Role;
use caretrail_model::statement::{Grant, Operation, SignedStatement, Statement};
use caretrail_model::time::{DurationMs, Period};
use hlf_testpeer::{Creator, Proposal};

use crate::world::{
    Person, START, Staff, World, admin, at, person, policy, random, refusal, registering, requesting, staff,
};

struct Ward {
    world: World,
    service: Staff,
    reader: Staff,
    patient: Person,
}

async fn ward() -> Ward {
    let world = World::constituted().await;
    let reader = world.clinician("SouthMSP").await;
    let patient = world.patient("NorthMSP").await;
    Ward { world, service: staff("SouthMSP", Role::Service), reader, patient }
}

impl Ward {
    fn granting(&self, provision: Provision) -> Statement {
        let grant = Grant { provision, supersedes: None };
        self.world.statement(&self.patient, Operation::GrantConsent(grant))
    }

    async fn refused(&self, signed: SignedStatement) -> Code {
        self.world.refused(&self.service, &GrantConsent { signed }).await
    }
}

#[tokio::test]
async fn a_statement_counts_once_as_signed_for_this_channel_and_in_time() {
    let ward = ward().await;
    let good = || ward.granting(ward.world.provision(&ward.reader));

    let mut changed = ward.patient.sign(good());
    changed.statement = changed.statement.replacen("TREAT", "HRESCH", 1);
    assert_eq!(ward.refused(changed).await, Code::StatementSignature);

    let thief = person("NorthMSP");
    assert_eq!(ward.refused(thief.sign(good())).await, Code::StatementSignature);
    let key = thief.public_key().id();
    let nonce = Nonce::from_bytes(random());
    let substituted =
        Statement { key, nonce, id: StatementId::derive(&ward.patient.id, &key, &nonce), ..good() };
    assert_eq!(ward.refused(thief.sign(substituted)).await, Code::StatementSignature);

    let squatted = Statement { id: StatementId::from_bytes([1; 16]), ..good() };
    assert_eq!(ward.refused(ward.patient.sign(squatted)).await, Code::StatementMalformed);
    let elsewhere = Statement { channel: "other".parse::<ChannelName>().unwrap(), ..good() };
    assert_eq!(ward.refused(ward.patient.sign(elsewhere)).await, Code::StatementForeign);
    let other_chaincode = Statement { chaincode: "other".parse().unwrap(), ..good() };
    assert_eq!(ward.refused(ward.patient.sign(other_chaincode)).await, Code::StatementForeign);
    let far = Statement { submit_by: ward.world.now().plus(DurationMs::from_days(2)), ..good() };
    assert_eq!(ward.refused(ward.patient.sign(far)).await, Code::StatementTooEarly);
    assert_eq!(
        ward.refused(ward.world.registration(&ward.patient)).await,
        Code::StatementForeign,
        "another operation's statement"
    );

    let once = GrantConsent { signed: ward.patient.sign(good()) };
    ward.world.done(&ward.service, &once).await;
    assert_eq!(ward.world.refused(&ward.service, &once).await, Code::StatementReplayed);

    let stale = ward.patient.sign(good());
    ward.world.pass(3_600_001);
    assert_eq!(ward.refused(stale).await, Code::StatementExpired);
}

#[tokio::test]
async fn a_statement_in_time_to_the_millisecond_is_accepted() {
    let ward = ward().await;
    let period = Period { from: ward.world.now(), until: ward.world.now().plus(DurationMs::from_days(2)) };
    let provision = Provision { period, ..ward.world.provision(&ward.reader) };
    let signed = ward.patient.sign(ward.granting(provision));
    ward.world.pass(3_600_000);
    ward.world.done(&ward.service, &GrantConsent { signed }).await;
}

#[tokio::test]
async fn an_unsound_consent_is_refused() {
    let ward = ward().await;
    let good = ward.world.provision(&ward.reader);
    let now = ward.world.now();
    let ends_before_it_starts =
        Provision { period: Period { from: good.period.until, until: now }, ..good.clone() };
    let ended = Provision { period: Period { from: at(0), until: now }, ..good.clone() };
    let too_long = Provision {
        period: Period { from: now, until: now.plus(DurationMs::from_days(367)) },
        ..good.clone()
    };
    let no_purpose = Provision { purposes: vec![], ..good.clone() };
    for unsound in [ends_before_it_starts, ended, too_long, no_purpose] {
        let signed = ward.patient.sign(ward.granting(unsound.clone()));
        assert_eq!(ward.refused(signed).await, Code::ConsentInvalid, "{unsound:?}");
    }
    let unknown = ward.world.ending(&ward.patient, StatementId::from_bytes([7; 16]));
    assert_eq!(ward.world.refused(&ward.service, &unknown).await, Code::ConsentUnknown);
}

#[tokio::test]
async fn a_patient_is_registered_once_by_the_home_that_the_statement_names() {
    let world = World::constituted().await;
    let patient = person("NorthMSP");
    let call = RegisterPatient { signed: world.registration(&patient) };
    assert_eq!(world.refused(&staff("SouthMSP", Role::Service), &call).await, Code::HospitalNotAllowed);
    assert_eq!(world.refused(&staff("NorthMSP", Role::Auditor), &call).await, Code::RoleNotAllowed);
    world.done(&staff("NorthMSP", Role::Service), &call).await;
    assert_eq!(world.refused(&staff("NorthMSP", Role::Service), &call).await, Code::PatientExists);

    let squatter = Person { id: patient.id, ..person("NorthMSP") };
    let squatting = RegisterPatient { signed: world.registration(&squatter) };
    assert_eq!(world.refused(&staff("NorthMSP", Role::Service), &squatting).await, Code::PatientIdForeign);
}

#[tokio::test]
async fn only_an_authorised_clinician_of_the_home_registers_under_an_own_id() {
    let world = World::constituted().await;
    let patient = world.patient("NorthMSP").await;
    let nobody = staff("NorthMSP", Role::Clinician);
    assert_eq!(world.refused(&nobody, &registering(&nobody, &patient)).await, Code::NotAuthorized);
    let foreign = world.clinician("SouthMSP").await;
    assert_eq!(world.refused(&foreign, &registering(&foreign, &patient)).await, Code::HospitalNotAllowed);
    let auditor = staff("NorthMSP", Role::Auditor);
    assert_eq!(world.refused(&auditor, &registering(&auditor, &patient)).await, Code::RoleNotAllowed);
    let service = staff("NorthMSP", Role::Service);
    assert_eq!(world.refused(&service, &registering(&service, &patient)).await, Code::NotAuthorized);

    let clinician = world.clinician("NorthMSP").await;
    let seen_by_another = registering(&foreign, &patient);
    assert_eq!(world.refused(&clinician, &seen_by_another).await, Code::RecordIdForeign);
    let unknown = registering(&clinician, &person("NorthMSP"));
    assert_eq!(world.refused(&clinician, &unknown).await, Code::PatientUnknown);
    let call = registering(&clinician, &patient);
    world.done(&clinician, &call).await;
    assert_eq!(world.refused(&clinician, &call).await, Code::RecordExists);

    let suspend = SuspendPractitioner { subject: clinician.actor.subject };
    world.done(&admin("NorthMSP"), &suspend).await;
    assert_eq!(world.refused(&clinician, &registering(&clinician, &patient)).await, Code::NotAuthorized);
}

#[tokio::test]
async fn an_admin_speaks_for_the_own_hospital_only() {
    let world = World::constituted().await;
    let reader = world.clinician("SouthMSP").await;
    let suspend = SuspendPractitioner { subject: reader.actor.subject };
    assert_eq!(world.refused(&admin("NorthMSP"), &suspend).await, Code::StandingUnknown);
    assert_eq!(world.refused(&staff("SouthMSP", Role::Service), &suspend).await, Code::RoleNotAllowed);
    assert_eq!(world.refused(&admin("EastMSP"), &suspend).await, Code::NotAMember);
    let standing = world.seen(&reader, &GetStanding { actor: reader.actor.clone() }).await;
    assert!(!standing.suspended);
}

#[tokio::test]
async fn the_first_policy_wants_all_and_the_next_a_majority() {
    let world = World::empty().await;
    assert_eq!(world.refused(&admin("NorthMSP"), &GetPolicy {}).await, Code::NoPolicy);
    let text = |policy: &ConsortiumPolicy| serde_json::to_string(policy).unwrap();
    let propose = ProposePolicy { policy: text(&policy()) };
    assert_eq!(world.refused(&admin("EastMSP"), &propose).await, Code::NotAMember);
    let digest = world.done(&admin("NorthMSP"), &propose).await.digest;
    assert_eq!(world.done(&admin("NorthMSP"), &propose).await.digest, digest, "proposed again");

    let approve = ApprovePolicy { digest };
    let first = world.done(&admin("NorthMSP"), &approve).await;
    assert!(!first.in_force);
    assert_eq!(first.missing, ["SouthMSP".parse().unwrap()]);
    assert_eq!(world.refused(&admin("NorthMSP"), &GetPolicy {}).await, Code::NoPolicy);
    assert!(world.done(&admin("SouthMSP"), &approve).await.in_force);
    assert_eq!(world.seen(&admin("NorthMSP"), &GetPolicy {}).await, policy());

    let skipped = ConsortiumPolicy { sequence: 3, ..policy() };
    let skipping = ProposePolicy { policy: text(&skipped) };
    assert_eq!(world.refused(&admin("NorthMSP"), &skipping).await, Code::PolicySequence);
    let next = ConsortiumPolicy { sequence: 2, ..policy() };
    let digest = world.done(&admin("NorthMSP"), &ProposePolicy { policy: text(&next) }).await.digest;
    let half = world.done(&admin("NorthMSP"), &ApprovePolicy { digest }).await;
    assert!(!half.in_force, "one of two is no majority");
    assert!(world.done(&admin("SouthMSP"), &ApprovePolicy { digest }).await.in_force);
}

#[tokio::test]
async fn a_policy_is_sound_and_for_this_chaincode() {
    let world = World::empty().await;
    let refused =
        async |text: String| world.refused(&admin("NorthMSP"), &ProposePolicy { policy: text }).await;
    let foreign = ConsortiumPolicy { chaincode: "other".parse().unwrap(), ..policy() };
    assert_eq!(refused(serde_json::to_string(&foreign).unwrap()).await, Code::PolicyForeign);
    let unsound = ConsortiumPolicy { members: vec![], ..policy() };
    assert_eq!(refused(serde_json::to_string(&unsound).unwrap()).await, Code::PolicyInvalid);
    let text = serde_json::to_string(&policy()).unwrap();
    let duplicate = text.replacen("{\"sequence\":1,", "{\"sequence\":1,\"sequence\":1,", 1);
    assert_eq!(refused(duplicate).await, Code::PolicyInvalid);
    assert_eq!(refused("not JSON".into()).await, Code::PolicyInvalid);
}

#[tokio::test]
async fn a_proposal_far_off_the_endorsers_clock_is_refused_in_both_directions() {
    let world = World::constituted().await;
    let north = admin("NorthMSP");
    for (off, admitted) in [(120_000, true), (120_001, false), (-120_000, true), (-180_000, false)] {
        let proposal = world.proposal(&north, &GetPolicy {}).timestamp_unix_ms(START + off);
        let outcome = world.peer.invoke(&proposal).await.unwrap();
        assert_eq!(outcome.is_ok(), admitted, "{off} ms: {outcome}");
        if !admitted {
            assert_eq!(refusal(&outcome), Code::TimestampOutsideWindow);
        }
    }
}

#[tokio::test]
async fn a_backdated_transaction_takes_effect_no_earlier_than_its_facts() {
    let ward = ward().await;
    ward.world.pass(100_000);
    let until = ward.world.now().plus(DurationMs::from_secs(60));
    let provision =
        Provision { period: Period { from: ward.world.now(), until }, ..ward.world.provision(&ward.reader) };
    ward.world.grant(&ward.patient, provision, &ward.service).await;
    let request = requesting(&ward.patient, &[RecordId::from_bytes([1; 16])]);
    let backdated = ward.world.proposal(&ward.reader, &request).timestamp_unix_ms(START);
    let reply: AccessDecision = ward.world.peer.invoke(&backdated).await.unwrap().json().unwrap();
    assert_eq!(reply.at, ward.world.now());
}

#[tokio::test]
async fn a_certificate_says_who_acts_or_nobody_does() {
    let world = World::constituted().await;
    let subject = "0123456789abcdef0123456789abcdef";
    let build = |name: &str, attributes: &[(&str, &str)]| {
        let mut builder = Creator::builder("NorthMSP").common_name(name);
        for (key, value) in attributes {
            builder = builder.attribute(*key, *value);
        }
        builder.build().unwrap()
    };
    let creators = [
        build("somebody", &[("caretrail.role", "admin"), ("caretrail.subject", subject)]),
        build(subject, &[("caretrail.role", "admin")]),
        build(subject, &[("caretrail.subject", subject)]),
        build(subject, &[("caretrail.role", "root"), ("caretrail.subject", subject)]),
        build("X", &[("caretrail.role", "admin"), ("caretrail.subject", "X")]),
    ];
    for creator in creators {
        let proposal = Proposal::new(creator.serialized(), "GetPolicy").arg("{}");
        let outcome = world.peer.invoke(&proposal).await.unwrap();
        assert_eq!(refusal(&outcome), Code::IdentityInvalid);
    }
    let hostile = hlf_testpeer::serialized_identity("NorthMSP", b"no certificate");
    let outcome = world.peer.invoke(&Proposal::new(hostile, "GetPolicy").arg("{}")).await.unwrap();
    assert_eq!(refusal(&outcome), Code::IdentityInvalid);
}

#[tokio::test]
async fn hostile_arguments_are_refused_before_anything_is_read() {
    let world = World::constituted().await;
    let north = admin("NorthMSP");
    let deep = "[".repeat(100_000);
    let oversized = format!("{{\"policy\":\"{}\"}}", "x".repeat(300_000));
    let cases: [(&str, Vec<u8>, Code); 6] = [
        ("GetPatient", b"{\"patient\":1}".to_vec(), Code::ArgumentInvalid),
        ("GetPatient", b"{\"patient\":\"00112233445566778899aabbccddeeff\",\"x\":1}".to_vec(), Code::ArgumentInvalid),
        (
            "GetPatient",
            b"{\"patient\":\"00112233445566778899aabbccddeeff\",\"patient\":\"00112233445566778899aabbccddeeff\"}"
                .to_vec(),
            Code::ArgumentInvalid,
        ),
        ("GetPatient", b"\xff\xfe".to_vec(), Code::ArgumentInvalid),
        ("GetPatient", deep.into_bytes(), Code::ArgumentInvalid),
        ("ProposePolicy", oversized.into_bytes(), Code::ArgumentOutOfBounds),
    ];
    for (call, argument, code) in cases {
        let proposal = Proposal::new(north.creator.serialized(), call).arg(argument);
        let outcome = world.peer.invoke(&proposal).await.unwrap();
        assert_eq!(refusal(&outcome), code, "{call}");
        assert_eq!(outcome.round_trips(), 0, "{call}");
    }
}

#[tokio::test]
async fn the_chaincode_answers_under_its_own_name_and_directly_only() {
    let world = World::constituted().await;
    let north = admin("NorthMSP");
    let renamed = world.proposal(&north, &GetPolicy {}).chaincode("other");
    assert_eq!(refusal(&world.peer.invoke(&renamed).await.unwrap()), Code::ForeignChaincode);
    let passed = Proposal::new(north.creator.serialized(), "Relay")
        .passed_args(vec![b"GetPolicy".to_vec(), b"{}".to_vec()]);
    assert_eq!(refusal(&world.peer.invoke(&passed).await.unwrap()), Code::NotCalledDirectly);
}

#[tokio::test]
async fn a_policy_is_voted_on_under_the_name_that_it_fixes_only() {
    let world = World::constituted().await;
    let next = ConsortiumPolicy { sequence: 2, ..policy() };
    let propose = ProposePolicy { policy: serde_json::to_string(&next).unwrap() };
    let digest = world.done(&admin("NorthMSP"), &propose).await.digest;
    // Another chaincode that passes the same arguments on looks direct, but for the name that was signed.
    let relayed = world.proposal(&admin("SouthMSP"), &ApprovePolicy { digest }).chaincode("other");
    assert_eq!(refusal(&world.peer.invoke(&relayed).await.unwrap()), Code::ForeignChaincode);
    let renamed = ConsortiumPolicy { chaincode: "other".parse().unwrap(), ..next };
    let renaming = ProposePolicy { policy: serde_json::to_string(&renamed).unwrap() };
    assert_eq!(world.refused(&admin("NorthMSP"), &renaming).await, Code::PolicyForeign);
}

#[tokio::test]
async fn one_hospital_alone_is_no_consortium() {
    let world = World::empty().await;
    let alone = ConsortiumPolicy { members: policy().members.split_off(1), ..policy() };
    let propose = ProposePolicy { policy: serde_json::to_string(&alone).unwrap() };
    assert_eq!(world.refused(&admin("SouthMSP"), &propose).await, Code::PolicyInvalid);
}
