use caretrail_model::ids::{Digest, RecordId, TxId};
use caretrail_model::record::Commitments;
use tempfile::TempDir;

use super::*;
use crate::secret::VersionSecret;
use crate::version::VersionId;

fn ledger(chaincode: &str) -> LedgerName {
    LedgerName { channel: "records".parse().unwrap(), chaincode: chaincode.parse().unwrap() }
}

fn open(folder: &TempDir, chaincode: &str) -> HospitalStore {
    let key = StorageKey::load_or_create(&folder.path().join("storage.key")).unwrap();
    HospitalStore::open(&folder.path().join("hospital.sqlite"), key, &ledger(chaincode)).unwrap()
}

fn patient(byte: u8) -> PatientId {
    PatientId::from_bytes([byte; 16])
}

fn version(commitment: u8) -> StoredVersion {
    StoredVersion {
        id: VersionId { record: RecordId::from_bytes([4; 16]), version: 1 },
        patient: patient(1),
        commitments: Commitments {
            content_commitment: Digest::from_bytes([commitment; 32]),
            blob_digest: Digest::from_bytes([6; 32]),
            sealed_bytes: 4132,
        },
    }
}

#[test]
fn a_number_finds_its_patient_again_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    store.store_patient("MRN-0042", &patient(1), None).unwrap();
    store.settle_patient(&patient(1)).unwrap();
    drop(store);

    let store = open(&folder, "caretrail");
    assert_eq!(store.patient("MRN-0042").unwrap(), Some(patient(1)));
    assert_eq!(store.number(&patient(1)).unwrap().as_deref(), Some("MRN-0042"));
    assert_eq!(store.patient("MRN-0043").unwrap(), None);
    assert!(matches!(
        store.store_patient("MRN-0042", &patient(2), None),
        Err(HospitalError::NumberTaken { patient: known }) if known == patient(1)
    ));
    assert!(matches!(
        store.store_patient("MRN-0043", &patient(1), None),
        Err(HospitalError::PatientTaken { .. })
    ));
    store.store_patient("MRN-0042", &patient(1), None).unwrap();
    assert!(store.pending().unwrap().is_empty(), "stored again, it stays settled");
    assert_eq!(open(&folder, "other").patient("MRN-0042").unwrap(), None, "another ledger");
    for malformed in ["", "MRN\n1", &"9".repeat(65)] {
        assert!(matches!(
            store.store_patient(malformed, &patient(3), None),
            Err(HospitalError::NumberMalformed)
        ));
    }
}

#[test]
fn a_refused_registration_frees_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let tx_id = TxId::from_bytes([8; 32]);
    store.store_patient("MRN-1", &patient(1), Some(&tx_id)).unwrap();
    assert_eq!(
        store.pending().unwrap(),
        [Pending { subject: PendingSubject::Patient(patient(1)), tx_id: Some(tx_id) }]
    );
    store.forget_patient(&patient(1)).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), None);
    store.store_patient("MRN-1", &patient(2), None).unwrap();
    store.settle_patient(&patient(2)).unwrap();
    store.forget_patient(&patient(2)).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(2)), "a settled one stays");
}

#[test]
fn a_number_waits_for_whichever_registration_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let tx_id = TxId::from_bytes([8; 32]);
    store.store_patient("MRN-1", &patient(1), Some(&tx_id)).unwrap();
    store.store_patient("MRN-1", &patient(2), None).unwrap();
    assert_eq!(store.pending_patients("MRN-1").unwrap(), [patient(1), patient(2)]);
    store.settle_patient(&patient(1)).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(1)));
    assert_eq!(store.pending_patients("MRN-1").unwrap(), [patient(2)]);
    store.forget_patient(&patient(2)).unwrap();
    assert!(matches!(
        store.store_patient("MRN-1", &patient(2), None),
        Err(HospitalError::NumberTaken { patient: known }) if known == patient(1)
    ));
}

#[test]
fn the_commitment_says_which_secret_became_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let (refused, kept) = (VersionSecret::random().unwrap(), VersionSecret::random().unwrap());
    store.store_version(&version(1), &refused, None).unwrap();
    store.store_version(&version(2), &kept, Some(&TxId::from_bytes([7; 32]))).unwrap();
    assert_eq!(store.pending().unwrap().len(), 2);
    drop(store);

    let store = open(&folder, "caretrail");
    let id = version(1).id;
    store.forget_version(&id, &Digest::from_bytes([1; 32])).unwrap();
    store.settle_version(&id, &Digest::from_bytes([2; 32])).unwrap();
    assert!(store.pending().unwrap().is_empty());
    assert!(store.secret(&id, &Digest::from_bytes([1; 32])).unwrap().is_none());
    let found = store.secret(&id, &Digest::from_bytes([2; 32])).unwrap().unwrap();
    assert_eq!(found.as_bytes(), kept.as_bytes());
    store.forget_version(&id, &Digest::from_bytes([2; 32])).unwrap();
    assert!(store.secret(&id, &Digest::from_bytes([2; 32])).unwrap().is_some(), "a settled one stays");
}

#[test]
fn a_secret_is_never_in_the_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let secret = VersionSecret::random().unwrap();
    store.store_version(&version(1), &secret, None).unwrap();
    drop(store);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!content.windows(32).any(|window| window == secret.as_bytes()));
    }
}

#[test]
fn another_storage_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, "caretrail"));
    let other = StorageKey::load_or_create(&folder.path().join("other.key")).unwrap();
    let opened = HospitalStore::open(&folder.path().join("hospital.sqlite"), other, &ledger("caretrail"));
    assert!(matches!(opened, Err(HospitalError::OtherStorageKey)));
}

#[test]
fn a_release_is_found_by_decision_and_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let release = Release {
        decision: TxId::from_bytes([1; 32]),
        record: RecordId::from_bytes([2; 16]),
        disclosure: TxId::from_bytes([3; 32]),
        recipient_msp: "SouthMSP".parse().unwrap(),
        blob_digest: Digest::from_bytes([4; 32]),
    };
    store.store_release(&release).unwrap();
    store.store_release(&release).unwrap();
    assert_eq!(store.release(&release.decision, &release.record).unwrap(), Some(release.clone()));
    assert_eq!(store.release(&release.disclosure, &release.record).unwrap(), None);
    store.probe().unwrap();
}
