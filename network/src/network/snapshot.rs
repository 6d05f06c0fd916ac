//! Snapshots of a channel's state, and peers that join by one instead of by the first block.
//!
//! A snapshot is a folder that a peer writes: the state, the ids of all transactions, and hashes of both. A peer that
//! joins by it has the state and no block before it. Whether it is the channel's own is looked up at another peer: the
//! block that it names has to be there, with the same hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hlf_gateway::{
    ConnectError, Credentials, Deadlines, Endorser, MspFolderError, SignError, SystemChaincodeError,
};
use hlf_protos::common::SignatureHeader;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::snapshot_client::SnapshotClient;
use hlf_protos::protos::{SignedSnapshotRequest, SnapshotQuery, SnapshotRequest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use super::up::{START_LIMIT, Stand, UpError};
use super::{Network, read_bytes};
use crate::block_files;
use crate::commands::typed;
use crate::files::{self, FileError};
use crate::node::NodeError;
use crate::ports::PortError;
use crate::progress::{Progress, Step};
use crate::spec::Organization;
use crate::wait::{self, Look, WaitError};

/// What describes a snapshot, in its folder, and what its name is in a peer's folder of snapshots.
const DESCRIPTION: &str = "_snapshot_signable_metadata.json";
const COMPLETED: &str = "data/snapshots/completed";
/// The note in a node's folder of the snapshot by which it is to join.
const NOTE: &str = "snapshot.json";

/// How long a peer may take to answer, and to write a snapshot.
const CALL_LIMIT: Duration = Duration::from_secs(30);
const MADE_WITHIN: Duration = Duration::from_secs(600);
/// How long a peer may take to read one.
const JOINED_WITHIN: Duration = Duration::from_secs(600);

/// A nonce's length in a signature header.
const NONCE_BYTES: usize = 24;

/// A snapshot in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The peer that made it; absent of a folder that was brought from elsewhere.
    pub peer: Option<String>,
    /// The channel.
    pub channel: String,
    /// The number of the newest block that it stands for.
    pub block: u64,
    /// SHA-256 of that block's header, hexadecimal.
    pub block_hash: String,
    /// The folder.
    pub folder: PathBuf,
}

/// Snapshots of the channel on the peers of this folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshots {
    /// Those that are made.
    pub made: Vec<Snapshot>,
    /// Blocks at which peers are still to make some, by peer.
    pub pending: BTreeMap<String, Vec<u64>>,
}

