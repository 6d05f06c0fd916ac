//! An organisation whose certificates come from a Fabric CA, beside one with a development CA.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hlf_gateway::MspFolder;
use hlf_network::Event;
use hlf_network::fabric_ca::{
    Enrollment, FabricCa, FabricCaError, Identity, KeyAndRequest, Registration, Revocation, Secret,
};
use hlf_network::network::{
    AuthorityPart, AuthorityRenewal, CertificateKind, CertificatesError, Network, NodeKind, Options, Renewal,
    RenewedKeys,
};
use hlf_network::spec::{CertificateSource, User, UserKey};
use x509_parser::pem::parse_x509_pem;

use crate::bench::{Bench, say, told};
use crate::elsewhere::certificates_come_from_elsewhere;
use crate::shelf::{edition, has, put, ready, shelf, up};

fn user(name: &str, key: UserKey) -> User {
    User {
        name: name.to_owned(),
        node_ou: Default::default(),
        common_name: Some("random".to_owned()),
        attributes: BTreeMap::from([
            ("app.role".to_owned(), "clerk".to_owned()),
            ("app.subject".to_owned(), "{common_name}".to_owned()),
        ]),
        key,
    }
}

/// Common name, organisational units, issuer's common name, and the text of the attributes.
fn look(certificate: &Path) -> (String, Vec<String>, String, Option<String>) {
    let bytes = fs::read(certificate).unwrap();
    let (_, pem) = parse_x509_pem(&bytes).unwrap();
    let found = pem.parse_x509().unwrap();
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        name.iter_common_name().next().unwrap().as_str().unwrap().to_owned()
    };
    let units = found.subject().iter_organizational_unit().map(|unit| unit.as_str().unwrap().to_owned());
    let attributes = found
        .extensions()
        .iter()
        .find(|extension| extension.oid.to_id_string() == "1.2.3.4.5.6.7.8.1")
        .map(|extension| String::from_utf8(extension.value.to_vec()).unwrap());
    (name(found.subject()), units.collect(), name(found.issuer()), attributes)
}

fn only_certificate(msp: &Path) -> std::path::PathBuf {
    let found: Vec<_> = fs::read_dir(msp.join("signcerts")).unwrap().collect();
    assert_eq!(found.len(), 1);
    found.into_iter().next().unwrap().unwrap().path()
}

/// Whether a peer of the organisation answers an identity, and what it says when it does not.
async fn submits(network: &Network, msp: &Path) -> Result<(), String> {
    let organization = network.spec().organization("north").unwrap();
    let endpoint = network.profile(organization).unwrap().gateway().unwrap();
    let credentials = MspFolder::open(msp, "NorthMSP").unwrap().into_credentials();
    let gateway = hlf_gateway::Gateway::connect(&endpoint, credentials, Default::default()).await.unwrap();
    let contract = gateway.contract("consortium", "shelf");
    contract
        .submit(contract.proposal("Put").arg("by it").build().unwrap())
        .await
        .map(|_| ())
        .map_err(|e| told(&e))
}

