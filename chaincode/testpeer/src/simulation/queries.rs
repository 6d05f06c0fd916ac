//! What reads many entries: ranges, rich queries, history, and their cursors.

use std::collections::VecDeque;
use std::ops::Bound;

use hlf_protos::protos::{GetHistoryForKey, GetQueryResult, GetStateByRange, QueryMetadata};
use hlf_protos::queryresult::{KeyModification, Kv};
use prost::Message;

use super::{Simulation, decode};
use crate::cursor::{Cursor, Item, Trace};
use crate::ledger::{Values, Versioned, range};
use crate::proposal::timestamp;
use crate::rwset::RangeRead;

impl Simulation {
    pub(super) fn scan(&mut self, ask: &GetStateByRange) -> Result<Vec<u8>, String> {
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

    pub(super) fn query(&mut self, ask: &GetQueryResult) -> Result<Vec<u8>, String> {
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

    pub(super) fn history(&mut self, ask: &GetHistoryForKey) -> Vec<u8> {
        let versions =
            self.state.history.get(&ask.key).map(|versions| versions.as_slice()).unwrap_or_default();
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

    pub(super) fn fetch(&mut self, id: &str) -> Result<Vec<u8>, String> {
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

    /// What a query of private data sees: a peer that keeps only hashes finds nothing, silently.
    fn kept_values(&self, collection: &str) -> Option<&Values> {
        self.values(collection).filter(|_| self.readable(collection) == Ok(true))
    }
}
