//! What an attacker tries, one test each that is not told elsewhere in this folder.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::decision::Rule;
use caretrail_model::hash::sha256;
use caretrail_model::ids::{Nonce, PatientId, StatementId};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{
    Grant, GuardianTerm, NewKey, Operation, Proof, PublicKey, SignedStatement, Stop,
};
use caretrail_model::time::{DurationMs, Period};
use hlf_testpeer::Proposal;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::world::{Ward, at, fresh_key, random, refusal, requesting, staff};

fn granting(ward: &Ward) -> Operation {
    Operation::GrantConsent(Grant { provision: ward.provision(|_| {}), supersedes: None })
}

/// What a browser and a passkey make of a statement.
struct Passkey {
    key: SigningKey,
    relying_party: &'static str,
    origin: &'static str,
    flags: u8,
}

impl Passkey {
    fn of(ward: &Ward) -> Self {
        Self {
            key: ward.patient.key.clone(),
            relying_party: "patients.example",
            origin: "https://patients.example",
            flags: 0x05,
        }
    }

    /// Signs `challenged`, and carries it as the proof of `statement`.
    fn sign(&self, statement: &str, challenged: &str) -> SignedStatement {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(challenged.as_bytes()).as_bytes());
        let client_data =
            format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{}"}}"#, self.origin);
        let mut authenticator_data = sha256(self.relying_party.as_bytes()).as_bytes().to_vec();
        authenticator_data.extend_from_slice(&[self.flags, 0, 0, 0, 1]);
        let signed = [&authenticator_data[..], sha256(client_data.as_bytes()).as_bytes()].concat();
        let signature: Signature = self.key.sign(&signed);
        SignedStatement {
            statement: statement.to_owned(),
            proof: Proof::Webauthn {
                authenticator_data: URL_SAFE_NO_PAD.encode(authenticator_data),
                client_data: URL_SAFE_NO_PAD.encode(client_data),
                signature: URL_SAFE_NO_PAD.encode(signature.normalize_s().to_bytes()),
            },
        }
    }
}

#[tokio::test]
async fn a_passkey_signs_and_nothing_else_of_it_counts() {
    let ward = Ward::open().await;
    let text = || ward.signed(granting(&ward)).statement;
    let refused = async |signed| ward.world.refused(&ward.south, &GrantConsent { signed }).await;
    let good = Passkey::of(&ward);

    let (mine, other) = (text(), text());
    assert_eq!(refused(good.sign(&mine, &other)).await, Code::StatementSignature, "another challenge");
    let spoiled = [
        Passkey { relying_party: "evil.example", ..Passkey::of(&ward) },
        Passkey { origin: "https://evil.example", ..Passkey::of(&ward) },
        Passkey { origin: "http://patients.example", ..Passkey::of(&ward) },
        Passkey { flags: 0x01, ..Passkey::of(&ward) },
        Passkey { key: fresh_key(), ..Passkey::of(&ward) },
    ];
    for passkey in spoiled {
        let text = text();
        assert_eq!(refused(passkey.sign(&text, &text)).await, Code::StatementSignature);
    }
    // An assertion carried as a plain signature, and a plain signature carried as an assertion.
    let Proof::Webauthn { signature, authenticator_data, client_data } = good.sign(&mine, &mine).proof else {
        panic!("another proof")
    };
    let plain = SignedStatement { statement: mine.clone(), proof: Proof::Es256 { signature } };
    assert_eq!(refused(plain).await, Code::StatementSignature);
    let Proof::Es256 { signature } = ward.signed(granting(&ward)).proof else { panic!("another proof") };
    let assertion = Proof::Webauthn { authenticator_data, client_data, signature };
    let plain = SignedStatement { statement: mine.clone(), proof: assertion };
    assert_eq!(refused(plain).await, Code::StatementSignature);

    ward.world.done(&ward.south, &GrantConsent { signed: good.sign(&mine, &mine) }).await;
    assert_eq!(ward.rule().await, Rule::ConsentPermits);
    assert_eq!(refused(good.sign(&mine, &mine)).await, Code::StatementReplayed);
}

#[tokio::test]
async fn a_signature_has_one_form() {
    let ward = Ward::open().await;
    let signed = ward.signed(granting(&ward));
    let Proof::Es256 { signature } = &signed.proof else { panic!("another proof") };
    let low = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let high = Signature::from_scalars(*low.r(), -*low.s()).unwrap();
    let high = Proof::Es256 { signature: URL_SAFE_NO_PAD.encode(high.to_bytes()) };
    let forged = SignedStatement { proof: high, ..signed.clone() };
    assert_eq!(
        ward.world.refused(&ward.south, &GrantConsent { signed: forged }).await,
        Code::StatementSignature
    );
    ward.world.done(&ward.south, &GrantConsent { signed }).await;
}

