//! A channel with the chaincode [`tally`], on a network of the library's making.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caretrail_records::failure::chain;
use hlf_gateway::{Credentials, Deadlines, Endpoint, Gateway, MspFolder};
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{Network, NodeKind, NodeStatus, Options, Status};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT, Organization};
use hlf_network::{Event, Quiet};

use crate::chain::Chain;
use crate::fabric;
use crate::hospitals::get;
use crate::roles;
use crate::tally::{self, State};
use crate::until::until;

/// The chaincode's name.
pub const CHAINCODE: &str = "tally";
/// How long peers and orderers may take until all have the same blocks.
const LEVEL: Duration = Duration::from_secs(90);
/// How long a node may take from its start until it answers with the channel.
const BACK: Duration = Duration::from_secs(180);

/// A network whose channel has the chaincode, one service for each organisation.
#[derive(Debug)]
pub struct Channel {
    network: Network,
    stage: PathBuf,
}

/// A consortium of `north` and `south`, which both endorse, with so many peers of each and these consenters.
///
/// On the Fabric release in `HLF_NETWORK_FABRIC` when it is set.
///
/// # Panics
/// When there is no such release.
pub fn consortium(consensus: &str, consenters: usize, north: usize, south: usize) -> Consortium {
    let names = |stem: &str, count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("\"{stem}{index}\"")).collect();
        format!("[{}]", names.join(", "))
    };
    let mut document = DEFAULT
        .replacen("\"raft\"", &format!("\"{consensus}\""), 1)
        .replacen("[\"orderer0\"]", &names("orderer", consenters), 1)
        .replacen("peers = [\"peer0\"]", &format!("peers = {}", names("peer", north)), 1)
        .replacen("peers = [\"peer0\"]\n", &format!("peers = {}\n", names("peer", south)), 1);
    if let Some(release) = std::env::var("HLF_NETWORK_FABRIC").ok().filter(|release| !release.is_empty()) {
        document = document.replacen("3.1.1", &release, 1);
    }
    let mut spec = Consortium::parse(&document).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let counts: Vec<usize> = spec.organizations.iter().map(|organization| organization.peers.len()).collect();
    assert_eq!(counts, [north, south]);
    spec.set_chaincode(Chaincode::new(CHAINCODE, "tally_1")).expect("a definition");
    spec
}

