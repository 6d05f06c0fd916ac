//! Signatures of other forms, keys that are none, and passkeys that meant something else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::hash::sha256;
use caretrail_model::statement::{NewKey, Operation, Proof, SignedStatement};
use caretrail_tests::actors::granting;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::json;

use crate::world::Siege;

/// Both hospitals refuse a grant with this signature, whoever carries it.
async fn demand_refused(siege: &Siege, signed: SignedStatement, what: &str) {
    for identity in ["north/service", "south/service"] {
        let grant = GrantConsent { signed: signed.clone() };
        assert_eq!(siege.refused(identity, &grant).await, Code::StatementSignature, "{what}, {identity}");
    }
}

fn plain(signed: &SignedStatement) -> &str {
    let Proof::Es256 { signature } = &signed.proof else { panic!("no plain signature") };
    signature
}

pub(crate) async fn a_signature_is_given_its_other_form(siege: &mut Siege) {
    let patient = siege.person("malleable").await;
    let signed = siege.signed(&patient, granting(siege.provision("south/ben")));
    let bytes = URL_SAFE_NO_PAD.decode(plain(&signed)).unwrap();
    let low = Signature::from_slice(&bytes).unwrap();
    // Whoever saw the statement makes this of it without any key: as good to mathematics, and another transaction.
    let high = Signature::from_scalars(*low.r(), -*low.s()).unwrap();
    let formed = |signature: String| SignedStatement { proof: Proof::Es256 { signature }, ..signed.clone() };
    let malleable = formed(URL_SAFE_NO_PAD.encode(high.to_bytes()));
    demand_refused(siege, malleable, "high S").await;
    for (what, signature) in [
        ("DER", URL_SAFE_NO_PAD.encode(low.to_der().as_bytes())),
        ("padded", format!("{}==", plain(&signed))),
        ("hex", hex::encode(&bytes)),
        ("longer", URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat())),
        ("nothing", String::new()),
        ("zero", URL_SAFE_NO_PAD.encode([0; 64])),
    ] {
        demand_refused(siege, formed(signature), what).await;
    }
    siege.done("south/service", &GrantConsent { signed }).await;
}

pub(crate) async fn a_key_is_of_another_curve(siege: &mut Siege) {
    // The generator of secp256k1 (SEC 2), a point that P-256 does not have; a point at infinity; a compressed point.
    let other_curve = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                       483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
    let own = siege.patient.key.public_key().to_sec1_bytes();
    let compressed = [&[2 + (own[64] & 1)][..], &own[1..33]].concat();
    let honest = siege.key("curve");
    let rotation = Operation::RotateKey(NewKey { public_key: honest.public_key().clone() });
    let signed = siege.signed(&siege.patient, rotation);
    let named = URL_SAFE_NO_PAD.encode(honest.public_key().to_sec1_bytes());
    assert_eq!(signed.statement.matches(&named).count(), 1);
    let patients = signing_key(siege, "patient");
    for point in [hex::decode(other_curve).unwrap(), vec![0; 65], compressed] {
        // The patient's own signature is sound: it is the key in it that is none.
        let text = signed.statement.replace(&named, &URL_SAFE_NO_PAD.encode(point));
        let rotate = RotateKey { signed: SignedStatement::sign_text(text, &patients) };
        for identity in ["north/service", "south/service"] {
            assert_eq!(siege.refused(identity, &rotate).await, Code::StatementMalformed, "{identity}");
        }
    }
}

pub(crate) async fn a_key_is_substituted(siege: &mut Siege) {
    let provision = siege.provision("south/ben");
    let genuine = siege.signed(&siege.patient, granting(provision.clone()));
    let thief = siege.key("substitute");
    // The patient's statement under the thief's signature, which names the patient's key and is not of it.
    let thiefs = signing_key(siege, "substitute");
    let resigned = SignedStatement::sign_text(genuine.statement.clone(), &thiefs);
    demand_refused(siege, resigned, "signed by another key").await;
    // The thief's statement, sound in itself, for a patient who has another key.
    let ledger = siege.hospitals.ledger();
    let soon = caretrail_tests::actors::soon();
    let own = thief.sign(&ledger, siege.patient.id, soon, granting(provision)).unwrap();
    demand_refused(siege, own.clone(), "named by another key").await;
    // The thief's key put into the patient's text: the id no longer follows from it.
    let (patients, thiefs_id) = (siege.patient.key.public_key().id(), thief.public_key().id());
    let text = genuine.statement.replace(&patients.to_string(), &thiefs_id.to_string());
    assert_ne!(text, genuine.statement);
    let swapped = GrantConsent { signed: SignedStatement::sign_text(text, &thiefs) };
    assert_eq!(siege.refused("north/service", &swapped).await, Code::StatementMalformed);
    // The patient's signature under the thief's text.
    let mixed = SignedStatement { statement: own.statement, proof: genuine.proof };
    demand_refused(siege, mixed, "the signature of another text").await;
    siege.demand_no_consent().await;
}

