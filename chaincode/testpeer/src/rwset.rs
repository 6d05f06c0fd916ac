//! What a transaction read and wrote.

use std::collections::BTreeMap;
use std::fmt;

use hlf_protos::kvrwset::{
    KvRead, KvWrite, KvrwSet, QueryReads, RangeQueryInfo, Version as WireVersion, range_query_info::ReadsInfo,
};
use prost::Message;

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

/// Reads with their versions, scanned ranges and writes of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadWriteSet {
    /// Keys that were read; `None` if absent.
    pub reads: BTreeMap<String, Option<Version>>,
    /// Ranges that were scanned, in order.
    pub ranges: Vec<RangeRead>,
    /// Keys that were written; `None` deletes.
    pub writes: BTreeMap<String, Option<Vec<u8>>>,
}

impl ReadWriteSet {
    /// The bytes that would be endorsed: `kvrwset.KVRWSet`, keys in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = |version: Version| WireVersion { block_num: version.block, tx_num: version.tx };
        let read =
            |key: &String, version: Option<Version>| KvRead { key: key.clone(), version: version.map(wire) };
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
            writes: self
                .writes
                .iter()
                .map(|(key, value)| KvWrite {
                    key: key.clone(),
                    is_delete: value.is_none(),
                    value: value.clone().unwrap_or_default(),
                })
                .collect(),
            metadata_writes: Vec::new(),
        }
        .encode_to_vec()
    }
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
        Ok(())
    }
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
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
        }
        let wire = KvrwSet::decode(set.to_bytes().as_slice()).unwrap();
        assert_eq!(
            wire.reads.iter().map(|read| read.key.as_str()).collect::<Vec<_>>(),
            ["\u{0}lot\u{0}7\u{0}", "b"]
        );
        assert!(wire.writes[1].is_delete && wire.range_queries_info[0].itr_exhausted);
    }
}
