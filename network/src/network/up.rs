//! Standing a network up, step by step.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hlf_gateway::{ConnectError, MspFolderError};

use super::claim::{self, StateError};
use super::joining::{self, JoinError};
use super::{Network, Obstacles, chaincode_service, places};
use crate::builder::BuilderProgram;
use crate::ca::CaError;
use crate::channel::ChannelError;
use crate::connection::ConnectionProfile;
use crate::fabric::{Binaries, CaServerError, FabricError, Search};
use crate::fabric_ca::{CaSetupError, Server};
use crate::files::{self, FileError};
use crate::genesis::{self, GenesisError};
use crate::lifecycle::LifecycleError;
use crate::lock::{FolderLock, LockError};
use crate::node::{self, LISTEN, NodeError, OPERATIONS};
use crate::operations::OperationsError;
use crate::package::Package;
use crate::ports::{PortError, Ports};
use crate::process::ProcessError;
use crate::profile::{PeerProfile, Profile, ServiceProfile};
use crate::progress::{self, Progress, Step};
use crate::spec::SpecError;
use crate::wait::WaitError;

/// How long a process may take from its start to its first answer.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);

/// The variable of a chaincode's environment by which it says that it reads its TLS files anew by itself.
pub(super) const RELOADS_TLS: &str = "CHAINCODE_TLS_RELOAD";

/// What a network is stood up with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Fabric's programs are looked for.
    pub binaries: Search,
    /// The program that the peers' external builders run.
    pub builder: BuilderProgram,
    /// The chaincode's program; without it the network is stood up to the channel.
    pub chaincode: Option<ChaincodeProgram>,
    /// Programs of organisations that run another one, by the organisation's name.
    pub chaincode_of: BTreeMap<String, ChaincodeProgram>,
}

/// A program that serves a chaincode, one process for each organisation.
///
/// It is told by its environment what it serves: `CHAINCODE_ID`, `CHAINCODE_SERVER_ADDRESS`,
/// `CHAINCODE_TLS_DISABLED=false`, `CHAINCODE_TLS_KEY`, `CHAINCODE_TLS_CERT`, `CHAINCODE_CLIENT_CA_CERT`.
///
/// One that reads these files anew by itself, as programs on `hlf-chaincode` do, says so by `CHAINCODE_TLS_RELOAD=true` in
/// its `env`: it is not started anew when certificates are renewed, and no transaction meets it while it is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaincodeProgram {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Further variables of its environment.
    pub env: BTreeMap<String, OsString>,
}

