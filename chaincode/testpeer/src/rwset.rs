//! What a transaction read and wrote.

use std::collections::BTreeMap;
use std::fmt;

use hlf_protos::kvrwset::{
    HashedRwSet, KvMetadataEntry, KvMetadataWrite, KvMetadataWriteHash, KvRead, KvReadHash, KvWrite,
    KvWriteHash, KvrwSet, QueryReads, RangeQueryInfo, Version as WireVersion, range_query_info::ReadsInfo,
};
use hlf_protos::rwset::{CollectionHashedReadWriteSet, NsReadWriteSet, TxReadWriteSet};
use prost::Message;
use sha2::{Digest, Sha256};

/// The block and the place in it where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Block number; the first commit makes block 1.
    pub block: u64,
    /// Position in the block, from 0.
    pub tx: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.block, self.tx)
    }
}

/// A range that was scanned, with what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRead {
    /// First key of the range.
    pub start: String,
    /// Where it ends: excluded if the scan came to its end, otherwise the last key that was read.
    pub end: String,
    /// Whether the scan came to its end.
    pub exhausted: bool,
    /// Keys found and their versions.
    pub found: Vec<(String, Version)>,
}

/// Metadata of a key by name; the endorsement policy is `VALIDATION_PARAMETER`.
pub type Metadata = BTreeMap<String, Vec<u8>>;

/// Reads with their versions, scanned ranges and writes of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadWriteSet {
    /// Keys that were read; `None` if absent.
    pub reads: BTreeMap<String, Option<Version>>,
    /// Ranges that were scanned, in order.
    pub ranges: Vec<RangeRead>,
    /// Keys that were written; `None` deletes.
    pub writes: BTreeMap<String, Option<Vec<u8>>>,
    /// Keys whose metadata was written, all of it at once.
    pub metadata_writes: BTreeMap<String, Metadata>,
    /// What was read and written in private collections, by their names.
    pub collections: BTreeMap<String, CollectionSet>,
}

/// Reads and writes of one private collection. Scans and rich queries leave no trace here, as on real peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionSet {
    /// Keys that were read, or whose hash was; `None` if absent.
    pub reads: BTreeMap<String, Option<Version>>,
    /// Keys that were written.
    pub writes: BTreeMap<String, PrivateWrite>,
    /// Keys whose metadata was written.
    pub metadata_writes: BTreeMap<String, Metadata>,
}

/// A write to a private collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateWrite {
    /// A value; other organisations see its SHA-256.
    Put(Vec<u8>),
    /// Deleted; peers may keep earlier values.
    Delete,
    /// Deleted with all its earlier values.
    Purge,
}

impl ReadWriteSet {
    /// The public part of what would be endorsed: `kvrwset.KVRWSet`, keys in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        KvrwSet {
            reads: self.reads.iter().map(|(key, version)| read(key, *version)).collect(),
            range_queries_info: self
                .ranges
                .iter()
                .map(|range| RangeQueryInfo {
                    start_key: range.start.clone(),
                    end_key: range.end.clone(),
                    itr_exhausted: range.exhausted,
                    reads_info: Some(ReadsInfo::RawReads(QueryReads {
                        kv_reads: range
                            .found
                            .iter()
                            .map(|(key, version)| read(key, Some(*version)))
                            .collect(),
                    })),
                })
                .collect(),
            writes: self.writes.iter().map(|(key, value)| write(key, value.as_deref())).collect(),
            metadata_writes: self
                .metadata_writes
                .iter()
                .map(|(key, metadata)| KvMetadataWrite { key: key.clone(), entries: entries(metadata) })
                .collect(),
        }
        .encode_to_vec()
    }

    /// All that would be endorsed for a chaincode: `rwset.TxReadWriteSet` with one namespace.
    ///
    /// Keys and values of private collections are in it as SHA-256 hashes only.
    #[must_use]
    pub fn endorsed_bytes(&self, chaincode: &str) -> Vec<u8> {
        let namespace = NsReadWriteSet {
            namespace: chaincode.to_owned(),
            rwset: self.to_bytes(),
            collection_hashed_rwset: self
                .collections
                .iter()
                .map(|(name, set)| CollectionHashedReadWriteSet {
                    collection_name: name.clone(),
                    hashed_rwset: set.hashed_bytes(),
                    pvt_rwset_hash: if set.writes.is_empty() && set.metadata_writes.is_empty() {
                        Vec::new()
                    } else {
                        hash(&set.private_bytes())
                    },
                })
                .collect(),
        };
        TxReadWriteSet { ns_rwset: vec![namespace], ..TxReadWriteSet::default() }.encode_to_vec()
    }
}