pub(crate) async fn an_organization_takes_part_with_certificates_of_fabric_ca() {
    let bench = Bench::new("fabric-ca");
    let mut spec = shelf();
    spec.orderer.ca = CertificateSource::FabricCa;
    spec.organizations[0].ca = CertificateSource::FabricCa;
    spec.add_user("north", user("clerk", UserKey::P256)).unwrap();
    spec.add_user("north", user("clerk384", UserKey::P384)).unwrap();
    spec.add_user("south", user("clerk", UserKey::P256)).unwrap();
    assert!(spec.add_user("north", user("edward", UserKey::Ed25519)).is_err());
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    put(&network, "north", "from north").await;
    has(&network, "south", "from north").await;
    put(&network, "south", "from south").await;
    has(&network, "north", "from south").await;
    let status = ready(&network).await;
    assert_eq!(status.nodes.iter().filter(|node| node.kind == NodeKind::FabricCa).count(), 2);
    // Nothing to do a second time, and nobody is enrolled again.
    let of_clerk = |organization: usize, name: &str| {
        let folder = network.layout().user(&spec.organizations[organization], name);
        only_certificate(&folder.join("msp"))
    };
    let before = fs::read(of_clerk(0, "clerk")).unwrap();
    up(&network, &options).await;
    assert_eq!(fs::read(of_clerk(0, "clerk")).unwrap(), before);

    // Both CAs write the same certificates, but for their own names.
    let (north, units, issuer, attributes) = look(&of_clerk(0, "clerk"));
    let (south, units_of_south, _, attributes_of_south) = look(&of_clerk(1, "clerk"));
    assert_eq!((north.len(), issuer.as_str()), (32, "ca.north.example.com"));
    assert_eq!(units, ["client"]);
    assert_eq!(units, units_of_south);
    assert_eq!(attributes.unwrap().replace(&north, "CN"), attributes_of_south.unwrap().replace(&south, "CN"));
    let peer = network.layout().organization(&spec.organizations[0]).join("peers/peer0.north.example.com");
    let (name, units, issuer, attributes) = look(&peer.join("tls/server.crt"));
    assert_eq!((name.as_str(), issuer.as_str()), ("peer0.north.example.com", "tlsca.north.example.com"));
    assert_eq!((units, attributes), (vec!["peer".to_owned()], Some(r#"{"attrs":{}}"#.to_owned())));
    for name in ["clerk", "clerk384"] {
        submits(&network, &network.layout().user(&spec.organizations[0], name).join("msp")).await.unwrap();
    }

    the_interface_is_spoken(&network, &bench.folder).await;

    certificates_come_from_elsewhere(&network, &options, &bench.folder).await;

    // Renewal asks Fabric CA, for the same key and for a new one.
    let key = |name: &str| {
        fs::read(network.layout().user(&spec.organizations[0], name).join("msp/keystore/priv_sk")).unwrap()
    };
    for (name, keys) in [("clerk", RenewedKeys::Same), ("clerk384", RenewedKeys::New)] {
        let (certificate, old) = (fs::read(of_clerk(0, name)).unwrap(), key(name));
        let (_, _, _, attributes) = look(&of_clerk(0, name));
        let named = Renewal::Named(format!("{name}@north.example.com"));
        let renewed = match network.renew_certificates(&named, keys, &options, &say).await {
            Ok(renewed) => renewed,
            Err(error) => panic!("{}", told(&error)),
        };
        assert_eq!(renewed, [format!("{name}@north.example.com")]);
        assert_ne!(fs::read(of_clerk(0, name)).unwrap(), certificate);
        assert_eq!(key(name) == old, keys == RenewedKeys::Same);
        let (_, _, issuer, again) = look(&of_clerk(0, name));
        assert_eq!((issuer.as_str(), again), ("ca.north.example.com", attributes));
        submits(&network, &network.layout().user(&spec.organizations[0], name).join("msp")).await.unwrap();
    }
    let renewed = Renewal::Named("peer0.north.example.com".to_owned());
    if let Err(error) = network.renew_certificates(&renewed, RenewedKeys::New, &options, &say).await {
        panic!("{}", told(&error));
    }
    put(&network, "north", "by the renewed peer").await;

    // Revoked at Fabric CA, on the channel, and refused by every peer; the others go on.
    let refusals = match network.revoke_user("north", "clerk", &say).await {
        Ok(refusals) => refusals,
        Err(error) => panic!("{}", told(&error)),
    };
    assert_eq!((refusals.refused_by, refusals.peers), (2, 2));
    let msp = network.layout().user(&spec.organizations[0], "clerk").join("msp");
    let refused = submits(&network, &msp).await.unwrap_err();
    assert!(refused.contains("access denied") || refused.contains("revoked"), "{refused}");
    let again = network.reenroll(&spec.organizations[0], &msp, true).await.unwrap_err();
    assert!(told(&again).contains("code 20"), "{}", told(&again));
    put(&network, "north", "still").await;
    network.destroy(&say).await.unwrap();
}

/// Every call of Fabric CA's interface, by a client that knows its URL and its certificate alone.
async fn the_interface_is_spoken(network: &Network, folder: &Path) {
    let north = network.spec().organization("north").unwrap();
    let status = network.status().await.unwrap();
    let server = status.nodes.iter().find(|node| node.name == "ca.north.example.com").unwrap();
    let url = format!("https://{}", server.address.as_ref().unwrap());
    let home = network.layout().organization(north);
    let roots = fs::read_to_string(home.join("ca/ca.north.example.com-cert.pem")).unwrap();
    let ca = FabricCa::new(&url, &roots, Some("ca.north.example.com")).unwrap();
    let info = ca.info().await.unwrap();
    assert_eq!((info.name.as_str(), info.chain_pem.as_str()), ("ca.north.example.com", roots.as_str()));
    assert!(FabricCa::new(&url, &roots, Some("nobody")).unwrap().info().await.is_err());
    let south = network.layout().organization(network.spec().organization("south").unwrap());
    let foreign = fs::read_to_string(south.join("ca/ca.south.example.com-cert.pem")).unwrap();
    let unproven = FabricCa::new(&url, &foreign, None).unwrap().info().await;
    assert!(matches!(unproven, Err(FabricCaError::Unreachable { .. })), "its certificate is checked");

    // Registered, enrolled by the secret, and with the attributes that are marked for certificates.
    let registrar = network.registrar(north).await.unwrap();
    let wanted = Registration::client("ada@ward 1?").with("app.role", "clerk");
    let secret = registrar.identities().register(&wanted).await.unwrap();
    let twice = registrar.identities().register(&wanted).await.unwrap_err();
    assert!(twice.is_registered_already(), "{twice}");
    let msp = folder.join("ada");
    let wrong =
        network.enroll(north, "ada@ward 1?", &Secret::from("guess".to_owned()), &msp).await.unwrap_err();
    assert!(told(&wrong).contains("code 20") && !told(&wrong).contains("guess"), "{}", told(&wrong));
    assert!(!msp.exists());
    network.enroll(north, "ada@ward 1?", &secret, &msp).await.unwrap();
    let msp = msp.join("msp");
    let (name, units, _, attributes) = look(&only_certificate(&msp));
    assert_eq!((name.as_str(), units), ("ada@ward 1?", vec!["client".to_owned()]));
    for part in [r#""app.role":"clerk""#, r#""hf.Type":"client""#, r#""hf.EnrollmentID":"ada@ward 1?""#] {
        assert!(attributes.as_ref().unwrap().contains(part), "{attributes:?}");
    }
    submits(network, &msp).await.unwrap();
    let before = fs::read(only_certificate(&msp)).unwrap();
    network.reenroll(north, &msp, false).await.unwrap();
    assert_ne!(fs::read(only_certificate(&msp)).unwrap(), before);
    assert_eq!(fs::read_dir(msp.join("keystore")).unwrap().count(), 1);
    submits(network, &msp).await.unwrap();

    // Looked at, changed, and asked for by one who may not.
    let acting = registrar.identities();
    let found = acting.identity("ada@ward 1?").await.unwrap();
    assert_eq!((found.kind.as_str(), found.max_enrollments), ("client", -1));
    assert!(acting.identities().await.unwrap().iter().any(|known| known.id == "registrar"));
    assert_eq!(acting.certificates(Some("ada@ward 1?"), true).await.unwrap().len(), 2);
    let changed =
        acting.modify(&Registration::client("ada@ward 1?").with("app.role", "chief")).await.unwrap();
    assert!(changed.attributes.iter().any(|known| known.value == "chief"));
    acting.add_affiliation("ward.night").await.unwrap();
    assert_eq!(acting.affiliations().await.unwrap().affiliations.len(), 1);
    acting.remove_affiliation("ward", true).await.unwrap();
    let key = fs::read_dir(msp.join("keystore")).unwrap().next().unwrap().unwrap().path();
    let certificate = fs::read_to_string(only_certificate(&msp)).unwrap();
    let ada = Identity::from_pem(&certificate, &fs::read_to_string(key).unwrap()).unwrap();
    let refused = ca.acting(&ada).register(&Registration::client("bob")).await.unwrap_err();
    assert!(matches!(refused, FabricCaError::Refused { code: 71, .. }), "{refused}");
    assert!(ca.acting(&ada).revocation_list().await.is_err());

    // One certificate is revoked by its number, then the identity with the other one.
    let own = KeyAndRequest::generate("ada@ward 1?", &[]).unwrap();
    let third = ca.enroll("ada@ward 1?", &secret, &Enrollment::of(&own).asking_for(&[])).await.unwrap();
    let (_, pem) = parse_x509_pem(third.certificate_pem.as_bytes()).unwrap();
    let third = pem.parse_x509().unwrap();
    let authority_key_id = third
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(found) => found
                .key_identifier
                .as_ref()
                .map(|id| id.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            _ => None,
        })
        .unwrap();
    let serial = format!("{:x}", third.serial);
    let one = Revocation::Certificate { serial, authority_key_id };
    assert_eq!(acting.revoke(&one, Some("keycompromise")).await.unwrap().certificates.len(), 1);
    assert!(acting.revoke(&one, None).await.unwrap_err().is_revoked_already());
    let all = acting.revoke(&Revocation::Identity("ada@ward 1?".to_owned()), None).await.unwrap();
    assert_eq!(all.certificates.len(), 2);
    let list = acting.revocation_list().await.unwrap();
    let (_, pem) = parse_x509_pem(list.as_bytes()).unwrap();
    let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
    assert_eq!(list.iter_revoked_certificates().count(), 3);
    assert_eq!(acting.certificates(Some("ada@ward 1?"), true).await.unwrap().len(), 0);
    acting.remove("ada@ward 1?", false).await.unwrap();
    assert!(acting.identity("ada@ward 1?").await.is_err());

    // The registrar's secret and all keys are for the owner alone, and the inventory has the CA's own certificates.
    let kinds = network.certificates().await.unwrap().certificates;
    for kind in [CertificateKind::Authority, CertificateKind::TlsAuthority] {
        assert_eq!(kinds.iter().filter(|found| found.kind == kind && found.msp_id == "NorthMSP").count(), 1);
    }
}

/// Certificates of a folder of users, nodes or services, without the authorities beside them.
fn issuers_keys(network: &Network, home: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let status = network.layout().root().join("organizations");
    assert!(home.starts_with(&status));
    let mut found = Vec::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["ca", "tlsca", "former", "msp", "fabric-ca"].contains(&name.as_str()) {
                folders.push(path);
            } else if name == "msp" && path.join("signcerts").exists() {
                found.push(only_certificate(&path));
            } else if name.ends_with(".crt") && name != "ca.crt" {
                found.push(path);
            }
        }
    }
    found.sort();
    let key = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let (_, pem) = parse_x509_pem(&bytes).unwrap();
        pem.parse_x509().unwrap().public_key().subject_public_key.data.to_vec()
    };
    found.into_iter().map(|path| (path.clone(), key(&path))).collect()
}

