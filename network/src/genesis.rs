//! The channel's first block: its members, orderers, policies and access rules.
//!
//! Policies of every organisation: peers endorse, clients and admins write, admins administer. Whole blocks, which
//! show every certificate and argument, are for the policy `BlockReaders` alone, on peers and on orderers;
//! filtered blocks and the gateway are for all readers.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::fabric::{Binaries, Version, VersionError};
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::node::{self, NodeError};
use crate::overlay::OverlayError;
use crate::ports::Ports;
use crate::spec::{Consensus, Consortium, Endorsement, OrderingService, Organization};

/// The one profile in the `configtx.yaml` that this crate writes.
const PROFILE: &str = "Consortium";

/// The file that names the release whose capabilities the channel has.
const RELEASE: &str = "fabric-version";

/// The most bytes of a block's transactions, of both consensus protocols.
const BATCH_BYTES_MAX: u32 = 10 << 20;

/// How long a BFT leader may be silent, and how often in that time one with nothing else to say speaks up.
///
/// SmartBFT looks at its clock once a second, so a leader that sent something since is silent for up to a second, which must
/// be less than a beat: see [`bft_options`].
const BFT_LEADER_SILENCE: &str = "5s";
const BFT_BEATS: u32 = 3;

/// Requests that answer with whole blocks or transactions.
const BLOCK_RESOURCES: [&str; 6] = [
    "event/Block",
    "qscc/GetBlockByHash",
    "qscc/GetBlockByNumber",
    "qscc/GetBlockByTxID",
    "qscc/GetChainInfo",
    "qscc/GetTransactionByID",
];

/// Why the channel's first block could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A node has no port yet.
    #[error("a node has no address")]
    Node(#[from] NodeError),
    /// configtx.yaml could not be written as YAML.
    #[error("configtx.yaml cannot be written")]
    Yaml(#[from] OverlayError),
    /// A file cannot be read or written.
    #[error("the channel's folder cannot be used")]
    File(#[from] FileError),
    /// The channel was made for Fabric 3, and the programs are older.
    #[error(
        "the channel was made with Fabric {made}, which Fabric {found} cannot take part in; use programs of Fabric 3 or newer"
    )]
    TooOld {
        /// The release that made the channel.
        made: Version,
        /// The release of the programs.
        found: Version,
    },
    /// The ordering service's protocol came with Fabric 3, and the programs are older.
    #[error(
        "BFT ordering came with Fabric 3, and the programs in `{folder}` are of {found}; use newer programs, or `consensus = \"raft\"`"
    )]
    NoBft {
        /// The folder of the programs.
        folder: PathBuf,
        /// Their release.
        found: Version,
    },
    /// The note of which release made the channel is damaged.
    #[error("`{path}` does not name the Fabric release that made the channel")]
    Release {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VersionError,
    },
    /// configtxgen does not run.
    #[error("`{program}` does not run")]
    Start {
        /// The program.
        program: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// configtxgen refused.
    #[error("configtxgen made no block from `{configtx}`:\n{said}")]
    Refused {
        /// What it read.
        configtx: PathBuf,
        /// The end of what it said.
        said: String,
    },
}

/// Demands that the programs know the spec's consensus protocol: they may be of another release than the spec.
pub(crate) fn demand_consensus(spec: &Consortium, binaries: &Binaries) -> Result<(), GenesisError> {
    match spec.orderer.consensus {
        Consensus::Bft if !binaries.version().is_v3() => {
            Err(GenesisError::NoBft { folder: binaries.folder().to_owned(), found: binaries.version() })
        }
        Consensus::Bft | Consensus::Raft => Ok(()),
    }
}

