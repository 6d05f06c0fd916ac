//! Failures of orderers and peers, made by stopping, breaking and starting them.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use hlf_gateway::Deadlines;
use hlf_network::ca::DevelopmentCa;
use hlf_network::change::{Edit, Proposal};
use hlf_network::network::Code;
use hlf_network::process::Service;

use super::watch::{Clock, free_port};
use super::{Damage, FOUND_WITHIN, NORTH, ORDERERS, SOUTH, Ward, signal};
use crate::bench::say;
use crate::shelf::gateway_with;

pub(super) async fn of_a_running_network(ward: &Ward) {
    wrong_clocks_and_endpoints(ward).await;
    what_ended_and_what_hangs(ward).await;
    what_never_joined(ward).await;
    what_falls_behind(ward).await;
    who_is_alone(ward).await;
    who_is_not_trusted(ward).await;
    ward.mend().await;
}

/// A peer whose operations endpoint is a scripted server with another clock, and an orderer whose endpoint is nobody's.
async fn wrong_clocks_and_endpoints(ward: &Ward) {
    let clock = Clock::five_seconds_ahead(&ward.keys(NORTH).join("tls"));
    let mut damage = Damage::none();
    let ports = ward.root().join("ports.json");
    let mut changed: serde_json::Value = serde_json::from_str(&fs::read_to_string(&ports).unwrap()).unwrap();
    changed[NORTH]["operations"] = clock.port.into();
    changed[ORDERERS[2]]["operations"] = free_port().into();
    damage.write(&ports, changed.to_string());
    ward.finds(&[(Code::OperationsUnreachable, Some(ORDERERS[2])), (Code::ClockSkew, Some(NORTH))]).await;
    damage.undo();
    ward.finds(&[]).await;
}

async fn what_ended_and_what_hangs(ward: &Ward) {
    // A further service that meets a full device, and ends.
    let daemon = Service {
        name: "daemon.north.example.com".to_owned(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), "exec dd if=/dev/zero of=/dev/full count=1".into()],
        env: BTreeMap::new(),
        ports: Vec::new(),
        reads: Vec::new(),
    };
    ward.network.ensure_service(&daemon).await.unwrap();
    let hanging = ward.network.supervisor().running(SOUTH).unwrap().pid;
    signal("-STOP", hanging);
    ward.finds(&[
        (Code::ServiceDown, Some(&daemon.name)),
        (Code::LogDiskFull, Some(&daemon.name)),
        (Code::NodeUnreachable, Some(SOUTH)),
        (Code::PolicyUnsatisfiable, None),
    ])
    .await;
    signal("-CONT", hanging);
    ward.network.supervisor().stop(&daemon.name).await.unwrap();

    // Two of three orderers are gone: one because its port is taken, one because it panics at its start.
    ward.stop(&ORDERERS[1..]).await;
    let taken = TcpListener::bind(("127.0.0.1", ward.port(ORDERERS[1], "listen"))).unwrap();
    let mut damage = Damage::none();
    let msp = ward.keys(ORDERERS[2]).join("msp").display().to_string();
    damage.edit(ward.node(ORDERERS[2]).join("orderer.yaml"), &msp, "/gone/msp");
    ward.start(&ORDERERS[2..]).await;
    ward.finds(&[
        (Code::PortTaken, Some(ORDERERS[1])),
        (Code::OrdererDown, Some(ORDERERS[2])),
        (Code::LogPanic, Some(ORDERERS[2])),
        (Code::NoQuorum, None),
    ])
    .await;
    let found = ward.network.doctor(&ward.checkup).await.unwrap();
    let port = found.iter().find(|finding| finding.code == Code::PortTaken).unwrap();
    assert!(port.evidence.contains(&format!("process {}", std::process::id())), "{}", port.evidence);
    drop(taken);
    damage.undo();
    ward.mend().await;
}

/// A peer and an orderer that start with empty ledgers.
async fn what_never_joined(ward: &Ward) {
    let hosts = [SOUTH, ORDERERS[2]];
    let (data, away) =
        (|host: &str| ward.node(host).join("data"), |host: &str| ward.node(host).join("data.away"));
    ward.stop(&hosts).await;
    for host in hosts {
        fs::rename(data(host), away(host)).unwrap();
    }
    ward.start(&hosts).await;
    ward.finds(&[(Code::OrdererNotJoined, Some(ORDERERS[2])), (Code::PeerNotJoined, Some(SOUTH))]).await;
    ward.stop(&hosts).await;
    for host in hosts {
        fs::remove_dir_all(data(host)).unwrap();
        fs::rename(away(host), data(host)).unwrap();
    }
}

