//! One transaction's view of the state: what the chaincode asks is answered here and written down.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    ChaincodeMessage, ChaincodeSpec, DelState, GetHistoryForKey, GetQueryResult, GetState, GetStateByRange,
    GetStateMetadata, GetStateMultiple, GetStateMultipleResult, PutState, PutStateMetadata, QueryMetadata,
    QueryResponse, QueryStateClose, QueryStateNext, StateMetadata, StateMetadataResult, WriteBatchState,
    write_record,
};
use hlf_protos::queryresult::{KeyModification, Kv};
use prost::Message;

use crate::calls::{Callees, ChaincodeCall, RichQuery};
use crate::collection::PrivateCollection;
use crate::cursor::{Cursor, Item, Trace};
use crate::ledger::{State, Values, Versioned, range};
use crate::proposal::timestamp;
use crate::rwset::{CollectionSet, Metadata, PrivateWrite, RangeRead, ReadWriteSet, hash};

/// What all simulations of a peer have in common.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) query_limit: usize,
    /// Declared private collections.
    pub(crate) collections: Vec<PrivateCollection>,
    /// The MSP id of the peer's organisation; `None` keeps every collection.
    pub(crate) organization: Option<String>,
    pub(crate) rich_query: Option<RichQuery>,
    pub(crate) callees: Callees,
}

/// Whom and what a simulation is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    pub(crate) channel: String,
    pub(crate) creator_msp_id: String,
    pub(crate) init: bool,
}

/// A simulation on the state as of its start.
#[derive(Debug)]
pub(crate) struct Simulation {
    state: Arc<State>,
    world: Arc<World>,
    subject: Subject,
    rwset: ReadWriteSet,
    calls: Vec<ChaincodeCall>,
    wrote: bool,
    /// Pages were read or private data was scanned, after which no write is taken.
    queried: bool,
    cursors: BTreeMap<String, Cursor>,
    cursors_opened: u64,
}

impl Simulation {
    pub(crate) fn new(state: Arc<State>, world: Arc<World>, subject: Subject) -> Self {
        Self {
            state,
            world,
            subject,
            rwset: ReadWriteSet::default(),
            calls: Vec::new(),
            wrote: false,
            queried: false,
            cursors: BTreeMap::new(),
            cursors_opened: 0,
        }
    }

    pub(crate) fn into_results(self) -> (ReadWriteSet, Vec<ChaincodeCall>) {
        (self.rwset, self.calls)
    }

