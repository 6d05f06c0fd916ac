//! What a change of the ordering service's nodes asks of them, before it comes into force.

use std::time::Duration;

use super::{ChangeError, Network};
use crate::change::{ChannelConfig, ConsentersChange, Proposal};
use crate::node::{self, ADMIN};
use crate::operations::{Operations, Participation};
use crate::progress::{Progress, Step};
use crate::wait::{self, Look, WaitError};

/// How long a node may take to have the blocks of the others: followers look for news every ten seconds.
const LEVEL_LIMIT: Duration = Duration::from_secs(120);

/// What a change means to an ordering node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Comes,
    Stays,
    Goes,
}

/// An ordering node of this folder.
#[derive(Debug)]
struct Seen {
    host: String,
    admin: String,
    part: Part,
}

impl Seen {
    /// What keeps a node from being counted on, when the others have so many blocks.
    fn lacks(&self, found: &Participation, height: u64) -> Option<String> {
        let takes_part = found.consensus_relation == "consenter" && found.status == "active";
        match self.part {
            Part::Goes => None,
            _ if found.height < height => Some(format!("it has {}", found.height)),
            // One that was added just now is a follower still, until it hears of it.
            Part::Stays if !takes_part => Some("it does not take part yet".to_owned()),
            Part::Stays | Part::Comes => None,
        }
    }
}

impl Network {
    /// Demands that ordering nodes that a proposal brings are nodes of this folder.
    ///
    /// Where the ordering organisation's nodes are not here, it says what nobody has looked at; `None` when the proposal
    /// changes no such node, or nothing is left to say.
    ///
    /// # Errors
    /// [`ChangeError::OrdererElsewhere`] names the node.
    pub fn look_at_orderers(
        &self,
        proposal: &Proposal,
        present: &ChannelConfig,
    ) -> Result<Option<String>, ChangeError> {
        let change = proposal.consenters(present)?;
        if !change.is_any() {
            return Ok(None);
        }
        if !self.holds_ordering() {
            return Ok(Some(unseen(&change)));
        }
        self.seen(&change)?;
        Ok(None)
    }

    /// Demands that an ordering node that a proposal brings has all blocks, and that those that stay have: one that is not
    /// level counts for a quorum and does not help it. False when it changes none of this folder's.
    pub(super) async fn demand_level(
        &self,
        proposal: &Proposal,
        progress: &dyn Progress,
    ) -> Result<bool, ChangeError> {
        if !self.holds_ordering() {
            return Ok(false);
        }
        let change = proposal.consenters(&self.channel_config().await?)?;
        if !change.is_any() {
            return Ok(false);
        }
        let step = Step::begin(progress, "the ordering service's nodes are level");
        let operations = self.orderer_operations()?;
        let mut awaited = Vec::new();
        let (mut away, mut highest) = (0_usize, 0);
        for node in self.seen(&change)? {
            let found = self.participation(&operations, &node).await;
            // One that goes may have what those that stay have not yet.
            highest = highest.max(found.as_ref().map_or(0, |found| found.height));
            let is_away = found.is_err() && node.part == Part::Stays;
            away = away.saturating_add(usize::from(is_away));
            awaited.push((node, is_away));
        }
        let after = change.come.len().saturating_add(change.stay.len());
        let quorum = self.spec.orderer.consensus.quorum(after);
        // In the place of one that is lost, another one may come, as long as the others are enough.
        let bearable = change.go.is_empty() && after.saturating_sub(away) >= quorum;
        for (node, is_away) in awaited {
            if node.part == Part::Goes || is_away && bearable {
                continue;
            }
            let what = format!("`{}` to have {highest} blocks and to take part, as the others", node.host);
            wait::until(&step, &what, LEVEL_LIMIT, || async {
                Ok::<_, WaitError>(match self.participation(&operations, &node).await {
                    Ok(found) => node.lacks(&found, highest).map_or(Look::Holds(()), Look::NotYet),
                    Err(why) => Look::NotYet(why),
                })
            })
            .await
            .map_err(ChangeError::NotLevel)?;
        }
        step.done(&format!("each has {highest} blocks"));
        Ok(true)
    }

