//! What the nodes of a network say when all of them are asked once.

use std::time::Duration;

use hlf_gateway::{ConnectError, Deadlines, Endorser, EndorserError};
use hlf_protos::lifecycle::{QueryChaincodeDefinitionResult, chaincode_source};

use super::reach::client_tls;
use super::{Network, places};
use crate::change::ChannelConfig;
use crate::channel::Leader;
use crate::lifecycle::{self, METADATA};
use crate::node::{self, ADMIN, LISTEN, OPERATIONS};
use crate::operations::{Heard, Operations, Participation};
use crate::ordered;
use crate::ports::Ports;
use crate::spec::{Chaincode, Organization};
use crate::wait;

/// How long a node may take to connect and to answer: all are on this machine or near.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What a peer says when it could not run a chaincode, in contrast to what the chaincode says.
pub(super) const NOT_RUN: [&str; 2] = ["error in simulation", "make sure the chaincode"];

/// One look at everything.
#[derive(Debug)]
pub(super) struct Vitals {
    pub(super) orderers: Vec<OrdererVitals>,
    /// Ordering nodes that another organisation runs, when this is a member's part.
    pub(super) elsewhere: Vec<ElsewhereVitals>,
    pub(super) peers: Vec<PeerVitals>,
    /// The channel's configuration, from the first peer that gave it.
    pub(super) config: Option<ChannelConfig>,
    /// The chaincode's definition in force, from the first peer that could be asked; of it `None` for none.
    pub(super) definition: Option<Option<QueryChaincodeDefinitionResult>>,
    pub(super) services: Vec<ServiceVitals>,
}

/// A look at one orderer.
#[derive(Debug)]
pub(super) struct OrdererVitals {
    pub(super) host: String,
    pub(super) pid: Option<u32>,
    /// Its answer about the channel, of one that runs.
    pub(super) channel: Option<Result<Option<Participation>, String>>,
    pub(super) operations: Option<Result<Heard, String>>,
    /// Who leads, when it told.
    pub(super) leader: Option<Leader>,
}

/// A look, as a member has it, at an ordering node of somebody else's.
#[derive(Debug)]
pub(super) struct ElsewhereVitals {
    pub(super) host: String,
    pub(super) address: String,
    /// Number of blocks of the channel.
    pub(super) height: Result<u64, String>,
}

/// A look at one peer.
#[derive(Debug)]
pub(super) struct PeerVitals {
    pub(super) host: String,
    /// Name and MSP id of its organisation.
    pub(super) organization: String,
    pub(super) msp_id: String,
    pub(super) pid: Option<u32>,
    /// What it answered its organisation's admin, of one that runs.
    pub(super) answers: Option<Result<PeerAnswers, String>>,
    pub(super) operations: Option<Result<Heard, String>>,
    /// The peers that it knows on the channel, without itself.
    pub(super) known_peers: Option<u64>,
}

/// What a peer answers.
#[derive(Debug)]
pub(super) struct PeerAnswers {
    pub(super) joined: bool,
    /// Number of blocks, when it joined.
    pub(super) height: Option<u64>,
    /// Hash of the data of its first block, where it keeps that block.
    pub(super) first_block: Option<Vec<u8>>,
    /// Ids of the packages on it.
    pub(super) installed: Vec<String>,
    /// The package that its organisation approved for the definition in force.
    pub(super) approved: Option<String>,
    /// Whether the chaincode answers through it; an error says why not. `None` when there is nothing to ask.
    pub(super) chaincode: Option<Result<(), String>>,
}

/// A look at one organisation's chaincode service.
#[derive(Debug)]
pub(super) struct ServiceVitals {
    pub(super) name: String,
    pub(super) organization: String,
    pub(super) pid: Option<u32>,
    /// The package id that it was started with.
    pub(super) serves: Option<String>,
    /// What came of a connection to it, of one that runs and whose callers' values can be read.
    pub(super) dialled: Option<Dialled>,
}

/// What came of a connection to a chaincode service as a peer makes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dialled {
    /// It took the connection.
    Taken,
    /// One side does not trust the other's certificate.
    Distrusted(String),
    /// Nobody answered.
    Silent(String),
}

