//! TLS, addresses and mutual authentication.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hlf_gateway::protos::common::{ChannelHeader, Payload, Status};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::DeliverResponse;
use hlf_gateway::protos::protos::deliver_response::Type as Delivered;
use hlf_gateway::{BlockRange, Code, ConnectError, Deadlines, Endpoint, Gateway};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpSocket};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::scripted::{Answer, Script, ScriptedPeer, chain, credentials};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM for a host.
fn issue(authority: &Authority, host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

async fn tls_peer(authority: &Authority, host: &str, script: Script) -> ScriptedPeer {
    let (certificate, key) = issue(authority, host);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    ScriptedPeer::start_with_tls(script, Some(tls)).await
}

async fn connect(endpoint: &Endpoint) -> Result<Gateway, ConnectError> {
    Gateway::connect(endpoint, credentials(), Deadlines::default()).await
}

#[tokio::test]
async fn a_peer_of_the_trusted_authority_is_connected_to() {
    let authority = authority();
    let peer = tls_peer(&authority, "peer0.north.example.com", Script::default()).await;
    // Other authorities before and after it do no harm.
    let roots = format!("{}{}{}", self::authority().pem(), authority.pem(), self::authority().pem());
    let endpoint = Endpoint::tls(peer.address.to_string(), roots).host_override("peer0.north.example.com");
    connect(&endpoint).await.unwrap();
}

#[tokio::test]
async fn a_peer_of_another_authority_is_not_trusted() {
    let peer = tls_peer(&authority(), "peer0.north.example.com", Script::default()).await;
    let endpoint =
        Endpoint::tls(peer.address.to_string(), authority().pem()).host_override("peer0.north.example.com");
    let error = connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ConnectError::Untrusted { .. }), "{}", chain(&error));
    assert!(chain(&error).contains("TLS authority"), "{}", chain(&error));
}

#[tokio::test]
async fn a_peer_of_another_name_is_not_trusted() {
    let authority = authority();
    let peer = tls_peer(&authority, "peer0.south.example.com", Script::default()).await;
    let endpoint =
        Endpoint::tls(peer.address.to_string(), authority.pem()).host_override("peer0.north.example.com");
    let error = connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ConnectError::Untrusted { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn tls_is_not_given_up_for_a_peer_without_it() {
    let peer = ScriptedPeer::start(Script::default()).await;
    let endpoint = Endpoint::tls(peer.address.to_string(), authority().pem());
    connect(&endpoint).await.unwrap_err();
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    // It keeps its port, and listens to nobody.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let error = connect(&Endpoint::plaintext(address.clone())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{}", chain(&error));
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_peer_that_never_finishes_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let deadlines = Deadlines { connect: Duration::from_millis(200), ..Deadlines::default() };
    let endpoint = Endpoint::tls(address, authority().pem());
    let error = Gateway::connect(&endpoint, credentials(), deadlines).await.unwrap_err();
    assert!(matches!(error, ConnectError::Deadline { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn unusable_settings_are_refused_before_anything_is_sent() {
    for address in
        ["", "peer0", "peer0:", ":7051", "peer0:0", "peer0:70510", "https://peer0:7051", "user@peer0:7051"]
    {
        let error = connect(&Endpoint::plaintext(address)).await.unwrap_err();
        assert!(matches!(error, ConnectError::BadAddress { .. }), "{address}: {}", chain(&error));
    }
    let error = connect(&Endpoint::tls("localhost:7051", "no PEM")).await.unwrap_err();
    assert!(matches!(error, ConnectError::BadTls { .. }), "{}", chain(&error));
    let (certificate, _) = issue(&authority(), "client");
    let endpoint = Endpoint::tls("localhost:7051", authority().pem()).client_tls(certificate, "no key");
    let error = connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ConnectError::BadTls { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn under_mutual_tls_a_block_stream_is_bound_to_the_clients_certificate() {
    let authority = authority();
    let (server_certificate, server_key) = issue(&authority, "peer0.north.example.com");
    let (client_certificate, client_key) = issue(&authority, "client");
    let hashes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&hashes);
    let script = Script {
        deliver: Box::new(move |(envelope, _)| {
            let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
            let header = ChannelHeader::decode(payload.header.unwrap().channel_header.as_slice()).unwrap();
            seen.lock().unwrap().push(header.tls_cert_hash);
            Answer::Reply(vec![DeliverResponse { r#type: Some(Delivered::Status(Status::Success.into())) }])
        }),
        ..Script::default()
    };
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server_certificate, server_key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let peer = ScriptedPeer::start_with_tls(script, Some(tls)).await;
    let endpoint =
        Endpoint::tls(peer.address.to_string(), authority.pem()).host_override("peer0.north.example.com");
    let endpoint = endpoint.client_tls(client_certificate.clone(), client_key);
    assert!(!format!("{endpoint:?}").contains("PRIVATE"), "keys stay out of logs");

    let gateway = connect(&endpoint).await.unwrap();
    let mut blocks = gateway.blocks("main", BlockRange::newest()).await.unwrap();
    assert_eq!(blocks.next().await.unwrap(), None);

    // Without one, nothing is answered, whatever the peer's end of the handshake looks like from here.
    let bare =
        Endpoint::tls(peer.address.to_string(), authority.pem()).host_override("peer0.north.example.com");
    let lazy = Gateway::connect_lazy(&bare, credentials(), Deadlines::default()).unwrap();
    let proposal = lazy.contract("main", "assets").proposal("Read").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code(), Code::Unavailable, "{}", chain(&error));

    let (_, block) = x509_parser::pem::parse_x509_pem(client_certificate.as_bytes()).unwrap();
    assert_eq!(*hashes.lock().unwrap(), [Sha256::digest(&block.contents).to_vec()]);
}
