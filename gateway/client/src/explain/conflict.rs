//! What a transaction read, and who changed it since.
//!
//! Both searches are shown the VALID transactions before the one in question, the newest first: the first writer of
//! a key is the one whose version the peer compared with.

use std::collections::{BTreeMap, BTreeSet};

use hlf_protos::kvrwset::range_query_info::ReadsInfo;
use hlf_protos::kvrwset::{RangeQueryInfo, Version};

use super::transaction::Decoded;
use super::{Change, Conflict, Key, Phantom, Position, Winner};

/// Reads of single keys that were changed.
pub(super) struct Conflicts {
    /// The block of the transaction in question.
    block: u64,
    /// By key: its place in the order in which peers look, and the version read.
    open: BTreeMap<Key, (usize, Option<Position>)>,
    found: Vec<(usize, Conflict)>,
}

/// Scans whose result was changed.
pub(super) struct Phantoms {
    scans: Vec<Scan>,
    found: Option<Phantom>,
}

struct Scan {
    namespace: String,
    start: String,
    end: String,
    /// Whether a key equal to the end is in the range: it is the last one that was read.
    end_included: bool,
    /// Keys and versions that were read; absent when the scan was too long for the block to hold them.
    results: Option<BTreeMap<String, Option<Position>>>,
    /// Keys whose newest write was seen.
    seen: BTreeSet<String>,
}

impl Conflicts {
    pub(super) fn of(transaction: &Decoded) -> Self {
        let mut open = BTreeMap::new();
        for set in &transaction.sets {
            let public = set
                .public
                .reads
                .iter()
                .map(|read| (Key::public(&set.namespace, &read.key), read.version.as_ref()));
            let private = set.private.iter().flat_map(|(collection, hashed)| {
                hashed.hashed_reads.iter().map(|read| {
                    (Key::private(&set.namespace, collection, &read.key_hash), read.version.as_ref())
                })
            });
            for (key, version) in public.chain(private) {
                let order = open.len();
                open.entry(key).or_insert((order, version.map(position)));
            }
        }
        Self { block: transaction.position.block, open, found: Vec::new() }
    }

    /// Looks at the transactions of one block; says whether more would tell nothing new.
    pub(super) fn look(&mut self, newest_first: &[&Decoded]) -> bool {
        for writer in newest_first {
            for (key, deleted) in writer.sets.iter().flat_map(|set| set.written()) {
                let Some((order, read)) = self.open.remove(&key) else { continue };
                // A transaction may write a value and metadata of a key: the first settles it.
                // A key that is not there again is as it was read, unless it went in the same block.
                let gone_again = read.is_none() && deleted && writer.position.block != self.block;
                if read != Some(writer.position) && !gone_again {
                    let winner = winner(writer, deleted);
                    self.found.push((order, Conflict { key, read, winner }));
                }
            }
        }
        !self.found.is_empty() || self.open.is_empty()
    }

    pub(super) fn found(mut self) -> Vec<Conflict> {
        self.found.sort_by_key(|(order, _)| *order);
        self.found.into_iter().map(|(_, conflict)| conflict).collect()
    }
}

impl Phantoms {
    pub(super) fn of(transaction: &Decoded) -> Self {
        let scans = transaction
            .sets
            .iter()
            .flat_map(|set| set.public.range_queries_info.iter().map(|scan| Scan::of(&set.namespace, scan)));
        Self { scans: scans.collect(), found: None }
    }

    /// Looks at the transactions of one block; says whether more would tell nothing new.
    pub(super) fn look(&mut self, newest_first: &[&Decoded]) -> bool {
        for writer in newest_first {
            for (key, deleted) in writer.sets.iter().flat_map(|set| set.written()) {
                if key.collection.is_some() {
                    continue;
                }
                for scan in self.scans.iter_mut().filter(|scan| scan.namespace == key.namespace) {
                    if let Some(change) = scan.change(&key.key, writer.position, deleted) {
                        self.found = Some(Phantom {
                            namespace: key.namespace,
                            start_key: scan.start.clone(),
                            end_key: scan.end.clone(),
                            key: key.key,
                            change,
                            winner: winner(writer, deleted),
                        });
                        return true;
                    }
                }
            }
        }
        self.scans.is_empty()
    }

    pub(super) fn found(self) -> Option<Phantom> {
        self.found
    }
}

impl Scan {
    fn of(namespace: &str, scan: &RangeQueryInfo) -> Self {
        let results = match &scan.reads_info {
            Some(ReadsInfo::RawReads(reads)) => {
                let read = reads.kv_reads.iter();
                Some(read.map(|read| (read.key.clone(), read.version.as_ref().map(position))).collect())
            }
            Some(ReadsInfo::ReadsMerkleHashes(_)) => None,
            None => Some(BTreeMap::new()),
        };
        Self {
            namespace: namespace.to_owned(),
            start: scan.start_key.clone(),
            end: scan.end_key.clone(),
            end_included: !scan.itr_exhausted,
            results,
            seen: BTreeSet::new(),
        }
    }