impl Channel {
    /// Stands a network up in a folder below a stage's, its services with further variables of their environment.
    ///
    /// # Panics
    /// When it does not stand; it says why.
    pub async fn stand_up(stage: &Path, name: &str, spec: Consortium, services: &[(&str, &str)]) -> Self {
        fabric::programs(&spec).await;
        let network = Network::new(&stage.join(name), spec).expect("a folder");
        let program = |organization: &Organization| {
            let told = services.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
            let mut env: BTreeMap<String, OsString> = told.collect();
            env.insert(tally::METRICS_FILE.to_owned(), metrics_file(stage, name, &organization.name).into());
            roles::chaincode(env)
        };
        let spec = network.spec();
        let cache = default_cache_dir().expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE");
        let options = Options {
            binaries: Search::from_environment(spec.fabric, cache),
            builder: roles::builder(),
            chaincode: spec.organizations.first().map(program),
            chaincode_of: spec.organizations.iter().map(|o| (o.name.clone(), program(o))).collect(),
        };
        let say = |event: &Event<'_>| {
            if let Event::Done { .. } = event {
                eprintln!("{event:?}");
            }
        };
        if let Err(error) = network.up(&options, &say).await {
            panic!("{}", chain(&error));
        }
        Self { network, stage: stage.to_owned() }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.network.spec().channel.name
    }

    /// Host names of all peers, in the spec's order.
    pub fn peers(&self) -> Vec<String> {
        let hosts = |organization: &Organization| -> Vec<String> {
            organization.peers.iter().map(|peer| organization.host(peer)).collect()
        };
        self.network.spec().organizations.iter().flat_map(hosts).collect()
    }

    /// Host names of all orderers, in the spec's order.
    pub fn orderers(&self) -> Vec<String> {
        let orderer = &self.network.spec().orderer;
        orderer.consenters.iter().map(|consenter| orderer.host(consenter)).collect()
    }

    /// The gateway of a peer, used by a user of the peer's organisation; it connects when it is first used.
    ///
    /// # Panics
    /// When there is no such peer or user.
    pub fn gateway(&self, peer: &str, user: &str, deadlines: Deadlines) -> Gateway {
        let endpoint = self.endpoint(peer);
        Gateway::connect_lazy(&endpoint, self.credentials(peer, user), deadlines).expect("a gateway")
    }

    /// The gateways of a peer and of the others of its organisation as one, the peer's own preferred.
    ///
    /// # Panics
    /// When there is no such peer or user, or none of them is reached.
    pub async fn gateways(&self, peer: &str, user: &str, deadlines: Deadlines) -> Gateway {
        let organization = self.organization(peer);
        let mut hosts: Vec<_> = organization.peers.iter().map(|peer| organization.host(peer)).collect();
        hosts.sort_by_key(|host| host != peer);
        let endpoints: Vec<_> = hosts.iter().map(|host| self.endpoint(host)).collect();
        let connected = Gateway::connect_any(&endpoints, self.credentials(peer, user), deadlines).await;
        connected.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    fn endpoint(&self, peer: &str) -> Endpoint {
        let profile = self.network.profile(self.organization(peer)).expect("a profile");
        let its = profile.peers.iter().find(|its| its.host == peer).expect("a peer of the organisation");
        Endpoint::tls(its.address.clone(), fs::read_to_string(&profile.tls_ca).expect("the TLS CA"))
    }

    fn credentials(&self, peer: &str, user: &str) -> Credentials {
        let profile = self.network.profile(self.organization(peer)).expect("a profile");
        let folder = profile.msp_folder(user).expect("a user of the organisation");
        MspFolder::open(folder, &profile.msp_id).expect("an identity").into_credentials()
    }

    fn organization(&self, host: &str) -> &Organization {
        let (_, domain) = host.split_once('.').expect("a host in a domain");
        let spec = self.network.spec();
        spec.organizations.iter().find(|organization| organization.domain == domain).expect("an organisation")
    }

    /// A figure of the service that serves a peer: of a metric, the sum over those of its series that hold a text.
    ///
    /// `None` while nobody answers.
    pub fn figure(&self, peer: &str, metric: &str, holding: &str) -> Option<f64> {
        let name = self.network.layout().root().file_name()?.to_str()?;
        let file = metrics_file(&self.stage, name, &self.organization(peer).name);
        let text = get(&fs::read_to_string(file).ok()?, "/metrics");
        let (_, body) = text.split_once("\r\n\r\n")?;
        let series = body.lines().filter_map(|line| line.rsplit_once(' '));
        let ours = series.filter(|(name, _)| {
            name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && name.contains(holding)
        });
        Some(ours.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
    }

    /// The whole state, as a peer's own endorser has the chaincode read it.
    ///
    /// # Panics
    /// When it is not read.
    pub async fn state(&self, peer: &str) -> State {
        let endorser = self.gateway(peer, "User1", Deadlines::default()).endorser();
        let read = endorser.call(self.name(), CHAINCODE, tally::STATE).send().await;
        let bytes = read.unwrap_or_else(|error| panic!("{peer}: {}", chain(&error)));
        serde_json::from_slice(&bytes).expect("a state")
    }

    /// Every whole block that a peer has.
    ///
    /// # Panics
    /// When the stream ends early.
    pub async fn chain(&self, peer: &str) -> Chain {
        let gateway = self.gateway(peer, "Admin", Deadlines::default());
        Chain::read(&gateway, self.name()).await
    }

    /// What all processes say of themselves.
    ///
    /// # Panics
    /// When the network's folder cannot be read.
    pub async fn status(&self) -> Status {
        self.network.status().await.expect("a status")
    }

    /// Waits until a node that was started answers with the channel.
    ///
    /// # Panics
    /// When it does not.
    pub async fn await_node(&self, name: &str) {
        until(&format!("`{name}` to be back"), BACK, async || {
            let status = self.status().await;
            let node = status.nodes.into_iter().find(|node| node.name == name)?;
            node.problem.is_none().then_some(())
        })
        .await;
    }

    /// Waits until a node has the blocks that any node has now.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn await_blocks(&self, name: &str) {
        assert!(self.catches_up(name).await, "after {LEVEL:?} `{name}` does not have all blocks");
    }

    /// Waits until a node has the blocks that any node has now, for a while; whether it came to that.
    pub async fn catches_up(&self, name: &str) -> bool {
        let (what, mut wanted) = (format!("`{name}` to have all blocks"), None);
        let level = until(&what, Duration::MAX, async || {
            let status = self.status().await;
            let wanted = *wanted.get_or_insert(status.nodes.iter().filter_map(|node| node.height).max()?);
            let its = status.nodes.iter().find(|node| node.name == name)?.height?;
            (its >= wanted).then_some(())
        });
        tokio::time::timeout(LEVEL, level).await.is_ok()
    }

    /// Stops the network and removes it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn destroy(self) {
        if let Err(error) = self.network.destroy(&Quiet).await {
            panic!("{}", chain(&error));
        }
    }

    /// Waits until every peer and orderer has the same number of blocks, and gives it.
    ///
    /// # Panics
    /// When they do not come to that.
    pub async fn level(&self) -> u64 {
        until("every peer and orderer to have the same blocks", LEVEL, async || {
            let ledgers = |node: &&NodeStatus| node.kind != NodeKind::Chaincode;
            let status = self.status().await;
            let heights: Vec<_> = status.nodes.iter().filter(ledgers).map(|node| node.height).collect();
            let first = *heights.first()?;
            heights.iter().all(|height| *height == first).then_some(first).flatten()
        })
        .await
    }
}

fn metrics_file(stage: &Path, network: &str, organization: &str) -> PathBuf {
    stage.join(format!("{network}-{organization}.metrics"))
}