impl CollectionSet {
    /// What every member of the channel sees: `kvrwset.HashedRWSet`, in the order of the keys.
    #[must_use]
    pub fn hashed_bytes(&self) -> Vec<u8> {
        HashedRwSet {
            hashed_reads: self
                .reads
                .iter()
                .map(|(key, version)| KvReadHash {
                    key_hash: hash(key.as_bytes()),
                    version: version.map(Version::to_wire),
                })
                .collect(),
            hashed_writes: self
                .writes
                .iter()
                .map(|(key, change)| KvWriteHash {
                    key_hash: hash(key.as_bytes()),
                    is_delete: change.value().is_none(),
                    value_hash: change.value().map(hash).unwrap_or_default(),
                    is_purge: *change == PrivateWrite::Purge,
                })
                .collect(),
            metadata_writes: self
                .metadata_writes
                .iter()
                .map(|(key, metadata)| KvMetadataWriteHash {
                    key_hash: hash(key.as_bytes()),
                    entries: entries(metadata),
                })
                .collect(),
        }
        .encode_to_vec()
    }

    /// What only the collection's members get: `kvrwset.KVRWSet` with the writes in clear.
    #[must_use]
    pub fn private_bytes(&self) -> Vec<u8> {
        KvrwSet {
            writes: self.writes.iter().map(|(key, change)| write(key, change.value())).collect(),
            metadata_writes: self
                .metadata_writes
                .keys()
                .map(|key| KvMetadataWrite { key: key.clone(), entries: Vec::new() })
                .collect(),
            ..KvrwSet::default()
        }
        .encode_to_vec()
    }
}

impl PrivateWrite {
    /// The value, `None` if it deletes.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Put(value) => Some(value),
            Self::Delete | Self::Purge => None,
        }
    }
}

impl Version {
    fn to_wire(self) -> WireVersion {
        WireVersion { block_num: self.block, tx_num: self.tx }
    }
}

fn read(key: &str, version: Option<Version>) -> KvRead {
    KvRead { key: key.to_owned(), version: version.map(Version::to_wire) }
}

fn write(key: &str, value: Option<&[u8]>) -> KvWrite {
    KvWrite {
        key: key.to_owned(),
        is_delete: value.is_none(),
        value: value.map(<[u8]>::to_vec).unwrap_or_default(),
    }
}

fn entries(metadata: &Metadata) -> Vec<KvMetadataEntry> {
    metadata
        .iter()
        .map(|(name, value)| KvMetadataEntry { name: name.clone(), value: value.clone() })
        .collect()
}

/// SHA-256, as private keys and values appear in the public part.
pub(crate) fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

impl fmt::Display for ReadWriteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, version) in &self.reads {
            match version {
                Some(version) => writeln!(f, "read   {} @ {version}", Key(key))?,
                None => writeln!(f, "read   {} absent", Key(key))?,
            }
        }
        for range in &self.ranges {
            let close = if range.exhausted { ')' } else { ']' };
            writeln!(f, "scan   [{}, {}{close}", Key(&range.start), Key(&range.end))?;
            for (key, version) in &range.found {
                writeln!(f, "       {} @ {version}", Key(key))?;
            }
        }
        for (key, value) in &self.writes {
            match value {
                Some(value) => writeln!(f, "write  {} = {}", Key(key), Value(value))?,
                None => writeln!(f, "delete {}", Key(key))?,
            }
        }
        show_metadata(f, "", &self.metadata_writes)?;
        for (name, set) in &self.collections {
            for (key, version) in &set.reads {
                match version {
                    Some(version) => writeln!(f, "read   {name} {} @ {version}", Key(key))?,
                    None => writeln!(f, "read   {name} {} absent", Key(key))?,
                }
            }
            for (key, change) in &set.writes {
                match change {
                    PrivateWrite::Put(value) => writeln!(f, "write  {name} {} = {}", Key(key), Value(value))?,
                    PrivateWrite::Delete => writeln!(f, "delete {name} {}", Key(key))?,
                    PrivateWrite::Purge => writeln!(f, "purge  {name} {}", Key(key))?,
                }
            }
            show_metadata(f, &format!("{name} "), &set.metadata_writes)?;
        }
        Ok(())
    }
}