/// A point of another curve is no P-256 point: its text is no public key at all.
#[test]
fn a_key_of_another_curve_is_no_key() {
    // The generator of secp256k1, uncompressed.
    let point = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                 483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
    let text = URL_SAFE_NO_PAD.encode(hex_bytes(point));
    assert!(serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).is_err());
    let infinity = URL_SAFE_NO_PAD.encode([0_u8; 65]);
    assert!(serde_json::from_str::<PublicKey>(&format!("\"{infinity}\"")).is_err());
}

fn hex_bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// The home hospital holds every tool but the patient's key.
#[tokio::test]
async fn the_home_hospital_forges_no_consent_no_recovery_and_no_guardian() {
    let ward = Ward::open().await;
    let thief = fresh_key();
    let new_key = NewKey { public_key: PublicKey::from(*thief.verifying_key()) };
    let forged = |operation| ward.world.signed_by(&thief, ward.patient.id, operation);
    let grant = GrantConsent { signed: forged(granting(&ward)) };
    assert_eq!(ward.world.refused(&ward.north, &grant).await, Code::StatementSignature);
    let rotation = RotateKey { signed: forged(Operation::RotateKey(new_key.clone())) };
    assert_eq!(ward.world.refused(&ward.north, &rotation).await, Code::StatementSignature);
    let binding = BindKey { signed: forged(Operation::BindKey(new_key.clone())) };
    assert_eq!(ward.world.refused(&ward.north, &binding).await, Code::KeyBound);
    let stop = StopAll { signed: forged(Operation::StopAll(Stop { stopped: false })) };
    assert_eq!(ward.world.refused(&ward.north, &stop).await, Code::StatementSignature);
    let term = GuardianTerm {
        public_key: new_key.public_key.clone(),
        term: Period { from: ward.world.now(), until: at(1_775_001_600_000) },
        protected: vec![],
    };
    let guardian = AddGuardian { signed: forged(Operation::AddGuardian(term)) };
    assert_eq!(ward.world.refused(&ward.north, &guardian).await, Code::StatementSignature);

    // It opens a recovery, and gets no further alone, however long it waits.
    let signed = forged(Operation::RecoverKey(new_key));
    let recovery = signed.parse().unwrap().id;
    ward.world.done(&ward.north, &RecoverKey { signed }).await;
    let confirm = ConfirmRecovery { patient: ward.patient.id, recovery };
    for role in [Role::Service, Role::Admin] {
        let another = staff("NorthMSP", role);
        assert_eq!(ward.world.refused(&another, &confirm).await, Code::SecondHospital);
    }
    ward.world.pass(1_000_000_000);
    let complete = CompleteRecovery { patient: ward.patient.id, recovery };
    assert_eq!(ward.world.refused(&ward.north, &complete).await, Code::RecoveryNotDue);
}

#[tokio::test]
async fn a_carrier_who_withholds_a_revocation_is_passed_by() {
    let ward = Ward::open().await;
    let consent = ward.grant(|_| {}).await;
    let ending = ward.world.ending(&ward.patient, consent);
    // North is handed it and does nothing. Every other enrolled actor carries the same bytes.
    let carriers = [
        staff("SouthMSP", Role::Auditor),
        staff("SouthMSP", Role::Clinician),
        staff("NorthMSP", Role::Admin),
    ];
    for carrier in &carriers {
        let outcome = ward.world.peer.invoke(&ward.world.proposal(carrier, &ending)).await.unwrap();
        assert!(outcome.is_ok(), "{outcome}");
    }
    ward.world.done(&carriers[0], &ending).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);
    let stop = StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped: true })) };
    ward.world.done(&carriers[1], &stop).await;
}

#[tokio::test]
async fn a_purpose_that_the_actor_may_not_claim_is_denied_whatever_the_consent_says() {
    let ward = Ward::open().await;
    ward.grant(|p| p.purposes = vec![Purpose::Treat, Purpose::Btg, Purpose::Hlegal]).await;
    assert_eq!(ward.rule_for(Purpose::Hlegal).await, Rule::RoleNotAllowed);
    let plain = ward.world.clinician("SouthMSP").await;
    ward.grant(|p| {
        p.purposes = vec![Purpose::Btg];
        p.grantee = caretrail_model::consent::Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
    })
    .await;
    let request = RequestAccess { purpose: Purpose::Btg, ..requesting(&ward.patient, &[ward.record]) };
    assert_eq!(ward.world.decided(&plain, &request).await.0, Rule::PurposeNotHeld);
}

