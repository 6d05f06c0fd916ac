//! Open scans: results a hundred at a time or by page, and what reading them leaves behind.

use std::collections::VecDeque;

use hlf_protos::protos::{QueryResponse, QueryResponseMetadata, QueryResultBytes};
use prost::Message;

use crate::rwset::{ReadWriteSet, Version};

/// Results that a peer sends at once in a scan without pages.
const RESULTS_AT_ONCE: usize = 100;

/// What reading a result writes down.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    /// Nothing: history, and everything private.
    Nothing,
    /// Each result as a read of its key: rich queries.
    Keys,
    /// Range number `index` of the read-write set, which ends at `end`.
    Range { index: usize, end: String },
}

/// An open scan.
#[derive(Debug)]
pub(crate) struct Cursor {
    items: VecDeque<Item>,
    trace: Trace,
    /// Read from the state and not yet sent.
    held: Option<QueryResultBytes>,
    returned: usize,
}

/// One result.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) version: Option<Version>,
    pub(crate) bytes: Vec<u8>,
}

impl Cursor {
    pub(crate) fn new(items: VecDeque<Item>, trace: Trace) -> Self {
        Self { items, trace, held: None, returned: 0 }
    }

    /// The next results of a scan without pages.
    pub(crate) fn fetch(&mut self, id: &str, query_limit: usize, rwset: &mut ReadWriteSet) -> QueryResponse {
        let mut results: Vec<_> = self.held.take().into_iter().collect();
        let mut has_more = false;
        while self.returned < query_limit {
            let Some(result) = self.advance(rwset) else { break };
            self.returned += 1;
            if results.len() == RESULTS_AT_ONCE {
                self.held = Some(result);
                has_more = true;
                break;
            }
            results.push(result);
        }
        QueryResponse { results, has_more, id: id.to_owned(), metadata: Vec::new() }
    }

    /// One page, which ends the scan.
    pub(crate) fn page(mut self, id: &str, limit: usize, rwset: &mut ReadWriteSet) -> QueryResponse {
        let mut results = Vec::new();
        while results.len() < limit {
            let Some(result) = self.advance(rwset) else { break };
            results.push(result);
        }
        let metadata = QueryResponseMetadata {
            fetched_records_count: i32::try_from(results.len()).unwrap_or(i32::MAX),
            bookmark: self.items.pop_front().map(|next| next.key).unwrap_or_default(),
        };
        let metadata = metadata.encode_to_vec();
        QueryResponse { results, has_more: false, id: id.to_owned(), metadata }
    }

    /// Reads one result and writes it down; at the end, that the range has been read to its end.
    fn advance(&mut self, rwset: &mut ReadWriteSet) -> Option<QueryResultBytes> {
        let item = self.items.pop_front();
        match &self.trace {
            Trace::Nothing => {}
            Trace::Keys => rwset.reads.extend(item.as_ref().map(|item| (item.key.clone(), item.version))),
            Trace::Range { index, end } => {
                if let Some(range) = rwset.ranges.get_mut(*index) {
                    match &item {
                        Some(item) => {
                            range.end = item.key.clone();
                            range.found.extend(item.version.map(|version| (item.key.clone(), version)));
                        }
                        None => {
                            range.end = end.clone();
                            range.exhausted = true;
                        }
                    }
                }
            }
        }
        item.map(|item| QueryResultBytes { result_bytes: item.bytes })
    }
}
