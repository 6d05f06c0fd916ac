//! The channel's first block: its members, orderers, policies and access rules.
//!
//! Policies of every organisation: peers endorse, clients and admins write, admins administer. Whole blocks, which
//! show every certificate and argument, are for the policy `BlockReaders` alone, on peers and on orderers;
//! filtered blocks and the gateway are for all readers.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::overlay::OverlayError;
use crate::ports::Ports;
use crate::spec::{Consensus, Consortium, Endorsement, Organization};

/// The one profile in the `configtx.yaml` that this crate writes.
const PROFILE: &str = "Consortium";

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
    #[error("`{0}` has no port")]
    Port(String),
    /// configtx.yaml could not be written as YAML.
    #[error("configtx.yaml cannot be written")]
    Yaml(#[from] OverlayError),
    /// A file cannot be read or written.
    #[error("the channel's folder cannot be used")]
    File(#[from] FileError),
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

/// Makes the block, unless there is one: made twice it would be another channel of the same name.
///
/// Returns whether it was made now.
pub(crate) fn keep(
    spec: &Consortium,
    layout: &Layout,
    ports: &Ports,
    configtxgen: &Path,
) -> Result<bool, GenesisError> {
    let block = layout.genesis_block(&spec.channel.name);
    if block.exists() {
        return Ok(false);
    }
    let folder = layout.channel();
    files::make_folder(&folder)?;
    let configtx = folder.join("configtx.yaml");
    let text = serde_saphyr::to_string(&configtx_of(spec, layout, ports)?)
        .map_err(|error| OverlayError::Write(error.to_string()))?;
    files::replace(&configtx, files::PUBLIC, text.as_bytes())?;

    let draft = folder.join(".genesis.draft");
    let output = Command::new(configtxgen)
        .args(["-profile", PROFILE, "-channelID", &spec.channel.name])
        .arg("-configPath")
        .arg(&folder)
        .arg("-outputBlock")
        .arg(&draft)
        .env_clear()
        .current_dir(&folder)
        .output()
        .map_err(|source| GenesisError::Start {
            program: configtxgen.to_owned(),
            source,
        })?;
    if !output.status.success() || !draft.exists() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let skip = lines.len().saturating_sub(8);
        return Err(GenesisError::Refused {
            configtx,
            said: lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n"),
        });
    }
    std::fs::rename(&draft, &block).map_err(|e| FileError::new(&block, "made", e))?;
    Ok(true)
}

/// The document that configtxgen reads.
fn configtx_of(
    spec: &Consortium,
    layout: &Layout,
    ports: &Ports,
) -> Result<Value, GenesisError> {
    let channel_capability = if spec.fabric.is_v3() { "V3_0" } else { "V2_0" };
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
    insert(
        &mut application_policies,
        "LifecycleEndorsement",
        meta(endorsement),
    );
    let acls: serde_json::Map<String, Value> = BLOCK_RESOURCES
        .iter()
        .map(|resource| {
            (
                (*resource).to_owned(),
                json!("/Channel/Application/BlockReaders"),
            )
        })
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

fn member(
    organization: &Organization,
    layout: &Layout,
    ports: &Ports,
) -> Result<Value, GenesisError> {
    let id = &organization.msp_id;
    let anchors = organization
        .peers
        .iter()
        .map(|peer| {
            let host = organization.host(peer);
            Ok(json!({ "Host": "127.0.0.1", "Port": listen_port(ports, &host)? }))
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
    for consenter in &service.consenters {
        let host = service.host(consenter);
        let port = listen_port(ports, &host)?;
        let certificate = home.join("orderers").join(&host).join("tls/server.crt");
        endpoints.push(format!("127.0.0.1:{port}"));
        consenters.push(json!({
            "Host": "127.0.0.1",
            "Port": port,
            "ClientTLSCert": certificate,
            "ServerTLSCert": certificate,
        }));
    }
    let mut policies = meta_policies();
    insert(&mut policies, "BlockValidation", meta("ANY Writers"));
    let Consensus::Raft = service.consensus;
    Ok(json!({
        "OrdererType": "etcdraft",
        "BatchTimeout": format!("{}ms", spec.channel.batch_timeout_ms),
        "BatchSize": {
            "MaxMessageCount": spec.channel.max_message_count,
            "AbsoluteMaxBytes": "10 MB",
            "PreferredMaxBytes": "2 MB",
        },
        "EtcdRaft": { "Consenters": consenters },
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
    }))
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
    let any = roles
        .iter()
        .map(|role| format!("'{msp_id}.{role}'"))
        .collect::<Vec<_>>()
        .join(", ");
    json!({ "Type": "Signature", "Rule": format!("OR({any})") })
}

fn insert(map: &mut Value, key: &str, value: Value) {
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn listen_port(ports: &Ports, host: &str) -> Result<u16, GenesisError> {
    ports
        .port(host, crate::node::LISTEN)
        .ok_or_else(|| GenesisError::Port(host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::DEFAULT;

    fn document(spec: &Consortium) -> Value {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().to_owned());
        let ports = Ports::keep(&layout.ports(), crate::node::wanted_ports(spec)).unwrap();
        configtx_of(spec, &layout, &ports).unwrap()
    }

    #[test]
    fn only_peers_endorse_and_only_block_readers_see_whole_blocks() {
        let spec = Consortium::parse(DEFAULT).unwrap();
        let configtx = document(&spec);
        let profile = &configtx["Profiles"][PROFILE];
        let north = &profile["Application"]["Organizations"][0];
        assert_eq!(
            north["Policies"]["Endorsement"]["Rule"],
            "OR('NorthMSP.peer')"
        );
        assert!(!configtx.to_string().contains(".member"));
        for resource in BLOCK_RESOURCES {
            assert_eq!(
                profile["Application"]["ACLs"][resource],
                "/Channel/Application/BlockReaders"
            );
        }
        assert_eq!(profile["Policies"]["Readers"]["Rule"], "ANY BlockReaders");
        assert_eq!(
            profile["Application"]["Policies"]["Readers"]["Rule"],
            "ANY Readers"
        );
    }

    #[test]
    fn capabilities_follow_the_release() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        assert_eq!(
            document(&spec)["Profiles"][PROFILE]["Capabilities"],
            json!({"V3_0": true})
        );
        spec.fabric = crate::fabric::Version::new(2, 5, 9);
        assert_eq!(
            document(&spec)["Profiles"][PROFILE]["Capabilities"],
            json!({"V2_0": true})
        );
    }
}