    /// What the newest write of a key did to the result.
    fn change(&mut self, key: &str, version: Position, deleted: bool) -> Option<Change> {
        let before_end =
            self.end.is_empty() || key < self.end.as_str() || (self.end_included && key == self.end.as_str());
        if key < self.start.as_str() || !before_end || !self.seen.insert(key.to_owned()) {
            return None;
        }
        let Some(results) = &self.results else { return Some(Change::Written) };
        match (results.get(key), deleted) {
            (Some(_), true) => Some(Change::Vanished),
            (Some(read), false) if *read == Some(version) => None,
            (Some(_), false) => Some(Change::Changed),
            (None, true) => None,
            (None, false) => Some(Change::Appeared),
        }
    }
}

fn winner(writer: &Decoded, deleted: bool) -> Winner {
    Winner { tx_id: writer.tx_id.clone(), position: writer.position, deleted }
}

fn position(version: &Version) -> Position {
    Position { block: version.block_num, index: version.tx_num }
}

#[cfg(test)]
mod tests {
    use hlf_protos::kvrwset::{KvRead, KvWrite, KvrwSet, QueryReads};

    use super::super::transaction::NamespaceSet;
    use super::*;

    fn transaction(at: (u64, u64), public: KvrwSet) -> Decoded {
        let set = NamespaceSet { namespace: "assets".into(), public, private: Vec::new() };
        let position = Position { block: at.0, index: at.1 };
        Decoded { tx_id: format!("{}-{}", at.0, at.1), position, sets: vec![set], ..Decoded::default() }
    }

    fn writes(at: (u64, u64), keys: &[(&str, bool)]) -> Decoded {
        let writes = keys.iter().map(|(key, is_delete)| KvWrite {
            key: (*key).into(),
            is_delete: *is_delete,
            value: Vec::new(),
        });
        transaction(at, KvrwSet { writes: writes.collect(), ..KvrwSet::default() })
    }

    fn read(key: &str, version: Option<(u64, u64)>) -> KvRead {
        let version = version.map(|(block_num, tx_num)| Version { block_num, tx_num });
        KvRead { key: key.into(), version }
    }

    #[test]
    fn the_newest_writer_after_the_read_is_the_winner() {
        let reads =
            vec![read("a", Some((3, 0))), read("b", Some((1, 0))), read("c", Some((5, 1))), read("d", None)];
        let loser = transaction((9, 1), KvrwSet { reads, ..KvrwSet::default() });
        let mut search = Conflicts::of(&loser);
        assert!(!search.look(&[&writes((8, 1), &[("other", false)])]));
        // Neither the version that was read nor a key that is absent again is a conflict.
        assert!(!search.look(&[&writes((5, 1), &[("c", false), ("d", true)])]));
        let (newer, older) = (writes((4, 2), &[("b", true)]), writes((4, 1), &[("a", false), ("b", false)]));
        assert!(search.look(&[&newer, &older]));
        let found = search.found();
        let told: Vec<_> = found
            .iter()
            .map(|conflict| {
                (conflict.key.key.as_str(), conflict.winner.tx_id.as_str(), conflict.winner.deleted)
            })
            .collect();
        assert_eq!(told, [("a", "4-1", false), ("b", "4-2", true)]);
        assert_eq!(found[0].read, Some(Position { block: 3, index: 0 }));
    }

    #[test]
    fn every_change_of_a_scan_is_seen_and_nothing_else() {
        let scan = |exhausted, raw: Option<Vec<KvRead>>| {
            let reads_info = raw.map_or(ReadsInfo::ReadsMerkleHashes(Default::default()), |kv_reads| {
                ReadsInfo::RawReads(QueryReads { kv_reads })
            });
            let info = RangeQueryInfo {
                start_key: "b".into(),
                end_key: "d".into(),
                itr_exhausted: exhausted,
                reads_info: Some(reads_info),
            };
            let public = KvrwSet { range_queries_info: vec![info], ..KvrwSet::default() };
            transaction((9, 0), public)
        };
        let read = || Some(vec![read("b", Some((2, 0)))]);
        let change = |loser: &Decoded, writer: &Decoded| {
            let mut search = Phantoms::of(loser);
            search.look(&[writer]);
            search.found().map(|phantom| phantom.change)
        };
        let whole = scan(true, read());
        assert_eq!(change(&whole, &writes((8, 0), &[("c", false)])), Some(Change::Appeared));
        assert_eq!(change(&whole, &writes((8, 0), &[("b", false)])), Some(Change::Changed));
        assert_eq!(change(&whole, &writes((8, 0), &[("b", true)])), Some(Change::Vanished));
        assert_eq!(change(&whole, &writes((2, 0), &[("b", false)])), None, "the version that was read");
        assert_eq!(change(&whole, &writes((8, 0), &[("c", true)])), None, "it was not there before");
        for outside in ["a", "d", "e"] {
            assert_eq!(change(&whole, &writes((8, 0), &[(outside, false)])), None, "{outside}");
        }
        let broken_off = scan(false, read());
        assert_eq!(change(&broken_off, &writes((8, 0), &[("d", false)])), Some(Change::Appeared));
        assert_eq!(change(&scan(true, None), &writes((8, 0), &[("c", true)])), Some(Change::Written));
    }
}
