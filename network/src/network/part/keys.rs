//! Keys and certificates that are given as files.

use std::path::{Path, PathBuf};

use super::super::up::Stand;
use super::super::{chaincode_service, reach};
use super::PartError;
use crate::files::{self, FileError};
use crate::progress::Step;
use crate::spec::Keys;

impl Stand<'_> {
    /// Takes over given keys, once; false when they are to be made here.
    pub(super) fn take_given_keys(&self) -> Result<bool, PartError> {
        let network = self.network;
        let Some(Keys::Files { folder }) = network.part.as_ref().map(|part| &part.keys) else {
            return Ok(false);
        };
        let orderer = &network.spec.orderer;
        let mut wanted =
            vec!["msp/config.yaml".to_owned(), "msp/cacerts".to_owned(), "msp/tlscacerts".to_owned()];
        let identity = |at: &str, name: &str| {
            [format!("{at}/msp/signcerts/{name}-cert.pem"), format!("{at}/msp/keystore")]
        };
        let tls = |at: &str, of: &str| ["crt", "key"].map(|kind| format!("{at}/tls/{of}.{kind}"));
        let roots = |at: &str| format!("{at}/tls/ca.crt");
        let (home, domain) = match network.own_organizations().next() {
            Some(own) if !network.holds_ordering() => {
                for name in own.peers.iter().map(|peer| own.host(peer)) {
                    let at = format!("peers/{name}");
                    wanted.extend(identity(&at, &name).into_iter().chain(tls(&at, "server")));
                    wanted.push(roots(&at));
                }
                for user in &own.users {
                    let name = format!("{}@{}", user.name, own.domain);
                    wanted.extend(identity(&format!("users/{name}"), &name));
                }
                if let Some(admin) = own.admin() {
                    let at = format!("users/{}@{}", admin.name, own.domain);
                    wanted.extend(tls(&at, "client"));
                    wanted.push(roots(&at));
                }
                if network.spec.chaincode.is_some() {
                    let at = format!("services/{}", chaincode_service(own));
                    wanted.extend(tls(&at, "server").into_iter().chain(tls(&at, "client")));
                    wanted.push(roots(&at));
                }
                (network.layout.organization(own), own.domain.clone())
            }
            _ => {
                for name in orderer.consenters.iter().map(|consenter| orderer.host(consenter)) {
                    let at = format!("orderers/{name}");
                    wanted.extend(identity(&at, &name).into_iter().chain(tls(&at, "server")));
                    wanted.push(roots(&at));
                }
                let name = format!("{}@{}", reach::ORDERER_ADMIN, orderer.domain);
                let at = format!("users/{name}");
                wanted.extend(identity(&at, &name).into_iter().chain(tls(&at, "client")));
                wanted.push(roots(&at));
                (network.layout.ordering_organization(orderer), orderer.domain.clone())
            }
        };
        wanted.push(format!("tlsca/tlsca.{domain}-cert.pem"));
        let missing: Vec<&str> =
            wanted.iter().filter(|path| !folder.join(path).exists()).map(String::as_str).collect();
        let what = "the given keys and certificates";
        if home.exists() {
            self.skipped(what, "they were taken over; what changes later is renewed in the state folder");
            return Ok(true);
        }
        if !missing.is_empty() {
            let (folder, missing) = (folder.display(), missing.join(", "));
            return Err(PartError::Keys(format!("`{folder}` has not: {missing}")));
        }
        let step = Step::begin(self.progress, what);
        if let Some(parent) = home.parent() {
            files::make_folder(parent)?;
        }
        files::make_whole(&home, |draft| copy(folder, draft))?;
        step.done(&format!("copied from {}", folder.display()));
        Ok(true)
    }
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
