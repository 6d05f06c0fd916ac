//! One transaction's view of the state: what the chaincode asks is answered here and written down.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    DelState, GetHistoryForKey, GetState, GetStateByRange, GetStateMultiple, GetStateMultipleResult,
    PutState, QueryMetadata, QueryResponse, QueryResponseMetadata, QueryResultBytes, QueryStateClose,
    QueryStateNext, WriteBatchState, write_record,
};
use hlf_protos::queryresult::{KeyModification, Kv};
use prost::Message;

use crate::ledger::State;
use crate::proposal::timestamp;
use crate::rwset::{RangeRead, ReadWriteSet, Version};

/// Results that a peer sends at once in a scan without pages.
const RESULTS_AT_ONCE: usize = 100;

/// A simulation on the state as of its start.
#[derive(Debug)]
pub(crate) struct Simulation {
    state: Arc<State>,
    namespace: String,
    query_limit: usize,
    rwset: ReadWriteSet,
    wrote: bool,
    paged: bool,
    cursors: BTreeMap<String, Cursor>,
    cursors_opened: u64,
}

/// An open scan.
#[derive(Debug)]
struct Cursor {
    items: VecDeque<Item>,
    /// Which range of the read-write set it fills, and where that ends.
    range: Option<(usize, String)>,
    /// Read from the state and not yet sent.
    held: Option<QueryResultBytes>,
    returned: usize,
}

#[derive(Debug)]
struct Item {
    key: String,
    version: Option<Version>,
    bytes: Vec<u8>,
}

impl Simulation {
    pub(crate) fn new(state: Arc<State>, namespace: String, query_limit: usize) -> Self {
        Self {
            state,
            namespace,
            query_limit,
            rwset: ReadWriteSet::default(),
            wrote: false,
            paged: false,
            cursors: BTreeMap::new(),
            cursors_opened: 0,
        }
    }

    pub(crate) fn into_rwset(self) -> ReadWriteSet {
        self.rwset
    }

    /// Answers one request with the payload of RESPONSE, or with the words of ERROR.
    pub(crate) fn answer(&mut self, kind: Type, payload: &[u8]) -> Result<Vec<u8>, String> {
        match kind {
            Type::GetState => {
                let ask: GetState = decode(payload)?;
                public(&ask.collection)?;
                Ok(self.read(&ask.key))
            }
            Type::GetStateMultiple => {
                let ask: GetStateMultiple = decode(payload)?;
                public(&ask.collection)?;
                let values = ask.keys.iter().map(|key| self.read(key)).collect();
                Ok(GetStateMultipleResult { values }.encode_to_vec())
            }
            Type::PutState => {
                let ask: PutState = decode(payload)?;
                public(&ask.collection)?;
                self.write(ask.key, Some(ask.value))
            }
            Type::DelState => {
                let ask: DelState = decode(payload)?;
                public(&ask.collection)?;
                self.write(ask.key, None)
            }
            Type::WriteBatchState => self.write_batch(decode(payload)?),
            Type::GetStateByRange => self.scan(&decode(payload)?),
            Type::GetHistoryForKey => self.history(&decode(payload)?),
            Type::QueryStateNext => {
                let ask: QueryStateNext = decode(payload)?;
                self.fetch(&ask.id)
            }
            Type::QueryStateClose => {
                let ask: QueryStateClose = decode(payload)?;
                self.cursors.remove(&ask.id);
                Ok(QueryResponse { id: ask.id, ..QueryResponse::default() }.encode_to_vec())
            }
            other => Err(format!("this peer does not support {}", other.as_str_name())),
        }
    }

    fn read(&mut self, key: &str) -> Vec<u8> {
        let found = self.state.values.get(key);
        self.rwset.reads.insert(key.to_owned(), found.map(|found| found.version));
        found.map(|found| found.value.clone()).unwrap_or_default()
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        if self.paged {
            return Err("a transaction that has read pages cannot write".to_owned());
        }
        if key.is_empty() {
            return Err("a key cannot be empty".to_owned());
        }
        self.wrote = true;
        // A value without bytes is a deletion.
        self.rwset.writes.insert(key, value.filter(|value| !value.is_empty()));
        Ok(Vec::new())
    }

    fn write_batch(&mut self, batch: WriteBatchState) -> Result<Vec<u8>, String> {
        for record in batch.rec {
            public(&record.collection)?;
            match write_record::Type::try_from(record.r#type) {
                Ok(write_record::Type::PutState) => self.write(record.key, Some(record.value))?,
                Ok(write_record::Type::DelState) => self.write(record.key, None)?,
                _ => return Err("this peer takes puts and deletions in a batch".to_owned()),
            };
        }
        Ok(Vec::new())
    }

