//! One peer: its configuration over Fabric's own, its external builder, its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::builder::{self, BuilderError, BuilderProgram, Values};
use crate::fabric::{Binaries, Version};
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::node::{self, CHAINCODE, LISTEN, NodeError, OPERATIONS, listen, note_release, public};
use crate::overlay::{Overlay, OverlayError};
use crate::ports::Ports;
use crate::process::{MARKER, Service};
use crate::spec::{Organization, PeerSettings};

/// Gossip's pace, for a network whose nodes are near: a new peer is known to the others within seconds.
const GOSSIP_PACE: [(&str, &str); 6] = [
    ("peer.gossip.pullInterval", "1s"),
    ("peer.gossip.requestStateInfoInterval", "1s"),
    ("peer.gossip.publishStateInfoInterval", "1s"),
    ("peer.gossip.aliveTimeInterval", "2s"),
    ("peer.gossip.reconnectInterval", "2s"),
    ("peer.gossip.membershipTrackerInterval", "2s"),
];

/// How soon a peer notices that a link is cut: one that waits for blocks sends nothing, and would go on waiting, behind the
/// others, for eighty seconds; and how long it may let pass, once the link is mended, before it tries again.
const LINKS: [(&str, &str); 7] = [
    ("peer.keepalive.deliveryClient.interval", "10s"),
    ("peer.keepalive.deliveryClient.timeout", "5s"),
    ("peer.keepalive.client.interval", "10s"),
    ("peer.keepalive.client.timeout", "5s"),
    // Who asks more often is taken for an attacker: gateways of other peers do, every ten seconds.
    ("peer.keepalive.minInterval", "5s"),
    ("peer.deliveryclient.reConnectBackoffThreshold", "10s"),
    // Of one orderer; the next one is tried within the client's own deadline.
    ("peer.gateway.broadcastTimeout", "10s"),
];

/// The release that brought write batches and multi-gets to chaincode, and what turns them on.
const BATCHES_SINCE: Version = Version::new(3, 1, 0);
const BATCH_SWITCHES: [&str; 2] =
    ["chaincode.runtimeParams.useWriteBatch", "chaincode.runtimeParams.useGetMultipleKeys"];
/// What keeps earlier values of keys.
const KEY_HISTORY: &str = "ledger.history.enableHistoryDatabase";

/// The file of a peer's successors, in its folder.
const SUCCESSORS: &str = "orderers.json";

/// An orderer that left, and one to ask instead.
///
/// A peer that joins begins with the first block, and one that comes back with its last: there it would look for
/// blocks in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Successor {
    from: String,
    to: String,
    #[serde(rename = "caCertsFile")]
    roots: PathBuf,
}

impl Successor {
    /// `host:port` of both, and the TLS authorities of the second.
    pub(crate) fn new(from: String, to: String, roots: PathBuf) -> Self {
        Self { from, to, roots }
    }

    /// The file of the second one's TLS authorities.
    pub(crate) fn roots(&self) -> &Path {
        &self.roots
    }

    /// Says where that file is.
    pub(crate) fn set_roots(&mut self, roots: PathBuf) {
        self.roots = roots;
    }
}

