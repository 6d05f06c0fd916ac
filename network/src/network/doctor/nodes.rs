//! Orderers and peers: their folders, and whether they run and answer.

use super::{Code, Findings};
use crate::files;
use crate::network::Network;
use crate::network::vitals::Vitals;
use crate::node;
use crate::operations::Heard;
use crate::overlay::Overlay;
use crate::process::last_words;
use crate::{orderer, peer};

/// How far a clock may be off.
const SKEW_MAX: time::Duration = time::Duration::seconds(2);

/// What is wrong with nodes' configurations and ledgers, running or not.
pub(super) fn check_folders(network: &Network, found: &mut Findings) {
    check_owners(network, found);
    let spec = &network.spec;
    for host in network.own_consenters().iter().map(|consenter| spec.orderer.host(consenter)) {
        if let Some(config) = config(network, &host, orderer::CONFIG) {
            check_msp_id(&config, "General.LocalMSPID", &host, &spec.orderer.msp_id, found);
        }
    }
    for organization in network.own_organizations() {
        for host in organization.peers.iter().map(|peer| organization.host(peer)) {
            let Some(config) = config(network, &host, "core.yaml") else { continue };
            check_msp_id(&config, "peer.localMspId", &host, &organization.msp_id, found);
            if let Err(error) = peer::demand_nothing_off(&config, spec.fabric, &spec.peer) {
                found.add(Code::SettingOff, Some(&host), error);
            }
        }
    }
}

/// Whose the nodes' ledgers are.
pub(super) fn check_owners(network: &Network, found: &mut Findings) {
    let spec = &network.spec;
    let orderers =
        network.own_consenters().iter().map(|name| (spec.orderer.host(name), &spec.orderer.msp_id));
    let peers = network.own_organizations().flat_map(|organization| {
        organization.peers.iter().map(|peer| (organization.host(peer), &organization.msp_id))
    });
    for (host, msp_id) in orderers.chain(peers) {
        if let Some(owner) = node::other_owner(&network.layout, &host, msp_id) {
            let folder = network.layout.node(&host).join("data");
            found.add(Code::LedgerForeign, Some(&host), format!("{} is of {owner}", folder.display()));
        }
    }
}

/// What does not run or does not answer.
pub(super) fn check_running(network: &Network, vitals: &Vitals, found: &mut Findings) {
    let log = |host: &str| last_words_of(network, host);
    let admin = format!("{}@{}", crate::network::reach::ORDERER_ADMIN, network.spec.orderer.domain);
    for orderer in &vitals.orderers {
        let host = orderer.host.as_str();
        let Some(pid) = orderer.pid else {
            add_down(Code::OrdererDown, host, log(host), found);
            continue;
        };
        match (&orderer.channel, &orderer.operations) {
            _ if found.cannot_act(&admin) => {}
            (Some(Err(error)), _) => {
                found.add(Code::NodeUnreachable, Some(host), format!("process {pid}: {error}"));
            }
            (_, Some(heard)) => check_operations(host, heard, found),
            _ => {}
        }
    }
    for peer in &vitals.peers {
        let host = peer.host.as_str();
        let Some(pid) = peer.pid else {
            add_down(Code::PeerDown, host, log(host), found);
            continue;
        };
        match (&peer.answers, &peer.operations) {
            _ if cannot_ask(network, &peer.organization, found) => {}
            (Some(Err(error)), _) => {
                found.add(Code::NodeUnreachable, Some(host), format!("process {pid}: {error}"));
            }
            (_, Some(heard)) => check_operations(host, heard, found),
            _ => {}
        }
    }
}

/// Whether an organisation's peers cannot be asked because of its admin's keys.
pub(super) fn cannot_ask(network: &Network, organization: &str, found: &Findings) -> bool {
    network.spec.organization(organization).is_some_and(|organization| {
        let admin = organization.admin().map_or("", |admin| admin.name.as_str());
        found.cannot_act(&format!("{admin}@{}", organization.domain))
            || found.has(&[Code::MspIdWrong], &organization.name)
    })
}

/// Why a process probably ended, and where its log is.
pub(super) fn last_words_of(network: &Network, name: &str) -> String {
    let log = network.layout.log(name);
    let (cause, _) = last_words(&log);
    format!("{cause}: {}", log.display())
}

/// A node that is down because another process has its port is not told of twice.
fn add_down(code: Code, host: &str, seen: String, found: &mut Findings) {
    if !found.has(&[Code::PortTaken, Code::PortsForeign, Code::ProcessOrphaned], host) {
        found.add(code, Some(host), seen);
    }
}

fn check_operations(host: &str, heard: &Result<Heard, String>, found: &mut Findings) {
    match heard {
        Err(error) => found.add(Code::OperationsUnreachable, Some(host), error),
        Ok(heard) => {
            if let Some(skew) = heard.skew.filter(|skew| skew.abs() > SKEW_MAX) {
                let direction = if skew.is_negative() { "behind" } else { "ahead" };
                let seen = format!("it is at least {} s {direction}", skew.abs().whole_seconds());
                found.add(Code::ClockSkew, Some(host), seen);
            }
        }
    }
}

fn config(network: &Network, host: &str, file: &str) -> Option<Overlay> {
    let text = files::read(&network.layout.node(host).join(file)).ok()?;
    Overlay::parse(&text).ok()
}

fn check_msp_id(config: &Overlay, key: &str, host: &str, wanted: &str, found: &mut Findings) {
    let written = config.value(key).and_then(serde_json::Value::as_str).unwrap_or("nothing");
    if written != wanted {
        let seen = format!("its configuration has `{key}` = {written}, and the channel knows it by {wanted}");
        found.add(Code::MspIdWrong, Some(host), seen);
    }
}