/// A peer that looks for blocks in vain, and an orderer that the others do not take as one of theirs.
async fn what_falls_behind(ward: &Ward) {
    let mut damage = Damage::none();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let roots = ward.root().join(
        "organizations/ordererOrganizations/orderer.example.com/tlsca/tlsca.orderer.example.com-cert.pem",
    );
    let core = ward.node(SOUTH).join("core.yaml");
    let mut config: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&core).unwrap()).unwrap();
    config["peer"]["deliveryclient"]["addressOverrides"] = ORDERERS
        .iter()
        .map(|orderer| {
            let from = format!("127.0.0.1:{}", ward.port(orderer, "listen"));
            serde_json::json!({ "from": from, "to": nowhere, "caCertsFile": roots })
        })
        .collect();
    damage.write(&core, serde_saphyr::to_string(&config).unwrap());
    // Its calls to the others carry a certificate of somebody who is no consenter.
    let yaml = ward.node(ORDERERS[2]).join("orderer.yaml");
    let mut config: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&yaml).unwrap()).unwrap();
    let service = ward
        .root()
        .join("organizations/ordererOrganizations/orderer.example.com/users/Admin@orderer.example.com/tls");
    config["General"]["Cluster"]["ClientCertificate"] = serde_json::json!(service.join("client.crt"));
    config["General"]["Cluster"]["ClientPrivateKey"] = serde_json::json!(service.join("client.key"));
    damage.write(&yaml, serde_saphyr::to_string(&config).unwrap());
    ward.start(&[SOUTH, ORDERERS[2]]).await;
    let begun = Instant::now();
    let mut number = 0;
    // What a leader took that is one no longer may be lost; then another is sent.
    let deadlines = Deadlines { commit_status: Duration::from_secs(5), ..Deadlines::default() };
    let contract = gateway_with(&ward.network, "north", deadlines).await.contract("consortium", "shelf");
    loop {
        let proposal = contract.proposal("Put").arg(format!("behind {number}")).build().unwrap();
        let Err(error) = contract.submit(proposal).await else { break };
        assert!(begun.elapsed() < FOUND_WITHIN, "{error:?}");
        number += 1;
    }
    ward.finds(&[(Code::OrdererBehind, Some(ORDERERS[2])), (Code::PeerBehind, Some(SOUTH))]).await;
    damage.undo();
    ward.stop(&[SOUTH, ORDERERS[2]]).await;
    ward.mend().await;
}

/// Peers whom nothing leads to each other.
async fn who_is_alone(ward: &Ward) {
    let anchors = |to: bool| {
        let at = move |host: &str| {
            if to { vec![("127.0.0.1".to_owned(), ward.port(host, "listen"))] } else { Vec::new() }
        };
        [("NorthMSP", NORTH), ("SouthMSP", SOUTH)]
            .map(|(msp_id, host)| Edit::AnchorPeers { msp_id: msp_id.to_owned(), peers: at(host) })
    };
    change(ward, "no anchor peers", &anchors(false)).await;
    let missing =
        [(Code::AnchorPeersMissing, Some("NorthMSP")), (Code::AnchorPeersMissing, Some("SouthMSP"))];
    ward.finds(&missing).await;
    ward.stop(&[NORTH, SOUTH]).await;
    ward.start(&[NORTH, SOUTH]).await;
    let alone = [(Code::GossipAlone, Some(NORTH)), (Code::GossipAlone, Some(SOUTH))];
    ward.finds(&[missing, alone].concat()).await;
    change(ward, "anchor peers", &anchors(true)).await;
    ward.finds(&[]).await;
}

async fn change(ward: &Ward, title: &str, edits: &[Edit]) {
    let present = ward.network.channel_config().await.unwrap();
    let mut proposal = Proposal::new(&present, title, edits).unwrap();
    let admin = |name| ward.network.admin_credentials(ward.spec().organization(name).unwrap()).unwrap();
    for name in ["north", "south"] {
        proposal.sign(&present, &admin(name)).await.unwrap();
    }
    ward.network.submit_change(&proposal, &admin("north"), &say).await.unwrap();
}

/// Orderers with other TLS keys than the channel knows: they run, and the one that is left cannot lead alone.
async fn who_is_not_trusted(ward: &Ward) {
    let home = ward.root().join("organizations/ordererOrganizations/orderer.example.com");
    let ca = DevelopmentCa::open(&home, "orderer.example.com").unwrap();
    let mut damage = Damage::none();
    ward.stop(&ORDERERS[1..]).await;
    for orderer in &ORDERERS[1..] {
        let (server, _) = ca.service(&format!("spare-{}", &orderer[..8])).unwrap();
        damage.copy(&server.certificate, ward.keys(orderer).join("tls/server.crt"));
        damage.copy(&server.key, ward.keys(orderer).join("tls/server.key"));
    }
    ward.start(&ORDERERS[1..]).await;
    ward.finds(&[
        (Code::NoLeader, None),
        (Code::ConsenterCertificateDiffers, Some(ORDERERS[1])),
        (Code::ConsenterCertificateDiffers, Some(ORDERERS[2])),
    ])
    .await;
    damage.undo();
    ward.stop(&ORDERERS[1..]).await;
}
