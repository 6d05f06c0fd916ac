//! A network's processes for another supervisor than this crate's: units of systemd, manifests of Kubernetes, a Compose project.
//!
//! What runs is the same everywhere and is described once, as `workload`s: a program, its configuration with paths
//! of the machine it will run on, its certificates, its keys, its data. Each format writes that down in its own way.
//! Configuration holds no key: keys lie apart, and each process is shown its own alone.

mod compose;
mod kubernetes;
mod systemd;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::builder::BuilderProgram;
use crate::commands::typed;
use crate::files::{self, FileError};
use crate::network::{ChaincodeProgram, Network};
use crate::node::NodeError;
use crate::overlay::OverlayError;
use crate::ports::PortError;
use crate::profile::ProfileError;
use workload::{Site, Workload};

/// Entered by everybody; keys in it are in files for their owner alone.
const FOLDER: u32 = 0o755;

/// Who will run the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// systemd, one unit for each process.
    Systemd,
    /// Kubernetes, one stateful set for each node.
    Kubernetes,
    /// Docker Compose or Podman, one service for each process.
    Compose,
}

/// Where things will be on the machine that runs the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paths {
    /// Folder of configuration and certificates, read only for the processes.
    pub config: PathBuf,
    /// Folder of ledgers, with a folder for each process.
    pub data: PathBuf,
    /// Folder of Fabric's programs, of the builder's and the chaincode's.
    pub programs: PathBuf,
    /// Folder in which the supervisor shows a process its keys; with systemd in a folder of the unit's name.
    pub keys: PathBuf,
}

impl Paths {
    /// The usual paths of a format.
    pub fn of(format: Format) -> Self {
        let keys = match format {
            Format::Systemd => "/run/credentials",
            Format::Kubernetes | Format::Compose => "/run/secrets",
        };
        Self {
            config: "/etc/hlf-network".into(),
            data: "/var/lib/hlf-network".into(),
            programs: "/opt/hlf-network/bin".into(),
            keys: keys.into(),
        }
    }
}

/// Images of containers, by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Images {
    /// Has Fabric's `peer` on its path.
    pub peer: String,
    /// Has Fabric's `orderer` on its path.
    pub orderer: String,
    /// Has the builder's program and the chaincode's, in the folder of [`Paths::programs`].
    pub tools: String,
}

/// What to export, and for whom.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Export {
    /// Who will run the processes.
    pub format: Format,
    /// Where things will be.
    pub paths: Paths,
    /// Images, for formats that run containers.
    pub images: Images,
    /// The program that peers' external builders run; its folder is that of [`Paths::programs`].
    pub builder: BuilderProgram,
    /// The chaincode's program, in the same folder; absent where a network has none.
    pub chaincode: Option<ChaincodeProgram>,
    /// Only this organisation's processes, by its name, `orderer` for the ordering organisation.
    pub organization: Option<String>,
    /// Whether private keys are written, which lie in files for their owner alone.
    pub keys: bool,
}

