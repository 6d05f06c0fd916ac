//! Reads and pending writes of one transaction, in the public state and in private collections alike.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    DelState, GetHistoryForKey, GetQueryResult, GetState, GetStateByRange, GetStateMetadata,
    GetStateMultiple, GetStateMultipleResult, PutState, PutStateMetadata, QueryMetadata, StateMetadata,
    StateMetadataResult, WriteBatchState,
};
use prost::Message;

use crate::key::{KeyError, KeyRange};
use crate::ledger::{LedgerError, Line, Offer};
use crate::scan::{Entry, EntryPage, Modification, Page, Scan};
use crate::writes::{Change, Write, Writes, batches, policy_metakey};

/// What a service demands of every transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) strict: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) scan_entries_max: u64,
}

/// A transaction's view of the ledger. A collection's name is empty for the public state.
#[derive(Debug)]
pub(crate) struct State {
    line: Line,
    offer: Offer,
    rules: Rules,
    read_only: AtomicBool,
    /// Pages were read or private data was scanned, after which peers take no writes.
    queried: AtomicBool,
    writes: Mutex<Writes>,
}

impl State {
    pub(crate) fn new(line: Line, offer: Offer, rules: Rules) -> Self {
        Self {
            line,
            offer,
            rules,
            read_only: AtomicBool::new(false),
            queried: AtomicBool::new(false),
            writes: Mutex::default(),
        }
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// What writes, or a reply with its event, may be: the other half of a message is room for what surrounds them.
    pub(crate) fn bytes_max(&self) -> usize {
        self.rules.message_bytes_max / 2
    }

    /// From now on writes are errors.
    pub(crate) fn forbid_writes(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn value(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.check_readable(collection, key)?;
        let get = GetState { key: key.to_owned(), collection: collection.to_owned() };
        Ok(present(self.line.ask(Type::GetState, &get).await?))
    }

    pub(crate) async fn values<K: AsRef<str>>(
        &self,
        collection: &str,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        for key in keys {
            self.check_readable(collection, key.as_ref())?;
        }
        let mut values = Vec::with_capacity(keys.len());
        // A peer answers a multi-get of private data without a look at the hashes: what it lacks would come as absent,
        // and what it has not caught up with as it was before. A single read is an error then.
        let Some(size) = self.offer.multi_get.filter(|_| collection.is_empty()) else {
            for key in keys {
                values.push(self.value(collection, key.as_ref()).await?);
            }
            return Ok(values);
        };
        for asked in keys.chunks(size) {
            let get = GetStateMultiple {
                keys: asked.iter().map(|key| key.as_ref().to_owned()).collect(),
                collection: collection.to_owned(),
            };
            let payload = self.line.ask(Type::GetStateMultiple, &get).await?;
            let answered = GetStateMultipleResult::decode(payload.as_slice())
                .map_err(|_| undecodable(Type::GetStateMultiple))?
                .values;
            if answered.len() != asked.len() {
                return Err(LedgerError::ShortReply { asked: asked.len(), answered: answered.len() });
            }
            values.extend(answered.into_iter().map(present));
        }
        Ok(values)
    }

    pub(crate) async fn values_of<K: AsRef<str>, const N: usize>(
        &self,
        collection: &str,
        keys: [K; N],
    ) -> Result<[Option<Vec<u8>>; N], LedgerError> {
        let values = self.values(collection, &keys).await?;
        values
            .try_into()
            .map_err(|values: Vec<_>| LedgerError::ShortReply { asked: N, answered: values.len() })
    }

    pub(crate) async fn hash(&self, collection: &str, key: &str) -> Result<Option<[u8; 32]>, LedgerError> {
        self.check_readable(collection, key)?;
        let get = GetState { key: key.to_owned(), collection: collection.to_owned() };
        match present(self.line.ask(Type::GetPrivateDataHash, &get).await?) {
            None => Ok(None),
            Some(hash) => hash.try_into().map(Some).map_err(|_| LedgerError::ReplyInvalid {
                request: Type::GetPrivateDataHash.as_str_name(),
                reason: "it is no hash of 32 bytes",
            }),
        }
    }

    /// The key's endorsement policy, as bytes.
    pub(crate) async fn policy(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        check_key(key)?;
        if self.rules.strict && self.writes().contains_policy(collection, key) {
            return Err(LedgerError::ReadAfterWrite);
        }
        let get = GetStateMetadata { key: key.to_owned(), collection: collection.to_owned() };
        let payload = self.line.ask(Type::GetStateMetadata, &get).await?;
        let metadata = StateMetadataResult::decode(payload.as_slice())
            .map_err(|_| undecodable(Type::GetStateMetadata))?;
        let metakey = policy_metakey();
        let policy = metadata.entries.into_iter().find(|entry| entry.metakey == metakey);
        Ok(policy.and_then(|entry| present(entry.value)))
    }

    pub(crate) async fn scan(
        &self,
        collection: &str,
        range: KeyRange,
    ) -> Result<Scan<'_, Entry>, LedgerError> {
        self.check_range_readable(collection, &range)?;
        let ask = GetStateByRange {
            start_key: range.start,
            end_key: range.end,
            collection: collection.to_owned(),
            ..GetStateByRange::default()
        };
        let payload = self.line.ask(Type::GetStateByRange, &ask).await?;
        Scan::open(&self.line, Type::GetStateByRange, &payload, self.rules.scan_entries_max)
    }

    pub(crate) async fn page(&self, range: KeyRange, page: &Page) -> Result<EntryPage, LedgerError> {
        self.begin_query()?;
        if page.bookmark().is_some_and(|bookmark| !range.contains(bookmark)) {
            return Err(LedgerError::BookmarkInvalid);
        }
        let ask = GetStateByRange {
            start_key: range.start.clone(),
            end_key: range.end.clone(),
            metadata: page_metadata(page),
            ..GetStateByRange::default()
        };
        let payload = self.line.ask(Type::GetStateByRange, &ask).await?;
        EntryPage::decode(Type::GetStateByRange, &payload, Some(&range))
    }

    pub(crate) async fn query(&self, collection: &str, query: &str) -> Result<Scan<'_, Entry>, LedgerError> {
        if !collection.is_empty() {
            self.begin_query()?;
        } else if self.rules.strict && !self.writes().is_empty() {
            return Err(LedgerError::ReadAfterWrite);
        }
        let ask = GetQueryResult {
            query: query.to_owned(),
            collection: collection.to_owned(),
            ..GetQueryResult::default()
        };
        let payload = self.line.ask(Type::GetQueryResult, &ask).await?;
        Scan::open(&self.line, Type::GetQueryResult, &payload, self.rules.scan_entries_max)
    }

