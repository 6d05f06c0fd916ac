//! How to reach a network as one of its organisations, as a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hlf_gateway::Endpoint;
use serde::{Deserialize, Serialize};

use crate::commands::typed;
use crate::files::{self, FileError};

/// Everything that a client of one organisation needs, written by `up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Profile {
    /// The organisation's short name.
    pub organization: String,
    /// Its MSP id.
    pub msp_id: String,
    /// Its DNS domain.
    pub domain: String,
    /// The channel.
    pub channel: String,
    /// The chaincode on the channel, when one was deployed.
    pub chaincode: Option<String>,
    /// MSP ids of all members of the channel, in the spec's order.
    pub members: Vec<String>,
    /// The organisation's peers; the first one's gateway is its own.
    pub peers: Vec<PeerProfile>,
    /// The organisation's chaincode service, when one was deployed.
    pub chaincode_service: Option<ServiceProfile>,
    /// Its TLS CA, PEM.
    pub tls_ca: PathBuf,
    /// Folders of its users, by name, with `msp` and `tls` in each.
    pub users: BTreeMap<String, PathBuf>,
    /// Folder of Fabric's programs that the network was stood up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<PathBuf>,
}

/// A peer and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerProfile {
    /// Its host name, which is its name in the network.
    pub host: String,
    /// Its address, `host:port`.
    pub address: String,
}

/// A chaincode service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ServiceProfile {
    /// Its name in the network.
    pub name: String,
    /// Its address, `host:port`.
    pub address: String,
    /// The package id that it registers as.
    pub package_id: String,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read; is the network up?
    #[error("there is no usable profile; stand the network up first: {}", typed("up"))]
    File(#[from] FileError),
    /// The file is not a profile.
    #[error("`{path}` is not a profile ({reason}); {again} writes it anew", again = typed("up"))]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It names no peer.
    #[error("`{0}` names no peer")]
    NoPeer(PathBuf),
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`ProfileError`] when the file is missing or is no profile.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_str(&files::read(path)?)
            .map_err(|error| ProfileError::Json { path: path.to_owned(), reason: error.to_string() })?;
        if profile.peers.is_empty() {
            return Err(ProfileError::NoPeer(path.to_owned()));
        }
        Ok(profile)
    }

    /// The organisation's own gateway: its first peer, trusted by its TLS CA.
    ///
    /// # Errors
    /// [`ProfileError`] when the CA's certificate cannot be read.
    pub fn gateway(&self) -> Result<Endpoint, ProfileError> {
        Ok(Endpoint::tls(self.first_peer()?.address.clone(), files::read(&self.tls_ca)?))
    }

    /// The gateways of all the organisation's peers, the first one's first.
    ///
    /// # Errors
    /// [`ProfileError`] when the CA's certificate cannot be read.
    pub fn gateways(&self) -> Result<Vec<Endpoint>, ProfileError> {
        let roots = files::read(&self.tls_ca)?;
        Ok(self.peers.iter().map(|peer| Endpoint::tls(peer.address.clone(), roots.clone())).collect())
    }

    pub(crate) fn first_peer(&self) -> Result<&PeerProfile, ProfileError> {
        self.peers.first().ok_or_else(|| ProfileError::NoPeer(self.tls_ca.clone()))
    }

    /// The MSP folder of a user, by the name it has in the spec.
    pub fn msp_folder(&self, user: &str) -> Option<PathBuf> {
        self.users.get(user).map(|folder| folder.join("msp"))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), FileError> {
        files::replace_json(path, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_reads_back_and_a_damaged_one_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("north.json");
        let profile = Profile {
            organization: "north".to_owned(),
            msp_id: "NorthMSP".to_owned(),
            domain: "north.example.com".to_owned(),
            channel: "consortium".to_owned(),
            chaincode: Some("basic".to_owned()),
            members: vec!["NorthMSP".to_owned()],
            peers: vec![PeerProfile {
                host: "peer0.north.example.com".to_owned(),
                address: "127.0.0.1:7051".to_owned(),
            }],
            chaincode_service: None,
            tls_ca: home.path().join("ca.crt"),
            users: [("Admin".to_owned(), home.path().join("Admin"))].into(),
            programs: None,
        };
        profile.write(&path).unwrap();
        assert_eq!(Profile::read(&path).unwrap(), profile);
        assert!(matches!(profile.gateway(), Err(ProfileError::File(_))));
        assert_eq!(profile.msp_folder("nobody"), None);
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Profile::read(&path), Err(ProfileError::Json { .. })));
        assert!(matches!(Profile::read(&home.path().join("absent")), Err(ProfileError::File(_))));
    }
}
