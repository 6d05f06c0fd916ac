use std::io::Read as _;
use std::sync::Arc;

use caretrail_model::audit::Act;
use caretrail_model::calls::{EndConsent, ListConsents, WhoCanSee};
use caretrail_model::code::Code;
use caretrail_model::consent::Effect;
use caretrail_model::role::Role;
use caretrail_records::hospital::HospitalError;
use caretrail_records::index::BlockIndex;
use caretrail_records::release::KemKey;
use caretrail_records::seal::{Misfit, OpenError, Place};
use caretrail_records::workflows::{DocumentWorkflowError, RegisterPatientError, ReleaseError};

use crate::consortium::{Consortium, document, files, ledger, msp, soon};

#[tokio::test]
async fn a_permitted_document_arrives_and_everything_is_on_record() {
    let consortium = Consortium::new().await;
    let flu = br#"{"diagnosis":"Flu","treatment":"Rest & Medication"}"#;
    let record = consortium.record(flu).await;
    let (denied, effect) = consortium.request(record).await;
    assert_eq!(effect, Effect::Deny);

    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let downloads = consortium.downloads("south");
    let key = KemKey::generate().unwrap();
    let north = msp("NorthMSP");
    assert_eq!(consortium.reader.custodian(consortium.patient).await.unwrap(), north);
    let ask = consortium.ask(denied, record);
    let refused = consortium.reader.release(&client, &north, &ask, &key, &downloads).await.unwrap_err();
    assert_eq!(code(&refused), "ACCESS_DENIED");

    let consent = consortium.consent(soon()).await;
    let (decision, effect) = consortium.request(record).await;
    assert_eq!(effect, Effect::Permit);
    let ask = consortium.ask(decision, record);
    let released = consortium.reader.release(&client, &north, &ask, &key, &downloads).await.unwrap();
    assert_eq!(released.opened.media_type.as_str(), "application/fhir+json");
    let mut content = Vec::new();
    released.opened.reader().unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content, flu);
    released.opened.save(&downloads.join("record.json")).unwrap();
    assert_eq!(files(&downloads), 1, "neither the sealed blob nor a temporary file stays");

    let service = consortium.actor("NorthMSP", Role::Service).await;
    let holders = service.evaluate(&WhoCanSee { record, at: None }).await.unwrap().holders;
    assert_eq!(holders[0].actor, *consortium.reader.actor());
    let live = service.evaluate(&ListConsents { patient: consortium.patient }).await.unwrap();
    assert_eq!(live.consents[0].id, consent);

    let auditor = consortium.actor("NorthMSP", Role::Auditor).await;
    let index = BlockIndex::open(&consortium.folder.path().join("index.sqlite"), &ledger()).unwrap();
    let index = Arc::new(index);
    let log = auditor.access_log(&index, consortium.patient).await.unwrap();
    let kinds: Vec<_> = log.entries.iter().map(|logged| logged.entry.act.kind()).collect();
    assert_eq!(
        kinds,
        [
            "patient_registered",
            "record_registered",
            "access_decided",
            "consent_granted",
            "access_decided",
            "disclosed"
        ]
    );
    assert!(log.entries.is_sorted_by_key(|logged| logged.position.unwrap()));
    let Act::Disclosed(disclosed) = &log.entries[5].entry.act else { panic!("{:?}", log.entries[5]) };
    assert_eq!(disclosed.recipient, *consortium.reader.actor());
    assert_eq!(disclosed.kem_key_digest, key.public().digest());
    assert_eq!(auditor.access_log(&index, consortium.patient).await.unwrap(), log, "read again");

    let targets = consortium.gateway.targets();
    assert!(targets.iter().all(|target| target.len() == 1), "every evaluation is of one hospital's own peer");
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_revocation_stops_what_was_permitted_before() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let consent = consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let signed = consortium.patient_key.end(&ledger(), consortium.patient, consent, soon()).unwrap();
    consortium.south_service.submit(&EndConsent { signed: signed.clone() }).await.unwrap();
    let replayed = consortium.south_service.submit(&EndConsent { signed }).await.unwrap_err();
    assert!(matches!(replayed.code(), Some(Code::StatementReplayed | Code::ConsentUnknown)), "{replayed}");

    let daemon = consortium.daemon().await;
    let (client, key) = (consortium.client(&daemon), KemKey::generate().unwrap());
    let downloads = consortium.downloads("south");
    let ask = consortium.ask(decision, record);
    let refused =
        consortium.reader.release(&client, &msp("NorthMSP"), &ask, &key, &downloads).await.unwrap_err();
    assert_eq!(code(&refused), "PERMIT_ENDED");
    assert_eq!(consortium.gateway.committed("disclosed"), 0);
    assert_eq!(files(&downloads), 0);
    assert_eq!(consortium.request(record).await.1, Effect::Deny);
    daemon.stop().await;
}

