//! Two hospitals on one channel, with the daemon of the first.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caretrail_contract::{Admission, contract};
use caretrail_model::calls::{ApprovePolicy, AuthorizePractitioner, GrantConsent, ProposePolicy};
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::hash::sha256;
use caretrail_model::ids::{MspId, PatientId, RecordId, RequestId, StatementId, TxId};
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, EPOCH, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::Grant;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::document::Document;
use caretrail_records::hospital::HospitalStore;
use caretrail_records::patient_key::PatientKey;
use caretrail_records::release::{ReleaseAsk, ReleaseClient};
use caretrail_records::storage_key::StorageKey;
use caretrail_records::vault::FolderVault;
use caretrail_records::{Custody, LedgerName, Records};
use caretrail_server::{Config, Drained, Limits, Server};
use hlf_chaincode::Service;
use hlf_gateway::{Credentials, Deadlines, Endpoint, Gateway, Identity, KeySigner};
use hlf_testpeer::TestPeer;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gateway::InMemoryGateway;

pub(crate) const CHANNEL: &str = "records";
pub(crate) const CHAINCODE: &str = "caretrail";

/// Everything that a test needs; it stops with the test's runtime.
pub(crate) struct Consortium {
    policy: ConsortiumPolicy,
    pub(crate) folder: TempDir,
    pub(crate) gateway: InMemoryGateway,
    peer_address: SocketAddr,
    north_tls: CertifiedIssuer<'static, KeyPair>,
    south_tls: CertifiedIssuer<'static, KeyPair>,
    pub(crate) custody: Custody,
    pub(crate) vault: FolderVault,
    pub(crate) patient_key: PatientKey,
    pub(crate) patient: PatientId,
    pub(crate) clinician: Records,
    pub(crate) reader: Records,
    pub(crate) south_service: Records,
}

/// A daemon that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap()
    }
}

pub(crate) fn ledger() -> LedgerName {
    LedgerName { channel: CHANNEL.parse().unwrap(), chaincode: CHAINCODE.parse().unwrap() }
}

pub(crate) fn msp(name: &str) -> MspId {
    name.parse().unwrap()
}

pub(crate) fn now() -> UnixMs {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs::new(elapsed.as_millis() as u64).unwrap()
}

pub(crate) fn soon() -> UnixMs {
    now().plus(DurationMs::from_secs(600))
}

/// Waits until a condition holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let polling = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !holds().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), polling).await.expect("the condition holds in time");
}

impl Consortium {
    /// North and South, their policy in force, a clinician of each authorised, and a patient at North.
    pub(crate) async fn new() -> Self {
        let admission = Admission::system(DurationMs::from_secs(120));
        let service =
            Service::new(hlf_chaincode::Config::for_tests("caretrail:1"), contract(admission).unwrap());
        let listening = service.bind().await.unwrap();
        let chaincode_address = listening.local_address();
        tokio::spawn(listening.serve(std::future::pending()));
        let peer = TestPeer::builder()
            .channel(CHANNEL)
            .chaincode(CHAINCODE)
            .run_twice()
            .connect(chaincode_address)
            .await
            .unwrap();
        let (gateway, peer_address) = InMemoryGateway::serve(peer).await;

        let (north_tls, south_tls) =
            (authority("tlsca.north.example.com"), authority("tlsca.south.example.com"));
        let folder = tempfile::tempdir().unwrap();
        let vault = FolderVault::open(folder.path().join("vault")).unwrap();
        let storage_key = StorageKey::load_or_create(&folder.path().join("storage.key")).unwrap();
        let store =
            HospitalStore::open(&folder.path().join("hospital.sqlite"), storage_key, &ledger()).unwrap();
        let custody = Custody::new(vault.clone(), store);
        let patient_key = PatientKey::generate(&folder.path().join("patient.key")).unwrap();

        let actor = |msp_id, role| actor(peer_address, msp_id, role);
        let (north_admin, south_admin) =
            (actor("NorthMSP", Role::Admin).await, actor("SouthMSP", Role::Admin).await);
        let policy = policy(&north_tls, &south_tls);
        let text = serde_json::to_string(&policy).unwrap();
        let digest = north_admin.submit(&ProposePolicy { policy: text }).await.unwrap().reply.digest;
        north_admin.submit(&ApprovePolicy { digest }).await.unwrap();
        assert!(south_admin.submit(&ApprovePolicy { digest }).await.unwrap().reply.in_force);

        let clinician = actor("NorthMSP", Role::Clinician).await;
        let reader = actor("SouthMSP", Role::Clinician).await;
        for (admin, practitioner) in [(&north_admin, &clinician), (&south_admin, &reader)] {
            authorize(admin, practitioner).await;
        }
        let registration = patient_key.register(&ledger(), &msp("NorthMSP"), soon()).unwrap();
        clinician.register_patient(&custody, "MRN-0042", &registration).await.unwrap();
        Self {
            policy,
            patient: registration.patient,
            south_service: actor("SouthMSP", Role::Service).await,
            folder,
            gateway,
            peer_address,
            north_tls,
            south_tls,
            custody,
            vault,
            patient_key,
            clinician,
            reader,
        }
    }

