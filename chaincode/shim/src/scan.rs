//! Reading many entries: scans that fetch as they go, and pages.

use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::vec;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{QueryResponse, QueryResponseMetadata, QueryResultBytes, QueryStateNext};
use hlf_protos::queryresult::{KeyModification, Kv};
use prost::Message;

use crate::key::KeyRange;
use crate::ledger::{LedgerError, Line};
use crate::proposal::unix_ms;
use crate::state::undecodable;

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, composite ones as they are stored.
    pub key: String,
    /// The value, never empty.
    pub value: Vec<u8>,
}

/// One committed version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modification {
    /// The transaction that wrote it.
    pub tx_id: String,
    /// That transaction's proposal timestamp, Unix milliseconds; `None` if it had none.
    pub timestamp_unix_ms: Option<i64>,
    /// The value, `None` if the transaction deleted the key.
    pub value: Option<Vec<u8>>,
}

/// What a scan yields: entries of a range or versions of a key.
pub trait ScanItem: Sized + private::Decode {}

impl ScanItem for Entry {}
impl ScanItem for Modification {}

mod private {
    /// Decodes one result of a query.
    pub trait Decode: Sized {
        /// `None` if the bytes do not decode.
        fn decode(bytes: &[u8]) -> Option<Self>;
    }
}

impl private::Decode for Entry {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let Kv { key, value, .. } = Kv::decode(bytes).ok()?;
        Some(Self { key, value })
    }
}

impl private::Decode for Modification {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let modification = KeyModification::decode(bytes).ok()?;
        Some(Self {
            tx_id: modification.tx_id,
            timestamp_unix_ms: modification.timestamp.and_then(|at| unix_ms(at.seconds, at.nanos)),
            value: (!modification.is_delete).then_some(modification.value),
        })
    }
}

/// A scan under way; the peer sends its results a hundred at a time.
///
/// It may be dropped anywhere: one that the peer holds open is closed there, with one round trip, before
/// the transaction's next request or when the contract has returned. [`close`](Self::close) does it at once.
#[derive(Debug)]
pub struct Scan<'t, T> {
    line: &'t Line,
    request: Type,
    id: String,
    fetched: vec::IntoIter<QueryResultBytes>,
    has_more: bool,
    /// Results were asked for and have not come.
    interrupted: bool,
    yielded: u64,
    entries_max: u64,
    items: PhantomData<T>,
}

impl<'t, T: ScanItem> Scan<'t, T> {
    pub(crate) fn open(
        line: &'t Line,
        request: Type,
        payload: &[u8],
        entries_max: u64,
    ) -> Result<Self, LedgerError> {
        let mut scan = Self {
            line,
            request,
            id: String::new(),
            fetched: Vec::new().into_iter(),
            has_more: false,
            interrupted: false,
            yielded: 0,
            entries_max,
            items: PhantomData,
        };
        scan.take_results(request, payload)?;
        Ok(scan)
    }

    /// The next item, or `None` at the end. A round trip for every hundred.
    ///
    /// The last one of a hundred fetches those that follow, as the other shims do: what a peer has read is
    /// endorsed, so it has to be the same for all of them.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::ScanTruncated`] where the peer stops without saying so, and
    /// [`LedgerError::ScanInterrupted`] after another error or a call that was dropped.
    pub async fn next(&mut self) -> Result<Option<T>, LedgerError> {
        if self.interrupted {
            return Err(LedgerError::ScanInterrupted);
        }
        let Some(bytes) = self.fetched.next() else {
            return if self.yielded >= self.entries_max {
                Err(LedgerError::ScanTruncated { limit: self.entries_max })
            } else {
                Ok(None)
            };
        };
        if self.fetched.len() == 0 && self.has_more {
            self.interrupted = true;
            let ask = QueryStateNext { id: self.id.clone() };
            let payload = self.line.ask(Type::QueryStateNext, &ask).await?;
            self.take_results(Type::QueryStateNext, &payload)?;
            self.interrupted = false;
        }
        self.yielded += 1;
        T::decode(&bytes.result_bytes).map(Some).ok_or_else(|| undecodable(self.request))
    }

    /// All items that are left.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<T>, LedgerError> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }

    /// Ends the scan at the peer; no round trip if it has already ended.
    ///
    /// # Errors
    /// [`LedgerError`] if the peer fails or is lost.
    pub async fn close(self) -> Result<(), LedgerError> {
        let line = self.line;
        drop(self);
        line.close_scans().await
    }

    fn take_results(&mut self, request: Type, payload: &[u8]) -> Result<(), LedgerError> {
        let response = QueryResponse::decode(payload).map_err(|_| undecodable(request))?;
        self.id = response.id;
        self.has_more = response.has_more;
        self.fetched = response.results.into_iter();
        if self.has_more && self.fetched.len() == 0 {
            return Err(LedgerError::ReplyInvalid {
                request: request.as_str_name(),
                reason: "it has no results and promises more",
            });
        }
        Ok(())
    }
}

impl<T> Drop for Scan<'_, T> {
    fn drop(&mut self) {
        if self.has_more {
            self.line.drop_scan(std::mem::take(&mut self.id));
        }
    }
}

/// Which page to read: how many entries, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    size: NonZeroU16,
    bookmark: Option<String>,
}

impl Page {
    /// The first page of at most `size` entries.
    #[must_use]
    pub fn first(size: NonZeroU16) -> Self {
        Self { size, bookmark: None }
    }

    /// The page that starts at a bookmark, which a client may have sent: that of a range is checked.
    ///
    /// An empty bookmark means the first page.
    #[must_use]
    pub fn at(size: NonZeroU16, bookmark: impl Into<String>) -> Self {
        Self { size, bookmark: Some(bookmark.into()).filter(|bookmark| !bookmark.is_empty()) }
    }

    pub(crate) fn size(&self) -> i32 {
        self.size.get().into()
    }

    pub(crate) fn bookmark(&self) -> Option<&str> {
        self.bookmark.as_deref()
    }
}

/// One page of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPage {
    /// Entries in key order, or in that of the rich query.
    pub entries: Vec<Entry>,
    /// Where the next page starts, `None` after the last entry of a range.
    pub bookmark: Option<String>,
}

impl EntryPage {
    /// A bookmark is checked against the range; those of rich queries mean something to the database only.
    pub(crate) fn decode(
        request: Type,
        payload: &[u8],
        range: Option<&KeyRange>,
    ) -> Result<Self, LedgerError> {
        let invalid = || undecodable(request);
        let response = QueryResponse::decode(payload).map_err(|_| invalid())?;
        let metadata = QueryResponseMetadata::decode(response.metadata.as_slice()).map_err(|_| invalid())?;
        let entries = response
            .results
            .iter()
            .map(|result| <Entry as private::Decode>::decode(&result.result_bytes).ok_or_else(invalid))
            .collect::<Result<Vec<_>, _>>()?;
        let bookmark = Some(metadata.bookmark).filter(|bookmark| !bookmark.is_empty());
        let outside = |bookmark: &String| range.is_some_and(|range| !range.contains(bookmark));
        if bookmark.as_ref().is_some_and(outside) {
            return Err(LedgerError::ReplyInvalid {
                request: request.as_str_name(),
                reason: "its bookmark lies outside the range",
            });
        }
        Ok(Self { entries, bookmark })
    }
}