/// What a browser and a passkey make of a statement.
struct Passkey {
    key: SigningKey,
    relying_party: &'static str,
    origin: &'static str,
    r#type: &'static str,
    flags: u8,
}

/// A user who was present and verified.
const PRESENT_AND_VERIFIED: u8 = 0x05;
/// A user who was present.
const PRESENT: u8 = 0x01;

impl Passkey {
    fn of(siege: &Siege) -> Self {
        Self {
            key: signing_key(siege, "passkey"),
            relying_party: "patients.example",
            origin: "https://patients.example",
            r#type: "webauthn.get",
            flags: PRESENT_AND_VERIFIED,
        }
    }

    /// The assertion of a challenge, carried as the proof of a statement.
    fn sign(&self, statement: &str, challenged: &str) -> SignedStatement {
        let client_data = json!({
            "type": self.r#type,
            "challenge": URL_SAFE_NO_PAD.encode(sha256(challenged.as_bytes()).as_bytes()),
            "origin": self.origin,
            "crossOrigin": false,
        });
        let client_data = client_data.to_string();
        let counter = [0, 0, 0, 7];
        let party = sha256(self.relying_party.as_bytes());
        let authenticator_data = [&party.as_bytes()[..], &[self.flags], &counter].concat();
        let signed = [&authenticator_data[..], sha256(client_data.as_bytes()).as_bytes()].concat();
        let signature: Signature = self.key.sign(&signed);
        let proof = Proof::Webauthn {
            authenticator_data: URL_SAFE_NO_PAD.encode(authenticator_data),
            client_data: URL_SAFE_NO_PAD.encode(client_data),
            signature: URL_SAFE_NO_PAD.encode(signature.normalize_s().to_bytes()),
        };
        SignedStatement { statement: statement.to_owned(), proof }
    }
}

pub(crate) async fn a_passkey_answers_another_challenge_page_or_party(siege: &mut Siege) {
    let patient = siege.person("passkey").await;
    let signed = siege.signed(&patient, granting(siege.provision("south/ben")));
    let other = siege.signed(&patient, granting(siege.provision("south/cleo")));
    let (text, good) = (signed.statement.as_str(), Passkey::of(siege));
    // The patient was shown the one, and signed it; the other is what is carried.
    demand_refused(siege, good.sign(text, &other.statement), "another challenge").await;
    for (what, passkey) in [
        ("another party", Passkey { relying_party: "evil.example", ..Passkey::of(siege) }),
        ("another page", Passkey { origin: "https://patients.example.evil", ..Passkey::of(siege) }),
        ("a page that listens in", Passkey { origin: "http://patients.example", ..Passkey::of(siege) }),
        ("a creation", Passkey { r#type: "webauthn.create", ..Passkey::of(siege) }),
        ("a user who was not verified", Passkey { flags: PRESENT, ..Passkey::of(siege) }),
        ("a user who was not there", Passkey { flags: 0, ..Passkey::of(siege) }),
        ("another key", Passkey { key: signing_key(siege, "patient"), ..Passkey::of(siege) }),
    ] {
        demand_refused(siege, passkey.sign(text, text), what).await;
    }
    // An assertion's signature as a plain one, and the reverse.
    let Proof::Webauthn { authenticator_data, client_data, signature } = good.sign(text, text).proof else {
        panic!("no assertion")
    };
    let bare = SignedStatement { statement: text.to_owned(), proof: Proof::Es256 { signature } };
    demand_refused(siege, bare, "a bare assertion").await;
    let signature = plain(&signed).to_owned();
    let dressed = Proof::Webauthn { authenticator_data, client_data, signature };
    demand_refused(siege, SignedStatement { statement: text.to_owned(), proof: dressed }, "dressed").await;
    // As it is meant, it counts, and once.
    let grant = GrantConsent { signed: good.sign(text, text) };
    siege.done("south/service", &grant).await;
    assert_eq!(siege.refused("south/service", &grant).await, Code::StatementReplayed);
}

/// A person's key, to sign what the library would not.
fn signing_key(siege: &Siege, name: &str) -> SigningKey {
    let pem = String::from_utf8(siege.hospitals.caretrail.read(&format!("{name}.pem"))).unwrap();
    SigningKey::from(SecretKey::from_pkcs8_pem(&pem).unwrap())
}
