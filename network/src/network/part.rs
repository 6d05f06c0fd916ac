//! One organisation's own part of a consortium: its keys and nodes alone, the others known by files they hand over.

mod agree;
mod chaincode;
mod first_block;
mod import;
mod keys;
mod requests;
mod stand;

use std::path::Path;

use serde::Serialize;

use super::claim::{self, StateError};
use super::up::{Options, Stand, UpError};
use super::{ChangeError, Network};
use crate::commands::typed;
use crate::exchange::{Description, DescriptionFileError, Digest, FirstBlockError};
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::lock::{FolderLock, LockError};
use crate::node::{self, NodeError};
use crate::ordered::OrderedError;
use crate::ports::Ports;
use crate::process::Supervisor;
use crate::progress::{self, Progress};
use crate::spec::{Consortium, ORDERING, Part};

pub use agree::Agreed;
pub use import::{ImportError, Imported};

/// Why a step of one organisation's part failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// Somebody else is at work in the folder.
    #[error("the organisation's part is in use")]
    Lock(#[from] LockError),
    /// The folder is no part of this organisation's.
    #[error("the state folder does not serve")]
    State(#[from] StateError),
    /// The network holds all of a consortium.
    #[error("all of the consortium is in this folder; parts are made from an organisation's own document")]
    Whole,
    /// The given keys and certificates do not serve.
    #[error("the given keys cannot be used: {0}")]
    Keys(String),
    /// Certificates are awaited from an authority elsewhere.
    #[error(
        "certificates are awaited from your authority: in `{folder}`, have each NAME.csr signed as NAME.pem, copying the \
         extensions that it asks for; put the authorities' own certificates there as ca.pem, for identities, and \
         tlsca.pem, for TLS; then run the same command again; missing: {missing}"
    )]
    Requested {
        /// The folder of requests and certificates.
        folder: std::path::PathBuf,
        /// Files that are missing.
        missing: String,
    },
    /// An imported description cannot be read.
    #[error("the other organisations are not known")]
    Description(#[from] DescriptionFileError),
    /// The first block cannot be made yet.
    #[error("the first block cannot be made before all descriptions are here; missing: {0}")]
    Missing(String),
    /// The first block that is here is damaged.
    #[error("the first block in the state folder is damaged; import it again")]
    FirstBlock(#[from] FirstBlockError),
    /// A file cannot be read or written.
    #[error("the state folder cannot be used")]
    File(#[from] FileError),
    /// The ordering service refuses, other than for want of membership.
    #[error("the channel cannot be looked at")]
    Ordered(#[from] OrderedError),
    /// The channel's configuration cannot be read.
    #[error("the channel cannot be looked at")]
    Change(#[from] ChangeError),
    /// A step that parts and whole networks have in common failed.
    #[error(transparent)]
    Up(#[from] UpError),
}

/// How far one organisation's part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartStanding {
    /// The organisation.
    pub organization: String,
    /// The digest of its own description, which the others read back to it.
    pub description: Digest,
    /// The digest of the channel's first block, once it is here.
    pub first_block: Option<Digest>,
    /// Whether nothing is awaited from anybody.
    pub complete: bool,
    /// What others have to do before this part can go on.
    pub waiting_for: Vec<Awaited>,
}

/// Something that others have to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Awaited {
    /// The organisation that has to do it.
    pub from: String,
    /// What is missing.
    pub what: String,
    /// What to do about it, here and there.
    pub fix: String,
}

impl Awaited {
    fn new(from: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { from: from.into(), what: what.into(), fix: fix.into() }
    }
}

impl Network {
    /// One organisation's own part of a consortium, in a folder that need not exist yet.
    ///
    /// # Errors
    /// [`StateError`] when the part is not the consortium's, or the folder's absolute path cannot be had.
    pub fn new_part(folder: &Path, spec: Consortium, part: Part) -> Result<Self, StateError> {
        part.check(&spec)?;
        let layout = Layout::new(claim::absolute(folder)?);
        Ok(Self { spec, part: Some(part), supervisor: Supervisor::new(layout.clone()), layout })
    }

    /// Makes the organisation's own keys, once, and describes it for the others.
    ///
    /// # Errors
    /// [`PartError`] names the step.
    pub async fn describe(
        &self,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Description, PartError> {
        let (_lock, part) = self.take_up()?;
        let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
        let stand = Stand { network: self, options, progress, binaries };
        let ports = stand.prepare().await?;
        self.own_description(part, &ports)
    }

    /// Locks the folder and makes it this part's.
    fn take_up(&self) -> Result<(FolderLock, &Part), PartError> {
        let part = self.part.as_ref().ok_or(PartError::Whole)?;
        files::make_private_folder(self.layout.root())?;
        let lock = FolderLock::try_take(&self.layout.lock())?;
        claim::claim_part(&self.layout, &self.spec, part)?;
        Ok((lock, part))
    }

    fn own_description(&self, part: &Part, ports: &Ports) -> Result<Description, PartError> {
        let orderer = &self.spec.orderer;
        let channel = &self.spec.channel.name;
        let nodes = |hosts: Vec<String>| {
            let found = hosts.into_iter().map(|host| Ok((host.clone(), node::public(ports, &host)?)));
            found.collect::<Result<Vec<_>, NodeError>>().map_err(UpError::from)
        };
        if part.is_ordering() {
            let home = self.layout.ordering_organization(orderer);
            let nodes = nodes(orderer.consenters.iter().map(|name| orderer.host(name)).collect())?;
            let names = (ORDERING, orderer.msp_id.as_str(), orderer.domain.as_str());
            return Ok(Description::of_folder(channel, names, &home, &nodes)?);
        }
        let own = self.own_organizations().next().ok_or(PartError::Whole)?;
        let nodes = nodes(own.peers.iter().map(|name| own.host(name)).collect())?;
        let names = (own.name.as_str(), own.msp_id.as_str(), own.domain.as_str());
        Ok(Description::of_folder(channel, names, &self.layout.organization(own), &nodes)?)
    }

    /// MSP id of the organisation whose part this is.
    fn own_msp_id(&self) -> &str {
        let member = self.own_organizations().next().map(|own| own.msp_id.as_str());
        member.unwrap_or(&self.spec.orderer.msp_id)
    }

    /// Organisations of the consortium's document whose descriptions are not here.
    fn undescribed(&self) -> Result<Vec<String>, DescriptionFileError> {
        let known = Description::read_all(&self.layout.imports())?;
        let members = self.spec.organizations.iter().map(|member| member.name.as_str());
        Ok(std::iter::once(ORDERING)
            .chain(members)
            .filter(|name| !self.holds(name))
            .filter(|name| !known.iter().any(|description| description.organization == *name))
            .map(str::to_owned)
            .collect())
    }

    /// What is awaited when the ordering organisation described itself before it got a node that the document names.
    fn undescribed_orderer(&self) -> Result<Option<Awaited>, DescriptionFileError> {
        let service = &self.spec.orderer;
        let known = Description::read_all(&self.layout.imports())?;
        let Some(ordering) = known.iter().find(|description| description.organization == ORDERING) else {
            return Ok(None);
        };
        let mut hosts = service.consenters.iter().map(|consenter| service.host(consenter));
        let missing = hosts.find(|host| ordering.nodes.iter().all(|node| node.host != *host));
        Ok(missing.map(|host| {
            let what = format!("a description with `{host}`, which the consortium's document names");
            let fix = format!(
                "ask them for `{ORDERING}.organization.json` as it is now, then {} it",
                typed("import --replace")
            );
            Awaited::new(ORDERING, what, fix)
        }))
    }
}

impl Stand<'_> {
    /// Own keys and own ports.
    async fn prepare(&self) -> Result<Ports, PartError> {
        let given = self.take_given_keys()? || self.take_requested().await?;
        let ports = self.network.keep_ports(self.wanted_ports()).map_err(UpError::from)?;
        if !given {
            self.issue(&ports).await?;
        }
        Ok(ports)
    }

    fn skipped(&self, step: &str, reason: &str) {
        progress::skipped(self.progress, step, reason);
    }
}