#[tokio::test]
async fn an_endorsed_permit_that_was_held_back_is_of_no_use_later() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let world = &ward.world;
    let request = requesting(&ward.patient, &[ward.record]);
    let held = world.peer.invoke(&world.proposal(&ward.reader, &request)).await.unwrap();
    let decided: AccessDecision = held.json().unwrap();
    world.pass(300_001);
    let (_, validity) = world.peer.commit(&[held]);
    assert_eq!(validity, [hlf_testpeer::Validity::Valid], "nothing that it read has changed");
    assert_eq!(world.refused(&ward.north, &ward.disclosing(decided.decision)).await, Code::PermitExpired);
}

#[tokio::test]
async fn a_squatted_id_is_nobodys() {
    let ward = Ward::open().await;
    let nonce = Nonce::from_bytes(random());
    let seen = PatientId::derive_on_paper(&"NorthMSP".parse().unwrap(), &nonce);
    let squatting = RegisterPaperPatient { patient: seen, nonce };
    assert_eq!(ward.world.refused(&ward.south, &squatting).await, Code::PatientIdForeign);
    let grant_id = StatementId::derive_for(&ward.reader.actor, &ward.patient.id, &nonce);
    let squatting = DelegateConsent {
        patient: ward.patient.id,
        parent: StatementId::from_bytes([1; 16]),
        id: grant_id,
        nonce,
        provision: ward.provision(|_| {}),
    };
    assert_eq!(ward.world.refused(&ward.author, &squatting).await, Code::GrantIdForeign);
}

#[tokio::test]
async fn a_bookmark_of_another_patient_opens_nothing() {
    let ward = Ward::open().await;
    let stranger = ward.world.patient("NorthMSP").await;
    let foreign = format!("\u{0}x\u{0}{}\u{0}{}\u{0}", stranger.id, "0".repeat(32));
    let list = ListRecords { patient: ward.patient.id, page_entries: 1, bookmark: foreign };
    assert_eq!(ward.world.refused(&ward.north, &list).await, Code::BookmarkInvalid);
}

#[tokio::test]
async fn a_certificate_with_duplicate_attributes_or_of_a_foreign_msp_is_nobody() {
    let ward = Ward::open().await;
    let subject = "0123456789abcdef0123456789abcdef";
    let attributes = format!(
        r#"{{"attrs":{{"caretrail.role":"clinician","caretrail.role":"admin","caretrail.subject":"{subject}"}}}}"#
    );
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, subject);
    let oid = [1, 2, 3, 4, 5, 6, 7, 8, 1];
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&oid, attributes.into_bytes())];
    let twice = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let creator = hlf_testpeer::serialized_identity("NorthMSP", twice.as_bytes());
    let proposal = Proposal::new(creator, "GetPolicy").arg("{}");
    assert_eq!(refusal(&ward.world.peer.invoke(&proposal).await.unwrap()), Code::IdentityInvalid);
    for role in Role::ALL {
        assert_eq!(ward.world.refused(&staff("EastMSP", role), &GetPolicy {}).await, Code::NotAMember);
    }
}

/// Text that comes in goes to no log and into no answer but escaped: names are refused that could hold a line break.
#[tokio::test]
async fn a_line_break_gets_into_no_name() {
    let ward = Ward::open().await;
    for argument in [
        r#"{"patient":"00112233445566778899aabbccddeeff\nERROR forged"}"#,
        r#"{"patient":"00112233445566778899aabbccddee\u001b["}"#,
    ] {
        let proposal = Proposal::new(ward.north.creator.serialized(), "GetPatient").arg(argument);
        let outcome = ward.world.peer.invoke(&proposal).await.unwrap();
        assert_eq!(refusal(&outcome), Code::ArgumentInvalid);
        assert!(outcome.payload.is_empty());
    }
    for name in ["North\nMSP", "North\u{1b}[31mMSP", "North\u{2028}MSP"] {
        assert!(name.parse::<caretrail_model::ids::MspId>().is_err());
    }
}

#[tokio::test]
async fn a_postdated_transaction_gains_no_time() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let start = ward.world.peer.clock_unix_ms();
    let ahead = ward
        .world
        .proposal(&ward.reader, &requesting(&ward.patient, &[ward.record]))
        .timestamp_unix_ms(start + 120_001);
    assert_eq!(refusal(&ward.world.peer.invoke(&ahead).await.unwrap()), Code::TimestampOutsideWindow);
    let within = ward
        .world
        .proposal(&ward.reader, &requesting(&ward.patient, &[ward.record]))
        .timestamp_unix_ms(start + 120_000);
    let reply: AccessDecision = ward.world.peer.invoke(&within).await.unwrap().json().unwrap();
    let latest = at(start).plus(DurationMs::from_secs(420));
    assert_eq!(reply.decisions[0].valid_until, Some(latest), "at most two minutes and the permit's time");
}
