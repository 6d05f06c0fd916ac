//! Certificates are looked at, renewed and revoked on networks that run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hlf_gateway::{Deadlines, Gateway, MspFolder, Retry};
use hlf_network::ca::Validity;
use hlf_network::network::{CertificateKind, CertificatesError, Network, Renewal, RenewedKeys};
use hlf_network::spec::{Consortium, User, UserKey};
use x509_parser::pem::parse_x509_pem;

use crate::bench::{Bench, say, told};
use crate::growth::{PATIENCE, Sent, WRITERS, assert_nothing_lost, write};
use crate::shelf::{edition, gateway, has, put, ready, shelf, up};

/// Public keys of the certificates in a folder, by file.
async fn keys(network: &Network) -> BTreeMap<PathBuf, (Vec<u8>, Vec<u8>)> {
    let found = network.certificates().await.unwrap();
    assert_eq!(found.channel_unread, None);
    let files = found.certificates.into_iter().filter_map(|found| found.file);
    files
        .map(|file| {
            let (_, pem) = parse_x509_pem(&fs::read(&file).unwrap()).unwrap();
            let certificate = pem.parse_x509().unwrap();
            let key = certificate.public_key().subject_public_key.data.to_vec();
            (file, (key, pem.contents.clone()))
        })
        .collect()
}

fn is_authority(file: &std::path::Path) -> bool {
    file.parent().is_some_and(|at| at.ends_with("ca") || at.ends_with("tlsca"))
}

async fn all_is_renewed_under_load(bench: &Bench, spec: Consortium) -> Network {
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    put(&network, "north", "before").await;
    let before = keys(&network).await;

    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Network::existing(&bench.folder).unwrap());
    let writers = WRITERS.map(|name| tokio::spawn(write(seen.clone(), name, stop.clone())));
    let renewed =
        match network.renew_certificates(&Renewal::Within(1_000), RenewedKeys::Same, &options, &say).await {
            Ok(renewed) => renewed,
            Err(error) => panic!("{}", told(&error)),
        };
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    assert_nothing_lost(&network, "south", &sent).await;
    for consenter in &spec.orderer.consenters {
        assert!(renewed.contains(&spec.orderer.host(consenter)), "{renewed:?}");
    }

    // Every certificate but the authorities' is another one for the same key, and the channel knows the new ones:
    // it has none that is not in the folder.
    let after = keys(&network).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (file, (key, der)) in &before {
        assert_eq!(key, &after[file].0, "{}", file.display());
        assert_eq!(*der == after[file].1, is_authority(file), "{}", file.display());
    }
    let found = network.certificates().await.unwrap();
    assert!(found.certificates.iter().all(|found| found.kind != CertificateKind::Consenter), "{found:#?}");
    ready(&network).await;
    put(&network, "south", "after").await;
    has(&network, "north", "after").await;
    network
}