/// Makes the block, unless there is one: made twice it would be another channel of the same name.
///
/// Its capabilities are those of a release. Returns whether it was made now.
pub(crate) fn keep(
    spec: &Consortium,
    layout: &Layout,
    ports: &Ports,
    binaries: &Binaries,
    release: Version,
) -> Result<bool, GenesisError> {
    let folder = layout.channel();
    if layout.genesis_block(&spec.channel.name).exists() {
        return demand_new_enough(layout, binaries.version()).map(|()| false);
    }
    let draft = folder.join(".genesis.draft");
    make(spec, layout, ports, binaries, (&folder, &draft), release)?;
    take(&spec.channel.name, layout, release, &draft)?;
    Ok(true)
}

/// Gives a block its place as the channel's first one, with a note of the release that it was made for.
pub(crate) fn take(
    channel: &str,
    layout: &Layout,
    release: Version,
    draft: &Path,
) -> Result<(), GenesisError> {
    let block = layout.genesis_block(channel);
    note_release(layout, release)?;
    Ok(std::fs::rename(draft, &block).map_err(|e| FileError::new(&block, "made", e))?)
}

fn release_note(layout: &Layout) -> PathBuf {
    layout.channel().join(RELEASE)
}

/// Makes a block of what is in the layout's folders, with `configtx.yaml` in a folder, as a file.
pub(crate) fn make(
    spec: &Consortium,
    layout: &Layout,
    ports: &Ports,
    binaries: &Binaries,
    (folder, draft): (&Path, &Path),
    release: Version,
) -> Result<(), GenesisError> {
    files::make_folder(folder)?;
    let configtx = folder.join("configtx.yaml");
    let document = configtx_of(spec, layout, ports, release)?;
    let text = serde_saphyr::to_string(&document).map_err(|error| OverlayError::Write(error.to_string()))?;
    files::replace(&configtx, files::PUBLIC, text.as_bytes())?;

    let configtxgen = binaries.configtxgen();
    let output = Command::new(&configtxgen)
        .args(["-profile", PROFILE, "-channelID", &spec.channel.name])
        .arg("-configPath")
        .arg(folder)
        .arg("-outputBlock")
        .arg(draft)
        .env_clear()
        .current_dir(folder)
        .output()
        .map_err(|source| GenesisError::Start { program: configtxgen.clone(), source })?;
    if !output.status.success() || !draft.exists() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let skip = lines.len().saturating_sub(8);
        return Err(GenesisError::Refused {
            configtx,
            said: lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n"),
        });
    }
    Ok(())
}

/// Notes that the channel has the capabilities of a release from now on.
pub(crate) fn note_release(layout: &Layout, release: Version) -> Result<(), FileError> {
    files::replace(&release_note(layout), files::PUBLIC, release.to_string().as_bytes())
}

/// Demands that programs know the capabilities of the channel, which are those of the release that made it.
pub(crate) fn demand_new_enough(layout: &Layout, found: Version) -> Result<(), GenesisError> {
    let note = release_note(layout);
    let made: Version = files::read(&note)?
        .trim()
        .parse()
        .map_err(|source| GenesisError::Release { path: note.clone(), source })?;
    if made.is_v3() && !found.is_v3() { Err(GenesisError::TooOld { made, found }) } else { Ok(()) }
}

/// The document that configtxgen reads.
fn configtx_of(
    spec: &Consortium,
    layout: &Layout,
    ports: &Ports,
    release: Version,
) -> Result<Value, GenesisError> {
    let channel_capability = if release.is_v3() { "V3_0" } else { "V2_0" };
    let members = spec
        .organizations
        .iter()
        .map(|organization| member(organization, layout, ports))
        .collect::<Result<Vec<_>, _>>()?;
    let mut application_policies = meta_policies();
    let endorsement = match spec.channel.endorsement {
        Endorsement::Any => "ANY Endorsement",
        Endorsement::Majority => "MAJORITY Endorsement",
        Endorsement::All => "ALL Endorsement",
    };
    insert(&mut application_policies, "Endorsement", meta(endorsement));
    insert(&mut application_policies, "LifecycleEndorsement", meta(endorsement));
    let acls: serde_json::Map<String, Value> = BLOCK_RESOURCES
        .iter()
        .map(|resource| ((*resource).to_owned(), json!("/Channel/Application/BlockReaders")))
        .collect();
    // Orderers answer whole blocks to the channel's Readers, so that policy is the block readers'.
    let mut channel_policies = meta_policies();
    insert(&mut channel_policies, "Readers", meta("ANY BlockReaders"));

    Ok(json!({
        "Profiles": {
            PROFILE: {
                "Policies": channel_policies,
                "Capabilities": { channel_capability: true },
                "Orderer": orderer(spec, layout, ports)?,
                "Application": {
                    "Organizations": members,
                    "Policies": application_policies,
                    "ACLs": acls,
                    "Capabilities": { "V2_5": true },
                },
            },
        },
    }))
}

