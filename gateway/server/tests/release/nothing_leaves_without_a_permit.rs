use caretrail_model::consent::Effect;
use caretrail_model::ids::{PatientId, TxId};
use caretrail_model::role::Role;
use caretrail_model::time::{DurationMs, UnixMs};
use caretrail_records::hospital::Release;
use caretrail_records::release::{
    Base64Url, KemKey, ReleaseAsk, ReleaseClient, ReleaseClientError, ReleaseRequest, blob_path,
};
use caretrail_records::{Failure, Records};

use crate::consortium::{Consortium, authorize, ledger, msp, now, soon, until};

pub(crate) async fn signed(actor: &Records, ask: &ReleaseAsk, key: &KemKey) -> ReleaseRequest {
    let credentials = actor.gateway().credentials();
    ReleaseRequest::sign(ask, key.public(), &ledger(), &msp("NorthMSP"), credentials).await.unwrap()
}

pub(crate) async fn refused(client: &ReleaseClient, request: &ReleaseRequest) -> Failure {
    match client.ask(request).await {
        Err(ReleaseClientError::Refused { failure }) => *failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_wrong_request_has_its_own_refusal() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let other_record = consortium.record(b"cold").await;
    consortium.consent(soon()).await;
    let (decision, effect) = consortium.request(record).await;
    assert_eq!(effect, Effect::Permit);
    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let key = KemKey::generate().unwrap();
    let ask = consortium.ask(decision, record);

    // Another person of the same hospital, and another certificate of the same role elsewhere.
    let colleague = consortium.actor("SouthMSP", Role::Clinician).await;
    let request = signed(&colleague, &ask, &key).await;
    assert_eq!(refused(&client, &request).await.code, "CERTIFICATE_FOREIGN");
    let request = signed(&consortium.clinician, &ask, &key).await;
    assert_eq!(refused(&client, &request).await.code, "CERTIFICATE_FOREIGN");

    // The right person over another hospital's connection, which is answered as of a decision that there is not; and
    // over nobody's.
    let request = signed(&consortium.reader, &ask, &key).await;
    let of_another = refused(&consortium.client_of_north(&daemon), &request).await;
    let absent = consortium.ask(TxId::from_bytes([9; 32]), record);
    let absent = signed(&consortium.reader, &absent, &key).await;
    assert_eq!(of_another.code, "DECISION_UNKNOWN");
    assert_eq!(of_another, refused(&consortium.client_of_north(&daemon), &absent).await);
    let unreached = consortium.client_of_nobody(&daemon).ask(&request).await;
    assert!(matches!(unreached, Err(ReleaseClientError::Unreachable { .. })), "{unreached:?}");

    // A request that was changed after it was signed.
    let changed = ReleaseRequest { record: other_record, ..request.clone() };
    assert_eq!(refused(&client, &changed).await.code, "REQUEST_SIGNATURE");
    let unsigned = ReleaseRequest { signature: Base64Url(Vec::new()), ..request.clone() };
    assert_eq!(refused(&client, &unsigned).await.code, "REQUEST_SIGNATURE");
    let nobody = ReleaseRequest { certificate: String::new(), ..request };
    assert_eq!(refused(&client, &nobody).await.code, "CERTIFICATE_UNUSABLE");

    let cases = [
        (ReleaseAsk { record: other_record, ..ask }, "RECORD_NOT_DECIDED"),
        (ReleaseAsk { decision: TxId::from_bytes([9; 32]), ..ask }, "DECISION_UNKNOWN"),
        (ReleaseAsk { patient: PatientId::from_bytes([9; 16]), ..ask }, "DECISION_UNKNOWN"),
    ];
    for (ask, code) in cases {
        let request = signed(&consortium.reader, &ask, &key).await;
        let failure = refused(&client, &request).await;
        assert_eq!(failure.code, code);
        assert_eq!(failure.msp_id.as_deref(), Some("NorthMSP"));
    }
    assert_eq!(consortium.gateway.committed("disclosed"), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_key_gets_nothing() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let (key, second) = (KemKey::generate().unwrap(), KemKey::generate().unwrap());
    let ask = consortium.ask(decision, record);
    client.ask(&signed(&consortium.reader, &ask, &key).await).await.unwrap();
    let failure = refused(&client, &signed(&consortium.reader, &ask, &second).await).await;
    assert_eq!((failure.code.as_str(), failure.retryable), ("DISCLOSED_TO_OTHER_KEY", false));
    assert_eq!(consortium.gateway.committed("disclosed"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn two_requests_at_once_disclose_once() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    let (first, second) = tokio::join!(client.ask(&request), client.ask(&request));
    assert_eq!(first.unwrap().disclosure, second.unwrap().disclosure);
    assert_eq!(consortium.gateway.committed("disclosed"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_permit_that_is_over_releases_nothing() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let end = now().plus(DurationMs::from_secs(10));
    consortium.consent(end).await;
    let (decision, effect) = consortium.request(record).await;
    assert_eq!(effect, Effect::Permit);
    let daemon = consortium.daemon().await;
    until(async || now() >= end).await;
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    assert_eq!(refused(&consortium.client(&daemon), &request).await.code, "PERMIT_EXPIRED");
    assert_eq!(consortium.gateway.committed("disclosed"), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_released_is_not_disclosed() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let held = consortium.clinician.record_version(record, None).await.unwrap();
    std::fs::remove_file(consortium.vault.path(&held.commitments.blob_digest)).unwrap();
    let daemon = consortium.daemon().await;
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    assert_eq!(refused(&consortium.client(&daemon), &request).await.code, "BLOB_UNAVAILABLE");
    assert_eq!(consortium.gateway.committed("disclosed"), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_blob_is_for_the_recipients_hospital_and_resumes() {
    let consortium = Consortium::new().await;
    let content: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
    let record = consortium.record(&content).await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let key = KemKey::generate().unwrap();
    let ask = consortium.ask(decision, record);

    let url = format!("https://localhost:{}", daemon.address.port());
    let path = caretrail_records::release::blob_path(&decision, &record);
    let before = consortium.http().get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(before.status(), 404);
    assert_eq!(before.json::<Failure>().await.unwrap().code, "RELEASE_UNKNOWN");

    let reply = client.ask(&signed(&consortium.reader, &ask, &key).await).await.unwrap();
    assert_eq!(reply.blob_path, path);
    let folder = consortium.downloads("north");
    let elsewhere = consortium.client_of_north(&daemon).fetch_blob(&reply, &folder).await.unwrap_err();
    assert_eq!(elsewhere.failure().code, "RELEASE_UNKNOWN");

    let etag = format!("\"{}\"", reply.commitments.blob_digest);
    let bytes = reply.commitments.sealed_bytes;
    let head = consortium.http().head(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(head.headers()["etag"].to_str().unwrap(), etag);
    let get = |range: &'static str, condition: &str| {
        let request = consortium.http().get(format!("{url}{path}")).header("range", range);
        request.header("if-range", condition.to_owned()).send()
    };
    let part = get("bytes=100-199", &etag).await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"].to_str().unwrap(), format!("bytes 100-199/{bytes}"));
    let blob = std::fs::read(consortium.vault.path(&reply.commitments.blob_digest)).unwrap();
    assert_eq!(part.bytes().await.unwrap(), blob[100..200]);
    assert_eq!(get("bytes=100-199", "\"other\"").await.unwrap().status(), 200);
    assert_eq!(get("bytes=99999999-", &etag).await.unwrap().status(), 416);

    // A download that broke off goes on; one whose beginning is not the blob's is found out and removed.
    let south = consortium.downloads("south");
    let digest = reply.commitments.blob_digest;
    let started = south.join(format!("{digest}.part"));
    std::fs::write(&started, &blob[..300_000]).unwrap();
    let fetched = client.fetch_blob(&reply, &south).await.unwrap();
    assert_eq!(std::fs::read(&fetched).unwrap(), blob);
    std::fs::remove_file(&fetched).unwrap();
    std::fs::write(&started, vec![0; 300_000]).unwrap();
    let spoiled = client.fetch_blob(&reply, &south).await.unwrap_err();
    assert!(matches!(spoiled, ReleaseClientError::BlobDigest { .. }), "{spoiled:?}");
    assert!(!started.exists());
    let released = consortium.reader.release(&client, &msp("NorthMSP"), &ask, &key, &south).await.unwrap();
    assert_eq!(released.opened.document_bytes, 700_000);
    daemon.stop().await;
}

#[tokio::test]
async fn a_colleague_needs_a_permit_of_their_own() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let colleague = consortium.actor("SouthMSP", Role::Clinician).await;
    assert_eq!(consortium.request_as(&colleague, record).await.1, Effect::Deny);
    authorize(&consortium.actor("SouthMSP", Role::Admin).await, &colleague).await;
    assert_eq!(consortium.request_as(&colleague, record).await.1, Effect::Deny);
}

#[tokio::test]
async fn what_the_own_peer_says_stays_with_the_hospital() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    let client = consortium.client(&daemon);
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    let told = async || {
        let failure = refused(&client, &request).await;
        assert_eq!(failure.address, None);
        assert_eq!(failure.msp_id.as_deref(), Some("NorthMSP"));
        let text = serde_json::to_string(&failure).unwrap();
        assert!(!text.contains("peer0") && !text.contains("MRN"), "{text}");
        failure.code
    };

    let words = "chaincode response 500, MRN-0042 at peer0.north.example.com:7051";
    consortium.gateway.fail_evaluations(&[("NorthMSP", "GetDecision", words)]);
    assert_eq!(told().await, "LEDGER_REFUSED");
    consortium.gateway.fail_evaluations(&[("NorthMSP", "GetDisclosure", "peer0.north.example.com is down")]);
    assert_eq!(told().await, "NOT_EVALUATED");
    for (words, code) in [
        (words, "LEDGER_REFUSED"),
        ("peer0.north.example.com is down", "NOT_ENDORSED"),
        ("chaincode response 403, PERMIT_ENDED", "PERMIT_ENDED"),
    ] {
        consortium.gateway.fail_endorsements(&[("NorthMSP", words)]);
        assert_eq!(told().await, code);
        assert!(consortium.gateway.failed_all_endorsements());
    }
    assert_eq!(consortium.gateway.committed("disclosed"), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn requests_that_are_none_are_refused_in_the_one_shape() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    let http = consortium.http();
    let url = format!("https://localhost:{}", daemon.address.port());
    let post = |body: Vec<u8>| http.post(format!("{url}/v1/releases")).body(body).send();
    let long = vec![b' '; 40_000];
    let cases = [
        (post(b"{}".to_vec()).await, 400, "REQUEST_MALFORMED"),
        (post(vec![0xff; 10]).await, 400, "REQUEST_MALFORMED"),
        (post(long).await, 413, "REQUEST_UNREADABLE"),
        (http.get(format!("{url}/v1/releases")).send().await, 405, "METHOD_NOT_ALLOWED"),
        (http.get(format!("{url}/v2/releases")).send().await, 404, "NO_SUCH_PATH"),
        (http.get(format!("{url}/v1/releases/00/11/blob")).send().await, 400, "REQUEST_MALFORMED"),
    ];
    for (answer, status, code) in cases {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(answer.json::<Failure>().await.unwrap().code, code);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_blob_is_not_fetched_long_after_its_permit_ended() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let mut config = consortium.config();
    config.limits.resume = std::time::Duration::from_secs(3600);
    let daemon = consortium.daemon_with(config).await;
    let key = KemKey::generate().unwrap();
    let request = signed(&consortium.reader, &consortium.ask(decision, record), &key).await;
    consortium.client(&daemon).ask(&request).await.unwrap();
    let url = format!("https://localhost:{}{}", daemon.address.port(), blob_path(&decision, &record));
    let fetched = async || {
        let answer = consortium.http().get(&url).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Failure>().await.map_or_else(|_| String::new(), |failure| failure.code))
    };
    assert_eq!(fetched().await, (200, String::new()));
    // A permit of the past, of which some of the time for downloads that were begun is left; and none.
    let store = &consortium.custody.store;
    let released = store.release(&decision, &record).unwrap().unwrap();
    let hour_ms = 3_600_000;
    let now_ms = released.valid_until.get();
    for (ended_before_ms, expected) in
        [(hour_ms / 2, (200, String::new())), (2 * hour_ms, (403, "PERMIT_EXPIRED".to_owned()))]
    {
        let valid_until = UnixMs::new(now_ms - ended_before_ms).unwrap();
        store.store_release(&Release { valid_until, ..released.clone() }).unwrap();
        assert_eq!(fetched().await, expected);
    }
    daemon.stop().await;
}
