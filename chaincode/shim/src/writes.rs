//! The writes of one transaction, kept until the contract has succeeded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hlf_protos::protos::{MetaDataKeys, StateMetadata, WriteRecord, write_record};

use crate::key::KeyRange;

/// What a write changes: value and policy of a key are written apart from each other.
type Target = (String, String, bool);

/// Pending writes; the last write to a target replaces earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    next: u64,
    /// By target, each with its place in the contract's order.
    pending: HashMap<Target, (u64, Change)>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// Empty for the public state.
    pub(crate) collection: String,
    pub(crate) key: String,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Put(Vec<u8>),
    Delete,
    /// Private data only.
    Purge,
    /// The key's endorsement policy; empty for none.
    Policy(Vec<u8>),
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(bytes) | Self::Policy(bytes) => bytes.len(),
            Self::Delete | Self::Purge => 0,
        }
    }
}

/// The metadata name under which Fabric keeps a key's endorsement policy.
pub(crate) fn policy_metakey() -> String {
    MetaDataKeys::ValidationParameter.as_str_name().to_owned()
}

impl Write {
    fn bytes(&self) -> usize {
        self.collection.len() + self.key.len() + self.change.bytes()
    }

    pub(crate) fn into_record(self) -> WriteRecord {
        let (kind, value, metadata) = match self.change {
            Change::Put(value) => (write_record::Type::PutState, value, None),
            Change::Delete => (write_record::Type::DelState, Vec::new(), None),
            Change::Purge => (write_record::Type::PurgePrivateData, Vec::new(), None),
            Change::Policy(value) => {
                let metadata = StateMetadata { metakey: policy_metakey(), value };
                (write_record::Type::PutStateMetadata, Vec::new(), Some(metadata))
            }
        };
        WriteRecord { collection: self.collection, key: self.key, value, metadata, r#type: kind.into() }
    }
}

impl Writes {
    /// Adds a write unless all of them together would exceed `bytes_max`; answers what they would be.
    pub(crate) fn push(&mut self, write: Write, bytes_max: usize) -> Result<(), usize> {
        let added = write.bytes();
        let Write { collection, key, change } = write;
        let (key_bytes, place) = (collection.len() + key.len(), self.next);
        let target = (collection, key, matches!(change, Change::Policy(_)));
        let entry = self.pending.entry(target);
        let replaced = match &entry {
            Entry::Occupied(earlier) => key_bytes + earlier.get().1.bytes(),
            Entry::Vacant(_) => 0,
        };
        let bytes = self.bytes - replaced + added;
        if bytes > bytes_max {
            return Err(bytes);
        }
        entry.insert_entry((place, change));
        self.bytes = bytes;
        self.next += 1;
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a key's value was written.
    pub(crate) fn contains(&self, collection: &str, key: &str) -> bool {
        self.pending.contains_key(&(collection.to_owned(), key.to_owned(), false))
    }

    /// Whether a key's policy was written.
    pub(crate) fn contains_policy(&self, collection: &str, key: &str) -> bool {
        self.pending.contains_key(&(collection.to_owned(), key.to_owned(), true))
    }

    /// Whether a value within a range of the public state was written.
    pub(crate) fn any_within(&self, range: &KeyRange) -> bool {
        let mut written =
            self.pending.keys().filter(|(collection, _, policy)| collection.is_empty() && !policy);
        written.any(|(_, key, _)| range.contains(key))
    }

    /// All writes in the order the contract made them, which makes what is sent deterministic.
    pub(crate) fn take(&mut self) -> Vec<Write> {
        let mut placed: Vec<_> = std::mem::take(self)
            .pending
            .into_iter()
            .map(|((collection, key, _), (place, change))| (place, Write { collection, key, change }))
            .collect();
        placed.sort_unstable_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, write)| write).collect()
    }
}