/// Gives up a renewal at its n-th event and begins again, later each time, until one comes to its end.
async fn renewed_with_interruptions(
    folder: &Path,
    who: &str,
    part: AuthorityPart,
    options: &Options,
) -> AuthorityRenewal {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for stop_at in [2_usize, 9, 17, 26, 40, usize::MAX] {
        let network = Network::existing(folder).unwrap();
        let (seen, stop) = (AtomicUsize::new(0), tokio::sync::Notify::new());
        let progress = |event: &Event<'_>| {
            say(event);
            if seen.fetch_add(1, Ordering::Relaxed) + 1 == stop_at {
                stop.notify_one();
            }
        };
        tokio::select! {
            done = network.renew_authority(who, part, options, &progress) => match done {
                Ok(renewal) => return renewal,
                Err(error) => panic!("{who}: {}", told(&error)),
            },
            () = stop.notified() => eprintln!("{who}: given up at event {stop_at}"),
        }
    }
    unreachable!("the last one is not given up")
}

async fn authorities_change(folder: &Path, network: &Network, who: &str, options: &Options) {
    let spec = network.spec();
    let (home, msp_id) = match spec.organization(who) {
        Some(member) => (network.layout().organization(member), member.msp_id.clone()),
        None => (network.layout().ordering_organization(&spec.orderer), spec.orderer.msp_id.clone()),
    };
    let before = issuers_keys(network, &home);
    let early = network.renew_authority(who, AuthorityPart::Finish, options, &say).await;
    assert!(matches!(early, Err(CertificatesError::NotReissued(_))), "{early:?}");
    let old = (spec.organization(who).is_some()).then(|| {
        let copy = folder.join(format!("old-{who}"));
        let status = std::process::Command::new("cp").arg("-r").arg(home.join("users")).arg(&copy).status();
        assert!(status.unwrap().success());
        copy
    });
    let renewal = renewed_with_interruptions(folder, who, AuthorityPart::Reissue, options).await;
    assert_eq!((renewal.msp_id.as_str(), renewal.finished), (msp_id.as_str(), false));
    let after = issuers_keys(network, &home);
    assert_eq!(before.len(), after.len());
    for ((path, old), (same_path, new)) in before.iter().zip(&after) {
        assert_eq!(path, same_path);
        assert_ne!(old, new, "{} has its old key", path.display());
    }
    put(network, "north", &format!("{who} beside")).await;
    has(network, "south", &format!("{who} beside")).await;
    let msp = network.channel_config().await.unwrap().msp(&msp_id).unwrap();
    assert_eq!((msp.root_certs.len(), msp.tls_root_certs.len()), (2, 2));
    let user = old.map(|old| old.join("User1@north.example.com/msp"));
    if let Some(user) = &user {
        submits(network, user).await.expect("an old certificate still counts");
    }
    let renewal = renewed_with_interruptions(folder, who, AuthorityPart::Finish, options).await;
    assert!(renewal.finished);
    let msp = network.channel_config().await.unwrap().msp(&msp_id).unwrap();
    assert_eq!((msp.root_certs.len(), msp.tls_root_certs.len()), (1, 1));
    if let Some(user) = &user {
        let refused = submits(network, user).await.expect_err("its authority is gone");
        assert!(refused.contains("access denied"), "{refused}");
    }
    put(network, "south", &format!("{who} after")).await;
    has(network, "north", &format!("{who} after")).await;
    ready(network).await;
    // Nothing of it is left, and the network is as before.
    up(network, options).await;
    assert!(!home.join("renewal.json").exists() && !home.join("next").exists());
}

pub(crate) async fn authorities_are_renewed_beside_the_old_ones() {
    let bench = Bench::new("authorities");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    for who in ["north", "OrdererMSP"] {
        authorities_change(&bench.folder, &network, who, &options).await;
    }
    // A second time, from what the first has left.
    let again = network.renew_authority("north", AuthorityPart::Reissue, &options, &say).await.unwrap();
    assert!(again.reissued.len() >= 4, "{again:?}");
    assert!(network.renew_authority("north", AuthorityPart::Finish, &options, &say).await.unwrap().finished);
    put(&network, "north", "twice").await;
    network.destroy(&say).await.unwrap();
}

pub(crate) async fn authorities_of_bft_orderers_and_of_fabric_ca_are_renewed() {
    let bench = Bench::new("bft-authorities");
    let mut spec = shelf();
    spec.set_orderers("bft:4".parse().unwrap()).unwrap();
    spec.organizations[0].ca = CertificateSource::FabricCa;
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    for who in ["OrdererMSP", "north"] {
        authorities_change(&bench.folder, &network, who, &options).await;
    }
    network.destroy(&say).await.unwrap();
}
