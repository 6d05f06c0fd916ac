//! One transaction's view of the state: what the chaincode asks is answered here and written down.

mod queries;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    ChaincodeMessage, ChaincodeSpec, DelState, GetState, GetStateMetadata, GetStateMultiple,
    GetStateMultipleResult, PutState, PutStateMetadata, QueryResponse, QueryStateClose, QueryStateNext,
    StateMetadata, StateMetadataResult, WriteBatchState, write_record,
};
use prost::Message;

use crate::calls::{Callees, ChaincodeCall, RichQuery};
use crate::collection::PrivateCollection;
use crate::cursor::Cursor;
use crate::ledger::{State, Values, Versioned};
use crate::rwset::{CollectionSet, Metadata, PrivateWrite, ReadWriteSet, hash};

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
                    ask.keys.iter().map(|key| self.read_together(&ask.collection, key)).collect();
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

    /// One key of a multi-get: of private data that it does not keep, a peer says nothing and notes that it is absent.
    fn read_together(&mut self, collection: &str, key: &str) -> Result<Vec<u8>, String> {
        if collection.is_empty() || self.readable(collection)? {
            return self.read(collection, key);
        }
        self.private_set(collection).reads.insert(key.to_owned(), None);
        Ok(Vec::new())
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

    fn values(&self, collection: &str) -> Option<&Values> {
        self.state.collections.get(collection)
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
