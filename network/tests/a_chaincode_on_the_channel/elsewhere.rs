//! Certificates that an authority elsewhere makes of requests: here `openssl` is that authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hlf_network::change::{Edit, Proposal};
use hlf_network::network::{CertificatesError, Network, Options, RequestKey, UnfitError, Use};
use x509_parser::pem::parse_x509_pem;

use crate::bench::{say, told};
use crate::shelf::{has, put, ready};

/// A root and an authority below it, as files of `openssl`.
struct Elsewhere {
    folder: PathBuf,
}

impl Elsewhere {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let it = Self { folder };
        let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
        fs::write(it.at("ca.ext"), format!("{ca}authorityKeyIdentifier=keyid\n")).unwrap();
        let leaf = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
        fs::write(it.at("leaf.ext"), leaf).unwrap();
        for name in ["root", "lower", "stranger"] {
            it.run(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &format!("{name}.key")]);
            it.run(&[
                "req",
                "-new",
                "-key",
                &format!("{name}.key"),
                "-subj",
                &format!("/O=Elsewhere/CN={name}"),
                "-out",
                &format!("{name}.csr"),
            ]);
        }
        for name in ["root", "stranger"] {
            let (csr, key, out) = (format!("{name}.csr"), format!("{name}.key"), format!("{name}.pem"));
            it.run(&[
                "x509", "-req", "-in", &csr, "-signkey", &key, "-days", "30", "-extfile", "ca.ext", "-out",
                &out,
            ]);
        }
        it.run(&[
            "x509",
            "-req",
            "-in",
            "lower.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            "ca.ext",
            "-out",
            "lower.pem",
        ]);
        it
    }

    fn at(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.at(file)).unwrap()
    }

    fn run(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(&self.folder).output();
        let done = done.expect("openssl must be installed: it is the authority elsewhere");
        assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Signs a request by one of the authorities.
    fn sign(&self, request: &str, authority: &str, more: &[&str]) -> String {
        fs::write(self.at("its.csr"), request).unwrap();
        self.run(&["req", "-in", "its.csr", "-verify", "-noout"]);
        let (ca, key) = (format!("{authority}.pem"), format!("{authority}.key"));
        let mut arguments = vec![
            "x509",
            "-req",
            "-in",
            "its.csr",
            "-CA",
            &ca,
            "-CAkey",
            &key,
            "-CAcreateserial",
            "-out",
            "its.pem",
            "-extfile",
            "leaf.ext",
            "-sha256",
        ];
        arguments.extend_from_slice(more);
        self.run(&arguments);
        self.read("its.pem")
    }
}

const AS_ASKED: &[&str] = &["-days", "20", "-copy_extensions", "copy"];

async fn change(network: &Network, title: &str, edits: &[Edit]) {
    let present = network.channel_config().await.unwrap();
    let mut proposal =
        Proposal::new(&present, title, edits).unwrap_or_else(|error| panic!("{}", told(&error)));
    let admin = network.admin_credentials(network.spec().organization("south").unwrap()).unwrap();
    proposal.sign(&present, &admin).await.unwrap();
    if let Err(error) = network.submit_change(&proposal, &admin, &say).await {
        panic!("{}", told(&error));
    }
}

fn issuer(certificate: &Path) -> String {
    let bytes = fs::read(certificate).unwrap();
    let (_, pem) = parse_x509_pem(&bytes).unwrap();
    pem.parse_x509().unwrap().issuer().to_string()
}

