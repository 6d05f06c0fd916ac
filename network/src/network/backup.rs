//! Backups of nodes' ledgers, keys and configuration, made while the network runs.
//!
//! Each node stands still for a moment, in which an image is taken of its files: they are as a kill in that moment would
//! leave them, and from there Fabric starts. Peers are taken one after the other; the consenters of the ordering service
//! all together and last, so that none of them forgets what it has agreed on with the others, and no peer of the backup
//! has a block that the ordering service of the backup has not.

mod image;
mod manifest;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::claim::StateError;
use super::{Network, NodeKind, package_file, read_bytes, remove};
use crate::archive::{self, Archive, ArchiveError, Source};
use crate::block_files::BlockFileError;
use crate::fabric::Version;
use crate::files::{self, FileError};
use crate::lock::{FolderLock, LockError};
use crate::node;
use crate::process::ProcessError;
use crate::progress::{Progress, Step};
use crate::spec::{ORDERING, Organization};

pub use manifest::{ArchivedLedger, ArchivedNode, Manifest, Whose};
use manifest::{FORMAT, ledgers};

/// What is of this run of the programs alone, and what others keep elsewhere.
const PASSING: [&str; 4] = ["lock", "run", "logs", IMAGES];

/// Where images are taken, in the state folder.
const IMAGES: &str = "images.draft";

/// What a private key's file says, in PEM.
const PRIVATE: &[u8] = b"PRIVATE KEY-----";
/// A file longer than this is no key's.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// Whether private keys are put into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// They are, so the backup can act as whoever it is of: guard it like them.
    Included,
    /// They are kept elsewhere, and have to be put in their places after a restore.
    LeftOut,
}