    pub(crate) async fn actor(&self, msp_id: &str, role: Role) -> Records {
        actor(self.peer_address, msp_id, role).await
    }

    /// Puts another policy in force: the second.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut ConsortiumPolicy)) {
        self.change_by(["NorthMSP", "SouthMSP"], 2, change).await;
    }

    /// Puts another policy in force, which differs from the first by a change, as the two members of the policy
    /// before it want.
    pub(crate) async fn change_by(
        &self,
        members: [&str; 2],
        sequence: u64,
        change: impl FnOnce(&mut ConsortiumPolicy),
    ) {
        let mut policy = ConsortiumPolicy { sequence, ..self.policy.clone() };
        change(&mut policy);
        let (first, second) =
            (self.actor(members[0], Role::Admin).await, self.actor(members[1], Role::Admin).await);
        let call = ProposePolicy { policy: serde_json::to_string(&policy).unwrap() };
        let digest = first.submit(&call).await.unwrap().reply.digest;
        first.submit(&ApprovePolicy { digest }).await.unwrap();
        assert!(second.submit(&ApprovePolicy { digest }).await.unwrap().reply.in_force);
    }

    /// Starts North's daemon.
    pub(crate) async fn daemon(&self) -> Running {
        self.daemon_with(self.config()).await
    }

    pub(crate) async fn daemon_with(&self, config: Config) -> Running {
        let service = self.actor("NorthMSP", Role::Service).await;
        let server = Server::bind(config, service, self.custody.clone()).await.unwrap();
        let (address, health) = (server.local_address().unwrap(), server.health_address().unwrap().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            server
                .run(async {
                    let _ = stopped.await;
                })
                .await
        });
        Running { address, health, stop, serving }
    }

    pub(crate) fn config(&self) -> Config {
        self.config_with(issued(&self.north_tls, "localhost"))
    }

    /// A daemon whose certificate names another host than the policy.
    pub(crate) fn config_of_another_host(&self) -> Config {
        self.config_with(issued(&self.north_tls, "north.example.com"))
    }

    /// A daemon whose key is another certificate's.
    pub(crate) fn config_with_another_key(&self) -> Config {
        let ((certificate, _), (_, key)) =
            (issued(&self.north_tls, "localhost"), issued(&self.north_tls, "localhost"));
        self.config_with((certificate, key))
    }

    /// A daemon whose certificate is of another hospital's authority.
    pub(crate) fn config_of_another_authority(&self) -> Config {
        self.config_with(issued(&self.south_tls, "localhost"))
    }

    fn config_with(&self, (certificate, key): (String, String)) -> Config {
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            health_listen: Some("127.0.0.1:0".parse().unwrap()),
            certificate: self.write("daemon.crt", &certificate),
            key: self.write("daemon.key", &key),
            authorities: vec![
                self.write("north.crt", &self.north_tls.pem()),
                self.write("south.crt", &self.south_tls.pem()),
            ],
            limits: Limits {
                decision_wait: Duration::from_millis(100),
                policy_refresh: Duration::from_millis(50),
                drain: Duration::from_secs(5),
                ..Limits::default()
            },
        }
    }

    /// A connection to North's daemon with South's TLS certificate.
    pub(crate) fn client(&self, daemon: &Running) -> ReleaseClient {
        self.client_of(&self.south_tls, daemon)
    }

    /// A connection to North's daemon with North's own.
    pub(crate) fn client_of_north(&self, daemon: &Running) -> ReleaseClient {
        self.client_of(&self.north_tls, daemon)
    }

    /// A connection with a certificate of an authority that is no member's.
    pub(crate) fn client_of_nobody(&self, daemon: &Running) -> ReleaseClient {
        self.client_of(&authority("tlsca.east.example.com"), daemon)
    }

    fn client_of(&self, authority: &CertifiedIssuer<'static, KeyPair>, daemon: &Running) -> ReleaseClient {
        self.client_at(authority, daemon.address.port())
    }

    /// A connection with South's certificate to whatever listens on a port in North's name.
    pub(crate) fn client_to(&self, port: u16) -> ReleaseClient {
        self.client_at(&self.south_tls, port)
    }

    fn client_at(&self, authority: &CertifiedIssuer<'static, KeyPair>, port: u16) -> ReleaseClient {
        let (certificate, key) = issued(authority, "client");
        ReleaseClient::new(&self.found_at(port), &self.authorities(), &certificate, &key).unwrap()
    }

    fn found_at(&self, port: u16) -> Daemon {
        Daemon { url: format!("https://localhost:{port}"), tls_ca_digest: sha256(self.north_tls.der()) }
    }

    /// Both hospitals' TLS authorities.
    pub(crate) fn authorities(&self) -> String {
        self.north_tls.pem() + &self.south_tls.pem()
    }

    /// A bare HTTP client with a certificate of South's, for what no client of ours would send.
    pub(crate) fn http(&self) -> reqwest::Client {
        self.http_of(&self.south_tls)
    }

    /// The same with a certificate of North's.
    pub(crate) fn http_of_north(&self) -> reqwest::Client {
        self.http_of(&self.north_tls)
    }

    fn http_of(&self, authority: &CertifiedIssuer<'static, KeyPair>) -> reqwest::Client {
        let tls = self.tls_of(authority);
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    /// A bare TLS connection with a certificate of South's, whose side takes in few bytes at once.
    pub(crate) async fn tls_stream(&self, daemon: &Running) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.tls_of(&self.south_tls)));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(daemon.address).await.unwrap();
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }

    fn tls_of(&self, authority: &CertifiedIssuer<'static, KeyPair>) -> rustls::ClientConfig {
        let (certificate, key) = issued(authority, "client");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.north_tls.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap()
    }

    /// TLS of somebody who has a certificate in North's name.
    pub(crate) fn tls_of_north(&self) -> rustls::ServerConfig {
        let (certificate, key) = issued(&self.north_tls, "localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap()
    }

    /// Adds a record at North.
    pub(crate) async fn record(&self, content: &[u8]) -> RecordId {
        let document = document(content);
        self.clinician.add_record(&self.custody, self.patient, document).await.unwrap().reply.record
    }

    /// Lets the patient permit South's clinician to read everything, until an instant.
    pub(crate) async fn consent(&self, until: UnixMs) -> StatementId {
        let reader = self.reader.actor();
        let provision = Provision {
            effect: Effect::Permit,
            grantee: Grantee::Person { msp_id: reader.msp_id.clone(), subject: reader.subject },
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            scope: Scope::All {},
            period: Period { from: now(), until },
            exceptions: vec![],
        };
        let grant = Grant { provision, supersedes: None };
        let signed = self.patient_key.grant(&ledger(), self.patient, grant, soon()).unwrap();
        self.south_service.submit(&GrantConsent { signed }).await.unwrap().reply.consent
    }

    /// South's clinician asks for access: the decision's transaction, and whether it permits.
    pub(crate) async fn request(&self, record: RecordId) -> (TxId, Effect) {
        self.request_as(&self.reader, record).await
    }

    pub(crate) async fn request_as(&self, actor: &Records, record: RecordId) -> (TxId, Effect) {
        let request: RequestId = Records::fresh_request_id().unwrap();
        let (action, purpose) = (Action::Read, Purpose::Treat);
        let decided =
            actor.request_access(request, self.patient, vec![record], action, purpose).await.unwrap();
        (decided.reply.decision, decided.reply.decisions[0].effect)
    }

    pub(crate) fn ask(&self, decision: TxId, record: RecordId) -> ReleaseAsk {
        ReleaseAsk { decision, patient: self.patient, record }
    }

    /// A folder that is empty at first.
    pub(crate) fn downloads(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub(crate) fn document(content: &[u8]) -> Document {
    Document::from_bytes(content.to_vec(), "application/fhir+json".parse().unwrap()).unwrap()
}

pub(crate) fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

pub(crate) async fn authorize(admin: &Records, practitioner: &Records) {
    let call = AuthorizePractitioner {
        subject: practitioner.actor().subject,
        role: practitioner.role(),
        purposes: vec![Purpose::Treat],
        until: now().plus(DurationMs::from_days(30)),
    };
    admin.submit(&call).await.unwrap();
}

async fn actor(peer: SocketAddr, msp_id: &str, role: Role) -> Records {
    let subject = hex::encode(Records::fresh_request_id().unwrap().as_bytes());
    let attributes = format!(r#"{{"attrs":{{"caretrail.role":"{role}","caretrail.subject":"{subject}"}}}}"#);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 2, 3, 4, 5, 6, 7, 8, 1], attributes.into_bytes())];
    let certificate_pem = params.self_signed(&key).unwrap().pem();
    let identity = Identity { msp_id: msp_id.to_owned(), certificate_pem };
    let credentials = Credentials::new(identity, KeySigner::from_pem(&key.serialize_pem()).unwrap());
    let deadlines = Deadlines { lost_submit: Duration::from_millis(200), ..Deadlines::default() };
    let endpoint = Endpoint::plaintext(format!("127.0.0.1:{}", peer.port()));
    let gateway = Gateway::connect(&endpoint, credentials, deadlines).await.unwrap();
    Records::new(&gateway, ledger()).unwrap()
}

fn policy(
    north_tls: &CertifiedIssuer<'static, KeyPair>,
    south_tls: &CertifiedIssuer<'static, KeyPair>,
) -> ConsortiumPolicy {
    let member = |msp_id, port, authority: &CertifiedIssuer<'static, KeyPair>| Member {
        msp_id: msp(msp_id),
        daemon: Daemon { url: format!("https://localhost:{port}"), tls_ca_digest: sha256(authority.der()) },
    };
    ConsortiumPolicy {
        sequence: 1,
        channel: CHANNEL.parse().unwrap(),
        chaincode: CHAINCODE.parse().unwrap(),
        epoch: EPOCH,
        members: vec![member("NorthMSP", 7443, north_tls), member("SouthMSP", 7444, south_tls)],
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write, Action::Delegate],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }],
        durations: Durations {
            permit_ms: DurationMs::from_secs(300),
            statement_ms_max: DurationMs::from_days(1),
            consent_ms_max: DurationMs::from_days(366),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms::WIDEST),
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    CertifiedIssuer::self_signed(params, key).unwrap()
}

/// A certificate and key in PEM.
fn issued(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}