pub(crate) async fn certificates_are_renewed_and_revoked() {
    let bench = Bench::new("certificates");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    let network = all_is_renewed_under_load(&bench, spec.clone()).await;
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");

    // What ends first is first, and is renewed alone.
    let north = spec.organization("north").unwrap();
    let late = User {
        name: "late".to_owned(),
        node_ou: Default::default(),
        key: UserKey::P384,
        common_name: None,
        attributes: BTreeMap::from([("role".to_owned(), "clerk".to_owned())]),
    };
    network.ca(north).unwrap().issue_user(&late, Some(Validity::days(20))).unwrap();
    let found = network.certificates().await.unwrap();
    let first = &found.certificates[0];
    assert_eq!((first.name.as_str(), first.kind), ("late@north.example.com", CertificateKind::UserIdentity));
    assert_eq!(found.ending_within(30).count(), 1);
    let ending = network.status().await.unwrap().first_to_end.unwrap();
    assert_eq!((ending.name.as_str(), ending.kind), (first.name.as_str(), first.kind));
    // Time has passed since the first look.
    assert!((first.days - 1..=first.days).contains(&ending.days), "{ending:?} {first:?}");
    let renewed =
        network.renew_certificates(&Renewal::Within(30), RenewedKeys::Same, &options, &say).await.unwrap();
    assert_eq!(renewed, ["late@north.example.com"]);
    let found = network.certificates().await.unwrap();
    assert_eq!(found.ending_within(30).count(), 0);
    let file = found.certificates.iter().find(|found| found.name == "late@north.example.com").unwrap();
    let (_, pem) = parse_x509_pem(&fs::read(file.file.as_ref().unwrap()).unwrap()).unwrap();
    let attributes = String::from_utf8_lossy(&pem.contents).contains(r#"{"attrs":{"role":"clerk"}}"#);
    assert!(attributes, "attributes are renewed with the rest");
    let nobody = network
        .renew_certificates(&Renewal::Named("nobody".to_owned()), RenewedKeys::Same, &options, &say)
        .await;
    assert!(matches!(nobody, Err(CertificatesError::Unknown { .. })));

    // A revoked user is refused by every peer, and nobody else is.
    put(&network, "north", "not yet").await;
    let admin = network.revoke_user("north", "Admin", &say).await;
    assert!(matches!(admin, Err(CertificatesError::Acting(_))), "{admin:?}");
    let refusals = match network.revoke_user("north", "User1", &say).await {
        Ok(refusals) => refusals,
        Err(error) => panic!("{}", told(&error)),
    };
    assert_eq!((refusals.refused_by, refusals.peers), (2, 2));
    eprintln!("refused by {}/{} peers after {} s", refusals.refused_by, refusals.peers, refusals.seconds);
    let contract = gateway(&network, "north").await.contract("consortium", "shelf");
    let refused = contract.submit(contract.proposal("Put").arg("revoked").build().unwrap()).await;
    assert!(refused.is_err());
    put(&network, "south", "still").await;
    // A second one joins the first on the list.
    let refusals = network.revoke_user("north", "late", &say).await.unwrap();
    assert_eq!((refusals.refused_by, refusals.peers), (2, 2));
    assert!(contract.submit(contract.proposal("Put").arg("revoked").build().unwrap()).await.is_err());
    network.destroy(&say).await.unwrap();
}

pub(crate) async fn certificates_of_bft_consenters_are_renewed() {
    let bench = Bench::new("bft-certificates");
    let mut spec = shelf();
    spec.set_orderers("bft:4".parse().unwrap()).unwrap();
    let network = all_is_renewed_under_load(&bench, spec).await;
    network.destroy(&say).await.unwrap();
}

/// How many clients put values at once, and how often each: fifty transactions a second together.
const STEADY: (usize, Duration) = (10, Duration::from_millis(200));

/// Puts values at a steady pace until it is told to stop, through whichever of the organisation's peers serves.
async fn write_steadily(network: Arc<Network>, organization: &'static str, stop: Arc<AtomicBool>) -> Sent {
    let member = network.spec().organization(organization).unwrap();
    let profile = network.profile(member).unwrap();
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    let gateways = profile.gateways().unwrap();
    let deadlines = Deadlines { commit_status: PATIENCE, ..Deadlines::default() };
    let gateway = Gateway::connect_any(&gateways, msp.into_credentials(), deadlines).await.unwrap();
    let contract = gateway.contract("consortium", "shelf");
    // As long as the policy lasts, two minutes: the others may not know an organisation's renewed peer for some seconds,
    // while its other one restarts.
    let retry = Retry { attempts: 100, ..Retry::default() };
    let mut pace = tokio::time::interval(STEADY.1);
    let mut sent = Sent::default();
    for number in 0_u32.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let call = contract.proposal("Put").arg(format!("{organization} {number}"));
        match contract.submit_retrying(call, &retry).await {
            Ok(done) => sent.acknowledged.push(done.committed.tx_id),
            Err(error) => sent.failed.push(told(&error)),
        }
    }
    sent
}

/// Every certificate of a network is renewed, with new keys, while fifty transactions a second are sent by clients that try
/// again where that is safe: each call is valid in a block, once, and none failed.
pub(crate) async fn a_rolling_renewal_under_load_fails_no_transaction() {
    let bench = Bench::new("steady");
    let mut spec = shelf();
    spec.set_orderers("raft:3".parse().unwrap()).unwrap();
    spec.set_peers(2).unwrap();
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Network::existing(&bench.folder).unwrap());
    let writers: Vec<_> = (0..STEADY.0)
        .map(|number| {
            let organization = if number % 2 == 0 { "north" } else { "south" };
            tokio::spawn(write_steadily(seen.clone(), organization, stop.clone()))
        })
        .collect();
    let begun = std::time::Instant::now();
    let renewed =
        match network.renew_certificates(&Renewal::Within(1_000), RenewedKeys::New, &options, &say).await {
            Ok(renewed) => renewed,
            Err(error) => panic!("{}", told(&error)),
        };
    stop.store(true, Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs();
    let mut sent = Vec::new();
    for writer in writers {
        sent.push(writer.await.unwrap());
    }
    assert!(renewed.len() >= 3 + 4 + 4 + 2, "{renewed:?}");
    let counted = assert_nothing_lost(&network, "south", &sent).await;
    eprintln!("renewal with new keys in {seconds} s: {counted:?}");
    assert_eq!((counted.failed, counted.unknown), (0, 0));
    network.destroy(&say).await.unwrap();
}