impl Vitals {
    /// Asks every node of a network; one that does not answer is told of, and is no error.
    pub(super) async fn of(network: &Network, ports: &Ports) -> Self {
        let spec = &network.spec;
        let mut orderers = Vec::new();
        for consenter in network.own_consenters() {
            orderers.push(orderer(network, spec.orderer.host(consenter), ports).await);
        }
        let elsewhere = elsewhere(network).await;
        let mut services = Vec::new();
        if spec.chaincode.is_some() {
            for organization in network.own_organizations() {
                services.push(service(network, organization, ports).await);
            }
        }
        let (mut peers, mut config, mut definition) = (Vec::new(), None, None);
        for organization in network.own_organizations() {
            for peer in &organization.peers {
                let mut asked = Asked {
                    network,
                    organization,
                    ports,
                    service: services.iter().find(|service| service.organization == organization.name),
                    config: &mut config,
                    definition: &mut definition,
                };
                peers.push(asked.peer(organization.host(peer)).await);
            }
        }
        Self { orderers, elsewhere, peers, config, definition, services }
    }

    /// The most blocks that a node has.
    pub(super) fn height(&self) -> Option<u64> {
        let orderers = self.orderers.iter().filter_map(OrdererVitals::height);
        let elsewhere = self.elsewhere.iter().filter_map(|node| node.height.as_ref().ok().copied());
        orderers.chain(elsewhere).chain(self.peers.iter().filter_map(PeerVitals::height)).max()
    }

    /// Why a member reaches no ordering node at all, by the first of them.
    pub(super) fn unordered(&self) -> Option<&ElsewhereVitals> {
        self.elsewhere.first().filter(|_| self.elsewhere.iter().all(|node| node.height.is_err()))
    }
}

impl OrdererVitals {
    /// Whether it leads, when it is known.
    pub(super) fn leads(&self) -> Option<bool> {
        match self.leader? {
            Leader::Itself => Some(true),
            Leader::NotItself => Some(false),
            Leader::Changed => None,
        }
    }

    /// Whether by its word some node leads.
    pub(super) fn has_leader(&self) -> bool {
        self.leader.is_some_and(Leader::is_there)
    }

    pub(super) fn participation(&self) -> Option<&Participation> {
        self.channel.as_ref()?.as_ref().ok()?.as_ref()
    }

    pub(super) fn height(&self) -> Option<u64> {
        self.participation().map(|channel| channel.height)
    }
}

impl ServiceVitals {
    /// Demands that it could serve a peer: otherwise the peer would try for long, and say less.
    fn demand_for(&self, peer: &PeerAnswers) -> Result<(), String> {
        let name = &self.name;
        if self.pid.is_none() {
            return Err(format!("`{name}` does not run"));
        }
        if let Some(Dialled::Distrusted(error) | Dialled::Silent(error)) = &self.dialled {
            return Err(format!("`{name}` takes no connection: {error}"));
        }
        match (&self.serves, &peer.approved) {
            (Some(serves), Some(approved)) if serves != approved => {
                Err(format!("`{name}` serves {serves}, and {approved} is approved"))
            }
            _ => Ok(()),
        }
    }
}

impl PeerVitals {
    pub(super) fn answered(&self) -> Option<&PeerAnswers> {
        self.answers.as_ref()?.as_ref().ok()
    }

    pub(super) fn height(&self) -> Option<u64> {
        self.answered()?.height
    }
}

async fn orderer(network: &Network, host: String, ports: &Ports) -> OrdererVitals {
    let spec = &network.spec;
    let pid = network.supervisor.running(&host).map(|running| running.pid);
    let mut vitals = OrdererVitals { host, pid, channel: None, operations: None, leader: None };
    if pid.is_none() {
        return vitals;
    }
    let operations = network.orderer_operations();
    let channel = async {
        let operations = operations.as_ref().map_err(|error| wait::chain(error))?;
        let admin = node::loopback(ports, &vitals.host, ADMIN).map_err(|error| wait::chain(&error))?;
        limited(operations.participation(&admin, &spec.channel.name)).await
    };
    vitals.channel = Some(channel.await);
    let heard = hear(operations.as_ref().map_err(|error| wait::chain(error)), &vitals.host, ports).await;
    if let Ok(heard) = &heard {
        vitals.leader = Leader::told(spec.orderer.consensus, |name| heard.gauge(name, &spec.channel.name));
    }
    vitals.operations = Some(heard);
    vitals
}

