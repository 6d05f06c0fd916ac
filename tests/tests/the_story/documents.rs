//! Documents: sealed, verified, spoiled, amended.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use caretrail_tests::hospitals::text;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{BUNDLE, SCAN, Story, decision_about};

/// Bytes of the scanned document: several chunks, and no round number.
const SCAN_BYTES: usize = 5 * 1024 * 1024 + 77;
/// What is written all over it.
pub(crate) const SCAN_MARK: &str = "caretrail scan of nobody, line ";
/// Bytes before the first chunk of a sealed blob, and of a sealed chunk with its tag: `FORMATS.md`.
const HEADER_BYTES: u64 = 20;
const CHUNK_BYTES: u64 = 256 * 1024 + 16;

pub(crate) async fn documents_are_sealed_into_the_vault_and_committed(story: &mut Story) {
    let sample = story.caretrail.run("record sample --number 7").await;
    let bundle: Value = serde_json::from_str(sample.text()).unwrap();
    let kinds: Vec<_> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["resource"]["resourceType"]))
        .collect();
    assert_eq!(kinds, ["Patient", "Encounter", "Condition", "CarePlan", "Observation"]);
    for expected in ["Flu", "Rest & Medication"] {
        assert!(sample.text().contains(expected), "{expected}");
    }
    story.caretrail.write(BUNDLE, sample.text().as_bytes());
    story.caretrail.write(SCAN, &scan());

    for (file, media_type) in [(BUNDLE, "application/fhir+json"), (SCAN, "application/pdf")] {
        let line = format!("record add {file} --patient {}", story.patient);
        let added = story.run_as("north/ada", &line).await.done();
        assert_eq!(added["version"], 1);
        let record = text(&added["record"]);
        let whole = story.caretrail.read(file);

        let line = format!("record verify {record} --output verified-{file}");
        let verified = story.run_as("north/ada", &line).await.done();
        assert_eq!(verified["matches"], true);
        assert_eq!(verified["media_type"], media_type);
        assert_eq!(verified["document_bytes"], whole.len());
        assert_eq!(story.caretrail.read(&format!("verified-{file}")), whole);

        // The blob in the vault is the one on the channel, and shows nothing of the document.
        let commitments = story.commitments(&record).await;
        assert_eq!(commitments.len(), 1);
        assert_eq!(verified["content_commitment"], commitments[0].content_commitment);
        let blob = fs::read(blob(story, &commitments[0].blob_digest)).unwrap();
        assert_eq!(blob.len() as u64, commitments[0].sealed_bytes);
        assert_eq!(hex::encode(Sha256::digest(&blob)), commitments[0].blob_digest);
        assert_ne!(blob.len(), whole.len(), "the size is padded");
        for word in ["Medication", SCAN_MARK, "resourceType"] {
            assert!(!contains(&blob, word.as_bytes()), "{word}");
        }
        *(if file == BUNDLE { &mut story.bundle } else { &mut story.scan }) = record;
    }
    let listed = story.run_as("north/ada", &format!("record list --patient {}", story.patient)).await.rows();
    let mut expected = vec![json!({ "record": story.bundle }), json!({ "record": story.scan })];
    expected.sort_by_key(|row| text(&row["record"]));
    assert_eq!(listed, expected);
}

