//! Keys and certificates that are given as files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::up::Stand;
use super::super::{Network, chaincode_service, reach};
use super::PartError;
use crate::ca::Home;
use crate::files::{self, FileError};
use crate::progress::Step;
use crate::spec::Keys;

impl Stand<'_> {
    /// Takes over given keys, each once; false when they are to be made here.
    pub(super) fn take_given_keys(&self) -> Result<bool, PartError> {
        let network = self.network;
        let Some(Keys::Files { folder }) = network.part.as_ref().map(|part| &part.keys) else {
            return Ok(false);
        };
        let what = "the given keys and certificates";
        let begun = Instant::now();
        match take_over(network, folder)? {
            0 => {
                self.skipped(what, "they were taken over; what changes later is renewed in the state folder")
            }
            count => {
                let from = folder.display();
                Step::begun_at(self.progress, what, begun).done(&format!("{count} copied from {from}"));
            }
        }
        Ok(true)
    }
}

/// What one folder of the given tree has to hold: a node's, a user's, a service's, or what is the organisation's own.
struct Wanted {
    /// The folder, in the organisation's.
    at: String,
    /// Files, in the organisation's folder.
    files: Vec<String>,
}

impl Wanted {
    fn of(at: String, name: &str, identity: bool, tls: &[&str]) -> Self {
        let mut files = Vec::new();
        if identity {
            files.extend([format!("{at}/msp/signcerts/{name}-cert.pem"), format!("{at}/msp/keystore")]);
        }
        files.extend(tls.iter().flat_map(|of| ["crt", "key"].map(|kind| format!("{at}/tls/{of}.{kind}"))));
        if !tls.is_empty() {
            files.push(format!("{at}/tls/ca.crt"));
        }
        Self { at, files }
    }
}

/// The own organisation's folder, what is its own, and what it holds of others.
fn wanted(network: &Network) -> (Home, Vec<String>, Vec<Wanted>) {
    let mut holders = Vec::new();
    let home = match network.own_organizations().next() {
        Some(own) if !network.holds_ordering() => {
            for name in own.peers.iter().map(|peer| own.host(peer)) {
                holders.push(Wanted::of(format!("peers/{name}"), &name, true, &["server"]));
            }
            let admin = own.admin().map(|admin| &admin.name);
            for user in &own.users {
                let name = format!("{}@{}", user.name, own.domain);
                let tls: &[&str] = if admin == Some(&user.name) { &["client"] } else { &[] };
                holders.push(Wanted::of(format!("users/{name}"), &name, true, tls));
            }
            if network.spec.chaincode.is_some() {
                let name = chaincode_service(own);
                holders.push(Wanted::of(format!("services/{name}"), &name, false, &["server", "client"]));
            }
            network.home(own)
        }
        _ => {
            let orderer = &network.spec.orderer;
            for name in orderer.consenters.iter().map(|consenter| orderer.host(consenter)) {
                holders.push(Wanted::of(format!("orderers/{name}"), &name, true, &["server"]));
            }
            let name = format!("{}@{}", reach::ORDERER_ADMIN, orderer.domain);
            holders.push(Wanted::of(format!("users/{name}"), &name, true, &["client"]));
            network.ordering_home()
        }
    };
    let roots = format!("tlsca/tlsca.{}-cert.pem", home.domain());
    let own = ["msp/config.yaml", "msp/cacerts", "msp/tlscacerts", &roots].map(str::to_owned);
    (home, own.to_vec(), holders)
}

/// Copies what is not here yet, each node, user and service whole, and returns how many came; at first all of the tree.
fn take_over(network: &Network, folder: &Path) -> Result<usize, PartError> {
    let (home, own, mut holders) = wanted(network);
    let first = !home.folder().exists();
    holders.retain(|holder| first || !home.folder().join(&holder.at).exists());
    let own = if first { own } else { Vec::new() };
    let missing: Vec<&str> = own
        .iter()
        .chain(holders.iter().flat_map(|holder| &holder.files))
        .filter(|path| !folder.join(path).exists())
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let (folder, missing) = (folder.display(), missing.join(", "));
        return Err(PartError::Keys(format!("`{folder}` has not: {missing}")));
    }
    if first {
        if let Some(parent) = home.folder().parent() {
            files::make_folder(parent)?;
        }
        files::make_whole(home.folder(), |draft| copy(folder, draft))?;
        return Ok(holders.len());
    }
    for holder in &holders {
        files::make_whole(&home.folder().join(&holder.at), |draft| {
            copy(&folder.join(&holder.at), draft)?;
            // What the organisation trusts may have changed since the tree was given.
            if draft.join("msp").exists() {
                home.copy_trust(&draft.join("msp"))?;
            }
            if draft.join("tls").exists() {
                files::replace(&draft.join("tls/ca.crt"), files::PUBLIC, home.tls_roots()?.as_bytes())?;
            }
            Ok::<_, FileError>(())
        })?;
    }
    Ok(holders.len())
}

