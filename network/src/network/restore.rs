//! Backups brought back: files onto an empty machine, then the nodes that are of the backup, then what others have.

use std::fs;
use std::path::{Path, PathBuf};

use super::Network;
use super::backup::{Backup, BackupError, Manifest, Whose};
use super::claim::{self, StateError};
use crate::exchange::Description;
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::node::{self, NodeError};
use crate::ports::PortError;
use crate::progress::{Progress, Step};
use crate::spec::{Consortium, ORDERING, Part};

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup does not serve.
    #[error("the backup does not serve; nothing was restored")]
    Backup(#[from] BackupError),
    /// Something is in the folder.
    #[error("`{folder}` is not empty (it holds `{found}`); name an empty folder or one that is not there")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The folder's path does not serve.
    #[error("the folder does not serve")]
    State(#[from] StateError),
    /// The file of ports in the backup is damaged.
    #[error("the ports in the backup cannot be used")]
    Port(#[from] PortError),
    /// Where another organisation's node is found is not known.
    #[error("another organisation cannot be described")]
    Node(#[from] NodeError),
    /// A file cannot be read or written.
    #[error("the folder cannot be written")]
    File(#[from] FileError),
}

/// What was restored.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored {
    /// The network in its new folder; nothing of it runs yet.
    pub network: Network,
    /// What the backup holds.
    pub manifest: Manifest,
    /// Files of private keys that were left out of the backup: put each in its place before the network is stood up.
    pub missing_keys: Vec<PathBuf>,
}

impl Network {
    /// Writes a backup's files into an empty folder, and demands that its ledgers are those of its manifest, block by
    /// block. [`Network::up`] then starts the nodes that are in it, and they fetch what they have missed; of one
    /// organisation's backup the folder is that organisation's own part, which [`Network::up_part`] stands up.
    ///
    /// The folder appears whole or not at all.
    ///
    /// # Errors
    /// [`RestoreError`] when the folder is not empty, or the backup is damaged.
    pub fn restore(backup: &Path, folder: &Path, progress: &dyn Progress) -> Result<Restored, RestoreError> {
        let root = claim::absolute(folder)?;
        demand_empty(&root)?;
        let backup = Backup::open(backup, progress)?;
        let manifest = backup.manifest().clone();
        let step = Step::begin(progress, "restore");
        step.waiting("the files to be written, and the ledgers to be read");
        let draft = files::draft_of(&root);
        if draft.exists() {
            super::remove(&draft)?;
        }
        files::make_private_folder(&draft)?;
        let filled = fill(&backup, &manifest, &draft);
        if let Err(error) = filled {
            super::remove(&draft)?;
            return Err(error);
        }
        // An empty folder gives way to a whole one.
        fs::rename(&draft, &root).map_err(|e| FileError::new(&root, "made", e))?;
        let network = Self::existing(&root)?;
        let missing_keys: Vec<PathBuf> = manifest.left_out.iter().map(|path| root.join(path)).collect();
        for folder in missing_keys.iter().filter_map(|path| path.parent()) {
            files::make_private_folder(folder)?;
        }
        let blocks: u64 =
            manifest.nodes.iter().flat_map(|node| node.ledgers.values()).map(|l| l.height).sum();
        step.done(&format!(
            "{} nodes with {blocks} blocks, equal to the manifest's; nothing runs yet",
            manifest.nodes.len()
        ));
        Ok(Restored { network, manifest, missing_keys })
    }
}

fn fill(backup: &Backup, manifest: &Manifest, draft: &Path) -> Result<(), RestoreError> {
    backup.write_to(draft)?;
    match &manifest.whose {
        Whose::All => Ok(()),
        Whose::Organization(name) => make_part(draft, &manifest.consortium, name),
        Whose::Orderer => make_part(draft, &manifest.consortium, ORDERING),
    }
}

/// Makes a folder, which holds one organisation's keys and nodes, that organisation's own part: the others are known
/// by descriptions, as if they had handed them over.
fn make_part(root: &Path, spec: &Consortium, name: &str) -> Result<(), RestoreError> {
    let layout = Layout::new(root.to_owned());
    claim::make_part(&layout, spec, Part::new(name))?;
    let network = Network::existing(root)?;
    let ports = network.ports()?;
    let orderer = &spec.orderer;
    let ordering = (ORDERING, &orderer.msp_id, &orderer.domain, layout.ordering_organization(orderer));
    let hosts = orderer.consenters.iter().map(|name| orderer.host(name)).collect::<Vec<_>>();
    let members = spec.organizations.iter().map(|member| {
        let names = (member.name.as_str(), &member.msp_id, &member.domain, layout.organization(member));
        (names, member.peers.iter().map(|peer| member.host(peer)).collect())
    });
    for ((other, msp_id, domain, home), hosts) in std::iter::once((ordering, hosts)).chain(members) {
        if other == name {
            continue;
        }
        let mut nodes = Vec::new();
        for host in hosts {
            let address = node::public(&ports, &host)?;
            nodes.push((host, address));
        }
        let names = (other, msp_id.as_str(), domain.as_str());
        let description = Description::of_folder(&spec.channel.name, names, &home, &nodes)?;
        let path = layout.imports().join(format!("{other}.json"));
        files::write_new(&path, files::PUBLIC, description.to_text().as_bytes())?;
    }
    Ok(())
}

fn demand_empty(root: &Path) -> Result<(), RestoreError> {
    if !root.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(root).map_err(|e| FileError::new(root, "read", e))?;
    match entries.next() {
        None => Ok(()),
        Some(entry) => {
            let found = entry.map_err(|e| FileError::new(root, "read", e))?.file_name();
            let (folder, found) = (root.to_owned(), found.to_string_lossy().into_owned());
            Err(RestoreError::NotEmpty { folder, found })
        }
    }
}
