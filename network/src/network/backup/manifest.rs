//! What stands at the beginning of a backup: whose it is, how far its ledgers go, and every file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::archive::ArchivedFile;
use crate::block_files::{self, BlockFileError};
use crate::fabric::Version;
use crate::files::FileError;
use crate::network::NodeKind;
use crate::spec::Consortium;

/// The version of the manifest and of what it says of the files; another one is refused, not guessed at.
pub(super) const FORMAT: u32 = 1;

/// Where a node's data has a folder for each channel, of a peer and of an orderer.
const CHAINS_OF_PEER: &str = "data/ledgersData/chains/chains";
const CHAINS_OF_ORDERER: &str = "data/ledger/chains";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The manifest's version.
    pub format: u32,
    /// The version of the program's library that made it.
    pub made_by: String,
    /// When it was begun, in seconds since 1970.
    pub made_at_unix_s: u64,
    /// The release of Fabric whose ledgers it holds.
    #[serde(with = "crate::spec::release")]
    pub fabric: Version,
    /// The channel of the spec.
    pub channel: String,
    /// Whose nodes it holds.
    pub whose: Whose,
    /// Whether private keys are in it.
    pub keys: bool,
    /// Paths of the private keys that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The network that it is of.
    pub consortium: Consortium,
    /// The ledgers of its nodes.
    pub nodes: Vec<ArchivedNode>,
    /// Folders, which may be empty.
    pub folders: Vec<String>,
    /// Every file, in the archive's order.
    pub files: Vec<ArchivedFile>,
}

/// Whose nodes and keys a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Whose {
    /// Everything in the state folder.
    All,
    /// One member organisation, by its name.
    Organization(String),
    /// The ordering organisation.
    Orderer,
}

/// A node in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArchivedNode {
    /// Its host name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Its organisation's MSP id.
    pub msp_id: String,
    /// Its ledgers, by channel.
    pub ledgers: BTreeMap<String, ArchivedLedger>,
}

/// How far a ledger goes in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArchivedLedger {
    /// The number of the first block that is there: 0, or another one of a peer that joined by a snapshot.
    pub first_block: u64,
    /// The number of blocks, those before the first counted too.
    pub height: u64,
    /// SHA-256 of the newest block's header, hexadecimal; through the hashes of those before it, it names them all.
    pub last_block_hash: String,
    /// Of a peer: the hash of all verdicts and writes up to the newest block, hexadecimal; empty of an orderer.
    pub commit_hash: String,
}

impl Manifest {
    /// The most blocks of a channel that one of the nodes has.
    pub fn height(&self, kind: NodeKind, channel: &str) -> Option<u64> {
        let nodes = self.nodes.iter().filter(|node| node.kind == kind);
        nodes.filter_map(|node| node.ledgers.get(channel)).map(|ledger| ledger.height).max()
    }
}

/// Reads a node's ledgers from its folder, block by block.
pub(super) fn ledgers(
    node: &Path,
    kind: NodeKind,
) -> Result<BTreeMap<String, ArchivedLedger>, BlockFileError> {
    let chains = node.join(match kind {
        NodeKind::Orderer => CHAINS_OF_ORDERER,
        _ => CHAINS_OF_PEER,
    });
    let mut found = BTreeMap::new();
    if !chains.exists() {
        return Ok(found);
    }
    let unread = |e| FileError::new(&chains, "read", e);
    for entry in std::fs::read_dir(&chains).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let channel = entry.file_name().to_string_lossy().into_owned();
        if let Some(tip) = block_files::tip(&entry.path())? {
            let ledger = ArchivedLedger {
                first_block: tip.first,
                height: tip.height,
                last_block_hash: hex::encode(tip.hash),
                commit_hash: hex::encode(tip.commit_hash),
            };
            found.insert(channel, ledger);
        }
    }
    Ok(found)
}
