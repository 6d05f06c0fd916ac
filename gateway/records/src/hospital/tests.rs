use caretrail_model::ids::{Digest, RecordId, TxId};
use caretrail_model::label::Label;
use caretrail_model::record::Commitments;
use caretrail_model::tag::{RecordTags, Tagged};
use caretrail_model::time::UnixMs;
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

fn record(byte: u8) -> RecordId {
    RecordId::from_bytes([byte; 16])
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
    // By a transaction that is not the newest one, nothing is forgotten.
    store.forget_patient(&patient(1), Some(&TxId::from_bytes([7; 32]))).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(1)));
    store.forget_patient(&patient(1), Some(&tx_id)).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), None);
    store.store_patient("MRN-1", &patient(2), None).unwrap();
    store.settle_patient(&patient(2)).unwrap();
    store.forget_patient(&patient(2), None).unwrap();
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
    store.forget_patient(&patient(2), None).unwrap();
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
        valid_until: UnixMs::new(5_000).unwrap(),
    };
    store.store_release(&release).unwrap();
    store.store_release(&release).unwrap();
    assert_eq!(store.release(&release.decision, &release.record).unwrap(), Some(release.clone()));
    assert_eq!(store.release(&release.disclosure, &release.record).unwrap(), None);
    store.probe().unwrap();
}

fn labels(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn labels_are_blinded_for_one_patient_and_named_again_here_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let north = "NorthMSP".parse().unwrap();
    assert_eq!(store.tag_epoch(&patient(1)).unwrap(), None);
    let tagged = store.record_tags(&north, &patient(1), &record(1), &labels(&["HIV", "PSY", "hiv"])).unwrap();
    assert!(tagged.is_well_formed());
    let named: Vec<_> =
        tagged.tags.iter().filter_map(|tag| store.label(&patient(1), tagged.epoch, tag).unwrap()).collect();
    assert_eq!(named.len(), 2, "the others stand for nothing");
    let none = store.record_tags(&north, &patient(1), &record(1), &[]).unwrap();
    assert!(none.is_well_formed());
    // Another version of a record has the same fillers, so that two of them tell no label apart; another record has others.
    let again = store.record_tags(&north, &patient(1), &record(1), &labels(&["HIV", "PSY"])).unwrap();
    assert_eq!(again, tagged);
    let common = |other: &RecordTags| none.tags.iter().filter(|tag| other.tags.contains(tag)).count();
    assert_eq!(common(&tagged), 6);
    assert_eq!(common(&store.record_tags(&north, &patient(1), &record(2), &[]).unwrap()), 0);

    // What a patient names is found on the record, and nothing else is.
    let set = |texts: &[&str]| store.tag_set(&north, &patient(1), &labels(texts)).unwrap();
    assert_eq!(Tagged::of(Some(&tagged), &[set(&["PSY", "SUD"])]), Tagged::Yes);
    assert_eq!(Tagged::of(Some(&tagged), &[set(&["SUD"])]), Tagged::No);
    assert_eq!(Tagged::of(Some(&none), &[set(&["HIV"])]), Tagged::No);
    let other = store.tag_set(&north, &patient(2), &labels(&["HIV"])).unwrap();
    assert!(!tagged.tags.contains(&other.tags[0]), "another patient has another key");

    let nine: Vec<_> = (0..9).map(|number| format!("L{number}")).collect();
    let nine: Vec<_> = nine.iter().map(String::as_str).collect();
    let too_many = store.record_tags(&north, &patient(1), &record(1), &labels(&nine));
    assert!(matches!(too_many, Err(BlindError::TooMany)));
    assert!(matches!(store.tag_set(&north, &patient(1), &[]), Err(BlindError::SetSize)));

    // The file of another hospital, and this one's without its key, name nothing.
    drop(store);
    let store = open(&folder, "other");
    assert_eq!(store.label(&patient(1), tagged.epoch, &tagged.tags[0]).unwrap(), None);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !content.windows(3).any(|window| [b"HIV", b"PSY", b"SUD"].contains(&window.try_into().unwrap()))
        );
    }
}

#[test]
fn a_rotated_tag_key_compares_with_nothing_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, "caretrail");
    let north = "NorthMSP".parse().unwrap();
    let before = store.record_tags(&north, &patient(1), &record(1), &labels(&["HIV"])).unwrap();
    let epochs: Vec<_> = (0..3).map(|_| store.rotate_tag_key(&patient(1)).unwrap()).collect();
    assert!(before.epoch < epochs[0] && epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    assert_eq!(store.tag_epoch(&patient(1)).unwrap(), Some(epochs[2]));
    let set = store.tag_set(&north, &patient(1), &labels(&["HIV"])).unwrap();
    assert_eq!(set.epoch, epochs[2]);
    assert_eq!(Tagged::of(Some(&before), std::slice::from_ref(&set)), Tagged::Unknown);
    // What the earlier tags stand for is still known here.
    let named = before.tags.iter().find_map(|tag| store.label(&patient(1), before.epoch, tag).unwrap());
    assert_eq!(named, Some("HIV".parse().unwrap()));
    assert!(store.knows_tags_of(&patient(1), before.epoch).unwrap());
    assert!(!store.knows_tags_of(&patient(1), 1).unwrap());
}

#[test]
fn a_store_of_the_first_version_is_brought_up_to_date_with_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hospital.sqlite");
    let older = Schema { steps: &[NUMBERS_AND_SECRETS], ..SCHEMA };
    drop(Database::open(&path, &older).unwrap());
    let key = || StorageKey::load_or_create(&folder.path().join("storage.key")).unwrap();
    let secret = VersionSecret::random().unwrap();
    {
        // As the first build wrote it.
        let mut database = Database::open(&path, &older).unwrap();
        let key = key();
        let stored = key.wrap(&version(2).id, &secret).unwrap();
        database
            .write(|connection| {
                connection.execute("INSERT INTO storage_key VALUES (?1)", [key.id().as_bytes()])?;
                connection.execute("INSERT INTO ledgers VALUES (1, 'records', 'caretrail')", [])?;
                connection.execute(
                    "INSERT INTO patients VALUES (1, 'MRN-1', ?1, NULL, 1)",
                    [patient(1).as_bytes()],
                )?;
                connection.execute(
                    "INSERT INTO versions VALUES (1, ?1, 1, ?2, ?3, ?4, 4096, ?5, NULL, 1)",
                    rusqlite::params![
                        version(2).id.record.as_bytes(),
                        [2_u8; 32],
                        patient(1).as_bytes(),
                        [5_u8; 32],
                        stored
                    ],
                )
            })
            .unwrap();
    }
    let store = HospitalStore::open(&path, key(), &ledger("caretrail")).unwrap();
    assert_eq!(store.patient("MRN-1").unwrap(), Some(patient(1)));
    let kept = store.secret(&version(2).id, &Digest::from_bytes([2; 32])).unwrap().unwrap();
    assert_eq!(kept.as_bytes(), secret.as_bytes());
    assert_eq!(store.records_of(&patient(1)).unwrap(), [version(2).id.record]);
    store.tag_set(&"NorthMSP".parse().unwrap(), &patient(1), &labels(&["HIV"])).unwrap();
}