#[tokio::test]
async fn a_lost_reply_loses_no_document_and_discloses_once() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    let (client, key) = (consortium.client(&daemon), KemKey::generate().unwrap());
    let ask = consortium.ask(decision, record);
    let request = crate::nothing_leaves_without_a_permit::signed(&consortium.reader, &ask, &key).await;

    consortium.gateway.lose_next_reply();
    let unknown = client.ask(&request).await.unwrap_err().failure();
    assert_eq!((unknown.code.as_str(), unknown.stage.as_str()), ("OUTCOME_UNKNOWN", "submit"));
    assert!(unknown.retryable && unknown.tx_id.is_some());
    consortium.gateway.speak();

    let first = client.ask(&request).await.unwrap();
    assert_eq!(Some(first.disclosure.to_string()), unknown.tx_id);
    let second = client.ask(&request).await.unwrap();
    assert_eq!(second.disclosure, first.disclosure);
    assert_eq!(consortium.gateway.committed("disclosed"), 1);

    let downloads = consortium.downloads("south");
    let released =
        consortium.reader.release(&client, &msp("NorthMSP"), &ask, &key, &downloads).await.unwrap();
    assert_eq!(released.opened.document_bytes, 3);
    assert_eq!(consortium.gateway.committed("disclosed"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_registration_whose_reply_was_lost_is_settled_later() {
    let consortium = Consortium::new().await;
    let registration = consortium.patient_key.register(&ledger(), &msp("NorthMSP"), soon()).unwrap();
    consortium.gateway.lose_next_reply();
    let unknown = consortium.clinician.register_patient(&consortium.custody, "MRN-2", &registration).await;
    let Err(RegisterPatientError::Call(error)) = unknown else { panic!("{unknown:?}") };
    assert!(error.is_unknown());
    assert_eq!(consortium.custody.store.pending().unwrap().len(), 1);

    consortium.gateway.speak();
    let settled = consortium.clinician.settle_pending(&consortium.custody).await.unwrap();
    assert!(settled[0].on_channel);
    assert!(consortium.custody.store.pending().unwrap().is_empty());
    assert_eq!(consortium.custody.store.patient("MRN-2").unwrap(), Some(registration.patient));

    let again = consortium.clinician.register_patient(&consortium.custody, "MRN-2", &registration).await;
    let Err(RegisterPatientError::Call(error)) = again else { panic!("{again:?}") };
    assert_eq!(error.code(), Some(Code::PatientExists));
    assert_eq!(consortium.custody.store.patient("MRN-2").unwrap(), Some(registration.patient));
    let other = consortium.patient_key.register(&ledger(), &msp("NorthMSP"), soon()).unwrap();
    let taken = consortium.clinician.register_patient(&consortium.custody, "MRN-2", &other).await;
    assert!(matches!(taken, Err(RegisterPatientError::Store(HospitalError::NumberTaken { .. }))));
}

#[tokio::test]
async fn a_number_whose_registration_is_open_is_settled_before_it_is_given_again() {
    let consortium = Consortium::new().await;
    let first = consortium.patient_key.register(&ledger(), &msp("NorthMSP"), soon()).unwrap();
    consortium.gateway.lose_next_reply();
    consortium.clinician.register_patient(&consortium.custody, "MRN-2", &first).await.unwrap_err();
    consortium.gateway.speak();
    let second = consortium.patient_key.register(&ledger(), &msp("NorthMSP"), soon()).unwrap();
    let taken = consortium.clinician.register_patient(&consortium.custody, "MRN-2", &second).await;
    let Err(RegisterPatientError::Store(HospitalError::NumberTaken { patient })) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(patient, first.patient);
    assert!(consortium.custody.store.pending().unwrap().is_empty());
}

#[tokio::test]
async fn a_record_whose_reply_was_lost_opens_after_it_is_settled() {
    let consortium = Consortium::new().await;
    consortium.gateway.lose_next_reply();
    let outcome =
        consortium.clinician.add_record(&consortium.custody, consortium.patient, document(b"flu")).await;
    let Err(DocumentWorkflowError::Call(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_unknown());
    consortium.gateway.speak();
    let settled = consortium.clinician.settle_pending(&consortium.custody).await.unwrap();
    assert!(settled[0].on_channel);
    let caretrail_records::hospital::PendingSubject::Version(version) = &settled[0].pending.subject else {
        panic!("{settled:?}")
    };
    let folder = consortium.downloads("north");
    let opened = consortium
        .clinician
        .open_record(&consortium.custody, version.id.record, None, &folder)
        .await
        .unwrap();
    assert_eq!(opened.opened.document_bytes, 3);
}

#[tokio::test]
async fn a_flipped_byte_is_named_and_both_versions_stay() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let amended = consortium
        .clinician
        .amend_record(&consortium.custody, record, document(b"flu, recovered"))
        .await
        .unwrap();
    assert_eq!(amended.reply.version, 2);
    let history = consortium.clinician.record_history(record).await.unwrap();
    assert_eq!(history.iter().map(|held| held.version).collect::<Vec<_>>(), [2, 1]);
    let folder = consortium.downloads("north");
    for (version, bytes) in [(Some(1), 3), (Some(2), 14), (None, 14)] {
        let opened =
            consortium.clinician.open_record(&consortium.custody, record, version, &folder).await.unwrap();
        assert_eq!(opened.opened.document_bytes, bytes);
    }
    let none = consortium.clinician.open_record(&consortium.custody, record, Some(3), &folder).await;
    assert!(matches!(none, Err(DocumentWorkflowError::NoSuchVersion { .. })));

    let path = consortium_blob(&consortium, &history[1].commitments.blob_digest);
    let mut blob = std::fs::read(&path).unwrap();
    blob[100] ^= 1;
    std::fs::write(&path, blob).unwrap();
    let spoiled = consortium.clinician.open_record(&consortium.custody, record, Some(1), &folder).await;
    let Err(DocumentWorkflowError::Open { source: OpenError::Mismatch(misfit), .. }) = spoiled else {
        panic!("{spoiled:?}")
    };
    assert_eq!(misfit, Misfit::BlobDigest { place: Place::Chunk { number: 1, chunks: 1 } });
    assert_eq!(files(&folder), 0);
    consortium.clinician.open_record(&consortium.custody, record, Some(2), &folder).await.unwrap();
}

fn consortium_blob(consortium: &Consortium, digest: &caretrail_model::ids::Digest) -> std::path::PathBuf {
    consortium.vault.path(digest)
}

fn code(error: &ReleaseError) -> String {
    match error {
        ReleaseError::Client(error) => error.failure().code,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_refused_record_leaves_neither_blob_nor_secret() {
    let consortium = Consortium::new().await;
    let stranger = consortium.actor("NorthMSP", Role::Clinician).await;
    let vault = consortium.folder.path().join("vault");
    let refused = stranger.add_record(&consortium.custody, consortium.patient, document(b"flu")).await;
    let Err(DocumentWorkflowError::Call(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), Some(Code::NotAuthorized));
    assert!(error.had_no_effect());
    assert!(consortium.custody.store.pending().unwrap().is_empty());
    let blobs: usize = std::fs::read_dir(&vault).unwrap().map(|entry| files(&entry.unwrap().path())).sum();
    assert_eq!(blobs, 0);
}

#[tokio::test]
async fn hospitals_whose_peers_are_a_block_apart_still_agree() {
    let consortium = Consortium::new().await;
    let behind = "chaincode response 404, PATIENT_UNKNOWN";
    let apart = "ProposalResponsePayloads do not match";
    consortium.gateway.fail_endorsements(&[("SouthMSP", behind), ("NorthMSP", apart), ("SouthMSP", behind)]);
    consortium.record(b"flu").await;
    assert!(consortium.gateway.failed_all_endorsements());
    assert_eq!(consortium.gateway.committed("record_registered"), 1);

    // What the own hospital's peer refuses is refused at once.
    consortium.gateway.fail_endorsements(&[("NorthMSP", behind), ("NorthMSP", behind)]);
    let outcome =
        consortium.clinician.add_record(&consortium.custody, consortium.patient, document(b"flu")).await;
    let Err(DocumentWorkflowError::Call(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.code(), Some(Code::PatientUnknown));
    let failure = error.failure();
    assert_eq!(failure.msp_id.as_deref(), Some("NorthMSP"));
    assert_eq!((failure.stage.as_str(), failure.retryable), ("endorse", false));
    assert!(!consortium.gateway.failed_all_endorsements());
}
