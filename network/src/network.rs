//! A network in a state folder: stood up, looked at, stopped, destroyed.

mod apply;
mod backup;
mod certificates;
mod chaincodes;
mod change;
mod channels;
mod claim;
mod compare;
mod consenters;
mod deploy;
mod doctor;
mod environment;
mod issue;
mod joining;
mod metrics;
mod nodes;
mod own;
mod part;
mod places;
mod reach;
mod ready;
mod restore;
mod snapshot;
mod status;
mod up;
mod upgrade;
mod vitals;

use std::path::{Path, PathBuf};

use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::lock::{FolderLock, LockError};
use crate::node;
use crate::ports::{PortError, Ports};
use crate::process::{Ensured, ProcessError, Service, Supervisor};
use crate::profile::{Profile, ProfileError};
use crate::progress::{self, Progress, Step};
use crate::spec::{Consortium, Organization, Part};

pub use apply::{ApplyError, Change, Plan, PlanError, Planned, StepError};
pub use backup::{ArchivedLedger, ArchivedNode, Backup, BackupError, Keys, Manifest, Whose};
pub use certificates::{
    AuthorityPart, AuthorityRenewal, CertificateKind, CertificateStatus, Certificates, CertificatesError,
    ImportedCertificate, Refusals, Renewal, RenewedKeys, RequestKey, UnfitError, Use,
};
pub use chaincodes::{Build, ChaincodeError, ChaincodeIds};
pub use change::ChangeError;
pub use claim::StateError;
pub use compare::{CompareError, ComparedPeer, Comparison};
pub use doctor::{Checkup, Code, DoctorError, Finding, Obstacles, Severity, catalogue};
pub use environment::{EnvironmentError, PeerEnvironment};
pub use issue::IssueError;
pub use joining::JoinError;
pub use metrics::{DASHBOARD, Exporter, ExporterError, METRICS, MetricsError, MetricsTarget};
pub use part::{Agreed, Awaited, ImportError, Imported, PartError, PartStanding};
pub use ready::{Readiness, ReadyError, Unmet};
pub use restore::{RestoreError, Restored};
pub use snapshot::{Snapshot, SnapshotError, Snapshots};
pub use status::{ChaincodeOnPeer, ChaincodeStatus, FirstToEnd, NodeKind, NodeStatus, Status, StatusError};
pub use up::{ChaincodeProgram, Options, UpError};
pub use upgrade::UpgradeError;

/// A consortium's network on this machine, in a folder of its own.
///
/// Every call may be made again at any time, after an interruption as well: it looks at what is true, and makes true
/// what is not.
#[derive(Debug)]
pub struct Network {
    spec: Consortium,
    /// Of one organisation: its own part. `None` for all of the consortium.
    part: Option<Part>,
    layout: Layout,
    supervisor: Supervisor,
}

