//! The writes of one transaction, kept until the contract has succeeded.

use std::collections::{BTreeMap, HashMap};

use hlf_protos::protos::{WriteRecord, write_record};

use crate::key::KeyRange;

/// Pending writes in the order the contract made them; the last write to a key replaces earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    next: u64,
    /// Position of the write that counts, by key.
    position: HashMap<String, u64>,
    /// Ordered by position, which makes what is sent deterministic.
    pending: BTreeMap<u64, Write>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) key: String,
    /// `None` deletes the key.
    pub(crate) value: Option<Vec<u8>>,
}

impl Write {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn into_record(self) -> WriteRecord {
        let kind = match self.value {
            Some(_) => write_record::Type::PutState,
            None => write_record::Type::DelState,
        };
        WriteRecord {
            key: self.key,
            value: self.value.unwrap_or_default(),
            r#type: kind.into(),
            ..WriteRecord::default()
        }
    }
}

impl Writes {
    /// Adds a write unless all of them together would exceed `bytes_max`; answers what they would be.
    pub(crate) fn push(&mut self, write: Write, bytes_max: usize) -> Result<(), usize> {
        let replaced = self
            .position
            .get(&write.key)
            .and_then(|position| self.pending.get(position))
            .map_or(0, Write::bytes);
        let bytes = self.bytes - replaced + write.bytes();
        if bytes > bytes_max {
            return Err(bytes);
        }
        self.bytes = bytes;
        if let Some(earlier) = self.position.insert(write.key.clone(), self.next) {
            self.pending.remove(&earlier);
        }
        self.pending.insert(self.next, write);
        self.next += 1;
        Ok(())
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.position.contains_key(key)
    }

    pub(crate) fn first_within(&self, range: &KeyRange) -> Option<&str> {
        self.pending.values().map(|write| write.key.as_str()).find(|key| range.contains(key))
    }

    pub(crate) fn take(&mut self) -> Vec<Write> {
        std::mem::take(self).pending.into_values().collect()
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

    fn put(key: &str, value: &str) -> Write {
        Write { key: key.into(), value: Some(value.into()) }
    }

    fn delete(key: &str) -> Write {
        Write { key: key.into(), value: None }
    }

    #[test]
    fn the_last_write_to_a_key_wins_at_its_own_place() {
        let mut writes = Writes::default();
        for write in [put("b", "1"), put("a", "1"), delete("b"), put("c", "1"), put("a", "2")] {
            writes.push(write, 100).unwrap();
        }
        assert!(writes.contains("a") && !writes.contains("d"));
        assert_eq!(writes.take(), [delete("b"), put("c", "1"), put("a", "2")]);
        assert_eq!(writes.take(), []);
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
                singly.insert(key.clone(), value.clone());
                writes.push(Write { key, value: value.map(String::into_bytes) }, 1000).unwrap();
            }
            let cut = batches(writes.take(), count_max, 1000);
            proptest::prop_assert_eq!(cut.len(), singly.len().div_ceil(count_max));
            proptest::prop_assert!(cut.iter().all(|batch| (1..=count_max).contains(&batch.len())));
            let sent: Vec<_> = cut.concat();
            proptest::prop_assert_eq!(sent.len(), singly.len(), "each key is written once");
            for write in sent {
                let value = write.value.map(|bytes| String::from_utf8(bytes).unwrap());
                proptest::prop_assert_eq!(singly.get(&write.key), Some(&value));
            }
        }
    }
}