fn member(organization: &Organization, layout: &Layout, ports: &Ports) -> Result<Value, GenesisError> {
    let id = &organization.msp_id;
    let anchors = organization
        .peers
        .iter()
        .map(|peer| {
            let address = node::public(ports, &organization.host(peer))?;
            Ok(json!({ "Host": address.host, "Port": address.port }))
        })
        .collect::<Result<Vec<_>, GenesisError>>()?;
    Ok(json!({
        "Name": id,
        "ID": id,
        "MSPDir": layout.organization(organization).join("msp"),
        "AnchorPeers": anchors,
        "Policies": {
            "Readers": signature(id, &["admin", "client", "peer"]),
            "Writers": signature(id, &["admin", "client"]),
            "Admins": signature(id, &["admin"]),
            "Endorsement": signature(id, &["peer"]),
            "BlockReaders": signature(id, &["admin", "peer"]),
        },
    }))
}

fn orderer(spec: &Consortium, layout: &Layout, ports: &Ports) -> Result<Value, GenesisError> {
    let service = &spec.orderer;
    let id = &service.msp_id;
    let home = layout.ordering_organization(service);
    let mut endpoints = Vec::new();
    let mut consenters = Vec::new();
    for (consenter, id) in service.consenters.iter().zip(1_u32..) {
        let host = service.host(consenter);
        let address = node::public(ports, &host)?;
        let node = home.join("orderers").join(&host);
        let certificate = node.join("tls/server.crt");
        endpoints.push(address.to_string());
        let mut entry = json!({
            "Host": address.host,
            "Port": address.port,
            "ClientTLSCert": certificate,
            "ServerTLSCert": certificate,
        });
        if service.consensus == Consensus::Bft {
            insert(&mut entry, "ID", json!(id));
            insert(&mut entry, "MSPID", json!(service.msp_id));
            insert(&mut entry, "Identity", json!(node.join(format!("msp/signcerts/{host}-cert.pem"))));
        }
        consenters.push(entry);
    }
    let mut policies = meta_policies();
    // Of BFT, configtxgen writes a policy of its own over this one: signatures of a quorum of the consenters.
    insert(&mut policies, "BlockValidation", meta("ANY Writers"));
    let mut group = json!({
        "BatchTimeout": format!("{}ms", spec.channel.batch_timeout_ms),
        "BatchSize": {
            "MaxMessageCount": spec.channel.max_message_count,
            "AbsoluteMaxBytes": BATCH_BYTES_MAX,
            "PreferredMaxBytes": "2 MB",
        },
        "Organizations": [{
            "Name": id,
            "ID": id,
            "MSPDir": home.join("msp"),
            "OrdererEndpoints": endpoints,
            "Policies": {
                "Readers": signature(id, &["admin", "orderer"]),
                "Writers": signature(id, &["admin", "orderer"]),
                "Admins": signature(id, &["admin"]),
                "BlockReaders": signature(id, &["admin", "orderer"]),
            },
        }],
        "Policies": policies,
        "Capabilities": { "V2_0": true },
    });
    match service.consensus {
        Consensus::Raft => {
            insert(&mut group, "OrdererType", json!("etcdraft"));
            let raft = json!({ "Consenters": consenters, "Options": raft_options(service) });
            insert(&mut group, "EtcdRaft", raft);
        }
        Consensus::Bft => {
            insert(&mut group, "OrdererType", json!("BFT"));
            insert(&mut group, "ConsenterMapping", json!(consenters));
            insert(&mut group, "SmartBFT", bft_options(spec));
        }
    }
    Ok(group)
}