pub(crate) async fn a_flipped_byte_in_the_vault_is_named(story: &mut Story) {
    let commitments = story.commitments(&story.scan).await;
    let path = blob(story, &commitments[0].blob_digest);
    let at = commitments[0].sealed_bytes / 2;
    let chunk = (at - HEADER_BYTES) / CHUNK_BYTES + 1;

    // South may read the scan, and nothing else, again.
    let grant = format!(
        "consent grant --patient {} --key patient.pem --to south/ben --record {} --for 30d",
        story.patient, story.scan
    );
    let granted = story.run_as("south/service", &grant).await.done();
    story.consent = text(&granted["consent"]);
    let request = format!("{} --record {}", story.request(), story.scan);
    let decided = story.run_as("south/ben", &request).await.denied();
    assert_eq!(decision_about(&decided, &story.bundle)["effect"], "deny");
    assert_eq!(decision_about(&decided, &story.scan)["effect"], "permit");
    assert_eq!(decision_about(&decided, &story.scan)["consent"], granted["consent"]);

    flip(&path, at);
    let verify = format!("record verify {} --output spoiled.pdf", story.scan);
    let failure = story.run_as("north/ada", &verify).await.failed("DOES_NOT_MATCH");
    for expected in ["blob digest does not match the channel's", &format!("in chunk {chunk} of ")] {
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
    let fetch = story.fetch(&story.scan, &text(&decided["decision"]), "fetched-again.pdf");
    let failure = story.run_as("south/ben", &fetch).await.failed("BLOB_DIGEST");
    assert!(failure.message.contains(&commitments[0].blob_digest), "{}", failure.message);
    for absent in ["spoiled.pdf", "fetched-again.pdf"] {
        assert!(!story.caretrail.file(absent).exists(), "{absent}");
    }
    // The other record is untouched.
    story.run_as("north/ada", &format!("record verify {}", story.bundle)).await.done();

    flip(&path, at);
    story.run_as("north/ada", &verify).await.done();
    assert_eq!(story.caretrail.read("spoiled.pdf"), scan());
    // The failed fetch cost South nothing: the same permit and key get the document now, on the first disclosure.
    let fetched = story.run_as("south/ben", &fetch).await.done();
    assert_eq!(story.caretrail.read("fetched-again.pdf"), scan());
    let disclosures = story.disclosures().await;
    assert_eq!(disclosures.len(), 3);
    assert_eq!(fetched["disclosure"], disclosures[2].tx_id);
}

pub(crate) async fn a_second_version_leaves_the_first_verifiable(story: &mut Story) {
    let second = story.caretrail.run("record sample --number 8").await;
    story.caretrail.write("bundle-2.json", second.text().as_bytes());
    let line = format!("record amend {} bundle-2.json", story.bundle);
    // Only the hospital that keeps a record amends it; to others it answers like one that is not there.
    story.run_as("south/ben", &line).await.failed("RECORD_UNKNOWN");
    let amended = story.run_as("north/ada", &line).await.done();
    assert_eq!((&amended["record"], &amended["version"]), (&json!(story.bundle), &json!(2)));

    let history = story.commitments(&story.bundle).await;
    assert_eq!(history.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_ne!(history[0].content_commitment, history[1].content_commitment);
    for (version, file) in [(1, BUNDLE), (2, "bundle-2.json")] {
        let output = format!("version-{version}.json");
        let line = format!("record verify {} --version-number {version} --output {output}", story.bundle);
        let verified = story.run_as("north/ada", &line).await.done();
        assert_eq!((&verified["version"], &verified["matches"]), (&json!(version), &json!(true)));
        assert_eq!(story.caretrail.read(&output), story.caretrail.read(file));
    }
    let newest = story.run_as("north/ada", &format!("record verify {}", story.bundle)).await.done();
    assert_eq!(newest["version"], 2);
    let absent = format!("record verify {} --version-number 3", story.bundle);
    let failure = story.run_as("north/ada", &absent).await.invalid("VERSION_UNKNOWN");
    assert!(failure.message.contains("version 3"), "{}", failure.message);
}

/// Where North's vault keeps a blob.
fn blob(story: &Story, digest: &str) -> PathBuf {
    story.caretrail.hospital_folder("north").join("vault").join(&digest[..2]).join(digest)
}

fn flip(path: &PathBuf, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// A document that is no text and has no two equal lines.
pub(crate) fn scan() -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n\x00\xff\xfe".to_vec();
    for line in 0.. {
        bytes.extend_from_slice(format!("{SCAN_MARK}{line}\n").as_bytes());
        if bytes.len() >= SCAN_BYTES {
            break;
        }
    }
    bytes.truncate(SCAN_BYTES);
    bytes
}

pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}
