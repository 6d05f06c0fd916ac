//! The committed state of channels: values, versions, history, and validation at commit.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::rwset::{RangeRead, ReadWriteSet, Version};

/// What became of a transaction in its block, named as Fabric's validation codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It changed the state.
    Valid,
    /// A key it read has another version by now.
    MvccReadConflict,
    /// A range it scanned reads otherwise by now.
    PhantomReadConflict,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) value: Vec<u8>,
    pub(crate) version: Version,
}

/// One committed version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modified {
    pub(crate) tx_id: String,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) value: Option<Vec<u8>>,
}

/// A channel's state as one block left it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) values: BTreeMap<String, Versioned>,
    /// Oldest first.
    pub(crate) history: HashMap<String, Vec<Modified>>,
    height: u64,
}

/// A transaction on its way into a block.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'c> {
    pub(crate) tx_id: &'c str,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) rwset: &'c ReadWriteSet,
}

/// The channels of one or more peers; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    channels: Arc<Mutex<HashMap<String, Arc<State>>>>,
}

impl Ledger {
    /// The committed value of a key.
    #[must_use]
    pub fn value(&self, channel: &str, key: &str) -> Option<Vec<u8>> {
        self.snapshot(channel).values.get(key).map(|found| found.value.clone())
    }

    /// All committed keys of a channel, in order.
    #[must_use]
    pub fn keys(&self, channel: &str) -> Vec<String> {
        self.snapshot(channel).values.keys().cloned().collect()
    }

    /// Number of blocks committed to a channel.
    #[must_use]
    pub fn height(&self, channel: &str) -> u64 {
        self.snapshot(channel).height
    }

    pub(crate) fn snapshot(&self, channel: &str) -> Arc<State> {
        self.lock().get(channel).cloned().unwrap_or_default()
    }

    /// Validates and applies one block; answers its number and each transaction's validity.
    pub(crate) fn commit(&self, channel: &str, block: &[Candidate<'_>]) -> (u64, Vec<Validity>) {
        let mut channels = self.lock();
        let state = Arc::make_mut(channels.entry(channel.to_owned()).or_default());
        state.height += 1;
        let number = state.height;
        let mut position = 0..;
        let validities = block
            .iter()
            .map(|candidate| {
                let version = Version { block: number, tx: position.next().unwrap_or_default() };
                let validity = state.validate(candidate.rwset);
                if validity == Validity::Valid {
                    state.apply(candidate, version);
                }
                validity
            })
            .collect();
        (number, validities)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<State>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Entries of a range in key order.
    pub(crate) fn range(&self, start: &str, end: Bound<&str>) -> impl Iterator<Item = (&String, &Versioned)> {
        // An empty end means the last key; an inverted range is empty, where BTreeMap would panic.
        let end = match end {
            Bound::Excluded("") => Bound::Unbounded,
            end => end,
        };
        let empty = match end {
            Bound::Excluded(end) => start >= end,
            Bound::Included(end) => start > end,
            Bound::Unbounded => false,
        };
        let bounds = if empty {
            (Bound::Included(start), Bound::Excluded(start))
        } else {
            (Bound::Included(start), end)
        };
        (!empty).then(|| self.values.range::<str, _>(bounds)).into_iter().flatten()
    }

    fn validate(&self, rwset: &ReadWriteSet) -> Validity {
        let current = |key: &str| self.values.get(key).map(|found| found.version);
        if rwset.reads.iter().any(|(key, version)| current(key) != *version) {
            return Validity::MvccReadConflict;
        }
        if rwset.ranges.iter().any(|range| !self.reads_the_same(range)) {
            return Validity::PhantomReadConflict;
        }
        Validity::Valid
    }

    fn reads_the_same(&self, range: &RangeRead) -> bool {
        let end = if range.exhausted {
            Bound::Excluded(range.end.as_str())
        } else {
            Bound::Included(range.end.as_str())
        };
        self.range(&range.start, end)
            .map(|(key, found)| (key, found.version))
            .eq(range.found.iter().map(|(key, version)| (key, *version)))
    }

    fn apply(&mut self, candidate: &Candidate<'_>, version: Version) {
        for (key, value) in &candidate.rwset.writes {
            match value {
                Some(value) => {
                    self.values.insert(key.clone(), Versioned { value: value.clone(), version });
                }
                None => {
                    self.values.remove(key);
                }
            }
            self.history.entry(key.clone()).or_default().push(Modified {
                tx_id: candidate.tx_id.to_owned(),
                timestamp_unix_ms: candidate.timestamp_unix_ms,
                value: value.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(pairs: &[(&str, Option<&str>)]) -> ReadWriteSet {
        ReadWriteSet {
            writes: pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(Into::into))).collect(),
            ..ReadWriteSet::default()
        }
    }

    fn reads(key: &str, version: Option<Version>) -> ReadWriteSet {
        ReadWriteSet { reads: [(key.to_owned(), version)].into(), ..writes(&[("seen", Some("x"))]) }
    }

    fn scans(exhausted: bool, end: &str, found: &[(&str, Version)]) -> ReadWriteSet {
        let found = found.iter().map(|(key, version)| ((*key).to_owned(), *version)).collect();
        ReadWriteSet {
            ranges: vec![RangeRead { start: "a".into(), end: end.into(), exhausted, found }],
            ..ReadWriteSet::default()
        }
    }

    fn commit(ledger: &Ledger, sets: &[ReadWriteSet]) -> Vec<Validity> {
        let block: Vec<_> =
            sets.iter().map(|rwset| Candidate { tx_id: "tx", timestamp_unix_ms: 0, rwset }).collect();
        ledger.commit("c", &block).1
    }

    #[test]
    fn a_read_of_another_version_is_a_conflict_within_a_block_too() {
        let ledger = Ledger::default();
        let first = Version { block: 1, tx: 0 };
        assert_eq!(commit(&ledger, &[writes(&[("k", Some("1"))])]), [Validity::Valid]);
        assert_eq!(
            commit(&ledger, &[reads("k", Some(first)), writes(&[("k", Some("2"))]), reads("k", Some(first))]),
            [Validity::Valid, Validity::Valid, Validity::MvccReadConflict]
        );
        assert_eq!(
            commit(&ledger, &[reads("k", None), reads("absent", None)]),
            [Validity::MvccReadConflict, Validity::Valid]
        );
        assert_eq!(ledger.value("c", "k"), Some(b"2".to_vec()));
        assert_eq!((ledger.height("c"), ledger.height("other")), (3, 0));
    }

    #[test]
    fn a_range_that_gained_or_lost_a_key_is_a_phantom() {
        let ledger = Ledger::default();
        let at = Version { block: 1, tx: 0 };
        commit(&ledger, &[writes(&[("a", Some("1")), ("b", Some("1"))])]);
        assert_eq!(
            commit(
                &ledger,
                &[
                    scans(true, "c", &[("a", at), ("b", at)]),
                    scans(true, "", &[("a", at), ("b", at)]),
                    scans(false, "a", &[("a", at)]),
                    scans(true, "c", &[("a", at)]),
                    scans(true, "a", &[]),
                ]
            ),
            [
                Validity::Valid,
                Validity::Valid,
                Validity::Valid,
                Validity::PhantomReadConflict,
                Validity::Valid
            ]
        );
        commit(&ledger, &[writes(&[("b", None), ("bb", Some("1"))])]);
        assert_eq!(
            commit(&ledger, &[scans(true, "c", &[("a", at), ("b", at)]), scans(false, "a", &[("a", at)])]),
            [Validity::PhantomReadConflict, Validity::Valid]
        );
    }
}
