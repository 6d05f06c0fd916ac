//! What really happened, counted from the blocks of every peer, and what callers were told, held against it.

use std::collections::BTreeMap;

use hlf_protos::common::BlockMetadataIndex;
use hlf_protos::protos::TxValidationCode;

use super::{Outcome, Report};
use crate::chain::{Chain, Transaction};
use crate::channel::{CHAINCODE, Channel};
use crate::tally::{COUNT, Counting, Entry, PUT, State};

/// A channel's transactions of the chaincode, by the calls that they were made for, and the state that they make.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What stands in the blocks of each call, in the order of the chain.
    found: BTreeMap<String, Vec<Found>>,
    state: BTreeMap<String, String>,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    tx_id: String,
    block: u64,
    code: TxValidationCode,
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
            let found = Found { tx_id, block: transaction.block, code: transaction.code };
            let call = truth.apply(transaction);
            truth.found.entry(call).or_default().push(found);
        }
        truth
    }

    /// Does to the state what a VALID transaction's call says, without looking at what its endorsers wrote; gives the
    /// call that it was made for.
    fn apply(&mut self, transaction: &Transaction) -> String {
        let (function, arg) = (transaction.function(), transaction.arg(1));
        let valid = transaction.code == TxValidationCode::Valid;
        if function == PUT {
            let entry: Entry = serde_json::from_slice(arg).expect("an entry");
            if valid {
                let before = self.state.insert(entry.key.clone(), entry.value);
                assert_eq!(before, None, "`{}` was put twice", entry.key);
            }
            entry.key
        } else {
            assert_eq!(function, COUNT, "a function that nobody calls");
            let counting: Counting = serde_json::from_slice(arg).expect("a counter");
            if valid {
                let count = self.state.entry(counting.counter).or_insert_with(|| "0".to_owned());
                *count = (count.parse::<u64>().expect("a number") + 1).to_string();
            }
            counting.call
        }
    }

    /// How many transactions are VALID.
    pub fn valid(&self) -> usize {
        self.found.values().flatten().filter(|found| found.code == TxValidationCode::Valid).count()
    }

    /// Whether what a caller was told is what is in the blocks; else why not.
    fn check(&self, report: &Report) -> Result<(), String> {
        let found = self.found.get(&report.call).map_or(&[][..], Vec::as_slice);
        let wrong = |what: &str| {
            let (call, told, known) = (&report.call, &report.told, report.known());
            Err(format!("{what}: {call}, told: {told}; known: {known}; found: {found:?}"))
        };
        // A second copy of a transaction is never its outcome.
        let mut firsts = BTreeMap::<&str, (u64, TxValidationCode)>::new();
        for Found { tx_id, block, code } in found {
            let is_copy = firsts.contains_key(tx_id.as_str());
            if is_copy != (*code == TxValidationCode::DuplicateTxid) {
                return wrong("a copy that is taken for the first, or the other way round");
            }
            firsts.entry(tx_id).or_insert((*block, *code));
        }
        if report.once && firsts.len() > 1 {
            return wrong("more than one transaction");
        }
        let valid: Vec<_> = firsts.iter().filter(|(_, (_, code))| *code == TxValidationCode::Valid).collect();
        if valid.len() > 1 {
            return wrong("more than one effect");
        }
        for told in [Some(&report.told), report.resolved.as_ref()].into_iter().flatten() {
            let honest = match told {
                Outcome::Valid { tx_id, block } => {
                    firsts.get(tx_id.as_str()) == Some(&(*block, TxValidationCode::Valid))
                }
                Outcome::Invalid { tx_id, block, code } => {
                    valid.is_empty() && firsts.get(tx_id.as_str()) == Some(&(*block, *code))
                }
                Outcome::NotSubmitted { .. } if report.once => found.is_empty(),
                Outcome::NotSubmitted { .. } => valid.is_empty(),
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

/// Demands of every report that it is true, and of every transaction in the blocks that its call is reported.
///
/// Returns how many were told VALID at once, each in the blocks exactly once.
///
/// # Panics
/// When that is not so.
pub fn demand_honest<'r>(truth: &Truth, reports: impl Iterator<Item = &'r Report>) -> usize {
    let mut unreported = truth.found.clone();
    let mut acknowledged = 0;
    for report in reports {
        if let Err(wrong) = truth.check(report) {
            panic!("{wrong}");
        }
        unreported.remove(&report.call);
        acknowledged += usize::from(report.is_valid());
    }
    let example = unreported.first_key_value();
    assert!(example.is_none(), "{} calls in blocks that nobody made, such as {example:?}", unreported.len());
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
    use crate::load::{Kept, Way};

    const VALID: TxValidationCode = TxValidationCode::Valid;
    const CONFLICT: TxValidationCode = TxValidationCode::MvccReadConflict;
    const COPY: TxValidationCode = TxValidationCode::DuplicateTxid;

    type Stands = (&'static str, u64, TxValidationCode);

    fn report(told: Outcome, once: bool) -> Report {
        let [call, caller, peer] = ["call", "caller", "peer"].map(str::to_owned);
        let way = Way::Asking;
        Report {
            call,
            caller,
            peer,
            way,
            window: 0,
            contended: false,
            once,
            told,
            resolved: None,
            kept: None,
        }
    }

    fn is_honest(report: &Report, stands: &[Stands]) -> bool {
        let found =
            |(tx_id, block, code): &Stands| Found { tx_id: (*tx_id).to_owned(), block: *block, code: *code };
        let found = match stands {
            [] => BTreeMap::new(),
            stands => BTreeMap::from([("call".to_owned(), stands.iter().map(found).collect())]),
        };
        Truth { found, ..Truth::default() }.check(report).is_ok()
    }

    fn valid() -> Outcome {
        Outcome::Valid { tx_id: "a".to_owned(), block: 7 }
    }

    fn invalid(code: TxValidationCode) -> Outcome {
        Outcome::Invalid { tx_id: "a".to_owned(), block: 7, code }
    }

    fn not_submitted() -> Outcome {
        Outcome::NotSubmitted { why: String::new() }
    }

    #[test]
    fn only_what_the_blocks_say_is_honest() {
        for (told, stands, honest) in [
            (valid(), &[("a", 7, VALID)][..], true),
            (valid(), &[("a", 7, VALID), ("a", 7, COPY), ("a", 9, COPY)], true),
            (valid(), &[], false),
            (valid(), &[("a", 8, VALID)], false),
            (valid(), &[("b", 7, VALID)], false),
            (valid(), &[("a", 7, CONFLICT)], false),
            (valid(), &[("a", 7, VALID), ("a", 8, VALID)], false),
            (valid(), &[("a", 6, COPY), ("a", 7, VALID)], false),
            (valid(), &[("a", 7, VALID), ("b", 8, CONFLICT)], false),
            (invalid(CONFLICT), &[("a", 7, CONFLICT)], true),
            (invalid(CONFLICT), &[("a", 7, VALID)], false),
            (invalid(CONFLICT), &[], false),
            (invalid(COPY), &[("a", 6, VALID), ("a", 7, COPY)], false),
            (invalid(VALID), &[("a", 7, VALID)], false),
            (not_submitted(), &[], true),
            (not_submitted(), &[("a", 7, VALID)], false),
            (not_submitted(), &[("a", 7, CONFLICT)], false),
            (Outcome::Hung, &[], false),
            (Outcome::Hung, &[("a", 7, VALID)], false),
        ] {
            assert_eq!(is_honest(&report(told.clone(), true), stands), honest, "{told} {stands:?}");
        }
    }

    #[test]
    fn a_call_that_is_tried_again_has_one_effect_at_most() {
        for (told, stands, honest) in [
            (valid(), &[("b", 5, CONFLICT), ("a", 7, VALID)][..], true),
            (valid(), &[("b", 5, VALID), ("a", 7, VALID)], false),
            (valid(), &[("a", 7, VALID), ("b", 9, VALID)], false),
            (invalid(CONFLICT), &[("b", 5, CONFLICT), ("a", 7, CONFLICT)], true),
            (invalid(CONFLICT), &[("b", 5, VALID), ("a", 7, CONFLICT)], false),
            (not_submitted(), &[("a", 7, CONFLICT)], true),
            (not_submitted(), &[("a", 7, VALID)], false),
        ] {
            assert_eq!(is_honest(&report(told.clone(), false), stands), honest, "{told} {stands:?}");
        }
    }

    #[test]
    fn unknown_is_honest_only_as_long_as_it_is_kept() {
        let lost = report(Outcome::Unknown { why: String::new() }, true);
        let kept = Report { kept: Some(Kept::Stored), ..lost.clone() };
        let resolved = |report: &Report| Report { resolved: Some(valid()), ..report.clone() };
        let stands = &[("a", 7, VALID)];
        assert!(!is_honest(&lost, &[]) && !is_honest(&resolved(&lost), stands));
        assert!(is_honest(&kept, &[]) && is_honest(&kept, stands));
        assert!(is_honest(&resolved(&kept), stands) && !is_honest(&resolved(&kept), &[]));
    }
}
