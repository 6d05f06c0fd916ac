//! Standing a network up, step by step.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hlf_gateway::{ConnectError, Deadlines, Endorser, Endpoint, Gateway, MspFolder, MspFolderError};

use super::claim::{self, StateError};
use super::{Network, chaincode_service, make_parent, package_file, read_bytes};
use crate::builder::{BuilderProgram, Values};
use crate::ca::{CaError, DevelopmentCa, TlsFiles};
use crate::channel::{self, ChannelError};
use crate::fabric::{Binaries, FabricError, Search};
use crate::files::{self, FileError};
use crate::genesis::{self, GenesisError};
use crate::lifecycle::{self, Definition, LifecycleError, Member};
use crate::lock::{FolderLock, LockError};
use crate::node::{self, ADMIN, LISTEN, NodeError, OPERATIONS};
use crate::operations::{Operations, OperationsError};
use crate::package::Package;
use crate::ports::{PortError, Ports};
use crate::process::{ProcessError, Service};
use crate::profile::{PeerProfile, Profile, ServiceProfile};
use crate::progress::{self, Progress, Step};
use crate::spec::{Chaincode, NodeOu, Organization, User};
use crate::wait::{self, Look, WaitError};
use crate::{orderer, peer};

/// How long a process may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The ordering organisation's admin, who makes orderers join channels.
pub(super) const ORDERER_ADMIN: &str = "Admin";

/// What a network is stood up with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Fabric's programs are looked for.
    pub binaries: Search,
    /// The program that the peers' external builders run.
    pub builder: BuilderProgram,
    /// The chaincode's program; without it the network is stood up to the channel.
    pub chaincode: Option<ChaincodeProgram>,
}

/// A program that serves a chaincode, one process for each organisation.
///
/// It is told by its environment what it serves: `CHAINCODE_ID`, `CHAINCODE_SERVER_ADDRESS`,
/// `CHAINCODE_TLS_DISABLED=false`, `CHAINCODE_TLS_KEY`, `CHAINCODE_TLS_CERT`, `CHAINCODE_CLIENT_CA_CERT`.
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
    /// Fabric's programs cannot be had.
    #[error("Fabric's programs cannot be had")]
    Fabric(#[from] FabricError),
    /// Keys and certificates could not be issued.
    #[error("keys and certificates cannot be issued")]
    Ca(#[from] CaError),
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
    files::make_private_folder(layout.root())?;
    let _lock = FolderLock::try_take(&layout.lock())?;
    claim::claim(layout, &network.spec)?;
    let binaries = options.binaries.find(progress).await?;
    let stand = Stand { network, options, progress, binaries };
    stand.issue()?;
    let ports = Ports::keep(&layout.ports(), stand.wanted_ports())?;
    stand.make_genesis(&ports)?;
    let members = stand.start_nodes(&ports).await?;
    stand.join(&ports, &members).await?;
    let package = stand.deploy(&ports, &members).await?;
    stand.write_profiles(&ports, package.as_ref())?;
    Ok(claim::record(layout, &network.spec)?)
}

/// One run of `up`.
struct Stand<'a> {
    network: &'a Network,
    options: &'a Options,
    progress: &'a dyn Progress,
    binaries: Binaries,
}

