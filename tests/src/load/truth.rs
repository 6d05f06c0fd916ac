//! What really happened, counted from the blocks of every peer, and what callers were told, held against it.

use std::collections::BTreeMap;

use hlf_protos::common::BlockMetadataIndex;
use hlf_protos::protos::TxValidationCode;

use super::{Outcome, Report};
use crate::chain::{Chain, Transaction};
use crate::channel::{CHAINCODE, Channel};
use crate::tally::{COUNT, Entry, PUT, State};

/// A channel's transactions of the chaincode, by id, and the state that they make.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Where each id stands: block and verdict, in the order of the chain.
    verdicts: BTreeMap<String, Vec<(u64, TxValidationCode)>>,
    state: BTreeMap<String, String>,
}

impl Truth {
    /// Reads every peer's blocks, which must be the same, and every peer's state, which must be what the blocks make.
    ///
    /// # Panics
    /// When they are not.
    pub async fn of(channel: &Channel) -> Self {
        let height = channel.level().await;
        let peers = channel.peers();
        let mut first = None;
        for peer in &peers {
            let chain = channel.chain(peer).await;
            assert_eq!(chain.blocks().len() as u64, height, "blocks of {peer}");
            match &first {
                None => first = Some(chain),
                Some(first) => demand_same(first, &chain, peer),
            }
        }
        let truth = Self::read(&first.expect("a peer"));
        let state = State::of(&truth.state);
        for peer in &peers {
            assert_eq!(channel.state(peer).await, state, "the state of {peer}");
        }
        truth
    }

    fn read(chain: &Chain) -> Self {
        let mut truth = Self::default();
        let transactions = chain.transactions();
        for transaction in transactions.iter().filter(|transaction| transaction.chaincode == CHAINCODE) {
            let tx_id = transaction.channel_header.tx_id.clone();
            truth.verdicts.entry(tx_id).or_default().push((transaction.block, transaction.code));
            if transaction.code == TxValidationCode::Valid {
                truth.apply(transaction);
            }
        }
        truth
    }

    /// Does to the state what a transaction's call says, without looking at what its endorsers wrote.
    fn apply(&mut self, transaction: &Transaction) {
        let function = transaction.function();
        let arg = transaction.arg(1);
        if function == PUT {
            let entry: Entry = serde_json::from_slice(arg).expect("an entry");
            assert_eq!(self.state.insert(entry.key, entry.value), None, "a key that was put twice");
        } else if function == COUNT {
            let counter: String = serde_json::from_slice(arg).expect("a counter");
            let count = self.state.entry(counter).or_insert_with(|| "0".to_owned());
            *count = (count.parse::<u64>().expect("a number") + 1).to_string();
        }
    }

    /// How many transactions are VALID.
    pub fn valid(&self) -> usize {
        let verdicts = self.verdicts.values().flatten();
        verdicts.filter(|(_, code)| *code == TxValidationCode::Valid).count()
    }

    /// Whether what a caller was told is what is in the blocks; else why not.
    fn check(&self, report: &Report) -> Result<(), String> {
        let id = &report.tx_id;
        let found = self.verdicts.get(id).map_or(&[][..], Vec::as_slice);
        let wrong = |what: &str| {
            let (told, known) = (&report.told, report.known());
            Err(format!("{what}: {id}, told: {told}; known: {known}; found: {found:?}"))
        };
        // A second copy of a transaction is never its outcome.
        if found.iter().skip(1).any(|(_, code)| *code != TxValidationCode::DuplicateTxid) {
            return wrong("more than one outcome");
        }
        let outcome = found.first().copied();
        for told in [Some(&report.told), report.resolved.as_ref()].into_iter().flatten() {
            let honest = match told {
                Outcome::Valid { block } => outcome == Some((*block, TxValidationCode::Valid)),
                Outcome::Invalid { block, code } => {
                    *code != TxValidationCode::Valid && outcome == Some((*block, *code))
                }
                Outcome::NotSubmitted { .. } => outcome.is_none(),
                Outcome::Unknown { .. } => report.kept.is_some(),
                Outcome::Hung => false,
            };
            if !honest {
                return wrong("not what the blocks say");
            }
        }
        Ok(())
    }
}

