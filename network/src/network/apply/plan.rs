//! The steps from one spec to another, each of which leads to a network that could stay as it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::commands::typed;
use crate::spec::{Consortium, Endorsement, NodeAddress, Organization, SpecError};

/// What an apply would do, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The changes; none when the network is as it shall be.
    pub changes: Vec<Planned>,
}

/// One change, and the network's spec once it is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Planned {
    /// What changes.
    pub change: Change,
    /// The spec afterwards, which is noted in the state folder.
    #[serde(skip)]
    pub after: Consortium,
}

/// One change of a running network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// When the orderers close a block.
    Blocks {
        /// Longest wait, in milliseconds.
        batch_timeout_ms: u32,
        /// Most transactions.
        max_message_count: u32,
    },
    /// How many organisations must endorse.
    Endorsement {
        /// The rule.
        endorsement: Endorsement,
    },
    /// An organisation becomes a member, with its peers.
    AddOrganization {
        /// Its name.
        organization: String,
    },
    /// A member gets a further peer.
    AddPeer {
        /// The member's name.
        organization: String,
        /// The peer's name in the spec.
        peer: String,
    },
    /// The ordering service gets a further node.
    AddConsenter {
        /// Its name in the spec.
        consenter: String,
    },
    /// A node leaves the ordering service.
    RemoveConsenter {
        /// Its name in the spec.
        consenter: String,
    },
    /// What needs no change of the channel's configuration: users, peers' settings, the chaincode's definition.
    Settings {
        /// The fields of the spec.
        fields: Vec<String>,
    },
    /// A member's peer goes.
    RemovePeer {
        /// The member's name.
        organization: String,
        /// The peer's name in the spec.
        peer: String,
    },
    /// A member leaves the channel, with its peers.
    RemoveOrganization {
        /// Its name.
        organization: String,
    },
}

/// Why a spec cannot be had from a running network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The field stays for as long as the network lives.
    #[error("`{field}` cannot change on a network that runs: {why}")]
    Fixed {
        /// The field of the spec.
        field: String,
        /// The reason, and what to do instead.
        why: String,
    },
    /// A network on the way would not be valid.
    #[error("one step at a time does not lead to the new spec: after `{change}` it would not be valid")]
    Step {
        /// The step.
        change: String,
        /// What is wrong with the spec after it.
        source: Box<SpecError>,
    },
    /// Another apply was interrupted.
    #[error(
        "an apply of another spec is half done; finish it first: {again} without a spec goes on; one that cannot succeed is \
         given up for this spec: {instead}",
        again = typed("apply"),
        instead = typed("apply --spec FILE --instead")
    )]
    Unfinished,
    /// An upgrade was interrupted.
    #[error("an upgrade to Fabric {0} is half done; finish it first: {again}", again = typed("upgrade --to RELEASE"))]
    Upgrading(crate::fabric::Version),
    /// An apply that is to be given up has changed the channel already.
    #[error(
        "the apply that is given up has changed the channel already: {0}; let the new spec say so too, or finish that apply: \
         {again} without a spec",
        again = typed("apply")
    )]
    InForce(String),
}

impl Plan {
    /// The steps from a network's spec to another one.
    ///
    /// What comes, comes first, and what leaves, leaves last, so that quorums and policies can always be met; an
    /// ordering node that replaces another takes part before that one leaves.
    pub(crate) fn between(made: &Consortium, target: &Consortium) -> Result<Self, PlanError> {
        demand_changeable(made, target)?;
        let mut way = Way { at: made.clone(), changes: Vec::new() };
        let blocks = |spec: &Consortium| (spec.channel.batch_timeout_ms, spec.channel.max_message_count);
        if blocks(made) != blocks(target) {
            let (batch_timeout_ms, max_message_count) = blocks(target);
            way.step(Change::Blocks { batch_timeout_ms, max_message_count }, |spec| {
                (spec.channel.batch_timeout_ms, spec.channel.max_message_count) = blocks(target);
            })?;
        }
        if made.channel.endorsement != target.channel.endorsement {
            let endorsement = target.channel.endorsement;
            way.step(Change::Endorsement { endorsement }, |spec| spec.channel.endorsement = endorsement)?;
        }
        for new in missing(&target.organizations, made) {
            way.step(Change::AddOrganization { organization: new.name.clone() }, |spec| {
                spec.organizations.push(new.clone());
            })?;
        }
        way.peers(target, |made, wanted| only_in(wanted, made), true)?;
        way.consenters(made, target)?;
        way.settings(target)?;
        way.peers(target, only_in, false)?;
        for gone in missing(&made.organizations, target) {
            way.step(Change::RemoveOrganization { organization: gone.name.clone() }, |spec| {
                spec.organizations.retain(|known| known.name != gone.name);
            })?;
        }
        Ok(Self { changes: way.changes })
    }
}