/// Why a network was not stopped or not removed.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// A process does not end.
    #[error("the network is not stopped")]
    Process(#[from] ProcessError),
    /// The folder is not a network's.
    #[error("the folder is left alone")]
    State(#[from] StateError),
    /// The folder could not be removed.
    #[error("the network is stopped and its folder is not removed")]
    File(#[from] FileError),
}

/// Why a further service of an organisation was not started.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// It did not start.
    #[error("the service is not running")]
    Process(#[from] ProcessError),
}

impl Network {
    /// A network in a folder, of this spec; the folder need not exist yet.
    ///
    /// Nothing is written. Whether the folder is another network's, or made from another spec, is told by [`Network::up`].
    ///
    /// # Errors
    /// [`StateError`] when the folder's absolute path cannot be had.
    pub fn new(folder: &Path, spec: Consortium) -> Result<Self, StateError> {
        let layout = Layout::new(claim::absolute(folder)?);
        Ok(Self { spec, part: None, supervisor: Supervisor::new(layout.clone()), layout })
    }

    /// The network that was made in a folder, with the spec that it was made from.
    ///
    /// # Errors
    /// [`StateError`] when the folder holds none.
    pub fn existing(folder: &Path) -> Result<Self, StateError> {
        let layout = Layout::new(claim::absolute(folder)?);
        let (spec, part) = claim::read_whole(&layout)?;
        Ok(Self { spec, part, supervisor: Supervisor::new(layout.clone()), layout })
    }

    /// The consortium.
    pub fn spec(&self) -> &Consortium {
        &self.spec
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The processes.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// An organisation's connection profile, written by the last `up`.
    ///
    /// # Errors
    /// [`ProfileError`] when there is none.
    pub fn profile(&self, organization: &Organization) -> Result<Profile, ProfileError> {
        Profile::read(&self.layout.profile(&organization.name))
    }

    /// The port of a further service, chosen at the first call and kept.
    ///
    /// # Errors
    /// [`PortError`] when none is free or the file of ports cannot be used.
    pub fn service_port(&self, service: &str) -> Result<u16, PortError> {
        let wanted: &'static [&'static str] = &[node::LISTEN];
        self.keep_ports([(service.to_owned(), wanted)])?
            .port(service, node::LISTEN)
            .ok_or(PortError::NoneFree)
    }

    /// Makes a further service run under the network's supervision: `down` stops it with everything else.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not start.
    pub async fn ensure_service(&self, service: &Service) -> Result<Ensured, ServiceError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        Ok(self.supervisor.ensure(service).await?)
    }

    /// Stands the network up: everything that is not true yet is made true, step by step.
    ///
    /// # Errors
    /// [`UpError`] names the step; run again, it goes on from there.
    pub async fn up(&self, options: &Options, progress: &dyn Progress) -> Result<(), UpError> {
        up::up(self, options, progress).await
    }

    /// What runs and what it says.
    ///
    /// # Errors
    /// [`StatusError`] when the folder cannot be read; a node that does not answer is a status, not an error.
    pub async fn status(&self) -> Result<Status, StatusError> {
        status::of(self).await
    }

    /// Stops every process that `up` or [`Network::ensure_service`] started; ledgers and keys stay.
    ///
    /// Returns how many there were.
    ///
    /// # Errors
    /// [`DownError`] when one does not end.
    pub async fn down(&self, progress: &dyn Progress) -> Result<usize, DownError> {
        if !self.layout.root().exists() {
            // Whoever removed the folder may have left its processes running.
            if self.supervisor.marked().is_empty() {
                progress::skipped(progress, "stop the network", "there is none");
                return Ok(0);
            }
            return Ok(self.stop(progress).await?);
        }
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        Ok(self.stop(progress).await?)
    }

    /// Stops the network and removes its folder, keys and ledgers included.
    ///
    /// # Errors
    /// [`DownError::State`] when the folder was not made by this crate: then nothing is touched.
    pub async fn destroy(self, progress: &dyn Progress) -> Result<(), DownError> {
        if !self.layout.root().exists() {
            progress::skipped(progress, "remove the network", "there is none");
            return Ok(());
        }
        claim::read(&self.layout)?;
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        self.stop(progress).await?;
        let root = self.layout.root();
        let step = Step::begin(progress, "remove the network's folder");
        // The marker goes last: what an interruption leaves is still known as a network's.
        let entries = std::fs::read_dir(root).map_err(|e| FileError::new(root, "read", e))?;
        for entry in entries {
            let path = entry.map_err(|e| FileError::new(root, "read", e))?.path();
            if path != self.layout.marker() {
                remove(&path)?;
            }
        }
        remove(&self.layout.marker())?;
        remove(root)?;
        step.done(&format!("{} is gone", root.display()));
        Ok(())
    }

    async fn stop(&self, progress: &dyn Progress) -> Result<usize, ProcessError> {
        if self.supervisor.marked().is_empty() {
            // Records of processes that ended by themselves go too.
            self.supervisor.sweep().await?;
            progress::skipped(progress, "stop the network", "nothing of it runs");
            return Ok(0);
        }
        let step = Step::begin(progress, "stop the network");
        let stopped = self.supervisor.sweep().await?;
        step.done(&format!("{stopped} processes ended; ledgers and keys are kept"));
        Ok(stopped)
    }

    /// The ports that were chosen, and where the other nodes are.
    pub(crate) fn ports(&self) -> Result<Ports, PortError> {
        Ok(Ports::read(&self.layout.ports())?.at(self.places()?))
    }

    /// The same, with ports chosen for what has none yet.
    pub(crate) fn keep_ports(
        &self,
        wanted: impl IntoIterator<Item = (String, &'static [&'static str])>,
    ) -> Result<Ports, PortError> {
        Ok(Ports::keep(&self.layout.ports(), wanted)?.at(self.places()?))
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    let kind = std::fs::symlink_metadata(path).map_err(|e| FileError::new(path, "removed", e))?;
    let removed = if kind.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|e| FileError::new(path, "removed", e))
}

/// The name of an organisation's chaincode service.
pub(crate) fn chaincode_service(organization: &Organization) -> String {
    format!("chaincode.{}", organization.domain)
}

/// The package's file in the state folder.
pub(crate) fn package_file(layout: &Layout, label: &str) -> PathBuf {
    layout.chaincode().join(format!("{label}.tar.gz"))
}

/// Reads a file of bytes, such as a block.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|e| FileError::new(path, "read", e))
}

/// Makes sure that the folder of a path exists.
pub(crate) fn make_parent(path: &Path) -> Result<(), FileError> {
    path.parent().map_or(Ok(()), files::make_folder)
}
