//! The committed state of channels: values, versions, history, and validation at commit.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::policy;
use crate::rwset::{CollectionSet, Metadata, PrivateWrite, RangeRead, ReadWriteSet, Version, hash};

/// The metadata name under which a key keeps its endorsement policy.
const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

/// What became of a transaction in its block, named as Fabric's validation codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It changed the state.
    Valid,
    /// A key it read has another version by now.
    MvccReadConflict,
    /// A range it scanned reads otherwise by now.
    PhantomReadConflict,
    /// Those who endorsed do not satisfy the policy of a key that it writes.
    EndorsementPolicyFailure,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) value: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) metadata: Metadata,
}

/// Keys in order, with their values.
pub(crate) type Values = BTreeMap<String, Versioned>;

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
    pub(crate) values: Values,
    /// Private collections by name.
    pub(crate) collections: BTreeMap<String, Values>,
    /// Oldest first. Shared, since a commit beside a simulation copies the state.
    pub(crate) history: HashMap<String, Arc<Vec<Modified>>>,
    height: u64,
}

/// A transaction on its way into a block.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'c> {
    pub(crate) tx_id: &'c str,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) rwset: &'c ReadWriteSet,
    /// MSP ids of those who endorsed; `None` if everybody did.
    pub(crate) endorsers: Option<&'c [String]>,
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

    /// The committed value of a key in a private collection, as its members keep it.
    #[must_use]
    pub fn private_value(&self, channel: &str, collection: &str, key: &str) -> Option<Vec<u8>> {
        let state = self.snapshot(channel);
        state.collections.get(collection)?.get(key).map(|found| found.value.clone())
    }

    /// The committed SHA-256 of a private value, as every member of the channel keeps it.
    #[must_use]
    pub fn private_hash(&self, channel: &str, collection: &str, key: &str) -> Option<Vec<u8>> {
        self.private_value(channel, collection, key).map(|value| hash(&value))
    }

    /// The committed endorsement policy of a key: a `common.SignaturePolicyEnvelope`.
    #[must_use]
    pub fn validation_parameter(&self, channel: &str, key: &str) -> Option<Vec<u8>> {
        policy_of(&self.snapshot(channel).values, key).map(<[u8]>::to_vec)
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
                let validity = state.validate(candidate);
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

/// Entries of a range in key order.
pub(crate) fn range<'v>(
    values: &'v Values,
    start: &str,
    end: Bound<&str>,
) -> impl Iterator<Item = (&'v String, &'v Versioned)> {
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
    let bounds =
        if empty { (Bound::Included(start), Bound::Excluded(start)) } else { (Bound::Included(start), end) };
    (!empty).then(|| values.range::<str, _>(bounds)).into_iter().flatten()
}

impl State {
    fn validate(&self, candidate: &Candidate<'_>) -> Validity {
        let rwset = candidate.rwset;
        // Fabric validates endorsements before versions.
        if candidate.endorsers.is_some_and(|endorsers| !self.permits(rwset, endorsers)) {
            return Validity::EndorsementPolicyFailure;
        }
        let nothing = Values::new();
        let private = rwset.collections.iter().flat_map(|(name, set)| {
            let values = self.collections.get(name).unwrap_or(&nothing);
            set.reads.iter().map(move |read| (values, read))
        });
        let mut reads = rwset.reads.iter().map(|read| (&self.values, read)).chain(private);
        if reads.any(|(values, (key, version))| values.get(key).map(|found| found.version) != *version) {
            return Validity::MvccReadConflict;
        }
        if rwset.ranges.iter().any(|range| !self.reads_the_same(range)) {
            return Validity::PhantomReadConflict;
        }
        Validity::Valid
    }

    /// Whether the endorsers satisfy the policies of all keys that are written.
    fn permits(&self, rwset: &ReadWriteSet, endorsers: &[String]) -> bool {
        let permits = |values: &Values, key: &str| {
            policy_of(values, key).is_none_or(|policy| policy::is_satisfied(policy, endorsers))
        };
        let mut public = rwset.writes.keys().chain(rwset.metadata_writes.keys());
        public.all(|key| permits(&self.values, key))
            && rwset.collections.iter().all(|(name, set)| {
                let mut keys = set.writes.keys().chain(set.metadata_writes.keys());
                self.collections.get(name).is_none_or(|values| keys.all(|key| permits(values, key)))
            })
    }

    fn reads_the_same(&self, read: &RangeRead) -> bool {
        let end = if read.exhausted {
            Bound::Excluded(read.end.as_str())
        } else {
            Bound::Included(read.end.as_str())
        };
        range(&self.values, &read.start, end)
            .map(|(key, found)| (key, found.version))
            .eq(read.found.iter().map(|(key, version)| (key, *version)))
    }

    fn apply(&mut self, candidate: &Candidate<'_>, version: Version) {
        let rwset = candidate.rwset;
        for (key, value) in &rwset.writes {
            set(&mut self.values, key, value.as_deref(), version);
            Arc::make_mut(self.history.entry(key.clone()).or_default()).push(Modified {
                tx_id: candidate.tx_id.to_owned(),
                timestamp_unix_ms: candidate.timestamp_unix_ms,
                value: value.clone(),
            });
        }
        mark(&mut self.values, &rwset.metadata_writes, version);
        for (name, CollectionSet { writes, metadata_writes, .. }) in &rwset.collections {
            let values = self.collections.entry(name.clone()).or_default();
            for (key, change) in writes {
                set(values, key, PrivateWrite::value(change), version);
            }
            mark(values, metadata_writes, version);
        }
    }
}

/// The endorsement policy of a key; an empty one is none.
fn policy_of<'v>(values: &'v Values, key: &str) -> Option<&'v [u8]> {
    let policy = values.get(key)?.metadata.get(VALIDATION_PARAMETER)?;
    Some(policy.as_slice()).filter(|policy| !policy.is_empty())
}

/// A value keeps its key's metadata; a deletion takes it away.
fn set(values: &mut Values, key: &str, value: Option<&[u8]>, version: Version) {
    match value {
        Some(value) => {
            let metadata = values.remove(key).map(|earlier| earlier.metadata).unwrap_or_default();
            values.insert(key.to_owned(), Versioned { value: value.to_vec(), version, metadata });
        }
        None => {
            values.remove(key);
        }
    }
}

/// Metadata gives its key a new version; that of an absent key is dropped.
fn mark(values: &mut Values, writes: &BTreeMap<String, Metadata>, version: Version) {
    for (key, metadata) in writes {
        if let Some(found) = values.get_mut(key) {
            found.metadata = metadata.clone();
            found.version = version;
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
        let block: Vec<_> = sets
            .iter()
            .map(|rwset| Candidate { tx_id: "tx", timestamp_unix_ms: 0, rwset, endorsers: None })
            .collect();
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