/// The steps so far, and where they lead.
struct Way {
    at: Consortium,
    changes: Vec<Planned>,
}

impl Way {
    fn step(&mut self, change: Change, make: impl FnOnce(&mut Consortium)) -> Result<(), PlanError> {
        let after = self
            .at
            .with(make)
            .map_err(|source| PlanError::Step { change: change.to_string(), source: Box::new(source) })?;
        self.at = after.clone();
        self.changes.push(Planned { change, after });
        Ok(())
    }

    /// Peers that come or go, of members that stay.
    fn peers(
        &mut self,
        target: &Consortium,
        which: impl Fn(&[String], &[String]) -> Vec<String>,
        come: bool,
    ) -> Result<(), PlanError> {
        for wanted in &target.organizations {
            let present = self.at.organizations.iter().find(|known| known.name == wanted.name);
            let peers = present.map(|present| which(&present.peers, &wanted.peers)).unwrap_or_default();
            for peer in peers {
                let organization = wanted.name.clone();
                let change = if come {
                    Change::AddPeer { organization, peer: peer.clone() }
                } else {
                    Change::RemovePeer { organization, peer: peer.clone() }
                };
                self.step(change, |spec| {
                    for known in spec.organizations.iter_mut().filter(|known| known.name == wanted.name) {
                        if come {
                            known.peers.push(peer.clone());
                            let limit = wanted.gateway_concurrency.get(&peer);
                            known.gateway_concurrency.extend(limit.map(|limit| (peer.clone(), *limit)));
                            let endpoint = wanted.endpoints.get(&peer);
                            known.endpoints.extend(endpoint.map(|at| (peer.clone(), at.clone())));
                        } else {
                            known.peers.retain(|name| *name != peer);
                            known.gateway_concurrency.remove(&peer);
                            known.endpoints.remove(&peer);
                        }
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Ordering nodes in pairs: one comes, then one goes.
    fn consenters(&mut self, made: &Consortium, target: &Consortium) -> Result<(), PlanError> {
        let mut come = only_in(&target.orderer.consenters, &made.orderer.consenters).into_iter();
        let mut go = only_in(&made.orderer.consenters, &target.orderer.consenters).into_iter();
        loop {
            let (new, old) = (come.next(), go.next());
            if new.is_none() && old.is_none() {
                return Ok(());
            }
            if let Some(consenter) = new {
                self.step(Change::AddConsenter { consenter: consenter.clone() }, |spec| {
                    let endpoint = target.orderer.endpoints.get(&consenter);
                    spec.orderer.endpoints.extend(endpoint.map(|at| (consenter.clone(), at.clone())));
                    spec.orderer.consenters.push(consenter);
                })?;
            }
            if let Some(consenter) = old {
                self.step(Change::RemoveConsenter { consenter: consenter.clone() }, |spec| {
                    spec.orderer.consenters.retain(|known| *known != consenter);
                    spec.orderer.endpoints.remove(&consenter);
                })?;
            }
        }
    }

    fn settings(&mut self, target: &Consortium) -> Result<(), PlanError> {
        let mut fields = Vec::new();
        if self.at.peer != target.peer {
            fields.push("peer".to_owned());
        }
        if self.at.chaincode != target.chaincode {
            fields.push("chaincode".to_owned());
        }
        for wanted in &target.organizations {
            let present = self.at.organizations.iter().find(|known| known.name == wanted.name);
            if present.is_some_and(|present| present.users != wanted.users) {
                fields.push(format!("organizations.{}.users", wanted.name));
            }
            if present.is_some_and(|present| limits(present, wanted) != present.gateway_concurrency) {
                fields.push(format!("organizations.{}.gateway_concurrency", wanted.name));
            }
        }
        if fields.is_empty() {
            return Ok(());
        }
        self.step(Change::Settings { fields }, |spec| {
            spec.peer = target.peer.clone();
            spec.chaincode = target.chaincode.clone();
            for known in &mut spec.organizations {
                if let Some(wanted) = target.organizations.iter().find(|wanted| wanted.name == known.name) {
                    known.users = wanted.users.clone();
                    known.gateway_concurrency = limits(known, wanted);
                }
            }
        })
    }
}

/// What a spec says of an organisation's peers, as to those that it has now and those that leave later.
fn limits(present: &Organization, wanted: &Organization) -> BTreeMap<String, u32> {
    let leaving = |peer: &String| !wanted.peers.contains(peer);
    let kept = present.gateway_concurrency.iter().filter(|(peer, _)| leaving(peer));
    kept.chain(&wanted.gateway_concurrency).map(|(peer, limit)| (peer.clone(), *limit)).collect()
}

fn demand_changeable(made: &Consortium, target: &Consortium) -> Result<(), PlanError> {
    let fixed =
        |field: &str, why: &str| Err(PlanError::Fixed { field: field.to_owned(), why: why.to_owned() });
    let named = "every certificate and the channel's configuration carry it; put it back";
    if made.fabric != target.fabric {
        return fixed(
            "fabric",
            &format!(
                "nodes are brought to another release one by one, and the channel's capabilities last; put it back, and use {}",
                typed("upgrade --to VERSION")
            ),
        );
    }
    if made.channel.name != target.channel.name {
        return fixed("channel.name", "every block carries it; put it back, or stand up another network");
    }
    if made.orderer.msp_id != target.orderer.msp_id {
        return fixed("orderer.msp_id", named);
    }
    if made.orderer.domain != target.orderer.domain {
        return fixed("orderer.domain", named);
    }
    if made.orderer.consensus != target.orderer.consensus {
        return fixed(
            "orderer.consensus",
            "Fabric changes the protocol in maintenance mode only, with the orderers stopped; put it back",
        );
    }
    let (ordering, wanted) = (&made.orderer, &target.orderer);
    let node = moved((&ordering.consenters, &ordering.endpoints), (&wanted.consenters, &wanted.endpoints));
    if let Some(node) = node {
        return fixed(&format!("orderer.endpoints.{node}"), MOVED);
    }
    if made.chaincode.is_some() && target.chaincode.is_none() {
        return fixed("chaincode", "a channel never forgets a chaincode's definition; put it back");
    }
    for (index, wanted) in target.organizations.iter().enumerate() {
        let Some(present) = made.organizations.iter().find(|known| known.name == wanted.name) else {
            continue;
        };
        for (same, field) in
            [(present.msp_id == wanted.msp_id, "msp_id"), (present.domain == wanted.domain, "domain")]
        {
            if !same {
                return fixed(&format!("organizations[{index}].{field}"), named);
            }
        }
        if let Some(peer) = moved((&present.peers, &present.endpoints), (&wanted.peers, &wanted.endpoints)) {
            return fixed(&format!("organizations[{index}].endpoints.{peer}"), MOVED);
        }
    }
    Ok(())
}

/// Why a node's endpoint stays.
const MOVED: &str =
    "the channel and its certificate carry it; put it back, or replace the node by one of another name";

/// A node that stays, and is to be found elsewhere.
fn moved(
    (nodes, endpoints): (&[String], &BTreeMap<String, NodeAddress>),
    (wanted, wanted_endpoints): (&[String], &BTreeMap<String, NodeAddress>),
) -> Option<String> {
    let mut stay = nodes.iter().filter(|node| wanted.contains(node));
    stay.find(|node| endpoints.get(*node) != wanted_endpoints.get(*node)).cloned()
}

/// Organisations of a list that a spec has not.
fn missing<'a>(list: &'a [Organization], spec: &Consortium) -> Vec<&'a Organization> {
    let has = |name: &str| spec.organizations.iter().any(|known| known.name == name);
    list.iter().filter(|organization| !has(&organization.name)).collect()
}

fn only_in(these: &[String], others: &[String]) -> Vec<String> {
    these.iter().filter(|name| !others.contains(name)).cloned().collect()
}

impl Change {
    /// Whether something leaves, which need not be alive for it.
    pub(super) fn removes(&self) -> bool {
        matches!(
            self,
            Self::RemoveConsenter { .. } | Self::RemovePeer { .. } | Self::RemoveOrganization { .. }
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks { batch_timeout_ms, max_message_count } => {
                write!(
                    f,
                    "a block waits {batch_timeout_ms} ms at most, and holds {max_message_count} transactions"
                )
            }
            Self::Endorsement { endorsement } => {
                let whose = match endorsement {
                    Endorsement::Any => "any one organisation",
                    Endorsement::Majority => "a majority of the organisations",
                    Endorsement::All => "every organisation",
                };
                write!(f, "{whose} must endorse")
            }
            Self::AddOrganization { organization } => {
                write!(f, "`{organization}` joins the channel, with its peers")
            }
            Self::AddPeer { organization, peer } => write!(f, "`{organization}` gets the peer `{peer}`"),
            Self::AddConsenter { consenter } => write!(f, "`{consenter}` joins the ordering service"),
            Self::RemoveConsenter { consenter } => write!(f, "`{consenter}` leaves the ordering service"),
            Self::Settings { fields } => write!(f, "{} as in the spec", fields.join(", ")),
            Self::RemovePeer { organization, peer } => {
                write!(f, "`{organization}` gives up the peer `{peer}`")
            }
            Self::RemoveOrganization { organization } => {
                write!(f, "`{organization}` leaves the channel, with its peers")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Chaincode, DEFAULT};

    fn spec() -> Consortium {
        Consortium::parse(DEFAULT).unwrap()
    }

    fn words(made: &Consortium, target: &Consortium) -> Vec<String> {
        let plan = Plan::between(made, target).unwrap();
        let last = plan.changes.last().map_or(made, |planned| &planned.after);
        // Only the order may still differ.
        let names = |spec: &Consortium| {
            let mut names: Vec<_> = spec.organizations.iter().map(|found| found.name.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(last), names(target));
        plan.changes.iter().map(|planned| planned.change.to_string()).collect()
    }

    #[test]
    fn what_comes_is_first_and_what_leaves_is_last() {
        let made = spec();
        assert!(words(&made, &made).is_empty());
        let mut target = made.clone();
        target.set_organizations(&["east", "north"]).unwrap();
        target.organizations[1].peers = vec!["peer1".to_owned()];
        target.organizations[1].gateway_concurrency = BTreeMap::from([("peer1".to_owned(), 9)]);
        target.set_orderers("raft:3".parse().unwrap()).unwrap();
        target.orderer.consenters = ["orderer1", "orderer2"].map(str::to_owned).to_vec();
        target.channel.max_message_count = 7;
        target.set_chaincode(Chaincode::new("basic", "basic_1")).unwrap();
        assert_eq!(
            words(&made, &target),
            [
                "a block waits 200 ms at most, and holds 7 transactions",
                "`east` joins the channel, with its peers",
                "`north` gets the peer `peer1`",
                "`orderer1` joins the ordering service",
                "`orderer0` leaves the ordering service",
                "`orderer2` joins the ordering service",
                "chaincode as in the spec",
                "`north` gives up the peer `peer0`",
                "`south` leaves the channel, with its peers",
            ]
        );
    }

    #[test]
    fn what_cannot_change_is_named_with_its_reason() {
        let mut made = spec();
        made.set_chaincode(Chaincode::new("basic", "basic_1")).unwrap();
        type Make = fn(&mut Consortium);
        let table: [(&str, Make); 7] = [
            ("fabric", |spec| spec.fabric = "2.5.9".parse().unwrap()),
            ("channel.name", |spec| spec.channel.name = "other".to_owned()),
            ("orderer.msp_id", |spec| spec.orderer.msp_id = "OtherMSP".to_owned()),
            ("orderer.domain", |spec| spec.orderer.domain = "other.example.com".to_owned()),
            ("orderer.consensus", |spec| spec.orderer.consensus = crate::spec::Consensus::Bft),
            ("chaincode", |spec| spec.chaincode = None),
            ("organizations[1].msp_id", |spec| spec.organizations[1].msp_id = "SudMSP".to_owned()),
        ];
        for (field, make) in table {
            let mut target = made.clone();
            make(&mut target);
            match Plan::between(&made, &target) {
                Err(PlanError::Fixed { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_way_through_an_invalid_network_is_refused() {
        let made = spec();
        let mut target = made.clone();
        target.set_organizations(&["north", "east"]).unwrap();
        // It would be in the channel together with the one whose MSP id it takes.
        target.organizations[1].msp_id = "SouthMSP".to_owned();
        let error = Plan::between(&made, &target).unwrap_err();
        assert!(
            matches!(&error, PlanError::Step { change, .. } if change.contains("`east` joins")),
            "{error:?}"
        );
    }
}