/// All at once: of those behind a cut link each takes its time.
async fn elsewhere(network: &Network) -> Vec<ElsewhereVitals> {
    let (service, channel) = (&network.spec.orderer, network.spec.channel.name.as_str());
    // Without a first block, or the others' descriptions, there is nothing to ask yet.
    if network.holds_ordering() || !network.layout.genesis_block(channel).exists() {
        return Vec::new();
    }
    let (Ok(endpoints), Ok(credentials)) = (network.orderer_endpoints(), network.reader_credentials()) else {
        return Vec::new();
    };
    let mut asked = Vec::new();
    for (name, endpoint) in service.consenters.iter().zip(endpoints) {
        let (host, channel, credentials) = (service.host(name), channel.to_owned(), credentials.clone());
        asked.push(tokio::spawn(async move {
            let height = limited(ordered::height_of(&endpoint, &credentials, &channel)).await;
            ElsewhereVitals { host, address: endpoint.address().to_owned(), height }
        }));
    }
    let mut nodes = Vec::new();
    for node in asked {
        nodes.extend(node.await);
    }
    nodes
}

async fn service(network: &Network, organization: &Organization, ports: &Ports) -> ServiceVitals {
    let name = places::in_use(&network.layout, organization);
    let pid = network.supervisor.running(&name).map(|running| running.pid);
    let serves = pid
        .and_then(|pid| crate::process::variable_of(pid, "CHAINCODE_ID"))
        .map(|id| id.to_string_lossy().into_owned());
    let dialled = if pid.is_some() { dial(network, organization, ports).await } else { None };
    ServiceVitals { name, organization: organization.name.clone(), pid, serves, dialled }
}

/// What a node's operations endpoint says.
async fn hear(operations: Result<&Operations, String>, host: &str, ports: &Ports) -> Result<Heard, String> {
    let address = node::loopback(ports, host, OPERATIONS).map_err(|error| wait::chain(&error))?;
    limited(operations?.hear(&address)).await
}

/// An answer within the time that a node has.
async fn limited<T, E: std::error::Error>(answer: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(answer) => answer.map_err(|error| wait::chain(&error)),
        Err(_) => Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
    }
}

/// The peers of one organisation, asked as its admin.
struct Asked<'a> {
    network: &'a Network,
    organization: &'a Organization,
    ports: &'a Ports,
    service: Option<&'a ServiceVitals>,
    config: &'a mut Option<ChannelConfig>,
    definition: &'a mut Option<Option<QueryChaincodeDefinitionResult>>,
}