/// Writes a peer's folder and describes its process.
///
/// Without successors it keeps those that it has.
#[allow(clippy::too_many_arguments)]
pub(crate) fn prepare(
    organization: &Organization,
    peer: &str,
    settings: &PeerSettings,
    layout: &Layout,
    ports: &Ports,
    binaries: &Binaries,
    builder: &BuilderProgram,
    successors: Option<&Vec<Successor>>,
) -> Result<Service, NodeError> {
    let host = organization.host(peer);
    let node = layout.node(&host);
    files::make_folder(&node)?;
    note_release(&node, &host, binaries.version())?;
    if let Some(successors) = successors {
        files::replace_json(&node.join(SUCCESSORS), successors)?;
    }
    let successors = kept_successors(&node)?;
    node::own_data(layout, &host, &organization.msp_id)?;
    let scripts = node.join("builder");
    let values = builder_values(layout, organization);
    builder::write_scripts(&scripts, builder, &values)?;

    let sample = files::read(&binaries.sample_config().join("core.yaml"))?;
    let mut config = Overlay::parse(&sample)?;
    configure(&mut config, organization, &host, layout, ports, &scripts)?;
    if !successors.is_empty() {
        config.set("peer.deliveryclient.addressOverrides", json!(successors))?;
    }
    if let Some(limit) = organization.gateway_concurrency.get(peer) {
        config.set("peer.limits.concurrency.gatewayService", *limit)?;
    }
    demand_nothing_off(&config, binaries.version(), &PeerSettings::default())?;
    if binaries.version() >= BATCHES_SINCE && !settings.chaincode_batches {
        for switch in BATCH_SWITCHES {
            config.set(switch, false)?;
        }
    }
    if !settings.key_history {
        config.set(KEY_HISTORY, false)?;
    }
    let core = node.join("core.yaml");
    files::replace(&core, files::PUBLIC, config.to_yaml()?.as_bytes())?;

    let home = folder(layout, organization, &host);
    Ok(Service {
        name: host.clone(),
        program: binaries.peer(),
        args: vec!["node".into(), "start".into()],
        env: BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), node.into_os_string())]),
        ports: ports.of(&host),
        reads: vec![
            core,
            values,
            home.join("tls/server.crt"),
            home.join(format!("msp/signcerts/{host}-cert.pem")),
        ],
    })
}

/// The successors that a peer has, from its folder.
pub(crate) fn kept_successors(node: &Path) -> Result<Vec<Successor>, FileError> {
    let kept = node.join(SUCCESSORS);
    Ok(match kept.exists() {
        true => serde_json::from_str(&files::read(&kept)?).unwrap_or_default(),
        false => Vec::new(),
    })
}

/// Writes an organisation's values for packages; every peer of it reads them when it builds one.
pub(crate) fn write_builder_values(
    layout: &Layout,
    organization: &Organization,
    values: &Values,
) -> Result<(), FileError> {
    let path = builder_values(layout, organization);
    files::make_folder(&layout.chaincode())?;
    let text = serde_json::to_string_pretty(values).unwrap_or_default();
    if path.exists() && files::read(&path)? == text {
        return Ok(());
    }
    forget_builds(layout, organization)?;
    files::replace(&path, files::PUBLIC, text.as_bytes())
}

/// An organisation's values for packages, as they are now.
pub(crate) fn read_builder_values(layout: &Layout, organization: &Organization) -> Option<Values> {
    builder::read_values(&builder_values(layout, organization)).ok()
}

/// Notes where an organisation's service listens now, for what its peers build from here on.
pub(crate) fn note_service_address(
    layout: &Layout,
    organization: &Organization,
    address: &str,
) -> Result<(), FileError> {
    let noted = builder::address_file(&builder_values(layout, organization));
    if noted.exists() && files::read(&noted)? == address {
        return Ok(());
    }
    files::replace(&noted, files::PUBLIC, address.as_bytes())
}

