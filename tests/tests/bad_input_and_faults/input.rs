//! Input that nothing can be done with, and a disk that is full.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use caretrail_model::calls::{GrantConsent, RegisterPatient};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::limits::DOCUMENT_BYTES_MAX;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::Grant;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_tests::hospitals::{Hospitals, text};
use caretrail_tests::until::now_unix_ms;

use crate::world::Ward;

pub(crate) async fn a_document_over_the_limit_and_an_empty_one_are_refused(ward: &mut Ward) {
    let (before, vault) = (ward.transactions().await, vault(ward));
    let files = [("too-long.bin", DOCUMENT_BYTES_MAX + 1, "67108864 (64 MiB)"), ("empty.bin", 0, "is empty")];
    for (name, bytes, told) in files {
        // Sparse: it takes no space.
        File::create(ward.caretrail.file(name)).unwrap().set_len(bytes).unwrap();
        for line in [
            format!("record add {name} --patient {}", ward.patient),
            format!("record amend {} {name}", ward.record),
        ] {
            let failure = ward.run_as("north/ada", &line).await.invalid("DOCUMENT_UNUSABLE");
            assert!(failure.message.contains(told), "{}", failure.message);
            assert!(failure.fix.contains("1 byte to 64 MiB"), "{}", failure.fix);
        }
    }
    let absent = format!("record add absent.bin --patient {}", ward.patient);
    let failure = ward.run_as("north/ada", &absent).await.invalid("DOCUMENT_UNUSABLE");
    assert!(failure.message.contains("absent.bin"), "{}", failure.message);
    assert_eq!(self::vault(ward), vault, "nothing was sealed");
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn a_consent_that_ends_before_it_starts_is_refused(ward: &mut Ward) {
    let before = ward.transactions().await;
    let grant = format!("consent grant --patient {} --key patient.pem --to south/ben", ward.patient);
    for period in [
        "--from 2030-01-02T00:00:00Z --until 2030-01-01T00:00:00Z",
        "--from 2030-01-01T00:00:00Z --until 2030-01-01T00:00:00Z",
    ] {
        let failure =
            ward.run_as("south/service", &format!("{grant} {period}")).await.invalid("INPUT_INVALID");
        assert!(failure.message.contains("set `until` later than `from`"), "{}", failure.message);
    }

    // A program that signs it all the same is refused by the contract.
    let key = PatientKey::load(&ward.caretrail.file("patient.pem")).unwrap();
    let now = UnixMs::new(now_unix_ms()).unwrap();
    let provision = Provision {
        effect: Effect::Permit,
        grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
        actions: vec![Action::Read],
        purposes: vec![Purpose::Treat],
        scope: Scope::All {},
        period: Period { from: now, until: UnixMs::new(now.get() - 1).unwrap() },
        exceptions: vec![],
    };
    let grant = Grant { provision, supersedes: None };
    let submit_by = now.plus(DurationMs::from_secs(60));
    let signed = key.grant(&ward.ledger(), ward.patient.parse().unwrap(), grant, submit_by).unwrap();
    let refused = ward.records("south/service").await.submit(&GrantConsent { signed }).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::ConsentInvalid));
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn unknown_patients_and_records_are_told(ward: &mut Ward) {
    let (before, vault) = (ward.transactions().await, vault(ward));
    let nobody = "0".repeat(32);
    let lines = [
        ("north/service", format!("patient show {nobody}"), "PATIENT_UNKNOWN"),
        ("north/ada", format!("record add note.txt --patient {nobody}"), "PATIENT_UNKNOWN"),
        (
            "north/ada",
            format!("access request --patient {nobody} --record {}", ward.record),
            "PATIENT_UNKNOWN",
        ),
        (
            "south/service",
            format!("consent grant --patient {nobody} --key patient.pem --to south/ben"),
            "PATIENT_UNKNOWN",
        ),
        ("north/auditor", format!("audit log --patient {nobody}"), "PATIENT_UNKNOWN"),
        ("north/ada", format!("record verify {nobody}"), "RECORD_UNKNOWN"),
        ("north/ada", format!("record history {nobody}"), "RECORD_UNKNOWN"),
        ("north/ada", format!("record amend {nobody} note.txt"), "RECORD_UNKNOWN"),
        ("north/service", format!("consent holders {nobody}"), "RECORD_UNKNOWN"),
        (
            "north/auditor",
            format!("access show {nobody}{nobody} --patient {}", ward.patient),
            "DECISION_UNKNOWN",
        ),
    ];
    for (identity, line, code) in &lines {
        let failure = ward.run_as(identity, line).await.failed(code);
        assert!(failure.fix.contains("check the"), "{line}: {}", failure.fix);
    }
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
    assert_eq!(self::vault(ward), vault, "no blob without a record stays");

    // Access to a record that is not there is denied like one that nothing permits, and that is on record.
    let line = format!("access request --patient {} --record {nobody}", ward.patient);
    let denied = ward.run_as("south/ben", &line).await.denied();
    assert_eq!(denied["decisions"][0]["rule"], "nothing_permits");

    // What is no id at all is found before anything is asked.
    let failure = ward.run_as("north/ada", "record verify 0042").await.invalid("USAGE_INVALID");
    assert!(failure.message.contains("32 lower-case hex"), "{}", failure.message);
    ward.run_as("north/nobody", &ward.request()).await.invalid("INPUT_INVALID");
    ward.run_as("west/ada", &ward.request()).await.invalid("INPUT_INVALID");
}

