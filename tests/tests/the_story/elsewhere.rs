//! A second patient, whose key is a passkey: statements are prepared by one hospital, signed elsewhere, carried by
//! another; and what is sensitive is excepted by labels that nobody on the channel can read.

use std::fs;
use std::path::Path;

use caretrail_model::hash::sha256;
use caretrail_model::statement::PublicKey;
use caretrail_records::release::Base64Url;
use caretrail_tests::hospitals::{number, text};
use hlf_protos::prost::Message as _;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use crate::accounting::each_file;
use crate::documents::contains;
use crate::world::{Story, decision_about};

/// The site whose passkeys count.
pub(crate) const PARTY: &str = "patients.example";
/// A label that is found wherever it is written.
const LABEL: &str = "QVXW-SENSITIVE-KZ";
/// How every label of these tests begins.
const LABELS: &str = "QVXW-SENSITIVE";

/// What the acts about this patient hand on.
#[derive(Default)]
pub(crate) struct Elsewhere {
    patient: String,
    plain: String,
    labelled: String,
    consent: String,
}

/// An authenticator of the patient's: a key that signs what a browser passes on.
struct Passkey(SigningKey);

impl Passkey {
    fn of_the_patient() -> Self {
        Self(SigningKey::from_slice(&[7; 32]).unwrap())
    }

    fn public_key(&self) -> PublicKey {
        PublicKey::from(*self.0.verifying_key())
    }

    /// What `JSON.stringify` writes of the credential that `navigator.credentials.get` gives on a page of `origin`.
    fn get(&self, asked: &Value, origin: &str) -> Vec<u8> {
        let options = &asked["publicKey"];
        let client_data = json!({
            "type": "webauthn.get",
            "challenge": options["challenge"],
            "origin": origin,
            "crossOrigin": false
        });
        let client_data = client_data.to_string().into_bytes();
        let mut data = sha256(options["rpId"].as_str().unwrap().as_bytes()).as_bytes().to_vec();
        // Present and verified; the counter.
        data.extend([0x05, 0, 0, 0, 9]);
        let mut signed = data.clone();
        signed.extend(sha256(&client_data).as_bytes());
        let signature: Signature = self.0.sign(&signed);
        let base64url = |bytes: &[u8]| serde_json::to_value(Base64Url(bytes.to_vec())).unwrap();
        let credential = json!({
            "id": "AAEC",
            "rawId": "AAEC",
            "type": "public-key",
            "response": {
                "authenticatorData": base64url(&data),
                "clientDataJSON": base64url(&client_data),
                "signature": base64url(signature.to_der().as_bytes()),
                "userHandle": null
            }
        });
        credential.to_string().into_bytes()
    }
}

impl Story {
    /// Has a line prepare a statement for the passkey, which signs it on the patients' site.
    async fn asked_and_asserted(&self, identity: &str, line: &str) -> Value {
        let ask = self.run_as(identity, &format!("{line} --webauthn")).await;
        self.caretrail.write("ask.json", ask.text().as_bytes());
        let asked: Value = serde_json::from_str(ask.text()).unwrap();
        let assertion = Passkey::of_the_patient().get(&asked, &format!("https://app.{PARTY}"));
        self.caretrail.write("assertion.json", &assertion);
        asked
    }

    /// The line by which a grant of this patient's is prepared.
    fn prepare(&self, what: &str) -> String {
        let signer = Passkey::of_the_patient().public_key().id();
        format!("consent prepare --patient {} --signer {signer} {what}", self.elsewhere.patient)
    }

    /// How South's clinician is answered about the plain record and the labelled one.
    async fn answered(&self) -> [String; 2] {
        let Elsewhere { patient, plain, labelled, .. } = &self.elsewhere;
        let line = format!("access request --patient {patient} --record {plain} --record {labelled}");
        let ran = self.run_as("south/ben", &line).await;
        let reply: Value = serde_json::from_str(&ran.stdout).unwrap();
        [plain, labelled].map(|record| text(&decision_about(&reply, record)["effect"]))
    }
}