    pub(crate) async fn query_page(&self, query: &str, page: &Page) -> Result<EntryPage, LedgerError> {
        self.begin_query()?;
        let ask = GetQueryResult {
            query: query.to_owned(),
            metadata: page_metadata(page),
            ..GetQueryResult::default()
        };
        let payload = self.line.ask(Type::GetQueryResult, &ask).await?;
        EntryPage::decode(Type::GetQueryResult, &payload, None)
    }

    pub(crate) async fn history(&self, key: &str) -> Result<Scan<'_, Modification>, LedgerError> {
        check_key(key)?;
        let ask = GetHistoryForKey { key: key.to_owned() };
        let payload = self.line.ask(Type::GetHistoryForKey, &ask).await?;
        Scan::open(&self.line, Type::GetHistoryForKey, &payload, self.rules.scan_entries_max)
    }

    /// Keeps a write until the contract has succeeded.
    pub(crate) fn write(&self, collection: &str, key: String, change: Change) -> Result<(), LedgerError> {
        if self.read_only.load(Ordering::Relaxed) {
            return Err(LedgerError::ReadOnly);
        }
        if self.queried.load(Ordering::Relaxed) {
            return Err(LedgerError::QueriedAndWrote);
        }
        check_key(&key)?;
        if matches!(&change, Change::Put(value) if value.is_empty()) {
            return Err(LedgerError::ValueEmpty);
        }
        let bytes_max = self.bytes_max();
        let write = Write { collection: collection.to_owned(), key, change };
        self.writes().push(write, bytes_max).map_err(|bytes| LedgerError::TooLarge { bytes, bytes_max })
    }

    /// Sends what the contract wrote, in its order.
    pub(crate) async fn flush(&self) -> Result<(), LedgerError> {
        let writes = self.writes().take();
        let Some(size) = self.offer.write_batch else {
            for write in writes {
                self.send_single(write).await?;
            }
            return Ok(());
        };
        for batch in batches(writes, size, self.bytes_max()) {
            let rec = batch.into_iter().map(Write::into_record).collect();
            self.line.ask(Type::WriteBatchState, &WriteBatchState { rec }).await?;
        }
        Ok(())
    }

    async fn send_single(&self, Write { collection, key, change }: Write) -> Result<(), LedgerError> {
        match change {
            Change::Put(value) => {
                self.line.ask(Type::PutState, &PutState { key, value, collection }).await?;
            }
            Change::Delete => {
                self.line.ask(Type::DelState, &DelState { key, collection }).await?;
            }
            Change::Purge => {
                self.line.ask(Type::PurgePrivateData, &DelState { key, collection }).await?;
            }
            Change::Policy(value) => {
                let metadata = Some(StateMetadata { metakey: policy_metakey(), value });
                let put = PutStateMetadata { key, collection, metadata };
                self.line.ask(Type::PutStateMetadata, &put).await?;
            }
        }
        Ok(())
    }

    fn check_readable(&self, collection: &str, key: &str) -> Result<(), LedgerError> {
        check_key(key)?;
        if self.rules.strict && self.writes().contains(collection, key) {
            return Err(LedgerError::ReadAfterWrite);
        }
        Ok(())
    }

    fn check_range_readable(&self, collection: &str, range: &KeyRange) -> Result<(), LedgerError> {
        if !collection.is_empty() {
            return self.begin_query();
        }
        if self.rules.strict && self.writes().any_within(range) {
            return Err(LedgerError::ReadAfterWrite);
        }
        Ok(())
    }

    /// Notes a query that peers refuse beside writes, and refuses it as well: the peer would only
    /// hear of the writes, which wait, once the contract has returned.
    fn begin_query(&self) -> Result<(), LedgerError> {
        if !self.writes().is_empty() {
            return Err(LedgerError::QueriedAndWrote);
        }
        self.queried.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_key(key: &str) -> Result<(), LedgerError> {
    if key.is_empty() { Err(KeyError::Empty.into()) } else { Ok(()) }
}

fn page_metadata(page: &Page) -> Vec<u8> {
    let bookmark = page.bookmark().unwrap_or_default().to_owned();
    QueryMetadata { page_size: page.size(), bookmark }.encode_to_vec()
}

/// Fabric tells an absent value from none by its length alone.
fn present(value: Vec<u8>) -> Option<Vec<u8>> {
    (!value.is_empty()).then_some(value)
}

pub(crate) fn undecodable(request: Type) -> LedgerError {
    LedgerError::ReplyInvalid { request: request.as_str_name(), reason: "it does not decode" }
}
