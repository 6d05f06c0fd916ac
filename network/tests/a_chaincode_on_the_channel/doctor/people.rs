//! Failures of keys and certificates.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hlf_network::ca::Validity;
use hlf_network::network::{Code, UpError};
use hlf_network::spec::{User, UserKey};

use super::{Damage, NORTH, ORDERERS, SOUTH, Ward, only_file};
use crate::bench::{say, told};

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        node_ou: Default::default(),
        common_name: None,
        attributes: BTreeMap::new(),
        key: UserKey::default(),
    }
}

/// Puts a user's identity in the place of another's, key and all.
fn impersonate(damage: &mut Damage, from: &Path, to: &Path) {
    for place in ["msp/signcerts", "msp/keystore"] {
        damage.copy(only_file(&from.join(place)), only_file(&to.join(place)));
    }
}

/// Puts a TLS pair in the place of a node's.
fn call_with(damage: &mut Damage, from: &Path, name: &str, to: &Path) {
    for kind in ["crt", "key"] {
        damage.copy(from.join(format!("{name}.{kind}")), to.join(format!("tls/server.{kind}")));
    }
}

pub(super) async fn of_a_running_network(ward: &Ward) {
    let north = ward.spec().organization("north").unwrap();
    let ca = ward.network.ca(north).unwrap();
    let late = Validity {
        not_before: Validity::days(0).not_before + Duration::from_secs(60 * 60 * 24),
        not_after: Validity::days(60).not_after,
    };
    let mut made: Vec<PathBuf> = Vec::new();
    for (name, validity) in [
        ("old", Validity::expired()),
        ("early", late),
        ("soon", Validity::days(10)),
        ("open", Validity::days(90)),
    ] {
        made.push(ca.issue_user(&user(name), Some(validity)).unwrap());
    }
    let mut damage = Damage::none();
    let open = only_file(&made[3].join("msp/keystore"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    damage.write(made[3].join("tls/client.crt"), "no certificate");
    damage.copy(ward.keys(ORDERERS[0]).join("tls/server.key"), ward.keys(ORDERERS[1]).join("tls/server.key"));
    // A certificate of the right authority that names no host, and one of another authority.
    call_with(
        &mut damage,
        &ward.home("north").join("users/User1@north.example.com/tls"),
        "client",
        &ward.keys(NORTH),
    );
    let norths = ward.home("north").join("services/chaincode.north.example.com/tls");
    call_with(&mut damage, &norths, "server", &ward.keys(SOUTH));
    let users = |name: &str| ward.home(name).join("users");
    // An authority that ends with a certificate's time, and whose key lies open.
    let authority = ward.home("south").join("ca/ca.south.example.com-cert.pem");
    damage.copy(only_file(&made[2].join("msp/signcerts")), authority);
    let authoritys = ward.home("south").join("tlsca/priv_sk");
    fs::set_permissions(&authoritys, fs::Permissions::from_mode(0o640)).unwrap();
    let souths = users("south").join("User1@south.example.com");
    impersonate(&mut damage, &users("north").join("User1@north.example.com"), &souths);
    ward.finds(&[
        (Code::CertificateUnreadable, Some("open@north.example.com")),
        (Code::KeyMismatch, Some(ORDERERS[1])),
        (Code::CertificateExpired, Some("old@north.example.com")),
        (Code::CertificateNotYetValid, Some("early@north.example.com")),
        (Code::CertificateEndsSoon, Some("soon@north.example.com")),
        (Code::AuthorityEndsSoon, Some("south")),
        (Code::SanMismatch, Some(NORTH)),
        (Code::KeyExposed, Some("open@north.example.com")),
        (Code::KeyExposed, Some("south")),
        (Code::MspRootWrong, Some("User1@south.example.com")),
        (Code::TlsRootForeign, Some(SOUTH)),
    ])
    .await;
    damage.undo();
    fs::set_permissions(&authoritys, fs::Permissions::from_mode(0o600)).unwrap();

    // A node with an expired certificate would not start again: standing the network up says so first.
    let mut damage = Damage::none();
    impersonate(&mut damage, &made[0], &ward.keys(NORTH));
    let error = ward.network.up(&ward.options, &say).await.unwrap_err();
    let UpError::Obstacles(obstacles) = &error else { panic!("{}", told(&error)) };
    let found: Vec<_> = obstacles.findings.iter().map(|found| (found.code, found.node.as_deref())).collect();
    assert_eq!(found, [(Code::CertificateExpired, Some(NORTH))]);
    damage.undo();
    for folder in made {
        fs::remove_dir_all(folder).unwrap();
    }
    ward.finds(&[]).await;

    // An admin without the unit is none; what its peers would say cannot be asked.
    let mut damage = Damage::none();
    impersonate(&mut damage, &souths, &users("south").join("Admin@south.example.com"));
    // A CA's own list that the channel never heard of.
    let serial = "0123456789abcdef";
    let revoked = serde_json::json!({
        "number": 1,
        "certificates": [{ "serial": serial, "revoked_unix_s": 1, "name": "somebody" }],
    });
    damage.write(ward.home("north").join("ca/revoked.json"), revoked.to_string());
    ward.finds(&[
        (Code::AdminWithoutOu, Some("Admin@south.example.com")),
        (Code::RevocationNotOnChannel, Some("north")),
    ])
    .await;
    damage.undo();
    ward.finds(&[]).await;
}

/// A revoked certificate that still lies in the folder is told of, until it is gone.
pub(super) async fn are_revoked(ward: &Ward) {
    ward.network.revoke_user("north", "User1", &say).await.unwrap();
    ward.finds(&[(Code::CertificateRevoked, Some("User1@north.example.com"))]).await;
    fs::remove_dir_all(ward.home("north").join("users/User1@north.example.com")).unwrap();
    ward.finds(&[]).await;
}