pub(crate) async fn a_passkey_registers_and_signs_what_was_prepared(story: &mut Story) {
    let key = serde_json::to_value(Passkey::of_the_patient().public_key()).unwrap();
    let prepare = format!("patient prepare --public-key {}", text(&key));
    // No passkey counts unless the consortium names its site.
    let refused = story.run_as("north/service", &format!("{prepare} --webauthn")).await;
    assert!(refused.invalid("INPUT_INVALID").fix.contains("--help"));
    story.put_in_force(&format!("--sequence 3 --relying-party {PARTY}")).await;

    let asked = story.asked_and_asserted("north/service", &prepare).await;
    assert_eq!(asked["publicKey"]["rpId"], PARTY);
    assert_eq!(asked["publicKey"]["userVerification"], "required");
    let register = "patient register --statement ask.json --number 2";
    story.run_as("north/service", register).await.invalid("INPUT_INVALID");
    // Of another site's page, the contract accepts nothing.
    let stray = Passkey::of_the_patient().get(&asked, "https://elsewhere.example");
    story.caretrail.write("stray.json", &stray);
    story
        .run_as("north/service", &format!("{register} --assertion stray.json"))
        .await
        .failed("STATEMENT_SIGNATURE");
    let registered =
        story.run_as("north/service", &format!("{register} --assertion assertion.json")).await.done();
    story.elsewhere.patient = text(&registered["patient"]);
    let found = story.run_as("north/service", "patient find 2").await.done();
    assert_eq!(found["patient"], registered["patient"]);
}

pub(crate) async fn a_label_that_the_patient_excepts_stays_closed(story: &mut Story) {
    let patient = story.elsewhere.patient.clone();
    for (name, content) in [("plain.txt", "a plain note"), ("labelled.txt", "a sensitive note")] {
        story.caretrail.write(name, content.as_bytes());
    }
    let add = |what: &str| format!("record add {what} --patient {patient}");
    let plain = story.run_as("north/ada", &add("plain.txt --no-labels")).await.done();
    story.elsewhere.plain = text(&plain["record"]);
    let derived = format!("labelled.txt --label {LABEL} --derived-from {}", story.elsewhere.plain);
    let labelled = story.run_as("north/ada", &add(&derived)).await.done();
    story.elsewhere.labelled = text(&labelled["record"]);
    // What is wrong with a label is told without it.
    let long = LABEL.repeat(4);
    let failure = story.run_as("north/ada", &add(&format!("plain.txt --label {long}"))).await;
    let failure = failure.invalid("INPUT_INVALID");
    assert!(failure.message.contains("64 bytes") && !failure.message.contains(LABEL), "{}", failure.message);

    // North blinds the label; the statement names it there, and nowhere else.
    let grant = story.prepare(&format!("--to SouthMSP --except label={LABEL} --except purpose=HRESCH"));
    story.asked_and_asserted("north/service", &grant).await;
    let words = |ran: &Value| -> Vec<String> { ran["words"].as_array().unwrap().iter().map(text).collect() };
    let at_north = words(&story.run_as("north/service", "consent show ask.json").await.done());
    let at_south = words(&story.run_as("south/service", "consent show ask.json").await.done());
    let nowhere = words(&story.caretrail.run("consent show ask.json").await.done());
    let excepted = format!("with the label {LABEL} of NorthMSP (tag key ");
    assert!(at_north.iter().any(|said| said.contains(&excepted)), "{at_north:?}");
    assert!(at_south.iter().all(|said| !said.contains(LABEL)), "{at_south:?}");
    assert!(at_south.iter().any(|said| said.contains("blinded label")), "{at_south:?}");
    assert_eq!(at_south, nowhere);

    // South, which can't read the label, carries what North prepared and the passkey signed.
    let submit = "consent submit ask.json --assertion assertion.json";
    let granted = story.run_as("south/service", submit).await.done();
    story.elsewhere.consent = text(&granted["consent"]);
    assert_eq!(story.answered().await, ["permit", "deny"]);
    story.run_as("south/service", submit).await.failed("STATEMENT_REPLAYED");

    // Only the hospital that keeps the records blinds their labels; South gets them blinded.
    let at_south = format!("--to south/ben --label {LABEL} --custodian NorthMSP");
    let failure = story.run_as("south/service", &story.prepare(&at_south)).await.invalid("INPUT_INVALID");
    assert!(
        failure.message.contains("label blind") && !failure.message.contains(LABEL),
        "{}",
        failure.message
    );
    let blind = format!("label blind --patient {patient} --label {LABEL}");
    let tags = story.run_as("north/service", &blind).await;
    story.caretrail.write("tags.json", tags.text().as_bytes());
    let draft = format!(
        "consent preview --patient {patient} --to south/ben --tags tags.json --on {} --actor south/ben",
        story.elsewhere.labelled
    );
    let preview = story.run_as("north/service", &draft).await.done();
    let change = &preview["changes"][0];
    let rules = [&change["before"]["rule"], &change["after"]["rule"]];
    assert_eq!(rules, [&json!("nothing_permits"), &json!("consent_permits")]);
    assert_eq!(change["action"], "read");
    let own = story.prepare("--to south/ben --tags tags.json");
    story.asked_and_asserted("south/service", &own).await;
    story.run_as("south/service", submit).await.done();
    assert_eq!(story.answered().await, ["permit", "permit"]);
}