impl Export {
    /// All processes that are here, with their keys, at a format's usual paths and with Fabric's own images.
    pub fn new(format: Format, fabric: &str, builder: BuilderProgram) -> Self {
        Self {
            format,
            paths: Paths::of(format),
            images: Images {
                peer: format!("hyperledger/fabric-peer:{fabric}"),
                orderer: format!("hyperledger/fabric-orderer:{fabric}"),
                tools: "hlf-network-tools:latest".to_owned(),
            },
            builder,
            chaincode: None,
            organization: None,
            keys: true,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// The processes, by their names.
    pub processes: Vec<String>,
    /// Nodes that others are told to find at an address of this machine alone.
    pub only_on_this_machine: Vec<String>,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder has something in it, or is a file.
    #[error("`{0}` is not empty; name a folder that is not there yet")]
    NotEmpty(PathBuf),
    /// There is no such organisation here.
    #[error("no processes of `{0}` are here; name an organisation of the consortium, or `orderer`")]
    Organization(String),
    /// Other machines could not find a node.
    #[error(
        "`{host}` has no address of its own, and in a container 127.0.0.1 is the container; name one in `{field}` of the consortium's document, such as `\"{host}:{port}\"`"
    )]
    NoEndpoint {
        /// The node.
        host: String,
        /// The field of the document.
        field: String,
        /// The port that such a node usually has.
        port: u16,
    },
    /// A file of the network is outside its folder.
    #[error("`{0}` is not in the network's folder, so it is not known where it will be on another machine")]
    Outside(PathBuf),
    /// A path or value is not text, which the format demands.
    #[error("`{0}` is not UTF-8")]
    NotText(PathBuf),
    /// The network was never up.
    #[error("the network was not stood up yet")]
    Profile(#[from] ProfileError),
    /// A node has no configuration.
    #[error("the nodes have no configuration yet; stand the network up first: {}", typed("up"))]
    NeverUp,
    /// A node has no port or address.
    #[error("a node's address is not known")]
    Node(#[from] NodeError),
    /// A node's configuration is not what this crate wrote.
    #[error("a node's configuration cannot be read; run {}, which writes it anew", typed("up"))]
    Overlay(#[from] OverlayError),
    /// The ports cannot be read.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// A manifest cannot be written as YAML.
    #[error("a manifest cannot be written as YAML: {0}")]
    Yaml(String),
    /// A file cannot be read or written.
    #[error("a file cannot be used")]
    File(#[from] FileError),
}

impl Network {
    /// Writes what runs here, for another supervisor, into a folder that is made.
    ///
    /// Nothing of the network is changed. Ledgers are not in it: a node that starts with an empty folder of data has to
    /// join its channel, and one that is given its old folder goes on with it.
    ///
    /// # Errors
    /// [`ExportError`]; then there is no folder.
    pub fn export(&self, export: &Export, folder: &Path) -> Result<Exported, ExportError> {
        let entries = fs::read_dir(folder);
        let taken = entries.map_or_else(|_| folder.exists(), |mut entries| entries.next().is_some());
        if taken {
            return Err(ExportError::NotEmpty(folder.to_owned()));
        }
        let site = Site::new(export);
        let workloads = workload::of(self, export, &site)?;
        if workloads.is_empty() {
            let wanted = export.organization.clone().unwrap_or_default();
            return Err(ExportError::Organization(wanted));
        }
        let mut written = Written::default();
        // Kubernetes takes both inside its manifests.
        let beside = export.format != Format::Kubernetes;
        for workload in workloads.iter().filter(|_| beside) {
            for (path, file) in &workload.files {
                written.add(Path::new("config").join(path), file.mode, file.bytes.clone());
            }
            for secret in workload.secrets.iter().filter(|_| export.keys) {
                let path = Path::new("keys").join(&workload.name).join(secret.name);
                written.add(path, files::SECRET, secret.bytes.clone());
            }
        }
        match export.format {
            Format::Systemd => systemd::write(export, &site, &workloads, &mut written)?,
            Format::Kubernetes => kubernetes::write(export, &site, &workloads, &mut written)?,
            Format::Compose => compose::write(export, &site, &workloads, &mut written)?,
        }
        written.save(folder)?;
        Ok(Exported {
            folder: folder.to_owned(),
            processes: workloads.iter().map(|workload| workload.name.clone()).collect(),
            only_on_this_machine: only_on_this_machine(&workloads),
        })
    }
}

fn only_on_this_machine(workloads: &[Workload]) -> Vec<String> {
    let loopback = |public: &str| public.starts_with("127.") || public.starts_with("localhost:");
    workloads
        .iter()
        .filter(|workload| workload.public.as_deref().is_some_and(loopback))
        .map(|workload| workload.name.clone())
        .collect()
}

/// Files that are written together, by their paths in the exported folder.
#[derive(Debug, Default)]
struct Written(BTreeMap<PathBuf, Entry>);

#[derive(Debug)]
enum Entry {
    File {
        mode: u32,
        bytes: Vec<u8>,
    },
    /// To a path on the machine that will run the processes.
    Link(PathBuf),
}

impl Written {
    fn add(&mut self, path: impl Into<PathBuf>, mode: u32, bytes: Vec<u8>) {
        self.0.insert(path.into(), Entry::File { mode, bytes });
    }

    fn text(&mut self, path: impl Into<PathBuf>, text: String) {
        self.add(path, files::PUBLIC, text.into_bytes());
    }

    fn link(&mut self, path: impl Into<PathBuf>, to: PathBuf) {
        self.0.insert(path.into(), Entry::Link(to));
    }

    /// Writes all of them, or leaves no folder.
    fn save(self, folder: &Path) -> Result<(), FileError> {
        // An empty folder that was there gives way to the one that is made whole.
        let _ = fs::remove_dir(folder);
        files::make_whole(folder, |draft| -> Result<(), FileError> {
            let mut folders = BTreeSet::from([draft.to_owned()]);
            for (path, entry) in self.0 {
                let path = draft.join(path);
                match entry {
                    Entry::File { mode, bytes } => {
                        files::write_new(&path, mode, &bytes)?;
                        set_mode(&path, mode)?;
                    }
                    Entry::Link(to) => {
                        files::make_folder(path.parent().unwrap_or(draft))?;
                        symlink(to, &path).map_err(|e| FileError::new(&path, "made", e))?;
                    }
                }
                folders.extend(
                    path.ancestors().skip(1).take_while(|at| at.starts_with(draft)).map(Path::to_owned),
                );
            }
            folders.iter().try_for_each(|folder| set_mode(folder, FOLDER))
        })?;
        Ok(())
    }
}

/// Sets a mode whatever the operator's umask is: other users read what is copied from here.
fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| FileError::new(path, "changed", e))
}

/// Whole manifests as YAML documents, under lines of comment.
fn yaml(comment: &str, documents: &[serde_json::Value]) -> Result<String, ExportError> {
    let mut text: String = comment.lines().map(|line| format!("# {line}\n")).collect();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        let document =
            serde_saphyr::to_string(document).map_err(|error| ExportError::Yaml(error.to_string()))?;
        text.push_str(&document);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_set_and_not_what_a_umask_leaves_of_them() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("exported");
        let mut written = Written::default();
        // Every usual umask takes something of these.
        written.add("config/core.yaml", 0o666, b"public".to_vec());
        written.add("keys/peer0/tls.pem", files::SECRET, b"secret".to_vec());
        written.link("config/msp/keystore", "/run/credentials".into());
        written.save(&folder).unwrap();
        let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("config/core.yaml"), mode("keys/peer0/tls.pem")), (0o666, 0o600));
        for path in ["", "config", "config/msp", "keys/peer0"] {
            assert_eq!(mode(path), FOLDER, "{path}");
        }
    }
}
