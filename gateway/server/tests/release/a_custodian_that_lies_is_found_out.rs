use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::routing::{get, post};
use axum::{Json, Router};
use caretrail_model::ids::{Digest, TxId};
use caretrail_model::record::Commitments;
use caretrail_records::VersionId;
use caretrail_records::release::{
    Base64Url, KemKey, KemPublicKey, RELEASES_PATH, ReleaseAsk, ReleaseClient, ReleaseReply, WrappedSecret,
    blob_path, wrap,
};
use caretrail_records::workflows::{ReleaseError, Released};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::consortium::{Consortium, document, files, ledger, msp, soon};
use crate::nothing_leaves_without_a_permit::signed;

/// Somebody with North's TLS certificate who answers whatever a test wants.
struct Liar {
    client: ReleaseClient,
    reply: Arc<Mutex<ReleaseReply>>,
}

impl Liar {
    async fn new(consortium: &Consortium, reply: &ReleaseReply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let blob = std::fs::read(consortium.vault.path(&reply.commitments.blob_digest)).unwrap();
        let path = blob_path(&reply.decision, &reply.record);
        let reply = Arc::new(Mutex::new(reply.clone()));
        let answer = Arc::clone(&reply);
        let routes = Router::new()
            .route(RELEASES_PATH, post(async move || Json(answer.lock().unwrap().clone())))
            .route(&path, get(async || blob));
        let mut tls = consortium.tls_of_north();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let serving = axum::serve(OverTls { listener, tls: Arc::new(tls) }, routes);
        tokio::spawn(serving.into_future());
        Self { client: consortium.client_to(port), reply }
    }

    /// What the reader gets when this is answered.
    async fn tells(
        &self,
        reply: ReleaseReply,
        consortium: &Consortium,
        ask: &ReleaseAsk,
        key: &KemKey,
    ) -> Result<Released, ReleaseError> {
        *self.reply.lock().unwrap() = reply;
        let folder = consortium.folder.path().join("south");
        consortium.reader.release(&self.client, &msp("NorthMSP"), ask, key, &folder).await
    }
}

struct OverTls {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
}

impl axum::serve::Listener for OverTls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = TlsAcceptor::from(Arc::clone(&self.tls)).accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Wraps the secret of the version that an answer names, as a custodian can whatever it answers.
fn wrapped(
    consortium: &Consortium,
    reply: ReleaseReply,
    held: &Commitments,
    key: &KemPublicKey,
) -> ReleaseReply {
    let id = VersionId { record: reply.record, version: reply.version };
    let secret = consortium.custody.store.secret(&id, &held.content_commitment).unwrap().unwrap();
    let wrapped_secret = wrap(&secret, key, &reply.binding(&ledger())).unwrap();
    ReleaseReply { wrapped_secret, ..reply }
}