/// Why there is no snapshot, or a peer does not join by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is no such peer.
    #[error("there is no peer `{peer}`; there are {known}")]
    Unknown {
        /// The name as given.
        peer: String,
        /// Those that there are.
        known: String,
    },
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// The peer has no address or certificate.
    #[error("the peer cannot be reached")]
    Node(#[from] NodeError),
    /// The peer's admin cannot be used.
    #[error("the admin of `{organization}` cannot be used")]
    Admin {
        /// The organisation.
        organization: String,
        /// What is wrong.
        source: MspFolderError,
    },
    /// The peer does not answer.
    #[error("the peer cannot be reached")]
    Connect(#[from] ConnectError),
    /// The request was not signed.
    #[error("the request is not signed")]
    Sign(#[from] SignError),
    /// The operating system has no randomness to give.
    #[error("the operating system gives no random bytes")]
    Random,
    /// The peer refused.
    #[error("the peer makes no snapshot: {0}")]
    Refused(String),
    /// The peer's height is not known.
    #[error("the peer does not say how many blocks it has")]
    Height(#[from] SystemChaincodeError),
    /// It is not made in time.
    #[error("the snapshot is not made yet; {} shows whether it is", typed("snapshot list"))]
    Wait(#[from] WaitError),
    /// The folder holds no snapshot, or a damaged one.
    #[error("`{folder}` holds no snapshot that serves: {what}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The snapshot is of another channel, or of another past of this one.
    #[error("the snapshot in `{folder}` is not of this channel: {what}; nothing was changed")]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        what: String,
    },
    /// The peer has joined already.
    #[error("`{0}` has joined the channel already; only a peer that has not can join by a snapshot")]
    Joined(String),
    /// A file cannot be read or written.
    #[error("a file cannot be used")]
    File(#[from] FileError),
}

/// What Fabric writes of a snapshot.
#[derive(Deserialize)]
struct Description {
    channel_name: String,
    last_block_number: u64,
    last_block_hash: String,
    snapshot_files_raw_hashes: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads a snapshot's folder, and demands that its files are those that it names.
    ///
    /// # Errors
    /// [`SnapshotError::Folder`] says what is wrong.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let snapshot = Self::described(folder)?;
        let wrong = |what: String| SnapshotError::Folder { folder: folder.to_owned(), what };
        for (name, hash) in description(folder)?.snapshot_files_raw_hashes {
            if !crate::archive::is_inside(Path::new(&name)) {
                return Err(wrong(format!("it names the file `{name}`")));
            }
            let path = folder.join(&name);
            let bytes = read_bytes(&path).map_err(|_| wrong(format!("`{name}` is missing")))?;
            if hex::encode(Sha256::digest(bytes)) != hash {
                return Err(wrong(format!("`{name}` is damaged")));
            }
        }
        Ok(snapshot)
    }

    /// A snapshot as its folder describes it.
    fn described(folder: &Path) -> Result<Self, SnapshotError> {
        let said = description(folder)?;
        let absolute = std::path::absolute(folder).map_err(|e| FileError::new(folder, "found", e))?;
        Ok(Self {
            peer: None,
            channel: said.channel_name,
            block: said.last_block_number,
            block_hash: said.last_block_hash,
            folder: absolute,
        })
    }
}

fn description(folder: &Path) -> Result<Description, SnapshotError> {
    let wrong = |what: String| SnapshotError::Folder { folder: folder.to_owned(), what };
    let path = folder.join(DESCRIPTION);
    if !path.exists() {
        return Err(wrong(format!("`{DESCRIPTION}` is not in it")));
    }
    serde_json::from_str(&files::read(&path)?).map_err(|e| wrong(e.to_string()))
}

impl Network {
    /// Has a peer make a snapshot of the channel's state as of its newest block, and waits until it is made.
    ///
    /// The peer commits no block meanwhile.
    ///
    /// # Errors
    /// [`SnapshotError`] says why there is none.
    pub async fn make_snapshot(
        &self,
        peer: &str,
        progress: &dyn Progress,
    ) -> Result<Snapshot, SnapshotError> {
        let organization = self.organization_of(peer)?;
        let step = Step::begin(progress, format!("snapshot on `{peer}`"));
        let admin = self.snapshot_admin(organization)?;
        let endpoint = self.peer_endpoint(organization, peer, &self.ports()?)?;
        let endorser = Endorser::connect(&endpoint, admin.clone(), Deadlines::default()).await?;
        let channel = &self.spec.channel.name;
        let least = endorser.ledger(channel).info().await?.height.saturating_sub(1);
        let request = SnapshotRequest {
            signature_header: Some(signature_header(&admin)?),
            channel_id: channel.clone(),
            // Of whatever is newest when the peer takes the request.
            block_number: 0,
        };
        let signed = signed(&admin, request.encode_to_vec()).await?;
        let asked =
            async { client(endpoint.connect(CALL_LIMIT).await?).generate(signed).await.map_err(refused) };
        asked.await?;
        let folder = self.layout.node(peer).join(COMPLETED).join(channel);
        let made = wait::until(&step, "the peer to write it", MADE_WITHIN, || async {
            let newest = completed(&folder)?.into_iter().max_by_key(|snapshot| snapshot.block);
            Ok::<_, SnapshotError>(match newest {
                Some(snapshot) if snapshot.block >= least => Look::Holds(snapshot),
                _ => Look::NotYet("it is not there".to_owned()),
            })
        })
        .await?;
        step.done(&format!("as of block {}, in `{}`", made.block, made.folder.display()));
        Ok(Snapshot { peer: Some(peer.to_owned()), ..made })
    }

    /// The snapshots on the peers of this folder, and those that are still to be made.
    ///
    /// # Errors
    /// [`SnapshotError`] when a folder cannot be read; a peer that does not answer has none that are still to be made.
    pub async fn snapshots(&self) -> Result<Snapshots, SnapshotError> {
        let channel = &self.spec.channel.name;
        let mut found = Snapshots { made: Vec::new(), pending: BTreeMap::new() };
        for organization in self.own_organizations() {
            for peer in organization.peers.iter().map(|peer| organization.host(peer)) {
                let folder = self.layout.node(&peer).join(COMPLETED).join(channel);
                let made = completed(&folder)?.into_iter();
                found.made.extend(made.map(|made| Snapshot { peer: Some(peer.clone()), ..made }));
                if let Ok(pending) = self.pending_snapshots(organization, &peer).await
                    && !pending.is_empty()
                {
                    found.pending.insert(peer, pending);
                }
            }
        }
        Ok(found)
    }

    /// Notes that a peer, which has not joined the channel yet, joins by a snapshot when it is first started: by
    /// [`Network::up`], or by [`Network::apply`] of a spec that has it.
    ///
    /// The snapshot's files and channel are looked at now, and its newest block is looked up on a peer that runs.
    ///
    /// # Errors
    /// [`SnapshotError`]; then nothing is noted.
    pub async fn join_by_snapshot(
        &self,
        peer: &str,
        snapshot: &Path,
        progress: &dyn Progress,
    ) -> Result<Snapshot, SnapshotError> {
        let step = Step::begin(progress, "snapshot");
        let snapshot = Snapshot::open(snapshot)?;
        let other = |what: String| SnapshotError::Other { folder: snapshot.folder.clone(), what };
        if snapshot.channel != self.spec.channel.name {
            return Err(other(format!("it is of `{}`", snapshot.channel)));
        }
        let node = self.layout.node(peer);
        if node.join("data/ledgersData").exists() {
            return Err(SnapshotError::Joined(peer.to_owned()));
        }
        let hash = self.block_hash(snapshot.block).await?;
        if hash != snapshot.block_hash {
            return Err(other(format!("block {} has another hash on a peer that runs", snapshot.block)));
        }
        files::make_folder(&node)?;
        let note = serde_json::to_string(&snapshot.folder).unwrap_or_default();
        files::replace(&node.join(NOTE), files::PUBLIC, note.as_bytes())?;
        step.done(&format!("whole, and of this channel up to block {}", snapshot.block));
        Ok(snapshot)
    }

    /// The hash of a block's header, hexadecimal, as the first peer that answers has it.
    async fn block_hash(&self, number: u64) -> Result<String, SnapshotError> {
        let ports = self.ports()?;
        let mut last = None;
        for organization in &self.spec.organizations {
            let admin = self.snapshot_admin(organization)?;
            for peer in organization.peers.iter().map(|peer| organization.host(peer)) {
                if self.supervisor.running(&peer).is_none() {
                    continue;
                }
                let endpoint = self.peer_endpoint(organization, &peer, &ports)?;
                let asked = async {
                    let endorser = Endorser::connect(&endpoint, admin.clone(), Deadlines::default()).await?;
                    let block = endorser.ledger(&self.spec.channel.name).block(number).await?;
                    Ok::<_, SnapshotError>(
                        block.header.map(|header| hex::encode(block_files::hash_of(&header))),
                    )
                };
                match asked.await {
                    Ok(hash) => return Ok(hash.unwrap_or_default()),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.unwrap_or_else(|| SnapshotError::Refused("no peer runs that has the block".to_owned())))
    }

    async fn pending_snapshots(
        &self,
        organization: &Organization,
        peer: &str,
    ) -> Result<Vec<u64>, SnapshotError> {
        let admin = self.snapshot_admin(organization)?;
        let endpoint = self.peer_endpoint(organization, peer, &self.ports()?)?;
        let query = SnapshotQuery {
            signature_header: Some(signature_header(&admin)?),
            channel_id: self.spec.channel.name.clone(),
        };
        let signed = signed(&admin, query.encode_to_vec()).await?;
        let answer = client(endpoint.connect(CALL_LIMIT).await?).query_pendings(signed).await;
        Ok(answer.map_err(refused)?.into_inner().block_numbers)
    }

    fn organization_of(&self, peer: &str) -> Result<&Organization, SnapshotError> {
        let hosts = |organization: &Organization| -> Vec<String> {
            organization.peers.iter().map(|peer| organization.host(peer)).collect()
        };
        let mut all = self.own_organizations();
        all.find(|organization| hosts(organization).iter().any(|host| host == peer)).ok_or_else(|| {
            let known = self.own_organizations().flat_map(hosts).collect::<Vec<_>>().join(", ");
            SnapshotError::Unknown { peer: peer.to_owned(), known }
        })
    }

    fn snapshot_admin(&self, organization: &Organization) -> Result<Credentials, SnapshotError> {
        let admin = self.admin(organization);
        admin
            .map(|admin| admin.into_credentials())
            .map_err(|source| SnapshotError::Admin { organization: organization.name.clone(), source })
    }
}

impl Stand<'_> {
    /// Makes a peer join by the snapshot that is noted for it; false when none is.
    pub(super) async fn join_by_noted_snapshot(
        &self,
        step: &Step<'_>,
        endorser: &Endorser,
        host: &str,
    ) -> Result<bool, UpError> {
        let note = self.network.layout.node(host).join(NOTE);
        if !note.exists() {
            return Ok(false);
        }
        let channel = &self.network.spec.channel.name;
        let failed = |error| UpError::Channel(crate::channel::ChannelError::of(host, error));
        let channels = endorser.channels();
        let has_joined = || async {
            let joined = channels.joined().await.map_err(failed)?;
            Ok::<_, UpError>(joined.iter().any(|joined| joined == channel))
        };
        if !has_joined().await? {
            let folder: PathBuf = serde_json::from_str(&files::read(&note)?).unwrap_or_default();
            let folder = folder.to_string_lossy().into_owned();
            if !channels.join_by_snapshot_status().await.map_err(failed)?.in_progress {
                channels.join_by_snapshot(&folder).await.map_err(failed)?;
            }
            let limit = JOINED_WITHIN.max(START_LIMIT);
            wait::until(step, &format!("`{host}` to read the snapshot"), limit, || async {
                self.network.supervisor.demand_alive(host)?;
                Ok::<_, UpError>(match channels.join_by_snapshot_status().await {
                    Ok(status) if status.in_progress => Look::NotYet("it reads".to_owned()),
                    Ok(_) if has_joined().await? => Look::Holds(()),
                    Ok(_) => Look::NotYet("it has not joined; its log says why".to_owned()),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
        }
        std::fs::remove_file(&note).map_err(|e| FileError::new(&note, "removed", e))?;
        Ok(true)
    }
}

/// The snapshots in a peer's folder of a channel.
fn completed(folder: &Path) -> Result<Vec<Snapshot>, SnapshotError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unread = |e| FileError::new(folder, "read", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        found.push(Snapshot::described(&entry.map_err(unread)?.path())?);
    }
    found.sort_by_key(|snapshot| snapshot.block);
    Ok(found)
}

fn client(channel: Channel) -> SnapshotClient<Channel> {
    SnapshotClient::new(channel)
}

fn refused(status: tonic::Status) -> SnapshotError {
    SnapshotError::Refused(status.message().to_owned())
}

fn signature_header(admin: &Credentials) -> Result<SignatureHeader, SnapshotError> {
    let mut nonce = vec![0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| SnapshotError::Random)?;
    Ok(SignatureHeader { creator: admin.identity().creator(), nonce })
}

async fn signed(admin: &Credentials, request: Vec<u8>) -> Result<SignedSnapshotRequest, SnapshotError> {
    let signature = admin.sign(&request).await?;
    Ok(SignedSnapshotRequest { request, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("public_state.data"), "state").unwrap();
        let said = serde_json::json!({
            "channel_name": "consortium",
            "last_block_number": 7,
            "last_block_hash": "ab",
            "previous_block_hash": "cd",
            "snapshot_files_raw_hashes": { "public_state.data": hex::encode(Sha256::digest("state")) },
            "state_db_type": "SimpleKeyValueDB",
        });
        std::fs::write(home.path().join(DESCRIPTION), said.to_string()).unwrap();
        home
    }

    #[test]
    fn a_snapshot_is_what_its_description_says() {
        let home = folder();
        let snapshot = Snapshot::open(home.path()).unwrap();
        assert_eq!((snapshot.channel.as_str(), snapshot.block), ("consortium", 7));
        std::fs::write(home.path().join("public_state.data"), "stale").unwrap();
        let damaged = Snapshot::open(home.path()).unwrap_err().to_string();
        assert!(damaged.contains("public_state.data") && damaged.contains("damaged"), "{damaged}");
        std::fs::remove_file(home.path().join("public_state.data")).unwrap();
        assert!(Snapshot::open(home.path()).unwrap_err().to_string().contains("missing"));
        assert!(Snapshot::open(&home.path().join("nowhere")).is_err());
    }
}