fn show_metadata(
    f: &mut fmt::Formatter<'_>,
    collection: &str,
    writes: &BTreeMap<String, Metadata>,
) -> fmt::Result {
    for (key, metadata) in writes {
        for (name, value) in metadata {
            writeln!(f, "mark   {collection}{} {name} = {}", Key(key), Value(value))?;
        }
    }
    Ok(())
}

/// Shows a composite key as `type(attribute, attribute)` and any other one quoted.
pub(crate) struct Key<'k>(pub(crate) &'k str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parts) = self.0.strip_prefix('\u{0}').and_then(|rest| rest.split_once('\u{0}')) else {
            return write!(f, "{:?}", self.0);
        };
        let (object_type, rest) = parts;
        let attributes: Vec<_> =
            rest.split_terminator('\u{0}').map(|part| part.escape_debug().to_string()).collect();
        write!(f, "{}({})", object_type.escape_debug(), attributes.join(", "))
    }
}

struct Value<'v>(&'v [u8]);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => write!(f, "{}", text.escape_debug()),
            Err(_) => write!(f, "0x{}", hex::encode(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_well_and_encodes_in_key_order() {
        let set = ReadWriteSet {
            reads: [
                ("b".to_owned(), None),
                ("\u{0}lot\u{0}7\u{0}".to_owned(), Some(Version { block: 3, tx: 1 })),
            ]
            .into(),
            ranges: vec![RangeRead {
                start: "a".into(),
                end: "c".into(),
                exhausted: true,
                found: vec![("ab".into(), Version { block: 1, tx: 0 })],
            }],
            writes: [
                ("k".to_owned(), Some(b"{\"n\":1}".to_vec())),
                ("x".to_owned(), None),
                ("y".to_owned(), Some(vec![0xff])),
            ]
            .into(),
            metadata_writes: [("k".to_owned(), [("VALIDATION_PARAMETER".to_owned(), vec![0x0a])].into())]
                .into(),
            collections: [(
                "prices".to_owned(),
                CollectionSet {
                    reads: [("k".to_owned(), None)].into(),
                    writes: [
                        ("a".to_owned(), PrivateWrite::Put(b"7".to_vec())),
                        ("b".to_owned(), PrivateWrite::Purge),
                    ]
                    .into(),
                    ..CollectionSet::default()
                },
            )]
            .into(),
        };
        let text = set.to_string();
        for line in [
            "read   lot(7) @ 3:1",
            "read   \"b\" absent",
            "scan   [\"a\", \"c\")",
            "       \"ab\" @ 1:0",
            "write  \"k\" = {\\\"n\\\":1}",
            "delete \"x\"",
            "write  \"y\" = 0xff",
            "mark   \"k\" VALIDATION_PARAMETER = \\n",
            "read   prices \"k\" absent",
            "write  prices \"a\" = 7",
            "purge  prices \"b\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
        }
        let wire = KvrwSet::decode(set.to_bytes().as_slice()).unwrap();
        assert_eq!(
            wire.reads.iter().map(|read| read.key.as_str()).collect::<Vec<_>>(),
            ["\u{0}lot\u{0}7\u{0}", "b"]
        );
        assert!(wire.writes[1].is_delete && wire.range_queries_info[0].itr_exhausted);

        let all = TxReadWriteSet::decode(set.endorsed_bytes("shop").as_slice()).unwrap();
        let collection = &all.ns_rwset[0].collection_hashed_rwset[0];
        assert_eq!(collection.pvt_rwset_hash, hash(&set.collections["prices"].private_bytes()));
        let hashed = HashedRwSet::decode(collection.hashed_rwset.as_slice()).unwrap();
        assert_eq!(hashed.hashed_writes[0].value_hash, hash(b"7"));
        assert!(hashed.hashed_writes[1].is_purge && hashed.hashed_writes[1].is_delete);
        assert_eq!(hashed.hashed_reads[0].key_hash, hash(b"k"));
    }
}