/// Cuts writes into batches of at most `count_max` records and about `bytes_max` bytes, in order.
pub(crate) fn batches(writes: Vec<Write>, count_max: usize, bytes_max: usize) -> Vec<Vec<Write>> {
    let mut batches: Vec<Vec<Write>> = Vec::new();
    let mut open_bytes = 0;
    for write in writes {
        let bytes = write.bytes();
        match batches.last_mut() {
            Some(open) if open.len() < count_max && open_bytes + bytes <= bytes_max => {
                open_bytes += bytes;
                open.push(write);
            }
            _ => {
                open_bytes = bytes;
                batches.push(vec![write]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn put(key: &str, value: &str) -> Write {
        Write { collection: String::new(), key: key.into(), change: Change::Put(value.into()) }
    }

    fn delete(key: &str) -> Write {
        Write { collection: String::new(), key: key.into(), change: Change::Delete }
    }

    #[test]
    fn the_last_write_to_a_key_wins_at_its_own_place() {
        let mut writes = Writes::default();
        for write in [put("b", "1"), put("a", "1"), delete("b"), put("c", "1"), put("a", "2")] {
            writes.push(write, 100).unwrap();
        }
        assert!(writes.contains("", "a") && !writes.contains("", "d") && !writes.contains("prices", "a"));
        assert_eq!(writes.take(), [delete("b"), put("c", "1"), put("a", "2")]);
        assert_eq!(writes.take(), []);
    }

    #[test]
    fn value_and_policy_of_a_key_and_the_keys_of_collections_are_apart() {
        let private = |change| Write { collection: "prices".into(), key: "a".into(), change };
        let mut writes = Writes::default();
        for write in [
            put("a", "1"),
            private(Change::Put(b"2".to_vec())),
            Write { change: Change::Policy(b"p".to_vec()), ..put("a", "") },
            private(Change::Purge),
        ] {
            writes.push(write, 100).unwrap();
        }
        assert!(writes.contains_policy("", "a") && !writes.contains_policy("prices", "a"));
        let records: Vec<_> = writes.take().into_iter().map(Write::into_record).collect();
        let kinds: Vec<_> =
            records.iter().map(|record| (record.collection.as_str(), record.r#type())).collect();
        assert_eq!(
            kinds,
            [
                ("", write_record::Type::PutState),
                ("", write_record::Type::PutStateMetadata),
                ("prices", write_record::Type::PurgePrivateData)
            ]
        );
        assert_eq!(records[1].metadata.as_ref().unwrap().metakey, "VALIDATION_PARAMETER");
    }

    #[test]
    fn replaced_writes_do_not_count_against_the_limit() {
        let mut writes = Writes::default();
        writes.push(put("k", "123456789"), 10).unwrap();
        writes.push(put("k", "987654321"), 10).unwrap();
        assert_eq!(writes.push(put("l", ""), 10), Err(11));
        writes.push(delete("k"), 10).unwrap();
        writes.push(put("l", "12345678"), 10).unwrap();
        assert_eq!(writes.take().len(), 2);
    }

    #[test]
    fn batches_keep_order_count_and_bytes() {
        let writes: Vec<_> = (0..7).map(|n| put(&n.to_string(), "x")).collect();
        let cut = batches(writes.clone(), 3, 100);
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(cut.concat(), writes);
        let cut = batches(writes.clone(), 100, 4);
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 1]);
        assert_eq!(cut.concat(), writes);
        // One write beyond the bytes still goes out, alone.
        assert_eq!(batches(writes, 3, 0).len(), 7);
        assert!(batches(Vec::new(), 3, 4).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn batches_leave_the_state_that_single_writes_would(
            made in proptest::collection::vec(("[a-d]", proptest::option::of("[x-z]")), 0..30),
            count_max in 1_usize..6,
        ) {
            let mut writes = Writes::default();
            let mut singly = BTreeMap::new();
            for (key, value) in made {
                let change = value.map_or(Change::Delete, |value| Change::Put(value.into_bytes()));
                singly.insert(key.clone(), change.clone());
                writes.push(Write { collection: String::new(), key, change }, 1000).unwrap();
            }
            let cut = batches(writes.take(), count_max, 1000);
            proptest::prop_assert_eq!(cut.len(), singly.len().div_ceil(count_max));
            proptest::prop_assert!(cut.iter().all(|batch| (1..=count_max).contains(&batch.len())));
            let sent: Vec<_> = cut.concat();
            proptest::prop_assert_eq!(sent.len(), singly.len(), "each key is written once");
            for write in sent {
                proptest::prop_assert_eq!(singly.get(&write.key), Some(&write.change));
            }
        }
    }
}
