//! Consents that are not what the patient signed, over the real network.

use caretrail_model::calls::{GetStatement, GrantConsent};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Grant, SignedStatement};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_records::{LedgerName, Records};
use caretrail_tests::until::now_unix_ms;
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey as _;

use crate::world::Story;

const HOUR: DurationMs = DurationMs::from_secs(3600);

pub(crate) async fn a_spoiled_consent_is_refused(story: &mut Story) {
    let south = story.records("south/service").await;
    let patient = story.patient.parse().unwrap();
    let live = format!("consent list --patient {}", story.patient);
    let (before, live_before) =
        (story.transactions().await, story.run_as("north/service", &live).await.done());
    let key = PatientKey::load(&story.caretrail.file("patient.pem")).unwrap();
    let other = PatientKey::generate(&story.caretrail.file("other.pem")).unwrap();
    let now = UnixMs::new(now_unix_ms()).unwrap();
    let sign = |key: &PatientKey, ledger: &LedgerName, submit_by| {
        key.grant(ledger, patient, grant(now), submit_by).unwrap()
    };
    let ledger = story.ledger();
    let sound = sign(&key, &ledger, now.plus(HOUR));

    // One digit of the consent's end: a sound statement, but not the one that was signed.
    let changed = SignedStatement { statement: one_byte_changed(&sound.statement), ..sound.clone() };
    assert!(changed.parse().is_ok());
    assert_eq!(refusal(&south, changed).await, Code::StatementSignature);

    // Another key, under its own name and under the patient's.
    let foreign = sign(&other, &ledger, now.plus(HOUR));
    assert_eq!(refusal(&south, foreign).await, Code::StatementSignature);
    let pem = String::from_utf8(story.caretrail.read("other.pem")).unwrap();
    let signing = SigningKey::from(SecretKey::from_pkcs8_pem(&pem).unwrap());
    let forged = SignedStatement::sign(&sound.parse().unwrap(), &signing).unwrap();
    assert_eq!(refusal(&south, forged).await, Code::StatementSignature);

    // The consent that is in force, carried again exactly as it was signed.
    let auditor = story.records("north/auditor").await;
    let call = GetStatement { patient, statement: story.consent.parse().unwrap() };
    let replayed = auditor.evaluate(&call).await.unwrap().signed;
    assert_eq!(refusal(&south, replayed).await, Code::StatementReplayed);

    let late = sign(&key, &ledger, UnixMs::new(now.get() - 1000).unwrap());
    assert_eq!(refusal(&south, late).await, Code::StatementExpired);
    let early = sign(&key, &ledger, now.plus(DurationMs::from_days(8)));
    assert_eq!(refusal(&south, early).await, Code::StatementTooEarly);
    let elsewhere = LedgerName { channel: "elsewhere".parse().unwrap(), ..ledger.clone() };
    let elsewhere = sign(&key, &elsewhere, now.plus(HOUR));
    assert_eq!(refusal(&south, elsewhere).await, Code::StatementForeign);

    assert_eq!(story.transactions().await, before, "nothing was submitted");
    assert_eq!(story.run_as("north/service", &live).await.done(), live_before);
}

async fn refusal(records: &Records, signed: SignedStatement) -> Code {
    let error = records.submit(&GrantConsent { signed }).await.expect_err("a refusal");
    error.code().unwrap_or_else(|| panic!("no refusal of the contract: {error:?}"))
}

fn grant(now: UnixMs) -> Grant {
    let provision = Provision {
        effect: Effect::Permit,
        grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
        actions: vec![Action::Read],
        purposes: vec![Purpose::Treat],
        scope: Scope::All {},
        period: Period { from: now, until: now.plus(DurationMs::from_days(1)) },
        exceptions: vec![],
    };
    Grant { provision, supersedes: None }
}

fn one_byte_changed(statement: &str) -> String {
    let mut bytes = statement.as_bytes().to_vec();
    let at = statement.find("\"until\":").unwrap() + "\"until\":".len();
    bytes[at] = if bytes[at] == b'2' { b'3' } else { b'2' };
    String::from_utf8(bytes).unwrap()
}
