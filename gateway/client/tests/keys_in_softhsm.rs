//! Keys in SoftHSM, a PKCS#11 token in software: `make test-pkcs11`.
//!
//! The module is found in Debian's and other distributions' places, or named by `SOFTHSM2_MODULE`. SoftHSM reads where its
//! tokens lie from its environment when it is loaded, so this program runs itself again with a folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use hlf_gateway::{
    Credentials, Deadlines, Endpoint, Gateway, Hsm, HsmError, HsmKey, Identity, KeyKind, Signer as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};

const TOKENS: &str = "SOFTHSM2_CONF";
const MODULES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

fn main() {
    let module = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    let module = module.or_else(|| MODULES.iter().map(PathBuf::from).find(|path| path.is_file())).expect(
        "this test needs SoftHSM: `apt-get install softhsm2`, or name its library in SOFTHSM2_MODULE",
    );
    if std::env::args().any(|argument| argument == "--list") {
        println!("keys_in_softhsm: test");
        return;
    }
    if std::env::var_os("IN_A_FOLDER_OF_ITS_OWN").is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(keys_of_every_kind_stay_in_the_token_and_sign(&module));
        println!("test keys_of_every_kind_stay_in_the_token_and_sign ... ok");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(&configuration, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .env(TOKENS, &configuration)
        .env("IN_A_FOLDER_OF_ITS_OWN", "yes")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// The public key of a pair in the token.
struct InToken {
    public: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for InToken {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// Makes a token with a key pair of each kind, which can't leave it; gives the public keys.
fn token(module: &Path) -> Vec<(KeyKind, InToken)> {
    let pkcs11 = Pkcs11::new(module).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_all_slots().unwrap()[0];
    let officer = AuthPin::new("officer".into());
    pkcs11.init_token(slot, &officer, "north").unwrap();
    // SoftHSM gives an initialised token a new slot.
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&officer)).unwrap();
    session.init_pin(&AuthPin::new("1234".into())).unwrap();
    session.logout().unwrap();
    session.login(UserType::User, Some(&AuthPin::new("1234".into()))).unwrap();
    [
        (KeyKind::P256, &PKCS_ECDSA_P256_SHA256, &b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"[..]),
        (KeyKind::P384, &PKCS_ECDSA_P384_SHA384, &b"\x06\x05\x2b\x81\x04\x00\x22"[..]),
        (KeyKind::Ed25519, &PKCS_ED25519, &b"\x06\x03\x2b\x65\x70"[..]),
    ]
    .into_iter()
    .map(|(kind, algorithm, curve)| {
        let label = kind.to_string();
        let public = [
            Attribute::Token(true),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
            Attribute::Id(label.clone().into_bytes()),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Id(label.clone().into_bytes()),
            Attribute::Label(label.into_bytes()),
        ];
        let mechanism = match kind {
            KeyKind::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
            _ => Mechanism::EccKeyPairGen,
        };
        let (pair, _) = session.generate_key_pair(&mechanism, &public, &private).unwrap();
        let attributes = session.get_attributes(pair, &[AttributeType::EcPoint]).unwrap();
        let Attribute::EcPoint(point) = &attributes[0] else { panic!("{attributes:?}") };
        // An OCTET STRING in DER of less than 128 bytes.
        assert_eq!((point[0], usize::from(point[1])), (4, point.len() - 2));
        (kind, InToken { public: point[2..].to_vec(), algorithm })
    })
    .collect()
}

async fn keys_of_every_kind_stay_in_the_token_and_sign(module: &Path) {
    let keys = token(module);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    // The process has initialised the module already.
    let hsm = Hsm::load(module).unwrap();
    let endpoint = Endpoint::plaintext("localhost:1");
    for (kind, key) in &keys {
        let certificate_pem = CertificateParams::new(Vec::new()).unwrap().signed_by(key, &ca).unwrap().pem();
        assert_eq!(KeyKind::of_certificate(&certificate_pem), Some(*kind));
        let identity = Identity { msp_id: "NorthMSP".into(), certificate_pem };
        let label = kind.to_string();
        for found in [HsmKey::Label(&label), HsmKey::Id(label.as_bytes())] {
            let signer = hsm.signer("north", "1234", found).unwrap();
            assert_eq!(signer.kind(), *kind);
            let credentials = Credentials::new(identity.clone(), signer);
            let gateway = Gateway::connect_lazy(&endpoint, credentials, Deadlines::default()).unwrap();
            for _ in 0..8 {
                let proposal = gateway.contract("main", "assets").proposal("Move").build().unwrap();
                let signature = proposal.signed().await.unwrap().signature;
                assert_eq!(kind.canonical(&signature).as_ref(), Some(&signature), "{kind}: low S, in DER");
                // Which is checked as a peer would check it.
                proposal.with_signature(&signature).unwrap();
            }
        }
    }

    let signer = hsm.signer("north", "1234", HsmKey::Label("P-256")).unwrap();
    let signed = (0..16_u8).map(|n| signer.sign(std::slice::from_ref(&BYTES[usize::from(n)])));
    for signature in futures_util::future::join_all(signed).await {
        signature.unwrap();
    }

    let refused = |token: &str, key| hsm.signer(token, "1234", key).unwrap_err();
    let error = refused("south", HsmKey::Label("P-256"));
    assert!(
        matches!(&error, HsmError::NoToken { present, .. } if present.contains(&"north".to_owned())),
        "{error}"
    );
    assert!(matches!(refused("north", HsmKey::Label("nothing")), HsmError::NoKey { .. }));
    let error = Hsm::load("/nowhere/module.so").unwrap_err();
    assert!(matches!(&error, HsmError::Module { .. }), "{error}");
    drop(signer);
}

const BYTES: [u8; 16] = *b"0123456789abcdef";