/// Why there is no backup, or it does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// The folder holds no network.
    #[error("the state folder does not serve")]
    State(#[from] StateError),
    /// There is no such organisation.
    #[error("there is no organisation `{name}`; there are {known}, and `orderer`")]
    Unknown {
        /// The name as given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A node does not stand still, or does not go on.
    #[error("a node's files cannot be looked at")]
    Process(#[from] ProcessError),
    /// A ledger in it is damaged.
    #[error("the ledger of `{node}` is damaged")]
    Ledger {
        /// The node.
        node: String,
        /// What is wrong with it.
        source: BlockFileError,
    },
    /// The archive was not written, or is damaged.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The manifest is of another version.
    #[error("the backup is of format {found}, and this program knows {FORMAT}; use the program that made it")]
    Format {
        /// The backup's format.
        found: u64,
    },
    /// The manifest cannot be read.
    #[error("the backup's manifest cannot be read: {0}")]
    Manifest(String),
    /// A ledger in it is another one than its manifest says.
    #[error("`{node}` has another ledger of `{channel}` than the manifest says")]
    Other {
        /// The node.
        node: String,
        /// The channel.
        channel: String,
    },
    /// A peer has blocks that the ordering service has not: it would make others in their place.
    #[error(
        "a peer has {peer} blocks of `{channel}` and the ordering service {orderer}: it would make other blocks in \
         their place; restore a backup in which it is not behind"
    )]
    Behind {
        /// The channel.
        channel: String,
        /// The most blocks of a peer.
        peer: u64,
        /// The most blocks of an orderer.
        orderer: u64,
    },
    /// A file cannot be read or written.
    #[error("a file cannot be used")]
    File(#[from] FileError),
}

/// A node whose image is to be taken.
struct Node {
    name: String,
    kind: NodeKind,
    msp_id: String,
}

impl Network {
    /// Whose backup a name means: a member's name or MSP id, or `orderer`.
    ///
    /// # Errors
    /// [`BackupError::Unknown`] names those that there are.
    pub fn whose(&self, name: &str) -> Result<Whose, BackupError> {
        if name == ORDERING || name == self.spec.orderer.msp_id {
            return Ok(Whose::Orderer);
        }
        match self.spec.organization(name) {
            Some(organization) => Ok(Whose::Organization(organization.name.clone())),
            None => {
                let names: Vec<&str> = self.spec.organizations.iter().map(|o| o.name.as_str()).collect();
                Err(BackupError::Unknown { name: name.to_owned(), known: names.join(", ") })
            }
        }
    }

    /// Writes a backup into a new file, readable by its owner alone, and returns what it holds.
    ///
    /// The network may run and be in use; each node stands still for a moment. Nothing in the archive is encrypted:
    /// with [`Keys::Included`] it holds every private key in the clear.
    ///
    /// # Errors
    /// [`BackupError`]; no file is left then.
    pub async fn back_up(
        &self,
        whose: &Whose,
        keys: Keys,
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<Manifest, BackupError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        if to.exists() {
            return Err(ArchiveError::Exists(to.to_owned()).into());
        }
        let whose = &self.demand_own(whose)?;
        let made_at_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let images = self.layout.root().join(IMAGES);
        clear(&images)?;
        let done = self.fill(whose, keys, to, made_at_unix_s, progress).await;
        let cleared = clear(&images);
        let manifest = done?;
        cleared?;
        Ok(manifest)
    }

    /// Of one organisation's part everything is its own, and nothing another's.
    fn demand_own(&self, whose: &Whose) -> Result<Whose, BackupError> {
        let Some(part) = self.part() else { return Ok(whose.clone()) };
        match whose {
            Whose::Organization(name) if *name != part.organization => {
                Err(BackupError::Unknown { name: name.clone(), known: part.organization.clone() })
            }
            Whose::Orderer if !part.is_ordering() => {
                Err(BackupError::Unknown { name: ORDERING.to_owned(), known: part.organization.clone() })
            }
            _ => Ok(Whose::All),
        }
    }

    async fn fill(
        &self,
        whose: &Whose,
        keys: Keys,
        to: &Path,
        made_at_unix_s: u64,
        progress: &dyn Progress,
    ) -> Result<Manifest, BackupError> {
        let root = self.layout.root();
        let images = root.join(IMAGES);
        files::make_private_folder(&images)?;
        let nodes = self.backed_up(whose);
        let (orderers, peers): (Vec<&Node>, Vec<&Node>) =
            nodes.iter().partition(|node| node.kind == NodeKind::Orderer);
        for peer in peers {
            self.image_of(&[peer], &images, progress).await?;
        }
        self.image_of(&orderers, &images, progress).await?;

        let step = Step::begin(progress, "ledgers of the images");
        let mut archived = Vec::new();
        for node in &nodes {
            step.waiting(&format!("the blocks of `{}` to be read", node.name));
            let folder = images.join("nodes").join(&node.name);
            let ledgers = ledgers(&folder, node.kind)
                .map_err(|source| BackupError::Ledger { node: node.name.clone(), source })?;
            let (name, msp_id) = (node.name.clone(), node.msp_id.clone());
            archived.push(ArchivedNode { name, kind: node.kind, msp_id, ledgers });
        }
        step.done("every block follows from the one before");

        let step = Step::begin(progress, "archive");
        let mut content = Content { keys, sources: Vec::new(), folders: Vec::new(), left_out: Vec::new() };
        for path in self.kept(whose)? {
            content.add(root, &path)?;
        }
        content.add(&images, &images.join("nodes"))?;
        let mut manifest = Manifest {
            format: FORMAT,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at_unix_s,
            fabric: self.release(),
            channel: self.spec.channel.name.clone(),
            whose: whose.clone(),
            keys: keys == Keys::Included,
            left_out: content.left_out,
            consortium: self.spec.clone(),
            nodes: archived,
            folders: content.folders,
            files: Vec::new(),
        };
        demand_ordered(&manifest)?;
        manifest.files = content.sources.iter().map(|source| source.file.clone()).collect();
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| BackupError::Manifest(e.to_string()))?;
        archive::write(to, &text, &content.sources)?;
        let bytes: u64 = manifest.files.iter().map(|file| file.size_bytes).sum();
        step.done(&format!("{} files of {bytes} bytes, in `{}`", manifest.files.len(), to.display()));
        Ok(manifest)
    }

    /// Takes an image of nodes that stand still together.
    async fn image_of(
        &self,
        nodes: &[&Node],
        images: &Path,
        progress: &dyn Progress,
    ) -> Result<(), BackupError> {
        let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let step = Step::begin(progress, format!("image of {}", names.join(", ")));
        let frozen = self.supervisor.freeze(&names).await?;
        let begun = Instant::now();
        let mut taken = Ok(());
        for name in &names {
            let folder = self.layout.node(name);
            if taken.is_ok() && folder.exists() {
                taken = image::take(&folder, &images.join("nodes").join(name));
            }
        }
        drop(frozen);
        let stood = begun.elapsed();
        taken?;
        step.done(&format!("stood still for {} ms", stood.as_millis()));
        Ok(())
    }

    fn backed_up(&self, whose: &Whose) -> Vec<Node> {
        let spec = &self.spec;
        let peers = |organization: &Organization| -> Vec<Node> {
            let hosts = organization.peers.iter().map(|peer| organization.host(peer));
            let msp_id = &organization.msp_id;
            hosts.map(|name| Node { name, kind: NodeKind::Peer, msp_id: msp_id.clone() }).collect()
        };
        let orderers = || {
            let hosts = self.own_consenters().iter().map(|consenter| spec.orderer.host(consenter));
            let msp_id = &spec.orderer.msp_id;
            hosts.map(|name| Node { name, kind: NodeKind::Orderer, msp_id: msp_id.clone() }).collect()
        };
        match whose {
            Whose::Orderer => orderers(),
            Whose::Organization(name) => spec.organization(name).map(peers).unwrap_or_default(),
            Whose::All => {
                let mut nodes: Vec<Node> = self.own_organizations().flat_map(peers).collect();
                let orderers: Vec<Node> = orderers();
                nodes.extend(orderers);
                nodes
            }
        }
    }

    /// What of the state folder belongs to a backup besides the images.
    fn kept(&self, whose: &Whose) -> Result<Vec<PathBuf>, BackupError> {
        let root = self.layout.root();
        let mut kept = Vec::new();
        if whose == &Whose::All {
            let imaged: BTreeSet<PathBuf> =
                self.backed_up(whose).iter().map(|node| self.layout.node(&node.name)).collect();
            for path in image::entries(root, |_| true)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path == root.join("nodes") {
                    // Those of peers that left, whose private data nobody else has.
                    let all = image::entries(&path, |_| true)?;
                    kept.extend(all.into_iter().filter(|node| !imaged.contains(node)));
                } else if !PASSING.contains(&name.as_str()) && !name.starts_with('.') {
                    kept.push(path);
                }
            }
            return Ok(kept);
        }
        kept.extend([self.layout.marker(), self.layout.ports(), self.layout.channel()]);
        let orderer_home = self.layout.ordering_organization(&self.spec.orderer);
        let homes = self.spec.organizations.iter().map(|member| {
            let own = whose == &Whose::Organization(member.name.clone());
            (self.layout.organization(member), member.domain.as_str(), own)
        });
        let orderer = (orderer_home, self.spec.orderer.domain.as_str(), whose == &Whose::Orderer);
        for (home, domain, own) in homes.chain([orderer]) {
            if own {
                kept.push(home);
            } else {
                // By what everybody knows of it, its nodes are known.
                kept.extend([home.join("msp"), home.join("tlsca").join(format!("tlsca.{domain}-cert.pem"))]);
                for nodes in ["peers", "orderers"].map(|kind| home.join(kind)) {
                    if nodes.exists() {
                        let certificates = image::entries(&nodes, |_| true)?
                            .into_iter()
                            .flat_map(|node| [node.join("tls/server.crt"), node.join("msp/signcerts")]);
                        kept.extend(certificates);
                    }
                }
            }
        }
        if let Whose::Organization(name) = whose {
            kept.push(self.layout.profile(name));
            let of_chaincode = ["values.json", "place"].map(|end| format!("{name}.{end}"));
            kept.extend(of_chaincode.map(|file| self.layout.chaincode().join(file)));
        }
        if let Some(chaincode) = &self.spec.chaincode {
            let own = self.spec.organizations.iter().map(|member| chaincode.label_of(&member.name));
            let labels: BTreeSet<&str> = own.collect();
            kept.extend(labels.into_iter().map(|label| package_file(&self.layout, label)));
        }
        kept.retain(|path| path.exists());
        Ok(kept)
    }

    /// The newest release that a node was started with, or the spec's.
    fn release(&self) -> Version {
        let nodes = self.backed_up(&Whose::All);
        let ran = nodes.iter().filter_map(|found| node::release(&self.layout.node(&found.name)));
        ran.max().unwrap_or(self.spec.fabric)
    }
}

