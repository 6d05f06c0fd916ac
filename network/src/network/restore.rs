//! Backups brought back: files onto an empty machine, then the nodes that are of the backup, then what others have.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::backup::{Backup, BackupError, Manifest, Whose};
use super::claim::{self, StateError};
use super::up::{Options, Stand, UpError};
use super::{Network, chaincode_service};
use crate::builder::Values;
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::lifecycle::{Definition, LifecycleError, Member, Terms};
use crate::node::{self, LISTEN};
use crate::package::Package;
use crate::ports::Ports;
use crate::process::Supervisor;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::spec::{Consortium, Organization};
use crate::wait;
use crate::{orderer, peer};

/// The note of a folder that holds one organisation's part, restored from its backup.
pub(super) const NOTE: &str = "restored.json";

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

/// Whose nodes a folder has, when it has not all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    whose: Whose,
}

impl Network {
    /// Writes a backup's files into an empty folder, and demands that its ledgers are those of its manifest, block by
    /// block. [`Network::up`] then starts the nodes that are in it, and they fetch what they have missed.
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

    /// Whose nodes this folder has; everybody's, unless it was restored from one organisation's backup.
    pub(super) fn part(&self) -> Result<Whose, StateError> {
        let path = self.layout.root().join(NOTE);
        if !path.exists() {
            return Ok(Whose::All);
        }
        let note: Result<Note, _> = serde_json::from_str(&files::read(&path)?);
        note.map(|note| note.whose).map_err(|error| StateError::Marker { path, reason: error.to_string() })
    }
}

fn fill(backup: &Backup, manifest: &Manifest, draft: &Path) -> Result<(), RestoreError> {
    backup.write_to(draft)?;
    if manifest.whose != Whose::All {
        let note = serde_json::to_string_pretty(&Note { whose: manifest.whose.clone() }).unwrap_or_default();
        files::write_new(&draft.join(NOTE), files::PUBLIC, note.as_bytes())?;
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

/// Starts the nodes of one organisation alone, with the keys that it has: nothing is issued, and nobody else's node is
/// started.
pub(super) async fn stand_up_part(
    network: &Network,
    whose: &Whose,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(), UpError> {
    let binaries = options.binaries.find(progress).await?;
    let layout = Layout::new(network.layout.root().to_owned());
    let own =
        Network { spec: narrowed(&network.spec, whose), supervisor: Supervisor::new(layout.clone()), layout };
    let ports = Ports::read(&own.layout.ports())?;
    let stand = Stand { network: &own, options, progress, binaries };
    let mut services = Vec::new();
    for consenter in &own.spec.orderer.consenters {
        services.push(orderer::prepare(&own.spec.orderer, consenter, &own.layout, &ports, &stand.binaries)?);
    }
    for organization in &own.spec.organizations {
        stand.write_values(organization, &ports)?;
        for name in &organization.peers {
            services.push(peer::prepare(
                organization,
                name,
                &own.spec.peer,
                &own.layout,
                &ports,
                &stand.binaries,
                &options.builder,
                None,
            )?);
        }
    }
    let step = Step::begin(progress, "own nodes");
    let started = own.supervisor.ensure_all(&services).await?;
    if !own.spec.orderer.consenters.is_empty() {
        stand.await_orderers(&step, &ports).await?;
    }
    let mut members = Vec::new();
    for organization in &own.spec.organizations {
        members.push(stand.await_member(&step, organization, &ports).await?);
    }
    step.done(&super::up::said(services.len(), started));
    let packages = stand.serve_own(&ports, &members).await?;
    stand.write_profiles(packages.as_deref())?;
    for organization in &own.spec.organizations {
        // The other members are still members.
        let path = own.layout.profile(&organization.name);
        if let Ok(mut profile) = Profile::read(&path) {
            profile.members = network.spec.organizations.iter().map(|member| member.msp_id.clone()).collect();
            profile.write(&path)?;
        }
    }
    Ok(())
}

/// A consortium with one organisation's nodes alone.
pub(super) fn narrowed(spec: &Consortium, whose: &Whose) -> Consortium {
    let mut own = spec.clone();
    match whose {
        Whose::All => {}
        Whose::Orderer => own.organizations.clear(),
        Whose::Organization(name) => {
            own.organizations.retain(|member| &member.name == name);
            own.orderer.consenters.clear();
        }
    }
    own
}

impl Stand<'_> {
    /// What an organisation's peers fill their packages with.
    pub(super) fn write_values(&self, organization: &Organization, ports: &Ports) -> Result<(), UpError> {
        let (_, client) = self.network.ca(organization)?.service("chaincode")?;
        let values = Values {
            address: node::loopback(ports, &chaincode_service(organization), LISTEN)?,
            root_cert: client.roots,
            client_cert: client.certificate,
            client_key: client.key,
        };
        Ok(peer::write_builder_values(&self.network.layout, organization, &values)?)
    }

    /// Runs the chaincode services of the organisations that are here; the packages are installed already.
    async fn serve_own(&self, ports: &Ports, members: &[Member]) -> Result<Option<Vec<Package>>, UpError> {
        let Network { spec, .. } = self.network;
        let (Some(chaincode), Some(program)) = (&spec.chaincode, &self.options.chaincode) else {
            return Ok(None);
        };
        if members.is_empty() {
            return Ok(None);
        }
        let labels = spec.organizations.iter().map(|member| chaincode.label_of(&member.name));
        let packages: Vec<Package> =
            labels.map(Package::of_service).collect::<Result<_, _>>().map_err(UpError::Package)?;
        let served = self.serve(ports, &packages, program, false).await?;
        self.install(members, &packages).await?;
        for ((organization, package), place) in spec.organizations.iter().zip(&packages).zip(&served) {
            self.network.aim_builds(organization, &package.id(), place)?;
        }
        let step = Step::begin(self.progress, "chaincode through the own gateway");
        let terms = Terms::of(chaincode, &spec.organizations);
        let definition = Definition { channel: &spec.channel.name, chaincode, terms };
        match definition.await_answer(&step, members).await {
            Ok(()) => step.done("enough organisations' peers answer"),
            // The others may be down, which is not for this organisation to mend.
            Err(LifecycleError::Wait(error)) => step.done(&wait::chain(&error)),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(packages))
    }
}