/// Copies a tree of files; keys stay for their owner alone. Authorities' own keys are left where they are.
fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let entries = std::fs::read_dir(from).map_err(|e| FileError::new(from, "read", e))?;
    for entry in entries {
        let path: PathBuf = entry.map_err(|e| FileError::new(from, "read", e))?.path();
        let name = path.file_name().unwrap_or_default();
        let target = to.join(name);
        if path.is_dir() {
            let keystore = name == "keystore";
            if keystore {
                files::make_private_folder(&target)?
            } else {
                files::make_folder(&target)?
            }
            copy(&path, &target)?;
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|e| FileError::new(&path, "read", e))?;
        let is_key = String::from_utf8_lossy(&bytes).contains("PRIVATE KEY");
        let of_authority = from.ends_with("ca") || from.ends_with("tlsca");
        if !(is_key && of_authority) {
            let mode = if is_key { files::SECRET } else { files::PUBLIC };
            files::write_new(&target, mode, &bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::DevelopmentCa;
    use crate::spec::{Consortium, DEFAULT, NodeOu, Part, User};

    #[test]
    fn who_comes_later_gets_its_keys_from_the_given_tree_too() {
        let home = tempfile::tempdir().unwrap();
        let given = home.path().join("given/north.example.com");
        let ca = DevelopmentCa::open_or_make(&given, "north.example.com").unwrap();
        let spec = Consortium::parse(DEFAULT).unwrap();
        for user in &spec.organizations[0].users {
            ca.issue_user(user, None).unwrap();
        }
        ca.make_node("peers", "peer0.north.example.com", &[], NodeOu::Peer).unwrap();
        ca.service("chaincode").unwrap();

        let network = |spec: &Consortium| {
            Network::new_part(&home.path().join("state"), spec.clone(), Part::new("north"))
        };
        let first = network(&spec).unwrap();
        let there = first.home(&spec.organizations[0]).folder().to_owned();
        assert!(take_over(&first, &given).unwrap() > 0);
        assert!(there.join("peers/peer0.north.example.com/tls/server.key").exists());
        assert_eq!(take_over(&first, &given).unwrap(), 0);

        let mut later = spec.clone();
        later.organizations[0].peers.push("peer1".to_owned());
        let user = User { name: "late".to_owned(), ..spec.organizations[0].users[0].clone() };
        later.organizations[0].users.push(user.clone());
        let later = network(&later).unwrap();
        let told = take_over(&later, &given).unwrap_err().to_string();
        for file in
            ["peers/peer1.north.example.com/tls/server.key", "users/late@north.example.com/msp/keystore"]
        {
            assert!(told.contains(file), "{told}");
        }
        assert!(!told.contains("peer0"), "{told}");
        assert!(!there.join("users/late@north.example.com").exists());

        ca.make_node("peers", "peer1.north.example.com", &[], NodeOu::Peer).unwrap();
        ca.issue_user(&user, None).unwrap();
        // What is here already is left as it is, whatever the tree holds by now.
        let kept = there.join("peers/peer0.north.example.com/tls/server.crt");
        std::fs::write(&kept, "renewed").unwrap();
        assert_eq!(take_over(&later, &given).unwrap(), 2);
        assert_eq!(files::read(&kept).unwrap(), "renewed");
        let key = there.join("peers/peer1.north.example.com/tls/server.key");
        assert_eq!(
            files::read(&key).unwrap(),
            files::read(&given.join("peers/peer1.north.example.com/tls/server.key")).unwrap()
        );
        assert_eq!(take_over(&later, &given).unwrap(), 0);
    }
}