/// Raft's pace. A consenter that is alone has nobody to wait for, and leads a second after its start; among several,
/// Fabric's own pace keeps a slow disk from costing the leader its place.
fn raft_options(service: &OrderingService) -> Value {
    let tick = if service.consenters.len() == 1 { "100ms" } else { "500ms" };
    json!({
        "TickInterval": tick,
        "ElectionTick": 10,
        "HeartbeatTick": 1,
        "MaxInflightBlocks": 5,
        "SnapshotIntervalSize": "16 MB",
    })
}

/// SmartBFT's pace: a leader that is silent for [`BFT_LEADER_SILENCE`] is replaced, and a replacement that is silent
/// too gives way ten seconds later. Fabric's own pace takes more than a minute.
///
/// A node that fetches blocks from others just when it decides on one itself can stand still for good, as of Fabric 3.1. Nodes
/// fetch when a heartbeat tells them that they are behind, when a view change takes too long, and again and again while one
/// alone has complained about the leader. So no heartbeats go beside blocks, and who is merely slow does not complain soon: a
/// request may wait for as long as by Fabric's own pace.
///
/// Sizes of batches come from the channel's, which the orderers put over these; the interval does not.
fn bft_options(spec: &Consortium) -> Value {
    let batch = &spec.channel;
    json!({
        "RequestBatchMaxCount": batch.max_message_count,
        "RequestBatchMaxBytes": BATCH_BYTES_MAX,
        "RequestBatchMaxInterval": format!("{}ms", batch.batch_timeout_ms),
        "IncomingMessageBufferSize": 200,
        "RequestPoolSize": 100_000,
        "RequestForwardTimeout": "2s",
        "RequestComplainTimeout": "20s",
        "RequestAutoRemoveTimeout": "3m",
        "ViewChangeResendInterval": "2s",
        "ViewChangeTimeout": "10s",
        "LeaderHeartbeatTimeout": BFT_LEADER_SILENCE,
        "LeaderHeartbeatCount": BFT_BEATS,
        "CollectTimeout": "1s",
        // A node hears of what it missed by the next heartbeat; asking at its start, it waits for those not there yet.
        "SyncOnStart": false,
        "SpeedUpViewChange": false,
        // 1 is off. configtxgen says it turns rotation off, and does so after it has written the options.
        "LeaderRotation": 1,
    })
}

/// The policies of a group, each made from its organisations' policies of that name.
fn meta_policies() -> Value {
    json!({
        "Readers": meta("ANY Readers"),
        "Writers": meta("ANY Writers"),
        "Admins": meta("MAJORITY Admins"),
        "BlockReaders": meta("ANY BlockReaders"),
    })
}

fn meta(rule: &str) -> Value {
    json!({ "Type": "ImplicitMeta", "Rule": rule })
}

fn signature(msp_id: &str, roles: &[&str]) -> Value {
    let any = roles.iter().map(|role| format!("'{msp_id}.{role}'")).collect::<Vec<_>>().join(", ");
    json!({ "Type": "Signature", "Rule": format!("OR({any})") })
}