/// Has an organisation's peers build their packages anew: a peer never looks at the values again by itself.
pub(crate) fn forget_builds(layout: &Layout, organization: &Organization) -> Result<(), FileError> {
    for peer in &organization.peers {
        let built = builds(layout, &organization.host(peer));
        match std::fs::remove_dir_all(&built) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new(&built, "removed", e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a peer has what it built. One makes the folder at its start, and finds no chaincode any more, until its next
/// start, when its builds were forgotten while it ran.
pub(crate) fn has_builds(layout: &Layout, host: &str) -> bool {
    builds(layout, host).exists()
}

fn builds(layout: &Layout, host: &str) -> PathBuf {
    data(layout, host).join("externalbuilder/builds")
}

/// The folders of the packages that a peer has built.
pub(crate) fn built(layout: &Layout, host: &str) -> Vec<PathBuf> {
    let folder = builds(layout, host);
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// A peer's folder of keys and certificates.
pub(crate) fn folder(layout: &Layout, organization: &Organization, host: &str) -> PathBuf {
    layout.organization(organization).join("peers").join(host)
}

fn builder_values(layout: &Layout, organization: &Organization) -> PathBuf {
    layout.chaincode().join(format!("{}.values.json", organization.name))
}

fn data(layout: &Layout, host: &str) -> PathBuf {
    layout.node(host).join("data")
}

/// Sets a peer's whole configuration, but for what depends on Fabric's release and on the spec's settings of peers.
pub(crate) fn configure(
    config: &mut Overlay,
    organization: &Organization,
    host: &str,
    layout: &Layout,
    ports: &Ports,
    builder: &Path,
) -> Result<(), NodeError> {
    let home = folder(layout, organization, host);
    let data = data(layout, host);
    let tls = home.join("tls");
    let address = public(ports, host)?.to_string();
    let at = |purpose| listen(ports, host, purpose).map(|address| address.to_string());
    // The first peer alone, so that no peer is set anew, and restarted, when another comes or goes; from there on
    // they find each other by the channel's anchor peers.
    let first = organization.peers.first().map_or(host.to_owned(), |peer| organization.host(peer));
    config
        .set("peer.id", host)?
        .set("peer.listenAddress", at(LISTEN)?)?
        .set("peer.address", address.as_str())?
        .add("peer.chaincodeListenAddress", at(CHAINCODE)?)?
        .add("peer.chaincodeAddress", at(CHAINCODE)?)?
        .set("peer.localMspId", organization.msp_id.as_str())?
        .set("peer.mspConfigPath", json!(home.join("msp")))?
        .set("peer.fileSystemPath", json!(data))?
        .set("peer.gossip.bootstrap", public(ports, &first)?.to_string())?
        .set("peer.gossip.endpoint", address.as_str())?
        .set("peer.gossip.externalEndpoint", address.as_str())?
        .set("peer.tls.enabled", true)?
        .set("peer.tls.cert.file", json!(tls.join("server.crt")))?
        .set("peer.tls.key.file", json!(tls.join("server.key")))?
        .set("peer.tls.rootcert.file", json!(tls.join("ca.crt")))?
        .set("peer.tls.clientRootCAs.files", json!([tls.join("ca.crt")]))?
        .set("ledger.snapshots.rootDir", json!(data.join("snapshots")))?
        // Empty: the peer looks for no Docker.
        .set("vm.endpoint", "")?
        .set(
            "chaincode.externalBuilders",
            json!([{ "name": "service", "path": builder, "propagateEnvironment": [MARKER] }]),
        )?
        .set("operations.listenAddress", at(OPERATIONS)?)?
        .set("operations.tls.enabled", true)?
        .set("operations.tls.cert.file", json!(tls.join("server.crt")))?
        .set("operations.tls.key.file", json!(tls.join("server.key")))?
        .set("operations.tls.clientRootCAs.files", json!([tls.join("ca.crt")]))?
        .set("metrics.provider", "prometheus")?;
    for (key, interval) in GOSSIP_PACE.into_iter().chain(LINKS) {
        config.set(key, interval)?;
    }
    Ok(())
}

/// Demands what Fabric switches off without a word when its key is missing; of what the spec's settings may switch
/// off, where it is wanted.
pub(crate) fn demand_nothing_off(
    config: &Overlay,
    release: Version,
    wanted: &PeerSettings,
) -> Result<(), OverlayError> {
    config.demand_on("peer.gateway.enabled")?;
    config.demand_on("peer.discovery.enabled")?;
    if wanted.key_history {
        config.demand_on(KEY_HISTORY)?;
    }
    for service in ["endorserService", "deliverService", "gatewayService"] {
        config.demand_limit(&format!("peer.limits.concurrency.{service}"))?;
    }
    config.demand_limit("ledger.state.totalQueryLimit")?;
    let filters = "peer.handlers.authFilters";
    config.demand_named(
        filters,
        "ExpirationCheck",
        "a list with `ExpirationCheck`, so that expired callers are refused",
    )?;
    if release.is_v3() {
        config.demand_named(
            filters,
            "TimeWindowCheck",
            "a list with `TimeWindowCheck`, so that old proposals are refused",
        )?;
    }
    if release >= BATCHES_SINCE && wanted.chaincode_batches {
        for switch in BATCH_SWITCHES {
            config.demand_on(switch)?;
        }
        for limit in ["maxSizeWriteBatch", "maxSizeGetMultipleKeys"] {
            config.demand_limit(&format!("chaincode.runtimeParams.{limit}"))?;
        }
    }
    Ok(())
}

impl From<BuilderError> for NodeError {
    fn from(error: BuilderError) -> Self {
        NodeError::Builder(Box::new(error))
    }
}
