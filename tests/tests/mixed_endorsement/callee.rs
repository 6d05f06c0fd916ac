//! A second chaincode, for calls from the first: the same two programs under packages of their own, on this channel
//! and on another.
//!
//! It is deployed by Fabric's own command line, with packages that are no part of the network's spec.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use caretrail_tests::until::until;
use flate2::Compression;
use flate2::write::GzEncoder;
use hlf_network::network::Network;
use hlf_network::process::Service;
use hlf_network::spec::Organization;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::world::{DEADLINE, Mixed, program};

/// Its name on both channels.
pub(crate) const CALLEE: &str = "tokens";

/// The other channel.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A key of its state that says on which channel it is.
pub(crate) const PLACE: &str = "place";

/// Runs its services, installs its packages, and brings its definition onto both channels.
pub(crate) async fn deploy(network: &Network, in_go: &Path) {
    let organizations = &network.spec().organizations;
    let channels = [network.spec().channel.name.as_str(), ELSEWHERE];
    for organization in organizations {
        let name = format!("{CALLEE}.{}", organization.domain);
        let port = network.service_port(&name).unwrap();
        let address = format!("127.0.0.1:{port}");
        let (file, id) = package(network, organization, &address);
        let program = program(in_go, &organization.name);
        let env = BTreeMap::from([
            ("CHAINCODE_ID".to_owned(), id.clone().into()),
            ("CHAINCODE_SERVER_ADDRESS".to_owned(), address.clone().into()),
            ("CHAINCODE_TLS_DISABLED".to_owned(), "true".into()),
        ]);
        let service = Service {
            name: name.clone(),
            program: program.program,
            args: program.args,
            env,
            ports: vec![port],
            reads: Vec::new(),
        };
        network.ensure_service(&service).await.unwrap();
        until(&format!("`{name}` to listen"), DEADLINE, async || TcpStream::connect(&address).ok()).await;

        peer(network, organization, "install", &[file.to_str().unwrap()]).await;
        for channel in channels {
            let terms = [&of(channel)[..], &["--package-id", &id]].concat();
            peer(network, organization, "approveformyorg", &terms).await;
        }
    }
    let profiles: Vec<_> = organizations.iter().map(|of| network.profile(of).unwrap()).collect();
    let endorsers = profiles.iter().flat_map(|profile| {
        let roots = profile.tls_ca.to_str().unwrap();
        ["--peerAddresses", &profile.peers[0].address, "--tlsRootCertFiles", roots]
    });
    let endorsers: Vec<_> = endorsers.collect();
    for channel in channels {
        peer(network, &organizations[0], "commit", &[&of(channel)[..], &endorsers].concat()).await;
    }
}

/// What its definition is on a channel.
fn of(channel: &str) -> [&str; 8] {
    ["--channelID", channel, "--name", CALLEE, "--version", "1", "--sequence", "1"]
}

/// Has it note where it is, once the peers of both organisations know each other on both channels.
pub(crate) async fn place<const EDITION: usize>(world: &Mixed<EDITION>) {
    for channel in [world.north.contract.channel(), ELSEWHERE] {
        let contract = world.north.gateway.contract(channel, CALLEE);
        let put = json!([{ "op": "put", "key": PLACE, "value": channel }]).to_string();
        let endorsed = until(&format!("`{CALLEE}` to be endorsed on `{channel}`"), DEADLINE, async || {
            let proposal = contract.proposal("Run").arg(put.clone()).endorsing_organizations(world.both());
            proposal.build().unwrap().endorse().await.ok()
        })
        .await;
        endorsed.submit().await.unwrap();
        for side in [&world.north, &world.south] {
            let status = side.gateway.commit_status(channel, endorsed.tx_id()).await.unwrap();
            assert!(status.is_valid(), "{status:?}");
        }
    }
}

/// Fabric's `peer lifecycle chaincode`, as an organisation's admin.
async fn peer(network: &Network, organization: &Organization, command: &str, rest: &[&str]) {
    let environment = network.peer_environment(organization).unwrap();
    let mut peer = Command::new(environment.programs.as_ref().unwrap().join("peer"));
    peer.args(["lifecycle", "chaincode", command]).args(rest);
    if command != "install" {
        peer.args(["--tls", "--orderer"])
            .arg(&environment.variables["ORDERER_ADDRESS"])
            .arg("--cafile")
            .arg(&environment.variables["ORDERER_CA"]);
    }
    peer.env_clear().envs(&environment.variables).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, peer.output()).await.expect("an end").unwrap();
    assert!(ended.status.success(), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// An organisation's package, which names the address of its service.
fn package(network: &Network, organization: &Organization, address: &str) -> (PathBuf, String) {
    let label = format!("{CALLEE}_{}", organization.name);
    let connection = json!({ "address": address, "dial_timeout": "10s", "tls_required": false });
    let code = archive(&[("connection.json", text(&connection))]);
    let metadata = json!({ "type": "ccaas", "label": label });
    let bytes = archive(&[("metadata.json", text(&metadata)), ("code.tar.gz", code)]);
    let file = network.layout().root().join(format!("{label}.tar.gz"));
    fs::write(&file, &bytes).unwrap();
    (file, format!("{label}:{}", hex::encode(Sha256::digest(&bytes))))
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    let mut gzip = tar.into_inner().unwrap();
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}