/// What was found out.
fn found(outcome: Result<Released, ReleaseError>) -> String {
    match outcome {
        Err(ReleaseError::OtherAnswer { field }) => field.to_owned(),
        Err(ReleaseError::NotOnChannel { what, .. }) => what.to_owned(),
        Err(ReleaseError::NotOnRecord { .. }) => "not on record".to_owned(),
        Err(ReleaseError::NotPermitted { .. }) => "not permitted".to_owned(),
        Err(ReleaseError::Unwrap(_)) => "secret".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_differs_in_any_field_is_refused() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let other_record = consortium.record(b"cold").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    consortium.clinician.amend_record(&consortium.custody, record, document(b"recovered")).await.unwrap();
    let history = consortium.clinician.record_history(record).await.unwrap();
    let (first, second) = (history[1].commitments.clone(), history[0].commitments.clone());

    let daemon = consortium.daemon().await;
    let (key, other_key) = (KemKey::generate().unwrap(), KemKey::generate().unwrap());
    let ask = consortium.ask(decision, record);
    let truth = consortium.client(&daemon).ask(&signed(&consortium.reader, &ask, &key).await).await.unwrap();
    let liar = Liar::new(&consortium, &truth).await;
    let folder = consortium.downloads("south");

    let reply = || truth.clone();
    let of_first = |commitments: Commitments| ReleaseReply { commitments, ..reply() };
    let lies = [
        ("decision", ReleaseReply { decision: TxId::from_bytes([9; 32]), ..reply() }),
        ("record", ReleaseReply { record: other_record, ..reply() }),
        ("custodian", ReleaseReply { custodian: msp("SouthMSP"), ..reply() }),
        ("kem_key_digest", ReleaseReply { kem_key_digest: other_key.public().digest(), ..reply() }),
        ("blob_path", ReleaseReply { blob_path: "@localhost:9/blob".to_owned(), ..reply() }),
        ("blob_path", ReleaseReply { blob_path: blob_path(&decision, &other_record), ..reply() }),
        ("version", ReleaseReply { version: 2, commitments: second.clone(), ..reply() }),
        ("disclosure", ReleaseReply { disclosure: decision, ..reply() }),
        ("epoch", ReleaseReply { epoch: 1, ..reply() }),
        (
            "content commitment",
            of_first(Commitments { content_commitment: second.content_commitment, ..first.clone() }),
        ),
        (
            "blob digest or size",
            of_first(Commitments { blob_digest: Digest::from_bytes([9; 32]), ..first.clone() }),
        ),
        (
            "blob digest or size",
            of_first(Commitments { sealed_bytes: first.sealed_bytes + 1, ..first.clone() }),
        ),
        ("content commitment", of_first(second.clone())),
    ];
    for (what, lie) in lies {
        // A custodian can make everything else fit its lie.
        let lie = if lie.record == record {
            let held = if lie.version == 2 { &second } else { &first };
            wrapped(&consortium, lie, held, key.public())
        } else {
            lie
        };
        assert_eq!(found(liar.tells(lie, &consortium, &ask, &key).await), what);
    }
    let for_other = wrapped(&consortium, reply(), &first, other_key.public());
    assert_eq!(found(liar.tells(for_other, &consortium, &ask, &key).await), "secret");
    // On record it is to the first key, whatever is answered.
    let to_other = ReleaseReply { kem_key_digest: other_key.public().digest(), ..reply() };
    let to_other = wrapped(&consortium, to_other, &first, other_key.public());
    assert_eq!(found(liar.tells(to_other, &consortium, &ask, &other_key).await), "disclosed key");

    assert_eq!(files(&folder), 0);
    let released = liar.tells(reply(), &consortium, &ask, &key).await.unwrap();
    assert_eq!(released.opened.document_bytes, 3, "the truth is taken from anybody");
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_not_on_record_is_not_opened() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    let (denied, _) = consortium.request(record).await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let held = consortium.clinician.record_version(record, None).await.unwrap().commitments;
    let key = KemKey::generate().unwrap();
    // A custodian that gives the secret away without a disclosure: the transaction that it names is another.
    let handed_out = |decision: TxId| {
        let reply = ReleaseReply {
            decision,
            record,
            version: 1,
            custodian: msp("NorthMSP"),
            disclosure: decision,
            epoch: 2,
            kem_key_digest: key.public().digest(),
            commitments: held.clone(),
            wrapped_secret: WrappedSecret { enc: Base64Url(Vec::new()), ciphertext: Base64Url(Vec::new()) },
            blob_path: blob_path(&decision, &record),
        };
        wrapped(&consortium, reply, &held, key.public())
    };
    let folder = consortium.downloads("south");
    let liar = Liar::new(&consortium, &handed_out(decision)).await;
    for (decision, what) in [(decision, "not on record"), (denied, "not permitted")] {
        let ask = consortium.ask(decision, record);
        assert_eq!(found(liar.tells(handed_out(decision), &consortium, &ask, &key).await), what);
    }
    assert_eq!(files(&folder), 0);
}

#[tokio::test]
async fn a_recipients_peer_that_is_a_block_behind_is_waited_for() {
    let consortium = Consortium::new().await;
    let record = consortium.record(b"flu").await;
    consortium.consent(soon()).await;
    let (decision, _) = consortium.request(record).await;
    let daemon = consortium.daemon().await;
    consortium.gateway.fail_evaluations(&[
        ("NorthMSP", "GetDecision", "chaincode response 404, DECISION_UNKNOWN"),
        ("SouthMSP", "GetDecision", "chaincode response 404, DECISION_UNKNOWN"),
        ("SouthMSP", "GetDisclosure", "chaincode response 403, ROLE_NOT_ALLOWED"),
    ]);
    let (client, key) = (consortium.client(&daemon), KemKey::generate().unwrap());
    let (ask, folder) = (consortium.ask(decision, record), consortium.downloads("south"));
    let released = consortium.reader.release(&client, &msp("NorthMSP"), &ask, &key, &folder).await.unwrap();
    assert_eq!(released.opened.document_bytes, 3);
    assert!(consortium.gateway.failed_all_evaluations());
    daemon.stop().await;
}