/// The files of an archive.
struct Content {
    keys: Keys,
    sources: Vec<Source>,
    folders: Vec<String>,
    left_out: Vec<String>,
}

impl Content {
    /// Adds a file, or a folder with all that is in it.
    fn add(&mut self, root: &Path, path: &Path) -> Result<(), BackupError> {
        let unread = |e| FileError::new(path, "read", e);
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".draft")) {
            return Ok(());
        }
        let kind = fs::symlink_metadata(path).map_err(unread)?;
        if kind.is_dir() {
            self.folders.push(name);
            for inside in image::entries(path, |_| true)? {
                self.add(root, &inside)?;
            }
        } else if kind.is_file() {
            if self.keys == Keys::LeftOut && is_private(path, kind.len())? {
                self.left_out.push(name);
            } else {
                self.sources.push(Source::of(path, &name)?);
            }
        } else {
            let odd = std::io::Error::other("it is neither a file nor a folder");
            return Err(FileError::new(path, "archived", odd).into());
        }
        Ok(())
    }
}

/// Whether a file holds a private key.
fn is_private(path: &Path, length: u64) -> Result<bool, FileError> {
    if length > KEY_BYTES_MAX {
        return Ok(false);
    }
    let bytes = read_bytes(path)?;
    Ok(bytes.windows(PRIVATE.len()).any(|window| window == PRIVATE))
}

