//! Chaincode beyond a network's own, on any of its channels: brought there by Fabric's command line, with packages that
//! are no part of the network's spec.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hlf_network::network::{ChaincodeProgram, Network};
use hlf_network::process::Service;
use hlf_network::spec::Organization;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::hospitals::Hospitals;
use crate::until::until;

/// How long each step may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// The id of each organisation's package, by the organisation's name.
pub type PackageIds = BTreeMap<String, String>;

/// Runs a chaincode's services, the program of each organisation by the organisation's name, and installs its packages.
///
/// # Panics
/// When a service does not listen, or a peer does not install its package.
pub async fn install(
    network: &Network,
    name: &str,
    program: impl Fn(&str) -> ChaincodeProgram,
) -> PackageIds {
    let mut ids = PackageIds::new();
    for organization in &network.spec().organizations {
        let service_name = format!("{name}.{}", organization.domain);
        let port = network.service_port(&service_name).expect("a port");
        let address = format!("127.0.0.1:{port}");
        let (file, id) = package(network, name, organization, &address);
        let ChaincodeProgram { program, args, env: further } = program(&organization.name);
        let mut env = BTreeMap::from([
            ("CHAINCODE_ID".to_owned(), id.clone().into()),
            ("CHAINCODE_SERVER_ADDRESS".to_owned(), address.clone().into()),
            ("CHAINCODE_TLS_DISABLED".to_owned(), "true".into()),
        ]);
        env.extend(further);
        let ports = vec![port];
        let service = Service { name: service_name, program, args, env, ports, reads: Vec::new() };
        network.ensure_service(&service).await.expect("a service");
        let listening = format!("`{}` to listen", service.name);
        until(&listening, DEADLINE, async || TcpStream::connect(&address).ok()).await;
        peer(network, organization, "install", &[file.to_str().expect("a path of text")]).await;
        ids.insert(organization.name.clone(), id);
    }
    ids
}

/// The packages of the network's own chaincode.
///
/// # Panics
/// When a peer has none, or more.
pub async fn installed(hospitals: &Hospitals, label: &str) -> PackageIds {
    let mut ids = PackageIds::new();
    for organization in &hospitals.network().spec().organizations {
        let admin = hospitals.gateway(&format!("{}/admin", organization.name)).await;
        let mut installed = admin.endorser().lifecycle().installed().await.expect("installed packages");
        installed.retain(|package| package.label == label);
        let [package] = installed.as_slice() else { panic!("not one package: {installed:?}") };
        ids.insert(organization.name.clone(), package.id.clone());
    }
    ids
}

/// Defines a chaincode of installed packages on a channel: every organisation approves, the first commits.
///
/// # Panics
/// When Fabric does not take it.
pub async fn define(network: &Network, channel: &str, name: &str, packages: &PackageIds) {
    let organizations = &network.spec().organizations;
    let terms = ["--channelID", channel, "--name", name, "--version", "1", "--sequence", "1"];
    for organization in organizations {
        let own = ["--package-id", &packages[&organization.name]];
        peer(network, organization, "approveformyorg", &[&terms[..], &own].concat()).await;
    }
    // Each waited for its own peer, and the definition is endorsed by all.
    for organization in organizations {
        until("every approval at every peer", DEADLINE, async || {
            let asked = [&terms[..], &["--output", "json"]].concat();
            let said = peer(network, organization, "checkcommitreadiness", &asked).await;
            let said: Value = serde_json::from_slice(&said).expect("JSON");
            let approvals = said["approvals"].as_object().expect("approvals");
            approvals.values().all(|given| given == true).then_some(())
        })
        .await;
    }
    let profiles: Vec<_> =
        organizations.iter().map(|organization| network.profile(organization).expect("a profile")).collect();
    let endorsers = profiles.iter().flat_map(|profile| {
        let roots = profile.tls_ca.to_str().expect("a path of text");
        ["--peerAddresses", &profile.peers[0].address, "--tlsRootCertFiles", roots]
    });
    let terms: Vec<_> = terms.into_iter().chain(endorsers).collect();
    peer(network, &organizations[0], "commit", &terms).await;
}

/// What Fabric's `peer lifecycle chaincode` prints, as an organisation's admin.
async fn peer(network: &Network, organization: &Organization, command: &str, rest: &[&str]) -> Vec<u8> {
    let environment = network.peer_environment(organization).expect("an environment");
    let programs = environment.programs.as_ref().expect("Fabric's programs");
    let mut peer = Command::new(programs.join("peer"));
    peer.args(["lifecycle", "chaincode", command]).args(rest);
    if command != "install" {
        peer.args(["--tls", "--orderer"])
            .arg(&environment.variables["ORDERER_ADDRESS"])
            .arg("--cafile")
            .arg(&environment.variables["ORDERER_CA"]);
    }
    peer.env_clear().envs(&environment.variables).stdin(Stdio::null()).kill_on_drop(true);
    let ended =
        tokio::time::timeout(DEADLINE, peer.output()).await.expect("an end").expect("Fabric's `peer`");
    assert!(ended.status.success(), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

/// An organisation's package, which names the address of its service.
fn package(network: &Network, name: &str, organization: &Organization, address: &str) -> (PathBuf, String) {
    let label = format!("{name}_{}", organization.name);
    let connection = json!({ "address": address, "dial_timeout": "10s", "tls_required": false });
    let code = archive(&[("connection.json", text(&connection))]);
    let metadata = json!({ "type": "ccaas", "label": label });
    let bytes = archive(&[("metadata.json", text(&metadata)), ("code.tar.gz", code)]);
    let file = network.layout().root().join(format!("{label}.tar.gz"));
    fs::write(&file, &bytes).expect("a written package");
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
        tar.append_data(&mut header, name, content.as_slice()).expect("an archived file");
    }
    let mut gzip = tar.into_inner().expect("an archive");
    gzip.flush().expect("an archive");
    gzip.finish().expect("an archive")
}