/// A user and a peer of South get certificates of an authority elsewhere; what does not fit is refused.
pub(crate) async fn certificates_come_from_elsewhere(network: &Network, options: &Options, folder: &Path) {
    let elsewhere = Elsewhere::new(folder.join("elsewhere"));
    let south = network.layout().organization(network.spec().organization("south").unwrap());
    let user = south.join("users/User1@south.example.com/msp/signcerts/User1@south.example.com-cert.pem");
    let before = fs::read(&user).unwrap();
    let who = "User1@south.example.com";
    let request = network.request_certificate(who, Use::Identity, &RequestKey::New).unwrap();
    assert_eq!(
        network.request_certificate(who, Use::Identity, &RequestKey::New).unwrap().lines().nth(1),
        request.lines().nth(1)
    );
    let refused = async |who: &str, of: Use, pem: &str| match network
        .import_certificate(who, of, pem, options, &say)
        .await
    {
        Err(CertificatesError::Import(error)) => error,
        other => panic!("{other:?}"),
    };
    let lower = elsewhere.sign(&request, "lower", AS_ASKED);
    let unknown = refused(who, Use::Identity, &lower).await;
    assert!(matches!(unknown, UnfitError::Chain { .. }), "the channel knows no such authority: {unknown}");

    let authority = |file: &str, tls| Edit::AddAuthority {
        msp_id: "SouthMSP".to_owned(),
        certificate_pem: elsewhere.read(file),
        tls,
    };
    let all = [
        authority("root.pem", false),
        authority("lower.pem", false),
        authority("root.pem", true),
        authority("lower.pem", true),
    ];
    change(network, "an authority elsewhere", &all).await;
    let msp = network.channel_config().await.unwrap().msp("SouthMSP").unwrap();
    assert_eq!(
        (msp.root_certs.len(), msp.intermediate_certs.len()),
        (2, 1),
        "what another issued is an intermediate one"
    );

    // Each thing that may be wrong with it, and nothing is changed.
    let other =
        network.request_certificate("Admin@south.example.com", Use::Identity, &RequestKey::Same).unwrap();
    let tls = network.request_certificate(who, Use::Tls, &RequestKey::Same).unwrap();
    let peer_tls =
        network.request_certificate("peer0.south.example.com", Use::Tls, &RequestKey::New).unwrap();
    let sign = |request: &str, authority: &str, more: &[&str]| elsewhere.sign(request, authority, more);
    let error = refused(who, Use::Identity, &sign(&other, "lower", AS_ASKED)).await;
    assert!(matches!(error, UnfitError::OtherKey(_)), "{error}");
    let error = refused(who, Use::Identity, &sign(&tls, "lower", AS_ASKED)).await;
    assert!(matches!(error, UnfitError::OtherKey(_)), "{error}");
    let error = refused(who, Use::Identity, &sign(&request, "stranger", AS_ASKED)).await;
    assert!(matches!(error, UnfitError::Chain { .. }), "{error}");
    let error = refused(who, Use::Identity, &sign(&request, "root", AS_ASKED)).await;
    assert!(matches!(error, UnfitError::NotLowest(_)), "{error}");
    let error = refused(
        who,
        Use::Identity,
        &sign(&request, "lower", &["-days", "20", "-subj", "/OU=client/CN=somebody"]),
    )
    .await;
    assert!(matches!(error, UnfitError::CommonName { .. }), "{error}");
    let promoted = ["-days", "20", "-subj", "/OU=admin/CN=User1@south.example.com"];
    let error = refused(who, Use::Identity, &sign(&request, "lower", &promoted)).await;
    assert!(matches!(error, UnfitError::Role { .. }), "{error}");
    let error =
        refused(who, Use::Identity, &sign(&request, "lower", &["-days", "0", "-copy_extensions", "copy"]))
            .await;
    assert!(matches!(error, UnfitError::Time { .. }), "{error}");
    let error =
        refused("peer0.south.example.com", Use::Tls, &sign(&peer_tls, "lower", &["-days", "20"])).await;
    assert!(
        matches!(&error, UnfitError::Names(missing) if missing.contains("peer0.south.example.com")),
        "{error}"
    );
    for nonsense in ["", "nonsense", &request] {
        let error = refused(who, Use::Identity, nonsense).await;
        assert!(matches!(error, UnfitError::Unreadable(_)), "{error}");
    }
    assert_eq!(fs::read(&user).unwrap(), before);

    // What fits is taken, with the chain behind it, and used.
    let with_chain = format!("{lower}{}", elsewhere.read("lower.pem"));
    let imported = match network.import_certificate(who, Use::Identity, &with_chain, options, &say).await {
        Ok(imported) => imported,
        Err(error) => panic!("{}", told(&error)),
    };
    assert_eq!(imported.issuer, "lower");
    assert!((19..=20).contains(&imported.days), "whole days, of twenty: {}", imported.days);
    assert_eq!(issuer(&user), "O=Elsewhere, CN=lower");
    put(network, "south", "by one from elsewhere").await;
    has(network, "north", "by one from elsewhere").await;
    for of in [Use::Identity, Use::Tls] {
        let request = network.request_certificate("peer0.south.example.com", of, &RequestKey::New).unwrap();
        let signed = sign(&request, "lower", AS_ASKED);
        if let Err(error) =
            network.import_certificate("peer0.south.example.com", of, &signed, options, &say).await
        {
            panic!("{}", told(&error));
        }
    }
    assert_eq!(issuer(&south.join("peers/peer0.south.example.com/tls/server.crt")), "O=Elsewhere, CN=lower");
    put(network, "south", "by a peer from elsewhere").await;
    has(network, "north", "by a peer from elsewhere").await;
    ready(network).await;

    // One that the organisation's list has is not taken again.
    fs::write(elsewhere.at("index.txt"), "").unwrap();
    let configuration = "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ndefault_md=sha256\ncrlnumber=crlnumber\ndefault_crl_days=30\n\
                         crl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid\n";
    fs::write(elsewhere.at("ca.conf"), configuration).unwrap();
    fs::write(elsewhere.at("crlnumber"), "01\n").unwrap();
    fs::write(elsewhere.at("lost.pem"), &lower).unwrap();
    elsewhere.run(&[
        "ca",
        "-config",
        "ca.conf",
        "-cert",
        "lower.pem",
        "-keyfile",
        "lower.key",
        "-revoke",
        "lost.pem",
    ]);
    elsewhere.run(&[
        "ca",
        "-config",
        "ca.conf",
        "-cert",
        "lower.pem",
        "-keyfile",
        "lower.key",
        "-gencrl",
        "-out",
        "list.pem",
    ]);
    let list = Edit::Revocations { msp_id: "SouthMSP".to_owned(), list_pem: elsewhere.read("list.pem") };
    change(network, "one is lost", &[list]).await;
    let error = refused(who, Use::Identity, &lower).await;
    assert!(matches!(error, UnfitError::Revoked), "{error}");
    let request = network.request_certificate(who, Use::Identity, &RequestKey::New).unwrap();
    let signed = sign(&request, "lower", AS_ASKED);
    network.import_certificate(who, Use::Identity, &signed, options, &say).await.unwrap();
    put(network, "south", "by its successor").await;
}