pub(crate) async fn a_rotated_label_key_closes_until_labels_and_consents_are_renewed(story: &mut Story) {
    let patient = story.elsewhere.patient.clone();
    let list = format!("label list --patient {patient}");
    let listed = |rows: Vec<Value>, record: &str| -> (Value, bool) {
        let row = rows.iter().find(|row| row["record"] == record).unwrap();
        (row["labels"].clone(), row["comparable"] == true)
    };
    let before = story.run_as("north/ada", &list).await.rows();
    assert_eq!(before.len(), 2);
    assert_eq!(listed(before.clone(), &story.elsewhere.labelled), (json!([LABEL]), true));
    assert_eq!(listed(before.clone(), &story.elsewhere.plain), (json!([]), true));

    let rotated = story.run_as("north/service", &format!("label rotate --patient {patient}")).await.done();
    assert!(number(&rotated["epoch"]) > number(&before[0]["epoch"]));
    let after = story.run_as("north/ada", &list).await.rows();
    assert_eq!(listed(after, &story.elsewhere.labelled), (json!([LABEL]), false));
    // Rotating says nothing on the channel: what was signed goes on with the tags that the records have.
    assert_eq!(story.answered().await, ["permit", "permit"]);

    let renewed = story.run_as("north/ada", &format!("label renew --patient {patient}")).await.rows();
    assert_eq!(renewed.iter().map(|row| number(&row["version"])).collect::<Vec<_>>(), [2, 2]);
    assert!(story.run_as("north/ada", &format!("label renew --patient {patient}")).await.rows().is_empty());
    assert_eq!(story.answered().await, ["deny", "deny"], "old tags compare with nothing: both stay closed");

    let again = format!("--to SouthMSP --except label={LABEL} --supersedes {}", story.elsewhere.consent);
    story.asked_and_asserted("north/service", &story.prepare(&again)).await;
    story.run_as("south/service", "consent submit ask.json --assertion assertion.json").await.done();
    assert_eq!(story.answered().await, ["permit", "deny"]);
    // What it was made from stays said, too.
    let history = format!("record history {}", story.elsewhere.labelled);
    let newest = story.run_as("north/ada", &history).await.rows().remove(0);
    assert_eq!((&newest["version"], &newest["derived_from"]), (&json!(2), &json!([story.elsewhere.plain])));
    let verified = format!("record verify {} --output renewed.txt", story.elsewhere.labelled);
    story.run_as("north/ada", &verified).await.done();
    assert_eq!(story.caretrail.read("renewed.txt"), b"a sensitive note", "the document is the same");
}

pub(crate) async fn a_label_is_readable_nowhere(story: &mut Story) {
    let mut blocks = Vec::new();
    for block in story.chain().await.blocks() {
        block.encode(&mut blocks).unwrap();
    }
    assert!(contains(&blocks, story.elsewhere.patient.as_bytes()), "the search finds what is there");
    let nowhere = |bytes: &[u8], place: &Path| {
        for word in [LABELS, &hex::encode(LABELS)] {
            assert!(!contains(bytes, word.as_bytes()), "the label is in {}", place.display());
        }
    };
    nowhere(&blocks, Path::new("the blocks"));
    // Not even in North's own store, where it is encrypted.
    for folder in [story.caretrail.network_folder(), story.caretrail.state().join("hospitals")] {
        each_file(&folder, &mut |path, bytes| nowhere(bytes, path));
    }
    for hospital in ["north", "south"] {
        let log = story.daemon_log(hospital);
        nowhere(&fs::read(&log).unwrap(), &log);
    }
}
