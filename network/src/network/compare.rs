//! Ledgers of peers, held against each other and against a backup, block by block.

use std::collections::BTreeMap;

use hlf_gateway::{
    BlockRange, Credentials, Deadlines, DeliverError, Endorser, Gateway, MspFolderError, SystemChaincodeError,
};
use hlf_protos::common::{Block, BlockMetadataIndex};
use serde::Serialize;

use super::backup::{ArchivedLedger, Manifest};
use super::{Network, NodeKind};
use crate::block_files;
use crate::node::NodeError;
use crate::ports::PortError;
use crate::progress::{Progress, Step};
use crate::spec::Organization;
use crate::wait;

/// The ledgers of a channel, as the peers gave them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The channel.
    pub channel: String,
    /// Every peer of the spec.
    pub peers: Vec<ComparedPeer>,
    /// How many blocks two peers at least have and were compared; of each, header, transactions, verdicts and the
    /// hash of all that was written.
    pub blocks_compared: u64,
    /// What is not equal, in words; none when all is.
    pub differences: Vec<String>,
}

/// One peer's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComparedPeer {
    /// Its host name.
    pub name: String,
    /// The number of its first block: 0, or another one when it joined by a snapshot.
    pub first_block: Option<u64>,
    /// Number of blocks, those before the first counted too; absent when it gave none.
    pub height: Option<u64>,
    /// Why it gave none.
    pub problem: Option<String>,
}

/// Why ledgers could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// No organisation's admin is here to ask as.
    #[error("no organisation's admin is in this folder; it takes one to read whole blocks")]
    NoAdmin(#[source] Option<MspFolderError>),
}

/// Why one peer gave no blocks.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Connect(#[from] hlf_gateway::ConnectError),
    #[error(transparent)]
    Info(#[from] SystemChaincodeError),
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error("block {0} {1}")]
    Broken(u64, &'static str),
}

/// What is compared of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    hash: Vec<u8>,
    verdicts: Vec<u8>,
    commit_hash: Vec<u8>,
}

impl Network {
    /// Reads every block of every peer that answers, and holds them against each other and, when there is one, against
    /// a backup's manifest.
    ///
    /// A peer of which the folder has no admin is asked as another member's.
    ///
    /// # Errors
    /// [`CompareError`]; a peer that does not answer is told in the comparison.
    pub async fn compare_ledgers(
        &self,
        manifest: Option<&Manifest>,
        progress: &dyn Progress,
    ) -> Result<Comparison, CompareError> {
        let step = Step::begin(progress, "ledgers block by block");
        let channel = &self.spec.channel.name;
        let mut found: BTreeMap<String, (u64, Vec<Fingerprint>)> = BTreeMap::new();
        let mut peers = Vec::new();
        for organization in &self.spec.organizations {
            let admin = self.some_admin(organization)?;
            for peer in &organization.peers {
                let name = organization.host(peer);
                step.waiting(&format!("the blocks of `{name}`"));
                let read = self.read_peer(organization, &name, admin.clone()).await;
                let mut compared =
                    ComparedPeer { name: name.clone(), first_block: None, height: None, problem: None };
                match read {
                    Ok((first, blocks)) => {
                        compared.first_block = Some(first);
                        compared.height = Some(first.saturating_add(blocks.len() as u64));
                        found.insert(name, (first, blocks));
                    }
                    Err(error) => compared.problem = Some(wait::chain(&error)),
                }
                peers.push(compared);
            }
        }
        let (blocks_compared, mut differences) = differences(&found);
        if let Some(manifest) = manifest {
            differences.extend(against(manifest, channel, &found));
        }
        step.done(&match differences.len() {
            0 => format!("{blocks_compared} blocks equal on {} peers", found.len()),
            many => format!("{many} differences"),
        });
        Ok(Comparison { channel: channel.clone(), peers, blocks_compared, differences })
    }

    /// The admin of an organisation, or of another one that may read blocks as well.
    fn some_admin(&self, organization: &Organization) -> Result<Credentials, CompareError> {
        let mut last = None;
        for member in std::iter::once(organization).chain(&self.spec.organizations) {
            match self.admin(member) {
                Ok(admin) => return Ok(admin.into_credentials()),
                Err(error) => last = Some(error),
            }
        }
        Err(CompareError::NoAdmin(last))
    }

    async fn read_peer(
        &self,
        organization: &Organization,
        host: &str,
        admin: Credentials,
    ) -> Result<(u64, Vec<Fingerprint>), ReadError> {
        let ports = self.ports().unwrap_or_default();
        let endpoint = self.peer_endpoint(organization, host, &ports)?;
        let channel = &self.spec.channel.name;
        let endorser = Endorser::connect(&endpoint, admin.clone(), Deadlines::default()).await?;
        let info = endorser.ledger(channel).info().await?;
        let first = info
            .bootstrapping_snapshot_info
            .map_or(0, |begun| begun.last_block_in_snapshot.saturating_add(1));
        let mut blocks = Vec::new();
        let newest = info.height.saturating_sub(1);
        if first >= info.height {
            return Ok((first, blocks));
        }
        let gateway = Gateway::connect(&endpoint, admin, Deadlines::default()).await?;
        let mut stream = gateway.blocks(channel, BlockRange::from(first..=newest)).await?;
        let mut number = first;
        while let Some(block) = stream.next().await? {
            let before = blocks.last().map(|before: &Fingerprint| before.hash.as_slice());
            blocks.push(fingerprint(&block, number, before)?);
            number = number.saturating_add(1);
        }
        Ok((first, blocks))
    }
}

