//! Where everything of a network lies in its state folder.

use std::path::{Path, PathBuf};

use crate::spec::{OrderingService, Organization};

/// The paths in a state folder; names only, nothing is read or made.
///
/// ```text
/// network.json          what made this folder
/// ports.json            the ports of every process, chosen once
/// organizations/        keys and certificates, as cryptogen lays them out
/// imports/              of one organisation's part: the descriptions of the others, as they came
/// channel/              configtx.yaml and the genesis block
/// chaincode/            the package, and each organisation's values for it
/// nodes/NODE/           configuration, builder and data of one peer or orderer
/// left/NODE.N/          the same of an orderer that left the network
/// profiles/ORG.json     how to reach the network as one organisation
/// profiles/ORG.connection.json  the same in the form of Fabric's own SDKs
/// run/PROCESS.json      which process runs
/// logs/PROCESS.log      what it said; the run before is PROCESS.log.1
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under an absolute folder.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The state folder itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a member organisation's keys and certificates.
    pub fn organization(&self, organization: &Organization) -> PathBuf {
        self.root.join("organizations/peerOrganizations").join(&organization.domain)
    }

    /// The folder of the ordering organisation's keys and certificates.
    pub fn ordering_organization(&self, orderer: &OrderingService) -> PathBuf {
        self.root.join("organizations/ordererOrganizations").join(&orderer.domain)
    }

    /// A user's folder, with `msp` and `tls` in it.
    pub fn user(&self, organization: &Organization, user: &str) -> PathBuf {
        self.organization(organization).join("users").join(format!("{user}@{}", organization.domain))
    }

    /// A log file of a process.
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// The folder of all log files.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The connection profile of an organisation, by its short name.
    pub fn profile(&self, organization: &str) -> PathBuf {
        self.root.join("profiles").join(format!("{organization}.json"))
    }

    /// The connection profile of an organisation in the form of Fabric's own SDKs, by the organisation's short name.
    pub fn connection_profile(&self, organization: &str) -> PathBuf {
        self.root.join("profiles").join(format!("{organization}.connection.json"))
    }

    pub(crate) fn marker(&self) -> PathBuf {
        self.root.join("network.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports.json")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn channel(&self) -> PathBuf {
        self.root.join("channel")
    }

    pub(crate) fn genesis_block(&self, channel: &str) -> PathBuf {
        self.channel().join(format!("{channel}.block"))
    }

    pub(crate) fn node(&self, host: &str) -> PathBuf {
        self.root.join("nodes").join(host)
    }

    /// The others' descriptions, as they came.
    pub(crate) fn imports(&self) -> PathBuf {
        self.root.join("imports")
    }

    pub(crate) fn left(&self) -> PathBuf {
        self.root.join("left")
    }

    pub(crate) fn chaincode(&self) -> PathBuf {
        self.root.join("chaincode")
    }
}