    /// Answers one request with the payload of RESPONSE, or with the words of ERROR.
    pub(crate) fn answer(&mut self, kind: Type, payload: &[u8]) -> Result<Vec<u8>, String> {
        match kind {
            Type::GetState => {
                let ask: GetState = decode(payload)?;
                self.read(&ask.collection, &ask.key)
            }
            Type::GetStateMultiple => {
                let ask: GetStateMultiple = decode(payload)?;
                let values: Result<_, _> =
                    ask.keys.iter().map(|key| self.read(&ask.collection, key)).collect();
                Ok(GetStateMultipleResult { values: values? }.encode_to_vec())
            }
            Type::GetPrivateDataHash => {
                let ask: GetState = decode(payload)?;
                self.private(&ask.collection)?;
                let found = self.trace_private(&ask.collection, &ask.key);
                Ok(found.map(|found| hash(&found.value)).unwrap_or_default())
            }
            Type::PutState => {
                let ask: PutState = decode(payload)?;
                self.write(&ask.collection, ask.key, PrivateWrite::Put(ask.value))
            }
            Type::DelState => {
                let ask: DelState = decode(payload)?;
                self.write(&ask.collection, ask.key, PrivateWrite::Delete)
            }
            Type::PurgePrivateData => {
                let ask: DelState = decode(payload)?;
                self.write(&ask.collection, ask.key, PrivateWrite::Purge)
            }
            Type::GetStateMetadata => {
                let ask: GetStateMetadata = decode(payload)?;
                self.metadata(&ask.collection, &ask.key)
            }
            Type::PutStateMetadata => {
                let ask: PutStateMetadata = decode(payload)?;
                self.mark(&ask.collection, ask.key, ask.metadata)
            }
            Type::WriteBatchState => self.write_batch(decode(payload)?),
            Type::GetStateByRange => self.scan(&decode(payload)?),
            Type::GetQueryResult => self.query(&decode(payload)?),
            Type::GetHistoryForKey => Ok(self.history(&decode(payload)?)),
            Type::InvokeChaincode => self.call(decode(payload)?),
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

    fn read(&mut self, collection: &str, key: &str) -> Result<Vec<u8>, String> {
        if collection.is_empty() {
            let found = self.state.values.get(key);
            self.rwset.reads.insert(key.to_owned(), found.map(|found| found.version));
            return Ok(found.map(|found| found.value.clone()).unwrap_or_default());
        }
        let kept = self.readable(collection)?;
        if !kept && self.values(collection).is_some_and(|values| values.contains_key(key)) {
            return Err("private data matching public hash version is not available".to_owned());
        }
        let found = self.trace_private(collection, key);
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    fn metadata(&mut self, collection: &str, key: &str) -> Result<Vec<u8>, String> {
        let metadata = if collection.is_empty() {
            let found = self.state.values.get(key);
            self.rwset.reads.insert(key.to_owned(), found.map(|found| found.version));
            found.map(|found| found.metadata.clone())
        } else {
            self.readable(collection)?;
            self.trace_private(collection, key).map(|found| found.metadata)
        };
        let entries = metadata.unwrap_or_default();
        let entries = entries.into_iter().map(|(metakey, value)| StateMetadata { metakey, value }).collect();
        Ok(StateMetadataResult { entries }.encode_to_vec())
    }

    fn write(&mut self, collection: &str, key: String, change: PrivateWrite) -> Result<Vec<u8>, String> {
        self.writable(collection, &key)?;
        // A value without bytes is a deletion.
        let change = match change {
            PrivateWrite::Put(value) if value.is_empty() => PrivateWrite::Delete,
            change => change,
        };
        if !collection.is_empty() {
            self.private_set(collection).writes.insert(key, change);
            return Ok(Vec::new());
        }
        let value = match change {
            PrivateWrite::Put(value) => Some(value),
            PrivateWrite::Delete => None,
            PrivateWrite::Purge => return Err("only applicable for private data".to_owned()),
        };
        self.rwset.writes.insert(key, value);
        Ok(Vec::new())
    }

    fn mark(
        &mut self,
        collection: &str,
        key: String,
        metadata: Option<StateMetadata>,
    ) -> Result<Vec<u8>, String> {
        self.writable(collection, &key)?;
        let StateMetadata { metakey, value } = metadata.unwrap_or_default();
        let metadata = Metadata::from([(metakey, value)]);
        if collection.is_empty() {
            self.rwset.metadata_writes.insert(key, metadata);
        } else {
            self.private_set(collection).metadata_writes.insert(key, metadata);
        }
        Ok(Vec::new())
    }

    fn write_batch(&mut self, batch: WriteBatchState) -> Result<Vec<u8>, String> {
        for record in batch.rec {
            let collection = record.collection.as_str();
            match write_record::Type::try_from(record.r#type) {
                Ok(write_record::Type::PutState) => {
                    self.write(collection, record.key, PrivateWrite::Put(record.value))?
                }
                Ok(write_record::Type::DelState) => {
                    self.write(collection, record.key, PrivateWrite::Delete)?
                }
                Ok(write_record::Type::PurgePrivateData) => {
                    self.write(collection, record.key, PrivateWrite::Purge)?
                }
                Ok(write_record::Type::PutStateMetadata) => {
                    self.mark(collection, record.key, record.metadata)?
                }
                _ => return Err("unknown operation type".to_owned()),
            };
        }
        Ok(Vec::new())
    }

    fn scan(&mut self, ask: &GetStateByRange) -> Result<Vec<u8>, String> {
        if !ask.collection.is_empty() {
            self.private_query(&ask.collection)?;
            let found = self.kept_values(&ask.collection).into_iter();
            let items = found
                .flat_map(|values| range(values, &ask.start_key, Bound::Excluded(&ask.end_key)))
                .map(|(key, found)| self.item(key, found))
                .collect();
            return self.open(items, Trace::Nothing, None);
        }
        let page: QueryMetadata = decode(&ask.metadata)?;
        let page = self.paged(page)?;
        // As real peers do, take any bookmark in place of the start.
        let start = match &page {
            Some(page) if !page.bookmark.is_empty() => &page.bookmark,
            _ => &ask.start_key,
        };
        let items = range(&self.state.values, start, Bound::Excluded(&ask.end_key))
            .map(|(key, found)| self.item(key, found))
            .collect();
        let read =
            RangeRead { start: start.clone(), end: ask.end_key.clone(), exhausted: false, found: Vec::new() };
        self.rwset.ranges.push(read);
        let trace = Trace::Range { index: self.rwset.ranges.len() - 1, end: ask.end_key.clone() };
        self.open(items, trace, page)
    }

    fn query(&mut self, ask: &GetQueryResult) -> Result<Vec<u8>, String> {
        let private = !ask.collection.is_empty();
        let page = if private {
            self.private_query(&ask.collection)?;
            None
        } else {
            self.paged(decode(&ask.metadata)?)?
        };
        let rich =
            self.world.rich_query.clone().ok_or("ExecuteQuery not supported for leveldb".to_owned())?;
        let values = if private { self.kept_values(&ask.collection) } else { Some(&self.state.values) };
        let bookmark = page.as_ref().map(|page| page.bookmark.as_str()).unwrap_or_default();
        let items = values
            .into_iter()
            .flatten()
            .filter(|(key, found)| key.as_str() >= bookmark && rich.matches(&ask.query, key, &found.value))
            .map(|(key, found)| self.item(key, found))
            .collect();
        self.open(items, if private { Trace::Nothing } else { Trace::Keys }, page)
    }

    fn history(&mut self, ask: &GetHistoryForKey) -> Vec<u8> {
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
        self.begin(Cursor::new(items, Trace::Nothing))
    }

    fn call(&mut self, spec: ChaincodeSpec) -> Result<Vec<u8>, String> {
        let name = spec.chaincode_id.unwrap_or_default().name;
        let (chaincode, channel) = match name.split_once('/') {
            Some((chaincode, channel)) => (chaincode, channel),
            None => (name.as_str(), self.subject.channel.as_str()),
        };
        let call = ChaincodeCall {
            channel: channel.to_owned(),
            chaincode: chaincode.to_owned(),
            args: spec.input.unwrap_or_default().args,
        };
        let reply = self.world.callees.answer(&call);
        let reply = reply.ok_or_else(|| format!("chaincode {chaincode} not found on channel {channel}"))?;
        self.calls.push(call);
        Ok(ChaincodeMessage {
            r#type: Type::Completed.into(),
            payload: reply.into_wire().encode_to_vec(),
            ..ChaincodeMessage::default()
        }
        .encode_to_vec())
    }

    fn open(
        &mut self,
        items: VecDeque<Item>,
        trace: Trace,
        page: Option<QueryMetadata>,
    ) -> Result<Vec<u8>, String> {
        let cursor = Cursor::new(items, trace);
        let Some(page) = page else { return Ok(self.begin(cursor)) };
        let limit = self.world.query_limit;
        let limit = match usize::try_from(page.page_size) {
            Ok(0) | Err(_) => limit,
            Ok(size) => limit.min(size),
        };
        self.cursors_opened += 1;
        Ok(cursor.page(&self.cursors_opened.to_string(), limit, &mut self.rwset).encode_to_vec())
    }

    fn begin(&mut self, cursor: Cursor) -> Vec<u8> {
        self.cursors_opened += 1;
        let id = self.cursors_opened.to_string();
        self.results(&id, cursor)
    }

    fn fetch(&mut self, id: &str) -> Result<Vec<u8>, String> {
        let cursor = self.cursors.remove(id).ok_or("query iterator not found")?;
        Ok(self.results(id, cursor))
    }

    fn results(&mut self, id: &str, mut cursor: Cursor) -> Vec<u8> {
        let response = cursor.fetch(id, self.world.query_limit, &mut self.rwset);
        if response.has_more {
            self.cursors.insert(id.to_owned(), cursor);
        }
        response.encode_to_vec()
    }

    fn item(&self, key: &str, found: &Versioned) -> Item {
        let namespace = self.world.namespace.clone();
        Item {
            key: key.to_owned(),
            version: Some(found.version),
            bytes: Kv { namespace, key: key.to_owned(), value: found.value.clone() }.encode_to_vec(),
        }
    }

    /// Which page is asked for; none after a write.
    fn paged(&mut self, page: QueryMetadata) -> Result<Option<QueryMetadata>, String> {
        if page.page_size == 0 && page.bookmark.is_empty() {
            return Ok(None);
        }
        if self.wrote {
            return Err("paginated queries are supported only in a read-only transaction".to_owned());
        }
        self.queried = true;
        Ok(Some(page))
    }

    fn private_query(&mut self, collection: &str) -> Result<(), String> {
        self.readable(collection)?;
        if self.wrote {
            return Err("queries on private data are supported only in a read-only transaction".to_owned());
        }
        self.queried = true;
        Ok(())
    }

    fn values(&self, collection: &str) -> Option<&Values> {
        self.state.collections.get(collection)
    }

    /// What a query of private data sees: a peer that keeps only hashes finds nothing, silently.
    fn kept_values(&self, collection: &str) -> Option<&Values> {
        self.values(collection).filter(|_| self.readable(collection) == Ok(true))
    }

    fn trace_private(&mut self, collection: &str, key: &str) -> Option<Versioned> {
        let found = self.values(collection).and_then(|values| values.get(key)).cloned();
        let version = found.as_ref().map(|found| found.version);
        self.private_set(collection).reads.insert(key.to_owned(), version);
        found
    }

    fn private_set(&mut self, collection: &str) -> &mut CollectionSet {
        self.rwset.collections.entry(collection.to_owned()).or_default()
    }

    /// The declaration of a private collection.
    fn private(&self, name: &str) -> Result<PrivateCollection, String> {
        if self.subject.init {
            return Err("private data APIs are not allowed in chaincode Init()".to_owned());
        }
        let declared = self.world.collections.iter().find(|collection| collection.name() == name).cloned();
        declared
            .or_else(|| PrivateCollection::implicit(name))
            .ok_or_else(|| format!("collection {name} could not be found"))
    }

    /// Whether this peer keeps the collection's values; an error if the creator may not read them.
    fn readable(&self, name: &str) -> Result<bool, String> {
        let collection = self.private(name)?;
        if !collection.may_read(&self.subject.creator_msp_id) {
            return Err(format!("tx creator does not have read access permission on collection {name}"));
        }
        Ok(self.world.organization.as_ref().is_none_or(|own| collection.has_member(own)))
    }

    fn writable(&mut self, collection: &str, key: &str) -> Result<(), String> {
        if !collection.is_empty() && !self.private(collection)?.may_write(&self.subject.creator_msp_id) {
            return Err(format!(
                "tx creator does not have write access permission on collection {collection}"
            ));
        }
        if self.queried {
            return Err("a transaction that has read pages or queried private data cannot write".to_owned());
        }
        if key.is_empty() {
            return Err("a key cannot be empty".to_owned());
        }
        self.wrote = true;
        Ok(())
    }
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| format!("a request does not decode: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Candidate, Ledger};
    use crate::rwset::Version;
    use hlf_protos::protos::QueryResponseMetadata;

    fn simulation(keys: usize, query_limit: usize) -> Simulation {
        let ledger = Ledger::default();
        let writes = (0..keys).map(|n| (format!("k{n:03}"), Some(b"v".to_vec()))).collect();
        let rwset = ReadWriteSet { writes, ..ReadWriteSet::default() };
        let candidate = Candidate { tx_id: "t", timestamp_unix_ms: 0, rwset: &rwset, endorsers: None };
        ledger.commit("c", &[candidate]);
        Simulation::new(ledger.snapshot("c"), Arc::new(world(query_limit)), Subject::default())
    }

    fn world(query_limit: usize) -> World {
        World {
            namespace: "shop".into(),
            query_limit,
            collections: vec![PrivateCollection::new("prices").members(["N"]).member_only_write()],
            organization: Some("N".into()),
            rich_query: None,
            callees: Callees::default(),
        }
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
        let (rwset, _) = simulation.into_results();
        assert_eq!(rwset.writes["k000"], None);
        assert_eq!(rwset.reads["new"], None);
        assert_eq!(rwset.reads["k000"], Some(Version { block: 1, tx: 0 }));
    }

    #[test]
    fn what_this_peer_lacks_is_refused() {
        let mut simulation = simulation(1, 1000);
        let mut refused =
            |kind: Type, ask: &dyn Fn() -> Vec<u8>| simulation.answer(kind, &ask()).unwrap_err();
        let get = |collection: &str| GetState { key: "k".into(), collection: collection.into() };
        assert!(refused(Type::GetState, &|| get("absent").encode_to_vec()).contains("could not be found"));
        assert!(refused(Type::GetQueryResult, &Vec::new).contains("not supported for leveldb"));
        assert!(refused(Type::InvokeChaincode, &Vec::new).contains("not found"));
        assert!(refused(Type::Ready, &Vec::new).contains("READY"));
        assert!(refused(Type::GetState, &|| vec![0xff]).contains("does not decode"));
        let put = PutState { key: "k".into(), value: b"v".to_vec(), collection: "prices".into() };
        assert!(refused(Type::PutState, &|| put.encode_to_vec()).contains("write access"));
        let purge = DelState { key: "k".into(), ..DelState::default() };
        assert!(refused(Type::PurgePrivateData, &|| purge.encode_to_vec()).contains("private data"));
    }

    #[test]
    fn a_peer_that_keeps_only_hashes_tells_the_hash_and_not_the_value() {
        let mut member = simulation(0, 1000);
        member.subject.creator_msp_id = "N".into();
        let put = PutState { key: "k".into(), value: b"v".to_vec(), collection: "prices".into() };
        member.answer(Type::PutState, &put.encode_to_vec()).unwrap();
        let (rwset, _) = member.into_results();
        let ledger = Ledger::default();
        ledger.commit("c", &[Candidate { tx_id: "t", timestamp_unix_ms: 0, rwset: &rwset, endorsers: None }]);
        let outside = World { organization: Some("S".into()), ..world(1000) };
        let mut outside = Simulation::new(ledger.snapshot("c"), Arc::new(outside), Subject::default());
        let get = GetState { key: "k".into(), collection: "prices".into() }.encode_to_vec();
        assert!(outside.answer(Type::GetState, &get).unwrap_err().contains("not available"));
        assert_eq!(outside.answer(Type::GetPrivateDataHash, &get).unwrap(), hash(b"v"));
        let mut init = simulation(0, 1000);
        init.subject.init = true;
        assert!(init.answer(Type::GetPrivateDataHash, &get).unwrap_err().contains("Init"));
    }

    proptest::proptest! {
        #[test]
        fn no_request_is_a_panic(
            requests in proptest::collection::vec((0..30_i32, proptest::prelude::any::<Vec<u8>>()), 1..8),
        ) {
            let mut simulation = simulation(3, 2);
            for (kind, payload) in requests {
                let _ = simulation.answer(Type::try_from(kind).unwrap_or(Type::Undefined), &payload);
            }
            let (rwset, _) = simulation.into_results();
            let _ = (rwset.endorsed_bytes("shop"), rwset.to_string());
        }
    }
}
