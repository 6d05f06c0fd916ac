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
        let range =
            RangeRead { start: start.clone(), end: ask.end_key.clone(), exhausted: false, found: Vec::new() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Candidate, Ledger};

    fn simulation(keys: usize, query_limit: usize) -> Simulation {
        let ledger = Ledger::default();
        let writes = (0..keys).map(|n| (format!("k{n:03}"), Some(b"v".to_vec()))).collect();
        let rwset = ReadWriteSet { writes, ..ReadWriteSet::default() };
        ledger.commit("c", &[Candidate { tx_id: "t", timestamp_unix_ms: 0, rwset: &rwset }]);
        Simulation::new(ledger.snapshot("c"), "shop".into(), query_limit)
    }

    fn put(simulation: &mut Simulation, key: &str, value: &str) -> Result<Vec<u8>, String> {
        let ask = PutState { key: key.into(), value: value.into(), ..PutState::default() };
        simulation.answer(Type::PutState, &ask.encode_to_vec())
    }

    fn scan(simulation: &mut Simulation, size: i32, bookmark: &str) -> Result<QueryResponse, String> {
        let metadata = QueryMetadata { page_size: size, bookmark: bookmark.into() };
        let ask = GetStateByRange {
            start_key: "k".into(),
            end_key: "l".into(),
            metadata: if size == 0 { Vec::new() } else { metadata.encode_to_vec() },
            ..GetStateByRange::default()
        };
        let payload = simulation.answer(Type::GetStateByRange, &ask.encode_to_vec())?;
        Ok(QueryResponse::decode(payload.as_slice()).unwrap())
    }

    fn next(simulation: &mut Simulation, id: &str) -> Result<QueryResponse, String> {
        let ask = QueryStateNext { id: id.into() };
        let payload = simulation.answer(Type::QueryStateNext, &ask.encode_to_vec())?;
        Ok(QueryResponse::decode(payload.as_slice()).unwrap())
    }

    #[test]
    fn a_scan_reads_one_entry_ahead_and_ends_when_it_has_seen_the_end() {
        let mut simulation = simulation(201, 1000);
        let first = scan(&mut simulation, 0, "").unwrap();
        assert_eq!((first.results.len(), first.has_more), (100, true));
        assert_eq!(simulation.rwset.ranges[0].found.len(), 101);
        assert!(!simulation.rwset.ranges[0].exhausted);
        assert_eq!(simulation.rwset.ranges[0].end, "k100");
        let second = next(&mut simulation, &first.id).unwrap();
        assert_eq!((second.results.len(), second.has_more), (100, true));
        let third = next(&mut simulation, &first.id).unwrap();
        assert_eq!((third.results.len(), third.has_more), (1, false));
        let range = &simulation.rwset.ranges[0];
        assert_eq!((range.found.len(), range.exhausted, range.end.as_str()), (201, true, "l"));
        assert!(next(&mut simulation, &first.id).is_err(), "it is closed");
    }

    #[test]
    fn a_scan_stops_at_the_query_limit_without_a_word() {
        let mut simulation = simulation(20, 7);
        let all = scan(&mut simulation, 0, "").unwrap();
        assert_eq!((all.results.len(), all.has_more), (7, false));
        assert!(!simulation.rwset.ranges[0].exhausted);
    }

    #[test]
    fn pages_name_their_successor_and_take_any_bookmark() {
        let mut simulation = simulation(5, 1000);
        let page = |simulation: &mut Simulation, bookmark| {
            let response = scan(simulation, 2, bookmark).unwrap();
            let metadata = QueryResponseMetadata::decode(response.metadata.as_slice()).unwrap();
            (response.results.len(), metadata.bookmark)
        };
        assert_eq!(page(&mut simulation, ""), (2, "k002".into()));
        assert_eq!(page(&mut simulation, "k002"), (2, "k004".into()));
        assert_eq!(page(&mut simulation, "k004"), (1, String::new()));
        assert_eq!(page(&mut simulation, "a"), (2, "k002".into()), "in place of the start, unchecked");
        assert_eq!(page(&mut simulation, "z"), (0, String::new()));
    }

    #[test]
    fn pages_and_writes_exclude_each_other() {
        let mut paged = simulation(5, 1000);
        scan(&mut paged, 2, "").unwrap();
        assert!(put(&mut paged, "k", "v").is_err());
        let mut written = simulation(5, 1000);
        put(&mut written, "k", "v").unwrap();
        assert!(scan(&mut written, 2, "").is_err());
        assert!(scan(&mut written, 0, "").is_ok());
    }

    #[test]
    fn a_transaction_does_not_read_its_writes_and_an_empty_value_deletes() {
        let mut simulation = simulation(1, 1000);
        put(&mut simulation, "k000", "").unwrap();
        put(&mut simulation, "new", "v").unwrap();
        let get = GetStateMultiple { keys: vec!["new".into(), "k000".into()], ..GetStateMultiple::default() };
        let payload = simulation.answer(Type::GetStateMultiple, &get.encode_to_vec()).unwrap();
        let values = GetStateMultipleResult::decode(payload.as_slice()).unwrap().values;
        assert_eq!(values, [b"".to_vec(), b"v".to_vec()]);
        let rwset = simulation.into_rwset();
        assert_eq!(rwset.writes["k000"], None);
        assert_eq!(rwset.reads["new"], None);
        assert_eq!(rwset.reads["k000"], Some(Version { block: 1, tx: 0 }));
    }

    #[test]
    fn what_this_peer_lacks_is_refused() {
        let mut simulation = simulation(1, 1000);
        for kind in
            [Type::GetQueryResult, Type::InvokeChaincode, Type::PurgePrivateData, Type::PutStateMetadata]
        {
            assert!(simulation.answer(kind, b"").unwrap_err().contains(kind.as_str_name()));
        }
        let private = GetState { key: "k".into(), collection: "c".into() };
        assert!(simulation.answer(Type::GetState, &private.encode_to_vec()).is_err());
        assert!(simulation.answer(Type::GetState, &[0xff]).is_err());
    }
}