impl Stand<'_> {
    fn wanted_ports(&self) -> Vec<(String, &'static [&'static str])> {
        const OF_SERVICE: &[&str] = &[LISTEN];
        let spec = &self.network.spec;
        let services =
            spec.organizations.iter().map(|organization| (chaincode_service(organization), OF_SERVICE));
        node::wanted_ports(spec).chain(services).collect()
    }

    /// Issues every key and certificate that is not there.
    fn issue(&self) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        let begun = Instant::now();
        let mut issued = 0_usize;
        let mut count = |new: bool| issued = issued.saturating_add(usize::from(new));

        let service = &spec.orderer;
        let home = layout.ordering_organization(service);
        let ca = DevelopmentCa::open_or_make(&home, &service.domain)?;
        for consenter in &service.consenters {
            count(ca.make_node("orderers", &service.host(consenter), NodeOu::Orderer)?);
        }
        count(ca.make_user(&orderer_admin(), None)?);

        for organization in &spec.organizations {
            let home = layout.organization(organization);
            let ca = DevelopmentCa::open_or_make(&home, &organization.domain)?;
            for peer in &organization.peers {
                count(ca.make_node("peers", &organization.host(peer), NodeOu::Peer)?);
            }
            for user in &organization.users {
                count(ca.make_user(user, None)?);
            }
            ca.service("chaincode")?;
        }
        let what = "keys and certificates";
        match issued {
            0 => progress::skipped(self.progress, what, "all are there; none is issued twice"),
            _ => Step::begun_at(self.progress, what, begun).done(&format!(
                "{issued} identities issued by development CAs, in {}",
                layout.root().join("organizations").display()
            )),
        }
        Ok(())
    }

    fn make_genesis(&self, ports: &Ports) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        let name = &spec.channel.name;
        let begun = Instant::now();
        if genesis::keep(spec, layout, ports, &self.binaries)? {
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

    /// Starts orderers and peers, and waits until each answers.
    async fn start_nodes(&self, ports: &Ports) -> Result<Vec<Member>, UpError> {
        let Network { spec, layout, .. } = self.network;
        for organization in &spec.organizations {
            let (_, client) = self.network.ca(organization)?.service("chaincode")?;
            let values = Values {
                address: node::loopback(ports, &chaincode_service(organization), LISTEN)?,
                root_cert: client.roots,
                client_cert: client.certificate,
                client_key: client.key,
            };
            peer::write_builder_values(layout, organization, &values)?;
        }
        let mut services = Vec::new();
        for consenter in &spec.orderer.consenters {
            services.push(orderer::prepare(&spec.orderer, consenter, layout, ports, &self.binaries)?);
        }
        for organization in &spec.organizations {
            for peer in &organization.peers {
                services.push(peer::prepare(
                    organization,
                    peer,
                    layout,
                    ports,
                    &self.binaries,
                    &self.options.builder,
                )?);
            }
        }

        let step = Step::begin(self.progress, "orderers and peers");
        let started = self.network.supervisor.ensure_all(&services).await?;
        self.await_orderers(&step, ports).await?;
        let mut members = Vec::new();
        for organization in &spec.organizations {
            members.push(self.await_member(&step, organization, ports).await?);
        }
        step.done(&said(services.len(), started));
        Ok(members)
    }

    async fn await_orderers(&self, step: &Step<'_>, ports: &Ports) -> Result<(), UpError> {
        let spec = &self.network.spec;
        let operations = self.network.orderer_operations()?;
        for consenter in &spec.orderer.consenters {
            let host = spec.orderer.host(consenter);
            let admin = node::loopback(ports, &host, ADMIN)?;
            let what = format!("orderer `{host}` to answer on its admin endpoint");
            wait::until(step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&host)?;
                let asked = operations.participation(&admin, &spec.channel.name).await;
                Ok::<_, UpError>(match asked {
                    Ok(_) => Look::Holds(()),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until an organisation's peers answer its admin.
    async fn await_member(
        &self,
        step: &Step<'_>,
        organization: &Organization,
        ports: &Ports,
    ) -> Result<Member, UpError> {
        let mut peers = Vec::new();
        let mut gateway = None;
        for peer in &organization.peers {
            let host = organization.host(peer);
            let endpoint = self.network.peer_endpoint(organization, &host, ports)?;
            let credentials = self.network.admin(organization)?.into_credentials();
            let what = format!("peer `{host}` to answer");
            let endorser = wait::until(step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&host)?;
                let asked = Endorser::connect(&endpoint, credentials.clone(), Deadlines::default()).await;
                Ok::<_, UpError>(match asked {
                    Ok(endorser) => Look::Holds(endorser),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
            if gateway.is_none() {
                gateway = Some(Gateway::connect(&endpoint, credentials, Deadlines::default()).await?);
            }
            peers.push((host, endorser));
        }
        let gateway = gateway.ok_or(NodeError::Port { host: organization.name.clone(), purpose: LISTEN })?;
        Ok(Member { msp_id: organization.msp_id.clone(), gateway, peers })
    }

    async fn join(&self, ports: &Ports, members: &[Member]) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        let channel = &spec.channel.name;
        let block = read_bytes(&layout.genesis_block(channel))?;
        let step = Step::begin(self.progress, format!("channel `{channel}`"));
        let operations = self.network.orderer_operations()?;
        let mut joined = 0_usize;
        let mut addresses = Vec::new();
        for consenter in &spec.orderer.consenters {
            let host = spec.orderer.host(consenter);
            let admin = node::loopback(ports, &host, ADMIN)?;
            let new = channel::join_orderer(&operations, &host, &admin, channel, &block).await?;
            joined = joined.saturating_add(usize::from(new));
            addresses.push(node::loopback(ports, &host, OPERATIONS)?);
        }
        channel::await_leader(&step, &operations, &addresses).await?;
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            let new = channel::join_peer(endorser, host, channel, &block).await?;
            joined = joined.saturating_add(usize::from(new));
        }
        step.done(&match joined {
            0 => "every node had joined".to_owned(),
            _ => format!("{joined} nodes joined"),
        });
        Ok(())
    }

    /// Runs the chaincode's services and brings its definition onto the channel.
    async fn deploy(&self, ports: &Ports, members: &[Member]) -> Result<Option<Package>, UpError> {
        let (Some(chaincode), Some(program)) = (&self.network.spec.chaincode, &self.options.chaincode) else {
            progress::skipped(self.progress, "chaincode", "the network has none");
            return Ok(None);
        };
        let package = Package::of_service(&chaincode.label).map_err(UpError::Package)?;
        let file = package_file(&self.network.layout, package.label());
        make_parent(&file)?;
        files::replace(&file, files::PUBLIC, package.bytes())?;
        let id = package.id();
        self.run_chaincode(ports, &id, program).await?;
        self.install(members, &package).await?;
        self.define(members, chaincode, &id).await?;
        Ok(Some(package))
    }

    async fn run_chaincode(
        &self,
        ports: &Ports,
        package_id: &str,
        program: &ChaincodeProgram,
    ) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode services, one of each organisation");
        let mut services = Vec::new();
        for organization in &self.network.spec.organizations {
            let name = chaincode_service(organization);
            let address = node::loopback(ports, &name, LISTEN)?;
            let (server, _) = self.network.ca(organization)?.service("chaincode")?;
            services.push(chaincode_process(name, address, package_id, program, &server, ports));
        }
        let started = self.network.supervisor.ensure_all(&services).await?;
        for service in &services {
            let what = format!("`{}` to listen", service.name);
            wait::until(&step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&service.name)?;
                for port in &service.ports {
                    let reached = tokio::net::TcpStream::connect(("127.0.0.1", *port)).await;
                    if let Err(error) = reached {
                        return Ok(Look::NotYet(error.to_string()));
                    }
                }
                Ok::<_, UpError>(Look::Holds(()))
            })
            .await?;
        }
        step.done(&said(services.len(), started));
        Ok(())
    }

    async fn install(&self, members: &[Member], package: &Package) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode package");
        let mut installed = 0_usize;
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            step.waiting(&format!("`{host}` to install it"));
            let new = lifecycle::install(endorser, host, package).await?;
            installed = installed.saturating_add(usize::from(new));
        }
        step.done(&match installed {
            0 => format!("installed already: {}", package.id()),
            _ => format!("installed on {installed} peers: {}", package.id()),
        });
        Ok(())
    }

    async fn define(
        &self,
        members: &[Member],
        chaincode: &Chaincode,
        package_id: &str,
    ) -> Result<(), UpError> {
        let definition = Definition { channel: &self.network.spec.channel.name, chaincode, package_id };
        let step = Step::begin(self.progress, format!("chaincode `{}` on the channel", chaincode.name));
        let Some(first) = members.first() else {
            return Ok(());
        };
        let committed = definition.committed_sequence(first).await?;
        definition.demand_sequence(committed)?;
        for member in members {
            definition.approve(&step, member).await?;
        }
        let new = committed != i64::from(chaincode.sequence);
        if new {
            definition.await_readiness(&step, members).await?;
            definition.commit(&step, members).await?;
        }
        definition.await_answer(&step, members).await?;
        step.done(&format!(
            "sequence {} {}, and it answers through every organisation's gateway",
            chaincode.sequence,
            if new { "committed" } else { "was in force" }
        ));
        Ok(())
    }

    fn write_profiles(&self, ports: &Ports, package: Option<&Package>) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        for organization in &spec.organizations {
            let peers = organization
                .peers
                .iter()
                .map(|peer| {
                    let host = organization.host(peer);
                    let address = node::loopback(ports, &host, LISTEN)?;
                    Ok(PeerProfile { host, address })
                })
                .collect::<Result<Vec<_>, NodeError>>()?;
            let name = chaincode_service(organization);
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
            };
            profile.write(&layout.profile(&organization.name))?;
        }
        Ok(())
    }
}