    fn scan(&mut self, ask: &GetStateByRange) -> Result<Vec<u8>, String> {
        public(&ask.collection)?;
        let page: QueryMetadata = decode(&ask.metadata)?;
        let paged = page.page_size != 0 || !page.bookmark.is_empty();
        if paged && self.wrote {
            return Err("a transaction that has written cannot read pages".to_owned());
        }
        self.paged |= paged;
        // As real peers do, take any bookmark in place of the start.
        let start = if page.bookmark.is_empty() { &ask.start_key } else { &page.bookmark };
        let items = self
            .state
            .range(start, Bound::Excluded(&ask.end_key))
            .map(|(key, found)| Item {
                key: key.clone(),
                version: Some(found.version),
                bytes: Kv { namespace: self.namespace.clone(), key: key.clone(), value: found.value.clone() }
                    .encode_to_vec(),
            })
            .collect();
        let range = RangeRead { start: start.clone(), end: ask.end_key.clone(), exhausted: false, found: Vec::new() };
        self.rwset.ranges.push(range);
        let id = self.open(items, Some((self.rwset.ranges.len() - 1, ask.end_key.clone())));
        if paged { self.page(&id, usize::try_from(page.page_size).unwrap_or(0)) } else { self.fetch(&id) }
    }

    fn history(&mut self, ask: &GetHistoryForKey) -> Result<Vec<u8>, String> {
        let versions = self.state.history.get(&ask.key).map(Vec::as_slice).unwrap_or_default();
        let items = versions
            .iter()
            .rev()
            .map(|version| Item {
                key: ask.key.clone(),
                version: None,
                bytes: KeyModification {
                    tx_id: version.tx_id.clone(),
                    value: version.value.clone().unwrap_or_default(),
                    timestamp: Some(timestamp(version.timestamp_unix_ms)),
                    is_delete: version.value.is_none(),
                }
                .encode_to_vec(),
            })
            .collect();
        let id = self.open(items, None);
        self.fetch(&id)
    }

    fn open(&mut self, items: VecDeque<Item>, range: Option<(usize, String)>) -> String {
        self.cursors_opened += 1;
        let id = self.cursors_opened.to_string();
        self.cursors.insert(id.clone(), Cursor { items, range, held: None, returned: 0 });
        id
    }

    /// The next results of a scan without pages.
    fn fetch(&mut self, id: &str) -> Result<Vec<u8>, String> {
        let mut cursor = self.cursors.remove(id).ok_or("this scan is not open")?;
        let mut results: Vec<_> = cursor.held.take().into_iter().collect();
        let mut has_more = false;
        while cursor.returned < self.query_limit {
            let Some(result) = cursor.advance(&mut self.rwset) else { break };
            cursor.returned += 1;
            if results.len() == RESULTS_AT_ONCE {
                cursor.held = Some(result);
                has_more = true;
                break;
            }
            results.push(result);
        }
        if has_more {
            self.cursors.insert(id.to_owned(), cursor);
        }
        Ok(QueryResponse { results, has_more, id: id.to_owned(), metadata: Vec::new() }.encode_to_vec())
    }

    fn page(&mut self, id: &str, size: usize) -> Result<Vec<u8>, String> {
        let mut cursor = self.cursors.remove(id).ok_or("this scan is not open")?;
        let limit = if size == 0 { self.query_limit } else { size.min(self.query_limit) };
        let mut results = Vec::new();
        while results.len() < limit {
            let Some(result) = cursor.advance(&mut self.rwset) else { break };
            results.push(result);
        }
        let metadata = QueryResponseMetadata {
            fetched_records_count: i32::try_from(results.len()).unwrap_or(i32::MAX),
            bookmark: cursor.items.pop_front().map(|next| next.key).unwrap_or_default(),
        };
        let metadata = metadata.encode_to_vec();
        Ok(QueryResponse { results, has_more: false, id: id.to_owned(), metadata }.encode_to_vec())
    }
}

impl Cursor {
    /// Reads one result and writes it down; at the end, that the range has been read to its end.
    fn advance(&mut self, rwset: &mut ReadWriteSet) -> Option<QueryResultBytes> {
        let item = self.items.pop_front();
        if let Some((index, end)) = &self.range
            && let Some(range) = rwset.ranges.get_mut(*index)
        {
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
        item.map(|item| QueryResultBytes { result_bytes: item.bytes })
    }
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| format!("a request does not decode: {error}"))
}

fn public(collection: &str) -> Result<(), String> {
    if collection.is_empty() { Ok(()) } else { Err("this peer keeps no private collections".to_owned()) }
}