    /// How far a node is, or why it does not take part.
    async fn participation(&self, operations: &Operations, node: &Seen) -> Result<Participation, String> {
        match operations.participation(&node.admin, &self.spec.channel.name).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err("it has not joined the channel".to_owned()),
            Err(error) => Err(wait::chain(&error)),
        }
    }

    /// The nodes that come, stay and go, as far as they are known here.
    fn seen(&self, change: &ConsentersChange) -> Result<Vec<Seen>, ChangeError> {
        let ports = self.ports()?;
        let mut seen = Vec::new();
        for consenter in &self.spec.orderer.consenters {
            let host = self.spec.orderer.host(consenter);
            let Ok(address) = node::public(&ports, &host) else { continue };
            let address = address.to_string();
            let parts = [(&change.come, Part::Comes), (&change.stay, Part::Stays), (&change.go, Part::Goes)];
            if let Some((_, part)) = parts.into_iter().find(|(list, _)| list.contains(&address)) {
                seen.push((address, Seen { admin: node::loopback(&ports, &host, ADMIN)?, host, part }));
            }
        }
        let strange = change.come.iter().find(|come| seen.iter().all(|(address, _)| address != *come));
        match strange {
            Some(address) => Err(ChangeError::OrdererElsewhere(address.clone())),
            None => Ok(seen.into_iter().map(|(_, seen)| seen).collect()),
        }
    }
}

fn unseen(change: &ConsentersChange) -> String {
    let come = change.come.iter().map(|address| format!("{address} comes"));
    let go = change.go.iter().map(|address| format!("{address} goes"));
    let what = come.chain(go).collect::<Vec<_>>().join(", ");
    format!(
        "an ordering node changes ({what}), and the ordering organisation's nodes are not in this folder: nobody has looked \
         whether the nodes are there and level; have the ordering organisation submit it, whose program does"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{self, Consortium, DEFAULT};

    fn change(come: &[&str], go: &[&str]) -> ConsentersChange {
        let list = |addresses: &[&str]| addresses.iter().map(|address| (*address).to_owned()).collect();
        ConsentersChange { come: list(come), go: list(go), stay: Vec::new() }
    }

    #[test]
    fn an_ordering_node_that_comes_is_one_of_this_folder() {
        let home = tempfile::tempdir().unwrap();
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        spec.orderer.endpoints.insert("orderer0".to_owned(), "127.0.0.2:7050".parse().unwrap());
        let network = Network::new_part(home.path(), spec, spec::Part::new("orderer")).unwrap();
        network.keep_ports(network.wanted_ports()).unwrap();
        let seen = network.seen(&change(&["127.0.0.2:7050"], &[])).unwrap();
        assert!(matches!(seen.as_slice(), [Seen { part: Part::Comes, .. }]));
        let error = network.seen(&change(&["127.0.0.3:7050"], &[])).unwrap_err();
        assert!(matches!(&error, ChangeError::OrdererElsewhere(at) if at == "127.0.0.3:7050"), "{error}");
        assert!(network.seen(&change(&[], &["127.0.0.3:7050"])).unwrap().is_empty());
    }

    #[test]
    fn one_that_stays_is_counted_on_when_it_takes_part_and_has_all() {
        let lacks = |part, relation: &str, height| {
            let node = Seen { host: "orderer1".to_owned(), admin: String::new(), part };
            let found = Participation {
                status: "active".to_owned(),
                height,
                consensus_relation: relation.to_owned(),
            };
            node.lacks(&found, 4)
        };
        assert_eq!(lacks(Part::Comes, "follower", 4), None);
        assert_eq!(lacks(Part::Comes, "follower", 3).unwrap(), "it has 3");
        assert_eq!(lacks(Part::Stays, "consenter", 4), None);
        assert_eq!(lacks(Part::Stays, "consenter", 3).unwrap(), "it has 3");
        assert_eq!(lacks(Part::Stays, "follower", 4).unwrap(), "it does not take part yet");
        assert_eq!(lacks(Part::Goes, "consenter", 1), None);
    }

    #[test]
    fn what_nobody_looked_at_is_said() {
        let told = unseen(&change(&["10.0.0.1:7050"], &["10.0.0.2:7050"]));
        assert!(told.contains("10.0.0.1:7050 comes, 10.0.0.2:7050 goes"), "{told}");
    }
}
