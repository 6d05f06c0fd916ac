//! The channel: its peers, its first block, and whether its policies can be satisfied.

use std::collections::{BTreeMap, BTreeSet};

use hlf_protos::common::Block;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::AnchorPeers;

use super::nodes::cannot_ask;
use super::{Code, Findings};
use crate::change::{ChannelConfig, Role, Signer, policy_of_application};
use crate::network::Network;
use crate::network::vitals::Vitals;

/// Policies of the application that decide whether anything can be endorsed or approved.
const POLICIES: [&str; 2] = ["Endorsement", "LifecycleEndorsement"];

pub(super) fn check(network: &Network, vitals: &Vitals, found: &mut Findings) {
    check_peers(network, vitals, found);
    if let Some(config) = &vitals.config {
        check_anchors(network, config, found);
    }
    check_policies(network, vitals, found);
}

/// Whether the first block in the folder is this channel's.
pub(super) fn check_genesis(network: &Network, vitals: Option<&Vitals>, found: &mut Findings) {
    let channel = &network.spec.channel.name;
    let path = network.layout.genesis_block(channel);
    let Ok(bytes) = std::fs::read(&path) else { return };
    let mut foreign = |what: String| {
        found.add(Code::GenesisForeign, None, format!("{}: {what}", path.display()));
    };
    let block = match Block::decode(bytes.as_slice()) {
        Ok(block) => block,
        Err(error) => return foreign(format!("it is no block: {error}")),
    };
    match ChannelConfig::of_block(&block) {
        Ok(config) if config.channel() != channel => {
            return foreign(format!("it is of channel `{}`", config.channel()));
        }
        Ok(_) => {}
        Err(error) => return foreign(error.to_string()),
    }
    let own = block.header.map(|header| header.data_hash);
    for peer in vitals.into_iter().flat_map(|vitals| &vitals.peers) {
        let first = peer.answered().and_then(|answers| answers.first_block.clone());
        if first.is_some() && first != own {
            return foreign(format!("`{}` began with another one", peer.host));
        }
    }
}

fn check_peers(network: &Network, vitals: &Vitals, found: &mut Findings) {
    let highest = vitals.height().unwrap_or_default();
    let taking_part = vitals.peers.iter().filter(|peer| peer.height().is_some()).count();
    for peer in &vitals.peers {
        let Some(answers) = peer.answered() else { continue };
        let host = Some(peer.host.as_str());
        let Some(height) = answers.height else {
            if !answers.joined {
                let seen = format!("it knows no channel `{}`", network.spec.channel.name);
                found.add(Code::PeerNotJoined, host, seen);
            }
            continue;
        };
        if height < highest {
            found.add(Code::PeerBehind, host, format!("it has {height} blocks of {highest}"));
        }
        let others = u64::try_from(taking_part.saturating_sub(1)).unwrap_or(u64::MAX);
        if let Some(known) = peer.known_peers.filter(|known| *known < others) {
            found.add(Code::GossipAlone, host, format!("it knows {known} peers, and {others} others run"));
        }
    }
}

fn check_anchors(network: &Network, config: &ChannelConfig, found: &mut Findings) {
    for organization in network.own_organizations() {
        let msp_id = organization.msp_id.as_str();
        if !config.organizations().is_ok_and(|known| known.iter().any(|known| known == msp_id)) {
            continue;
        }
        let anchors: Option<AnchorPeers> = config.anchors(msp_id);
        if anchors.is_none_or(|anchors| anchors.anchor_peers.is_empty()) {
            found.add(Code::AnchorPeersMissing, Some(msp_id), "the channel's configuration names none");
        }
    }
}

/// Whether the peers that answer can satisfy what the channel and the chaincode want of endorsers.
fn check_policies(network: &Network, vitals: &Vitals, found: &mut Findings) {
    // Of other organisations' peers one part knows nothing.
    if network.part.is_some() {
        return;
    }
    let answering = vitals.peers.iter().filter(|peer| {
        // Nothing is known of peers that could not be asked for want of an admin.
        peer.answered().is_some() || cannot_ask(network, &peer.organization, found)
    });
    let mut peers = BTreeMap::<&str, usize>::new();
    for peer in answering {
        let count = peers.entry(&peer.msp_id).or_default();
        *count = count.saturating_add(1);
    }
    let missing: Vec<&str> = network
        .spec
        .organizations
        .iter()
        .map(|organization| organization.msp_id.as_str())
        .filter(|msp_id| !peers.contains_key(msp_id))
        .collect();
    if missing.is_empty() {
        return;
    }
    let signers: Vec<Signer> = peers
        .keys()
        .map(|msp_id| Signer::of_roles(msp_id, BTreeSet::from([Role::Member, Role::Peer])))
        .collect();
    let mut unsatisfied = Vec::new();
    if let Some(config) = &vitals.config {
        for name in POLICIES {
            if let Some(rule) =
                policy_of_application(config, name).filter(|rule| !rule.is_satisfied(&signers))
            {
                unsatisfied.push(format!("/Channel/Application/{name} wants {rule}"));
            }
        }
    }
    let own = network.spec.chaincode.as_ref().and_then(|chaincode| chaincode.endorsement.as_ref());
    if let Some(policy) = own.filter(|policy| !policy.is_satisfiable(&peers)) {
        unsatisfied.push(format!("the chaincode wants {policy}"));
    }
    if !unsatisfied.is_empty() {
        let seen = format!("{}; no peer answers of {}", unsatisfied.join("; "), missing.join(", "));
        found.add(Code::PolicyUnsatisfiable, None, seen);
    }
}