/// Demands of every report that it is true, and of every transaction in the blocks that it is reported.
///
/// Returns how many were told VALID at once, each in the blocks exactly once.
///
/// # Panics
/// When that is not so.
pub fn demand_honest<'r>(truth: &Truth, reports: impl Iterator<Item = &'r Report>) -> usize {
    let mut unreported = truth.verdicts.clone();
    let mut acknowledged = 0;
    for report in reports {
        if let Err(wrong) = truth.check(report) {
            panic!("{wrong}");
        }
        unreported.remove(&report.tx_id);
        acknowledged += usize::from(report.is_valid());
    }
    // `network up` itself only ever evaluates.
    let example = unreported.first_key_value();
    assert!(example.is_none(), "{} in blocks that nobody sent, such as {example:?}", unreported.len());
    acknowledged
}

/// Demands that a peer has the very blocks that the first one has, with the same verdicts on them and the same hash of
/// what they wrote. Orderers may have signed a block differently for each peer.
fn demand_same(first: &Chain, other: &Chain, peer: &str) {
    for (first, other) in first.blocks().iter().zip(other.blocks()) {
        assert_eq!(first.header, other.header, "a block's header at {peer}");
        assert_eq!(first.data, other.data, "a block's transactions at {peer}");
        for index in [BlockMetadataIndex::TransactionsFilter, BlockMetadataIndex::CommitHash] {
            let of = |block: &hlf_protos::common::Block| {
                block.metadata.as_ref().and_then(|metadata| metadata.metadata.get(index as usize).cloned())
            };
            assert_eq!(of(first), of(other), "{} at {peer} of {:?}", index.as_str_name(), first.header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: TxValidationCode = TxValidationCode::Valid;
    const CONFLICT: TxValidationCode = TxValidationCode::MvccReadConflict;
    const COPY: TxValidationCode = TxValidationCode::DuplicateTxid;

    fn is_honest(told: Outcome, resolved: Option<Outcome>, found: &[(u64, TxValidationCode)]) -> bool {
        let verdicts = match found {
            [] => BTreeMap::new(),
            found => BTreeMap::from([("id".to_owned(), found.to_vec())]),
        };
        let truth = Truth { verdicts, ..Truth::default() };
        let (tx_id, peer) = ("id".to_owned(), String::new());
        let report = Report { tx_id, peer, window: 0, contended: false, told, resolved, kept: None };
        truth.check(&report).is_ok()
    }

    #[test]
    fn only_what_the_blocks_say_is_honest() {
        let valid = || Outcome::Valid { block: 7 };
        let invalid = |code| Outcome::Invalid { block: 7, code };
        let not_submitted = || Outcome::NotSubmitted { why: String::new() };
        for (told, found, honest) in [
            (valid(), &[(7, VALID)][..], true),
            (valid(), &[(7, VALID), (7, COPY), (9, COPY)], true),
            (valid(), &[], false),
            (valid(), &[(8, VALID)], false),
            (valid(), &[(7, CONFLICT)], false),
            (valid(), &[(7, VALID), (8, VALID)], false),
            (valid(), &[(6, COPY), (7, VALID)], false),
            (invalid(CONFLICT), &[(7, CONFLICT)], true),
            (invalid(CONFLICT), &[(7, VALID)], false),
            (invalid(CONFLICT), &[], false),
            (invalid(COPY), &[(6, VALID), (7, COPY)], false),
            (invalid(VALID), &[(7, VALID)], false),
            (not_submitted(), &[], true),
            (not_submitted(), &[(7, VALID)], false),
            (not_submitted(), &[(7, CONFLICT)], false),
            (Outcome::Hung, &[], false),
            (Outcome::Hung, &[(7, VALID)], false),
        ] {
            assert_eq!(is_honest(told.clone(), None, found), honest, "{told} {found:?}");
        }
    }

    #[test]
    fn unknown_is_honest_only_with_its_envelope() {
        let unknown = || Outcome::Unknown { why: String::new() };
        assert!(!is_honest(unknown(), None, &[]));
        assert!(!is_honest(unknown(), Some(Outcome::Valid { block: 7 }), &[(7, VALID)]));
    }
}
