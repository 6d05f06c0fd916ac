//! Identities that are not what they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use caretrail_tests::caretrail::Failure;
use hlf_gateway::{Credentials, Deadlines, Gateway, Identity, KeySigner};
use hlf_network::ca::{DevelopmentCa, Validity};
use hlf_network::spec::{NodeOu, User, UserKey};

use crate::world::Ward;

/// A clinician as `caretrail identity issue` describes one.
fn clinician(name: &str) -> User {
    User {
        name: name.to_owned(),
        node_ou: NodeOu::Client,
        common_name: Some("random".to_owned()),
        attributes: BTreeMap::from([
            ("caretrail.role".to_owned(), "clinician".to_owned()),
            ("caretrail.subject".to_owned(), "{common_name}".to_owned()),
        ]),
        key: UserKey::default(),
    }
}

/// Asks for the record with an MSP folder, at the peer of North.
async fn asked_with(ward: &Ward, msp: &Path) -> caretrail_tests::caretrail::Ran {
    let profile = ward.network().layout().profile("north");
    let link = |name: &str, target: &Path| {
        let link = ward.caretrail.file(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
    };
    // Lines name files without a path, which could hold a space.
    link("profile", &profile);
    link("msp", msp);
    ward.run_as("msp", &format!("{} --profile profile", ward.request())).await
}

fn assert_refused_by_north(failure: &Failure) {
    assert_eq!((failure.stage.as_str(), failure.msp_id.as_deref()), ("endorse", Some("NorthMSP")));
    assert!(failure.fix.contains("the peer refuses this identity"), "{}", failure.fix);
    assert!(failure.message.contains("access denied"), "{}", failure.message);
}

pub(crate) async fn a_certificate_of_another_ca_is_refused(ward: &mut Ward) {
    let before = ward.transactions().await;
    let folder = ward.folder.join("another-ca/peerOrganizations/north.example.com");
    let ca = DevelopmentCa::open_or_make(&folder, "north.example.com").unwrap();
    let user = ca.issue_user(&clinician("mallory"), None).unwrap();
    let failure = asked_with(ward, &user.join("msp")).await.failed("NOT_ENDORSED");
    assert_refused_by_north(&failure);
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn an_expired_certificate_is_refused_here_and_by_the_peer(ward: &mut Ward) {
    let before = ward.transactions().await;
    let ca = ward.network().ca(ward.organization("north")).unwrap();
    let user = ca.issue_user(&clinician("late"), Some(Validity::expired())).unwrap();
    let failure = ward.run_as("north/late", &ward.request()).await.invalid("IDENTITY_UNUSABLE");
    for expected in ["expired at", "enrol again"] {
        assert!(failure.message.contains(expected), "{}", failure.message);
    }

    // A client that does not look is refused by the peer.
    let profile = ward.profile("north");
    let identity = Identity {
        msp_id: profile.msp_id.clone(),
        certificate_pem: fs::read_to_string(only_file(&user.join("msp/signcerts"))).unwrap(),
    };
    let key = fs::read_to_string(only_file(&user.join("msp/keystore"))).unwrap();
    let credentials = Credentials::new(identity, KeySigner::from_pem(&key).unwrap());
    let endpoint = profile.gateway().unwrap();
    let gateway = Gateway::connect(&endpoint, credentials, Deadlines::default()).await.unwrap();
    let proposal = gateway.contract("records", "caretrail").proposal("GetPolicy").arg("{}").build().unwrap();
    let error = proposal.endorse().await.unwrap_err();
    assert!(error.chaincode_response().is_none(), "the contract never saw it: {error:?}");
    let [peer] = error.peers() else { panic!("{error:?}") };
    assert_eq!(peer.msp_id, "NorthMSP");
    // Fabric 3 says what is wrong, 2.5 that nobody is let in with it.
    let told = ["expired", "access denied"];
    assert!(told.iter().any(|told| peer.message.contains(told)), "{}", peer.message);
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn a_certificate_at_the_wrong_hospital_is_refused(ward: &mut Ward) {
    let before = ward.transactions().await;
    let failure = asked_with(ward, &ward.user_folder("south/ben").join("msp")).await.failed("NOT_ENDORSED");
    assert_refused_by_north(&failure);
    assert!(failure.fix.contains("certificate and MSP id belong together"), "{}", failure.fix);
    assert_eq!(ward.transactions().await, before, "nothing was submitted");
}

pub(crate) async fn a_key_of_another_certificate_is_found_before_anything_is_sent(ward: &mut Ward) {
    let mixed = ward.folder.join("mixed");
    for (folder, of) in [("signcerts", "north/ada"), ("keystore", "south/ben")] {
        let file = only_file(&ward.user_folder(of).join("msp").join(folder));
        fs::create_dir_all(mixed.join(folder)).unwrap();
        fs::copy(&file, mixed.join(folder).join(file.file_name().unwrap())).unwrap();
    }
    let failure = asked_with(ward, &mixed).await.invalid("IDENTITY_UNUSABLE");
    for expected in ["no private key", "matches certificate", "different enrolments"] {
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
    assert_eq!(failure.tx_id, None, "there was no transaction");
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}