fn insert(map: &mut Value, key: &str, value: Value) {
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::DEFAULT;

    fn document(spec: &Consortium, release: &str) -> Value {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().to_owned());
        let ports = Ports::keep(&layout.ports(), crate::node::wanted_ports(spec)).unwrap();
        configtx_of(spec, &layout, &ports, release.parse().unwrap()).unwrap()
    }

    #[test]
    fn only_peers_endorse_and_only_block_readers_see_whole_blocks() {
        let spec = Consortium::parse(DEFAULT).unwrap();
        let configtx = document(&spec, "3.1.1");
        let profile = &configtx["Profiles"][PROFILE];
        let north = &profile["Application"]["Organizations"][0];
        assert_eq!(north["Policies"]["Endorsement"]["Rule"], "OR('NorthMSP.peer')");
        assert!(!configtx.to_string().contains(".member"));
        for resource in BLOCK_RESOURCES {
            assert_eq!(profile["Application"]["ACLs"][resource], "/Channel/Application/BlockReaders");
        }
        assert_eq!(profile["Policies"]["Readers"]["Rule"], "ANY BlockReaders");
        assert_eq!(profile["Application"]["Policies"]["Readers"]["Rule"], "ANY Readers");
    }

    #[test]
    fn capabilities_follow_the_programs() {
        let spec = Consortium::parse(DEFAULT).unwrap();
        for (release, capability) in [("3.1.1", "V3_0"), ("2.5.9", "V2_0")] {
            assert_eq!(
                document(&spec, release)["Profiles"][PROFILE]["Capabilities"],
                json!({ capability: true })
            );
        }
    }

    #[test]
    fn bft_consenters_are_mapped_and_their_pace_follows_the_channel() {
        let text = DEFAULT
            .replacen("\"raft\"", "\"bft\"", 1)
            .replacen(r#"["orderer0"]"#, r#"["a", "b", "c", "d"]"#, 1)
            .replacen("batch_timeout_ms = 200", "batch_timeout_ms = 150", 1);
        let configtx = document(&Consortium::parse(&text).unwrap(), "3.1.1");
        let orderer = &configtx["Profiles"][PROFILE]["Orderer"];
        assert_eq!(orderer["OrdererType"], "BFT");
        assert_eq!(orderer.get("EtcdRaft"), None);
        let consenters = orderer["ConsenterMapping"].as_array().unwrap();
        let ids: Vec<_> = consenters.iter().map(|consenter| consenter["ID"].as_u64().unwrap()).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(consenters[3]["MSPID"], "OrdererMSP");
        assert!(consenters[3]["Identity"].as_str().unwrap().ends_with("d.orderer.example.com-cert.pem"));
        assert_eq!(orderer["SmartBFT"]["RequestBatchMaxInterval"], "150ms");
        assert_eq!(orderer["SmartBFT"]["LeaderRotation"], 1);
        // A leader that makes blocks is silent for a second at most, as SmartBFT counts, and sends no heartbeats.
        let silence =
            orderer["SmartBFT"]["LeaderHeartbeatTimeout"].as_str().unwrap().strip_suffix('s').unwrap();
        let beats = orderer["SmartBFT"]["LeaderHeartbeatCount"].as_u64().unwrap();
        assert!(silence.parse::<u64>().unwrap() > beats, "{silence} s with {beats} beats");
        assert_eq!(orderer["Organizations"][0]["OrdererEndpoints"].as_array().unwrap().len(), 4);
        assert_eq!(orderer.get("Addresses"), None);
    }

    #[test]
    fn a_channel_of_fabric_3_is_not_given_to_older_programs() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().to_owned());
        files::make_folder(&layout.channel()).unwrap();
        let demand = |made: &str, found: &str| {
            std::fs::write(release_note(&layout), made).unwrap();
            demand_new_enough(&layout, found.parse().unwrap())
        };
        demand("3.1.1", "3.1.5").unwrap();
        demand("2.5.9", "3.1.1").unwrap();
        assert!(matches!(demand("3.1.1", "2.5.9"), Err(GenesisError::TooOld { .. })));
        assert!(matches!(demand("", "3.1.1"), Err(GenesisError::Release { .. })));
    }
}