pub(crate) async fn a_registration_sent_twice_counts_once(ward: &mut Ward) {
    let key = PatientKey::generate(&ward.caretrail.file("twice.pem")).unwrap();
    let records = ward.records("north/service").await;
    let home = "NorthMSP".parse().unwrap();
    let submit_by = UnixMs::new(now_unix_ms() + 60_000).unwrap();
    let registration = key.register(&ward.ledger(), &home, submit_by).unwrap();
    let call = RegisterPatient { signed: registration.signed };
    let committed = records.submit(&call).await.unwrap();
    assert_eq!(committed.reply.patient, registration.patient);
    let before = ward.transactions().await;
    let again = records.submit(&call).await.unwrap_err();
    assert_eq!(again.code(), Some(Code::PatientExists));

    // The hospital's number is taken too, whatever key comes with it.
    ward.caretrail.run("patient key twin.pem").await.done();
    for key in ["patient.pem", "twin.pem"] {
        let line = format!("patient register --key {key} --number 1");
        let failure = ward.run_as("north/service", &line).await.invalid("NUMBER_TAKEN");
        assert!(failure.message.contains(&ward.patient), "{}", failure.message);
    }
    let found = ward.run_as("north/service", "patient find 1").await.done();
    assert_eq!(text(&found["patient"]), ward.patient);
    assert_eq!(ward.transactions().await, before, "nothing more was submitted");
}

pub(crate) async fn a_proposal_three_minutes_off_is_refused(ward: &mut Ward) {
    let before = ward.transactions().await;
    let hospitals: &Hospitals = ward;
    let contract = hospitals.gateway("south/ben").await.contract("records", "caretrail");
    let three_minutes = Duration::from_secs(180);
    let call = format!(
        r#"{{"request":"{}","patient":"{}","records":["{}"],"action":"read","purpose":"TREAT"}}"#,
        "7".repeat(32),
        ward.patient,
        ward.record
    );
    let propose = |at| contract.proposal("RequestAccess").arg(call.clone()).timestamp(at).build().unwrap();
    for at in [SystemTime::now() - three_minutes, SystemTime::now() + three_minutes] {
        let response = propose(at).endorse().await.unwrap_err().chaincode_response().unwrap();
        assert_eq!((response.status, response.message.as_str()), (412, "TIMESTAMP_OUTSIDE_WINDOW"));
        let response = propose(at).evaluate().await.unwrap_err().chaincode_response().unwrap();
        assert_eq!(response.message, "TIMESTAMP_OUTSIDE_WINDOW");
    }
    // One minute off is within the window.
    propose(SystemTime::now() - Duration::from_secs(60)).endorse().await.unwrap();
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn a_full_disk_leaves_no_blob_and_submits_nothing(ward: &mut Ward) {
    let (before, vault) = (ward.transactions().await, vault(ward));
    ward.caretrail.write("long.pdf", &vec![7; 3 * 1024 * 1024]);
    let line = format!("record add long.pdf --patient {} --identity north/ada", ward.patient);
    // No file can grow beyond 1 or 2 MiB (the unit is 512 or 1,024 bytes): the blob's write fails in its midst,
    // those of the hospital's store do not. The signal is ignored, so the write itself tells.
    let command = ward.caretrail.command_in_shell("trap '' XFSZ; ulimit -f 2048", &line);
    let failure = ward.caretrail.finish(&line, command).await.failed("VAULT_FAILED");
    assert!(failure.fix.contains("free space"), "{}", failure.fix);
    assert!(failure.message.contains("File too large"), "{}", failure.message);
    assert_eq!(self::vault(ward), vault, "no blob and no part of one is left");
    assert_eq!(ward.transactions().await, before, "nothing was submitted");

    // With space again, the same line works.
    ward.caretrail.run(&line).await.done();
    assert_eq!(self::vault(ward).len(), vault.len() + 1);
}

/// Every file in North's vault, whole blobs and what is being written.
fn vault(ward: &Ward) -> Vec<PathBuf> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    files(&ward.caretrail.hospital_folder("north").join("vault"), &mut found);
    found.sort();
    found
}
