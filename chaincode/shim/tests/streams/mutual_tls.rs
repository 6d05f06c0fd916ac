//! TLS both ways, and configurations that are refused.

use hlf_chaincode::{Config, ConfigError, ServeError, Service, Tls, env};
use hlf_testpeer::{Proposal, TestPeer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::support::{Running, clerk, shop};

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

pub(crate) fn tls((certificate, key): &(String, String), clients: &Ca) -> Tls {
    Tls {
        certificate_pem: certificate.clone().into_bytes(),
        key_pem: key.clone().into_bytes(),
        client_ca_pem: Some(clients.pem().into_bytes()),
        files: None,
    }
}

fn endpoint(service: &Running, config: ClientTlsConfig) -> Endpoint {
    Endpoint::from_shared(format!("https://{}", service.address))
        .unwrap()
        .tls_config(config.domain_name("localhost"))
        .unwrap()
}

/// TLS 1.3 tells a client that it was refused only once it reads: so the stream decides, not the handshake.
async fn connects(channel: Result<Channel, tonic::transport::Error>) -> bool {
    match channel {
        Ok(channel) => TestPeer::builder().connect_over(channel).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn only_peers_with_a_certificate_of_the_right_authority_connect() {
    let (ca, other) = (Ca::new(), Ca::new());
    let config = Config { tls: Some(tls(&ca.issue("localhost"), &ca)), ..Config::for_tests("shop:1") };
    let service = Running::with(config, shop()).await;

    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca.pem()));
    let presenting =
        |(certificate, key): (String, String)| trusting().identity(Identity::from_pem(certificate, key));
    let channel = endpoint(&service, presenting(ca.issue("peer"))).connect().await.unwrap();
    let peer = TestPeer::builder().connect_over(channel).await.unwrap();
    assert!(peer.invoke(&Proposal::new(clerk(), "Facts")).await.unwrap().is_ok());

    assert!(!connects(endpoint(&service, trusting()).connect().await).await, "no certificate");
    assert!(
        !connects(endpoint(&service, presenting(other.issue("peer"))).connect().await).await,
        "a foreign one"
    );
    let distrusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(other.pem()));
    assert!(!connects(endpoint(&service, distrusting).connect().await).await, "a service it does not trust");
    assert!(TestPeer::builder().connect(service.address).await.is_err(), "no TLS");
    assert!(peer.invoke(&Proposal::new(clerk(), "Facts")).await.unwrap().is_ok(), "the first one goes on");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_before_a_port_is_bound() {
    let ca = Ca::new();
    let (certificate, _) = ca.issue("localhost");
    let (_, key) = ca.issue("localhost");
    // An address that could not be bound: TLS is checked first.
    let config = Config {
        address: "256.0.0.1:1".to_owned(),
        tls: Some(tls(&(certificate, key), &ca)),
        ..Config::for_tests("shop:1")
    };
    let refused = Service::new(config, shop()).bind().await.expect_err("the key does not fit");
    assert!(matches!(refused, ServeError::Tls(_)), "{refused:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Running::start(shop()).await;
    let config = Config { address: first.address.to_string(), ..Config::for_tests("shop:1") };
    let refused = Service::new(config, shop()).bind().await.expect_err("the port is taken");
    assert!(refused.to_string().contains(&first.address.to_string()), "{refused}");
}

#[test]
fn the_environment_is_read_into_a_configuration_or_an_error_that_names_key_value_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let (certificate, key) = ca.issue("localhost");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key, ca) =
        (file("cert.pem", &certificate), file("key.pem", &key), file("ca.pem", &ca.pem()));
    let whole = [
        (env::CHAINCODE_ID, "shop:7f"),
        (env::CHAINCODE_SERVER_ADDRESS, "0.0.0.0:9999"),
        (env::CHAINCODE_TLS_KEY, &key),
        (env::CHAINCODE_TLS_CERT, &certificate),
        (env::CHAINCODE_CLIENT_CA_CERT, &ca),
    ];
    let read = |changes: &[(&str, &str)]| {
        Config::from_lookup(|asked| {
            let of = |pairs: &[(&str, &str)]| {
                pairs.iter().find(|(key, _)| *key == asked).map(|(_, value)| (*value).to_owned())
            };
            of(changes).or_else(|| of(&whole))
        })
    };
    let config = read(&[]).unwrap();
    assert_eq!(
        (config.package_id.as_str(), config.address.as_str(), config.strict),
        ("shop:7f", "0.0.0.0:9999", false)
    );
    assert!(config.tls.as_ref().unwrap().client_ca_pem.is_some());
    assert_eq!(format!("{:?}", config.tls.unwrap()), "Tls { mutual: true, .. }", "no key in a log");
    assert!(read(&[(env::CHAINCODE_CLIENT_CA_CERT, "")]).unwrap().tls.unwrap().client_ca_pem.is_none());
    assert!(
        read(&[(env::CHAINCODE_TLS_DISABLED, "true"), (env::CHAINCODE_TLS_KEY, "")]).unwrap().tls.is_none()
    );

    for missing in
        [env::CHAINCODE_ID, env::CHAINCODE_SERVER_ADDRESS, env::CHAINCODE_TLS_KEY, env::CHAINCODE_TLS_CERT]
    {
        let error = read(&[(missing, "")]).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { key, .. } if key == missing), "{error}");
        assert!(error.to_string().contains("set it to"), "{error}");
    }
    for address in ["9999", ":9999", "host:", "host:65536", "host:-1"] {
        let error = read(&[(env::CHAINCODE_SERVER_ADDRESS, address)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`CHAINCODE_SERVER_ADDRESS` is `{address}`")), "{error}");
    }
    assert!(matches!(read(&[(env::CHAINCODE_TLS_DISABLED, "yes")]), Err(ConfigError::Invalid { .. })));
    assert!(matches!(read(&[(env::CHAINCODE_TLS_KEY, "/absent")]), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(
        read(&[(env::CHAINCODE_TLS_KEY, &certificate)]),
        Err(ConfigError::NotPem { key: env::CHAINCODE_TLS_KEY, block: "PRIVATE KEY", .. })
    ));
}