impl Asked<'_> {
    async fn peer(&mut self, host: String) -> PeerVitals {
        let Self { network, organization, ports, .. } = *self;
        let pid = network.supervisor.running(&host).map(|running| running.pid);
        let mut vitals = PeerVitals {
            organization: organization.name.clone(),
            msp_id: organization.msp_id.clone(),
            pid,
            answers: None,
            operations: None,
            known_peers: None,
            host,
        };
        if pid.is_none() {
            return vitals;
        }
        vitals.answers = Some(match self.connect(&vitals.host).await {
            Ok(endorser) => self.ask(&endorser, &vitals.host).await,
            Err(error) => Err(error),
        });
        let user = organization.admin().map_or("", |user| user.name.as_str());
        let operations = Operations::new(&client_tls(network.layout.user(organization, user)));
        let heard = hear(operations.as_ref().map_err(|error| wait::chain(error)), &vitals.host, ports).await;
        if let Ok(heard) = &heard {
            vitals.known_peers = heard
                .gauge("gossip_membership_total_peers_known", &network.spec.channel.name)
                // A count, which no network of this crate brings near the limits of either type.
                .map(|known| known as u64);
        }
        vitals.operations = Some(heard);
        vitals
    }

    async fn connect(&self, host: &str) -> Result<Endorser, String> {
        let endpoint = self
            .network
            .peer_endpoint(self.organization, host, self.ports)
            .map_err(|error| wait::chain(&error))?;
        let admin = self.network.admin(self.organization).map_err(|error| wait::chain(&error))?;
        let deadlines = Deadlines { connect: CONNECT_LIMIT, endorse: ANSWER_LIMIT, ..Deadlines::default() };
        Endorser::connect(&endpoint, admin.into_credentials(), deadlines)
            .await
            .map_err(|error| wait::chain(&error))
    }

    async fn ask(&mut self, endorser: &Endorser, host: &str) -> Result<PeerAnswers, String> {
        let spec = &self.network.spec;
        let channel = &spec.channel.name;
        let joined = endorser.channels().joined().await.map_err(|error| wait::chain(&error))?;
        let joined = joined.iter().any(|joined| joined == channel);
        let mut answers = PeerAnswers {
            joined,
            height: None,
            first_block: None,
            installed: Vec::new(),
            approved: None,
            chaincode: None,
        };
        if !joined {
            return Ok(answers);
        }
        let ledger = endorser.ledger(channel);
        answers.height = Some(ledger.info().await.map_err(|error| wait::chain(&error))?.height);
        // A peer that joined from a snapshot has no first block.
        let first = ledger.block(0).await.ok();
        answers.first_block = first.and_then(|block| block.header).map(|header| header.data_hash);
        if self.config.is_none() {
            let block = endorser.channels().config_block(channel).await.ok();
            *self.config = block.and_then(|block| ChannelConfig::of_block(&block).ok());
        }
        if let Some(chaincode) = &spec.chaincode {
            self.ask_of_chaincode(endorser, host, chaincode, &mut answers).await?;
        }
        Ok(answers)
    }

    async fn ask_of_chaincode(
        &mut self,
        endorser: &Endorser,
        host: &str,
        chaincode: &Chaincode,
        answers: &mut PeerAnswers,
    ) -> Result<(), String> {
        let channel = &self.network.spec.channel.name;
        let installed = endorser.lifecycle().installed().await.map_err(|error| wait::chain(&error))?;
        answers.installed = installed.into_iter().map(|package| package.id).collect();
        if self.definition.is_none() {
            *self.definition = lifecycle::in_force(channel, &chaincode.name, host, endorser).await.ok();
        }
        let Some(Some(definition)) = self.definition.as_ref() else { return Ok(()) };
        let approved = endorser.lifecycle().approved(channel, &chaincode.name, definition.sequence).await;
        let source = approved.ok().flatten().and_then(|approved| approved.source?.r#type);
        if let Some(chaincode_source::Type::LocalPackage(local)) = source {
            answers.approved = Some(local.package_id);
        }
        answers.chaincode = Some(match self.service.map_or(Ok(()), |service| service.demand_for(answers)) {
            Ok(()) => answer_of(endorser, channel, &chaincode.name).await,
            error => error,
        });
        Ok(())
    }
}

/// Whether the chaincode answers through a peer, whatever it answers.
async fn answer_of(endorser: &Endorser, channel: &str, chaincode: &str) -> Result<(), String> {
    match endorser.call(channel, chaincode, METADATA).send().await {
        Ok(_) => Ok(()),
        Err(EndorserError::Refused { response })
            if !NOT_RUN.iter().any(|words| response.message.contains(words)) =>
        {
            Ok(())
        }
        Err(error) => Err(wait::chain(&error)),
    }
}

/// Dials a chaincode service with the values that the organisation's peers build packages with.
async fn dial(network: &Network, organization: &Organization, ports: &Ports) -> Option<Dialled> {
    let values = crate::peer::read_builder_values(&network.layout, organization)?;
    let read = |path: &std::path::Path| crate::files::read(path).ok();
    let address = node::loopback(ports, &places::in_use(&network.layout, organization), LISTEN).ok()?;
    let endpoint = hlf_gateway::Endpoint::tls(address, read(&values.root_cert)?)
        .client_tls(read(&values.client_cert)?, read(&values.client_key)?);
    Some(match endpoint.connect(CONNECT_LIMIT).await {
        Ok(_) => Dialled::Taken,
        Err(error @ (ConnectError::Untrusted { .. } | ConnectError::BadTls { .. })) => {
            Dialled::Distrusted(wait::chain(&error))
        }
        Err(error) => Dialled::Silent(wait::chain(&error)),
    })
}