/// What is compared of a block that follows from the one before it.
fn fingerprint(block: &Block, number: u64, before: Option<&[u8]>) -> Result<Fingerprint, ReadError> {
    let broken = |what| ReadError::Broken(number, what);
    let header = block.header.as_ref().ok_or_else(|| broken("has no header"))?;
    if header.number != number {
        return Err(broken("has another number"));
    }
    if before.is_some_and(|before| before != header.previous_hash) {
        return Err(broken("does not follow from the one before it"));
    }
    let data = block.data.as_ref().map(|data| data.data.as_slice()).unwrap_or_default();
    if block_files::data_hash_of(data) != header.data_hash {
        return Err(broken("holds other transactions than its header says"));
    }
    let metadata = |index: BlockMetadataIndex| {
        let all = block.metadata.as_ref().map(|metadata| metadata.metadata.as_slice()).unwrap_or_default();
        all.get(index as usize).cloned().unwrap_or_default()
    };
    Ok(Fingerprint {
        hash: block_files::hash_of(header),
        verdicts: metadata(BlockMetadataIndex::TransactionsFilter),
        commit_hash: block_files::commit_hash_of(&metadata(BlockMetadataIndex::CommitHash)),
    })
}

/// How many blocks were compared, and the first one of each peer that differs from another's.
fn differences(found: &BTreeMap<String, (u64, Vec<Fingerprint>)>) -> (u64, Vec<String>) {
    let mut known: BTreeMap<u64, (&String, &Fingerprint)> = BTreeMap::new();
    let mut compared = std::collections::BTreeSet::new();
    let mut differences = Vec::new();
    for (name, (first, blocks)) in found {
        let mut told = false;
        for (number, block) in (*first..).zip(blocks) {
            let Some((other, same)) = known.get(&number) else {
                known.insert(number, (name, block));
                continue;
            };
            compared.insert(number);
            if *same != block && !told {
                let what = match same {
                    same if same.hash != block.hash => "another block",
                    same if same.verdicts != block.verdicts => "other verdicts on its transactions",
                    _ => "another state after it",
                };
                differences.push(format!("block {number} of `{name}`: {what} than `{other}` has"));
                told = true;
            }
        }
    }
    (compared.len() as u64, differences)
}

/// Where peers differ from what a backup says.
fn against(
    manifest: &Manifest,
    channel: &str,
    found: &BTreeMap<String, (u64, Vec<Fingerprint>)>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for node in &manifest.nodes {
        let Some(ledger) = node.ledgers.get(channel) else { continue };
        for (name, (first, blocks)) in found {
            let newest = ledger.height.saturating_sub(1);
            let block = newest
                .checked_sub(*first)
                .and_then(|index| usize::try_from(index).ok())
                .and_then(|index| blocks.get(index));
            match block {
                Some(block) if !is_archived(block, node.kind, ledger) => differences.push(format!(
                    "block {newest} of `{name}` is not the one that `{}` has in the backup",
                    node.name
                )),
                // A peer that joined by a snapshot has none that old.
                None if *name == node.name && *first < ledger.height => differences
                    .push(format!("`{name}` has fewer blocks than the backup: {} were in it", ledger.height)),
                _ => {}
            }
        }
    }
    differences
}

fn is_archived(block: &Fingerprint, kind: NodeKind, ledger: &ArchivedLedger) -> bool {
    let same = hex::encode(&block.hash) == ledger.last_block_hash;
    // What an orderer does not say of verdicts and writes, a peer does.
    let commits = kind != NodeKind::Peer
        || ledger.commit_hash.is_empty()
        || hex::encode(&block.commit_hash) == ledger.commit_hash;
    same && commits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: u8) -> Fingerprint {
        Fingerprint { hash: vec![name], verdicts: vec![0], commit_hash: vec![name] }
    }

    fn peers(blocks: &[(&str, u64, &[Fingerprint])]) -> BTreeMap<String, (u64, Vec<Fingerprint>)> {
        let peer = |(name, first, blocks): &(&str, u64, &[Fingerprint])| {
            ((*name).to_owned(), (*first, blocks.to_vec()))
        };
        blocks.iter().map(peer).collect()
    }

    #[test]
    fn the_first_block_that_differs_is_named() {
        let same = [block(0), block(1), block(2)];
        let equal = peers(&[("a", 0, &same), ("b", 0, &same[..2]), ("c", 1, &same[1..])]);
        assert_eq!(differences(&equal), (3, Vec::new()));
        let verdicts = Fingerprint { verdicts: vec![9], ..block(1) };
        let state = Fingerprint { commit_hash: vec![9], ..block(2) };
        let (_, said) = differences(&peers(&[
            ("a", 0, &same),
            ("b", 0, &[block(0), verdicts, block(9)]),
            ("c", 1, &[block(1), state]),
        ]));
        assert_eq!(
            said,
            [
                "block 1 of `b`: other verdicts on its transactions than `a` has",
                "block 2 of `c`: another state after it than `a` has"
            ]
        );
    }
}