/// Why a network is not up; each names the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// The folder is another's, or the spec changed.
    #[error("the state folder does not serve")]
    State(#[from] StateError),
    /// A channel cannot have that name.
    #[error("the channel cannot be made")]
    Spec(#[from] SpecError),
    /// Fabric's programs cannot be had.
    #[error("Fabric's programs cannot be had")]
    Fabric(#[from] FabricError),
    /// Fabric CA's program cannot be had.
    #[error("Fabric CA's program cannot be had")]
    CaServer(#[from] CaServerError),
    /// An organisation's Fabric CA could not be set up.
    #[error("an organisation's Fabric CA cannot be set up")]
    CaSetup(#[from] CaSetupError),
    /// Keys and certificates could not be issued.
    #[error("keys and certificates cannot be issued")]
    Ca(#[from] CaError),
    /// Something is known to keep a node from starting.
    #[error("the network would not start; nothing was started")]
    Obstacles(#[from] Obstacles),
    /// Ports could not be chosen.
    #[error("ports cannot be chosen")]
    Port(#[from] PortError),
    /// The channel's first block could not be made.
    #[error("the channel's first block cannot be made")]
    Genesis(#[from] GenesisError),
    /// A node's folder could not be prepared.
    #[error("a node cannot be configured")]
    Node(#[from] NodeError),
    /// A process did not start or did not live.
    #[error("a process is not running")]
    Process(#[from] ProcessError),
    /// An organisation's admin cannot be used.
    #[error("an organisation's admin cannot be used")]
    Msp(#[from] MspFolderError),
    /// A node's endpoint cannot be used.
    #[error("a node's endpoint cannot be used")]
    Operations(#[from] OperationsError),
    /// A peer cannot be reached.
    #[error("a peer cannot be reached")]
    Connect(#[from] ConnectError),
    /// A node did not become ready.
    #[error("a process is not ready")]
    Wait(#[from] WaitError),
    /// A node did not join the channel.
    #[error("the channel is not complete")]
    Channel(#[from] ChannelError),
    /// An ordering node must not join the channel, or cannot.
    #[error("an ordering node does not join the channel")]
    Join(#[from] JoinError),
    /// The chaincode is not on the channel.
    #[error("the chaincode is not deployed")]
    Lifecycle(#[from] LifecycleError),
    /// The package could not be made.
    #[error("the chaincode's package cannot be made")]
    Package(#[source] io::Error),
    /// A file cannot be read or written.
    #[error("the state folder cannot be used")]
    File(#[from] FileError),
}

pub(super) async fn up(network: &Network, options: &Options, progress: &dyn Progress) -> Result<(), UpError> {
    let layout = &network.layout;
    if let Some(part) = &network.part {
        return Err(claim::part_alone(layout, part).into());
    }
    files::make_private_folder(layout.root())?;
    let _lock = FolderLock::try_take(&layout.lock())?;
    claim::claim(layout, &network.spec)?;
    let binaries = options.binaries.find(progress).await?;
    genesis::demand_consensus(&network.spec, &binaries)?;
    let stand = Stand { network, options, progress, binaries };
    stand.settle().await?;
    Ok(claim::record(layout, &network.spec)?)
}

/// One run of `up`.
pub(super) struct Stand<'a> {
    pub(super) network: &'a Network,
    pub(super) options: &'a Options,
    pub(super) progress: &'a dyn Progress,
    pub(super) binaries: Binaries,
}

impl Stand<'_> {
    pub(super) fn wanted_ports(&self) -> Vec<(String, &'static [&'static str])> {
        const OF_SERVICE: &[&str] = &[LISTEN];
        const OF_CA: &[&str] = &[LISTEN, OPERATIONS];
        let services = self
            .network
            .own_organizations()
            .map(|organization| (chaincode_service(organization), OF_SERVICE));
        let authorities =
            self.network.fabric_cas().into_iter().map(|home| (Server::name(home.domain()), OF_CA));
        self.network.wanted_ports().into_iter().chain(services).chain(authorities).collect()
    }

    /// Makes everything true that the spec says, and that needs no change of the channel's configuration.
    pub(super) async fn settle(&self) -> Result<(), UpError> {
        let ports = self.network.keep_ports(self.wanted_ports())?;
        self.issue(&ports).await?;
        self.network.demand_no_obstacle()?;
        self.make_genesis(&ports)?;
        let members = self.start_nodes(&ports).await?;
        let lost = self.join(&ports, &members).await?;
        let packages = self.deploy(&ports, &members).await?;
        self.write_profiles(packages.as_deref())?;
        Ok(joining::demand_none(&lost)?)
    }

    pub(super) fn make_genesis(&self, ports: &Ports) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        let name = &spec.channel.name;
        let begun = Instant::now();
        // Of several operators none decides by the programs that happen to be installed.
        let release = self.network.part.as_ref().map_or(self.binaries.version(), |_| spec.fabric);
        if genesis::keep(spec, layout, ports, &self.binaries, release)? {
            Step::begun_at(self.progress, "first block of the channel", begun)
                .done(&format!("`{name}`: members, orderers, policies, access rules"));
        } else {
            progress::skipped(
                self.progress,
                "first block of the channel",
                "it is there; it is never made twice",
            );
        }
        Ok(())
    }

    pub(super) fn write_profiles(&self, packages: Option<&[Package]>) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        // The chaincode may have got a second place since these were read.
        let ports = &self.network.ports()?;
        for (index, organization) in self.network.own_organizations().enumerate() {
            let package = packages.and_then(|packages| packages.get(index));
            let peers = organization
                .peers
                .iter()
                .map(|peer| {
                    let host = organization.host(peer);
                    let address = node::public(ports, &host)?.to_string();
                    Ok(PeerProfile { host, address })
                })
                .collect::<Result<Vec<_>, NodeError>>()?;
            let name = places::in_use(layout, organization);
            let address = node::loopback(ports, &name, LISTEN)?;
            let profile = Profile {
                organization: organization.name.clone(),
                msp_id: organization.msp_id.clone(),
                domain: organization.domain.clone(),
                channel: spec.channel.name.clone(),
                chaincode: package.and(spec.chaincode.as_ref()).map(|chaincode| chaincode.name.clone()),
                members: spec.organizations.iter().map(|member| member.msp_id.clone()).collect(),
                peers,
                chaincode_service: package.map(|package| ServiceProfile {
                    name,
                    address,
                    package_id: package.id(),
                }),
                tls_ca: self.network.tls_ca(organization),
                users: organization
                    .users
                    .iter()
                    .map(|user| (user.name.clone(), layout.user(organization, &user.name)))
                    .collect(),
                programs: Some(self.binaries.folder().to_owned()),
            };
            profile.write(&layout.profile(&organization.name))?;
            ConnectionProfile::of(&profile)?.write(&layout.connection_profile(&organization.name))?;
        }
        Ok(())
    }
}

/// What came of starting processes, for an operator.
pub(super) fn said(all: usize, started: usize) -> String {
    match started {
        0 => format!("all {all} were running"),
        _ => format!("{started} of {all} started, and all answer"),
    }
}