impl Network {
    pub(super) fn orderer_operations(&self) -> Result<Operations, OperationsError> {
        let orderer = &self.spec.orderer;
        let home = self.layout.ordering_organization(orderer);
        let user = format!("{ORDERER_ADMIN}@{}", orderer.domain);
        Operations::new(&client_tls(home.join("users").join(user)))
    }

    pub(super) fn peer_endpoint(
        &self,
        organization: &Organization,
        host: &str,
        ports: &Ports,
    ) -> Result<Endpoint, NodeError> {
        let address = node::loopback(ports, host, LISTEN)?;
        let roots = files::read(&self.tls_ca(organization))?;
        Ok(Endpoint::tls(address, roots))
    }

    /// The identity that acts on an organisation's peers.
    pub(super) fn admin(&self, organization: &Organization) -> Result<MspFolder, MspFolderError> {
        let name = organization.admin().map_or("", |user| user.name.as_str());
        let folder = self.layout.user(organization, name).join("msp");
        MspFolder::open(folder, &organization.msp_id)
    }

    fn tls_ca(&self, organization: &Organization) -> PathBuf {
        self.layout
            .organization(organization)
            .join("tlsca")
            .join(format!("tlsca.{}-cert.pem", organization.domain))
    }
}

fn chaincode_process(
    name: String,
    address: String,
    package_id: &str,
    program: &ChaincodeProgram,
    server: &TlsFiles,
    ports: &Ports,
) -> Service {
    let mut env = program.env.clone();
    let told: [(&str, OsString); 6] = [
        ("CHAINCODE_ID", package_id.into()),
        ("CHAINCODE_SERVER_ADDRESS", address.into()),
        ("CHAINCODE_TLS_DISABLED", "false".into()),
        ("CHAINCODE_TLS_KEY", server.key.clone().into()),
        ("CHAINCODE_TLS_CERT", server.certificate.clone().into()),
        ("CHAINCODE_CLIENT_CA_CERT", server.roots.clone().into()),
    ];
    env.extend(told.map(|(name, value)| (name.to_owned(), value)));
    Service {
        ports: ports.of(&name),
        name,
        program: program.program.clone(),
        args: program.args.clone(),
        env,
        reads: vec![server.certificate.clone(), server.key.clone(), server.roots.clone()],
    }
}

fn orderer_admin() -> User {
    User {
        name: ORDERER_ADMIN.to_owned(),
        node_ou: NodeOu::Admin,
        common_name: None,
        attributes: BTreeMap::new(),
    }
}

/// A user's TLS client certificate.
pub(super) fn client_tls(user: PathBuf) -> TlsFiles {
    let tls = user.join("tls");
    TlsFiles { certificate: tls.join("client.crt"), key: tls.join("client.key"), roots: tls.join("ca.crt") }
}

fn said(all: usize, started: usize) -> String {
    match started {
        0 => format!("all {all} were running"),
        _ => format!("{started} of {all} started, and all answer"),
    }
}