fn clear(images: &Path) -> Result<(), FileError> {
    if images.exists() { remove(images) } else { Ok(()) }
}

/// Demands that no peer has blocks that the ordering service has not, where both are there.
fn demand_ordered(manifest: &Manifest) -> Result<(), BackupError> {
    let channels: BTreeSet<&String> = manifest.nodes.iter().flat_map(|node| node.ledgers.keys()).collect();
    for channel in channels {
        let height = |kind| manifest.height(kind, channel);
        if let (Some(peer), Some(orderer)) = (height(NodeKind::Peer), height(NodeKind::Orderer))
            && peer > orderer
        {
            return Err(BackupError::Behind { channel: channel.clone(), peer, orderer });
        }
    }
    Ok(())
}

/// A backup that is whole: opened, and looked at byte by byte.
#[derive(Debug)]
pub struct Backup {
    archive: Archive,
    manifest: Manifest,
}

impl Backup {
    /// Reads a backup and demands that every byte of it is as it was written, and every file as its manifest says.
    ///
    /// # Errors
    /// [`BackupError`] says what is wrong; nothing is written.
    pub fn open(path: &Path, progress: &dyn Progress) -> Result<Self, BackupError> {
        let step = Step::begin(progress, "backup");
        step.waiting("every byte to be read");
        let archive = Archive::open(path)?;
        let unreadable = |e: serde_json::Error| BackupError::Manifest(e.to_string());
        let loose: serde_json::Value = serde_json::from_slice(archive.manifest()).map_err(unreadable)?;
        let found = loose.get("format").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if found != u64::from(FORMAT) {
            return Err(BackupError::Format { found });
        }
        let manifest: Manifest = serde_json::from_value(loose).map_err(unreadable)?;
        demand_ordered(&manifest)?;
        archive.unpack(&manifest.files, None)?;
        step.done(&format!("whole: {} files", manifest.files.len()));
        Ok(Self { archive, manifest })
    }

    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes its files into a folder, and demands that the ledgers there are those of the manifest, block by block.
    pub(super) fn write_to(&self, folder: &Path) -> Result<(), BackupError> {
        for path in &self.manifest.folders {
            let inside = Path::new(path);
            if !archive::is_inside(inside) {
                return Err(BackupError::Manifest(format!("the folder `{path}` would lie outside")));
            }
            files::make_folder(&folder.join(inside))?;
        }
        self.archive.unpack(&self.manifest.files, Some(folder))?;
        for node in &self.manifest.nodes {
            let at = folder.join("nodes").join(&node.name);
            let found = ledgers(&at, node.kind)
                .map_err(|source| BackupError::Ledger { node: node.name.clone(), source })?;
            for (channel, wanted) in &node.ledgers {
                if found.get(channel) != Some(wanted) {
                    return Err(BackupError::Other { node: node.name.clone(), channel: channel.clone() });
                }
            }
        }
        Ok(())
    }
}
