//! One transaction as a contract sees it: who asks for what, and the state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    ChaincodeEvent, ChaincodeInput, DelState, GetHistoryForKey, GetState, GetStateByRange, GetStateMultiple,
    GetStateMultipleResult, PutState, QueryMetadata, WriteBatchState,
};
use prost::Message;

use crate::identity::{ClientIdentity, IdentityError};
use crate::key::{KeyError, KeyRange};
use crate::ledger::{LedgerError, Line, Offer};
use crate::proposal::{ProposalError, ProposalFacts};
use crate::scan::{Entry, EntryPage, Modification, Page, Scan};
use crate::writes::{Write, Writes, batches};

/// How the transaction reached this chaincode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Channel and arguments are those the client signed.
    ///
    /// A chaincode that passes on its own arguments unchanged looks the same, so compare
    /// [`Transaction::invoked_chaincode`] with the contract's own name as well.
    Client,
    /// Channel or arguments differ from what the client signed: another chaincode made the call.
    OtherChaincode,
}

/// One transaction: its facts, reads of the state, and writes that wait until the contract succeeds.
///
/// Reads see the state as of the start of the simulation, never the transaction's own writes.
/// Nothing that differs from peer to peer may reach what is written or replied: no clock, no
/// randomness, no order of hash maps.
#[derive(Debug)]
pub struct Transaction {
    line: Line,
    facts: ProposalFacts,
    args: Vec<Vec<u8>>,
    offer: Offer,
    rules: Rules,
    read_only: AtomicBool,
    writes: Mutex<Writes>,
    event: Mutex<Option<(String, Vec<u8>)>>,
}

/// What a service demands of every transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) strict: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) scan_entries_max: u64,
}

impl Transaction {
    pub(crate) fn start(
        line: Line,
        facts: ProposalFacts,
        input: &[u8],
        offer: Offer,
        rules: Rules,
    ) -> Result<Self, ProposalError> {
        let input = ChaincodeInput::decode(input).map_err(|source| ProposalError::Arguments { source })?;
        Ok(Self {
            line,
            facts,
            args: input.args,
            offer,
            rules,
            read_only: AtomicBool::new(false),
            writes: Mutex::default(),
            event: Mutex::default(),
        })
    }

    /// The transaction id: 64 lower-case hex characters.
    #[must_use]
    pub fn id(&self) -> &str {
        self.line.tx_id()
    }

    /// The channel whose state is read and written.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.line.channel()
    }

    /// The time the client put into the proposal, in Unix milliseconds: the client's word, the same on every peer.
    #[must_use]
    pub fn timestamp_unix_ms(&self) -> i64 {
        self.facts.timestamp_unix_ms
    }

    /// The first argument, which by convention names the function; `None` if it is absent or no UTF-8.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.args.first().and_then(|name| std::str::from_utf8(name).ok())
    }

    /// The arguments after the function's name, as bytes.
    #[must_use]
    pub fn args(&self) -> &[Vec<u8>] {
        self.args.get(1..).unwrap_or_default()
    }

    /// The creator of the proposal: a serialised `msp.SerializedIdentity`.
    #[must_use]
    pub fn creator(&self) -> &[u8] {
        &self.facts.creator
    }

    /// The MSP id that the creator names.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.facts.msp_id
    }

    /// The creator's certificate and what it says.
    ///
    /// # Errors
    /// [`IdentityError`] if it is malformed or ambiguous.
    pub fn client_identity(&self) -> Result<ClientIdentity, IdentityError> {
        ClientIdentity::from_creator(&self.facts.creator)
    }

    /// The name of the chaincode that the client's signed proposal invokes.
    ///
    /// The stream tells a chaincode its package id only, never the name it is committed under, so a
    /// contract that cares keeps its name in its state and compares. In a call from other chaincode
    /// this is the first one's name.
    #[must_use]
    pub fn invoked_chaincode(&self) -> &str {
        &self.facts.chaincode
    }

    /// Whether the client made this very call, or other chaincode did.
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.facts.channel == self.line.channel() && self.facts.args == self.args {
            Origin::Client
        } else {
            Origin::OtherChaincode
        }
    }

    /// Requests sent to the peer so far; each waited for one answer.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.line.round_trips()
    }

    /// Reads one key; `None` if it is absent. One round trip.
    ///
    /// # Errors
    /// [`LedgerError`] if the peer fails or is lost, or in strict mode if the key was written before.
    pub async fn state(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.check_readable(key)?;
        let get = GetState { key: key.to_owned(), ..GetState::default() };
        let value = self.line.ask(Type::GetState, &get).await?;
        Ok(present(value))
    }

    /// Reads many keys and answers in their order; `None` for those absent.
    ///
    /// One round trip for as many keys as the peer takes at once (1,000 by default from Fabric 3.1
    /// on), otherwise one for each key.
    ///
    /// # Errors
    /// [`LedgerError`] as in [`state`](Self::state); [`LedgerError::ShortReply`] if the peer answers
    /// fewer values than keys, which it does when its database fails.
    pub async fn states<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        for key in keys {
            self.check_readable(key.as_ref())?;
        }
        let mut values = Vec::with_capacity(keys.len());
        let Some(size) = self.offer.multi_get else {
            for key in keys {
                values.push(self.state(key.as_ref()).await?);
            }
            return Ok(values);
        };
        for asked in keys.chunks(size) {
            let get = GetStateMultiple {
                keys: asked.iter().map(|key| key.as_ref().to_owned()).collect(),
                ..GetStateMultiple::default()
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

    /// [`states`](Self::states) for a fixed number of keys: `let [lot, owner] = tx.states_of([a, b]).await?;`
    ///
    /// # Errors
    /// As [`states`](Self::states).
    pub async fn states_of<K: AsRef<str>, const N: usize>(
        &self,
        keys: [K; N],
    ) -> Result<[Option<Vec<u8>>; N], LedgerError> {
        let values = self.states(&keys).await?;
        values
            .try_into()
            .map_err(|values: Vec<_>| LedgerError::ShortReply { asked: N, answered: values.len() })
    }

    /// Writes one key once the contract has succeeded. No round trip of its own where the peer takes batches.
    ///
    /// The last write to a key wins. A read in the same transaction does not see it.
    ///
    /// # Errors
    /// [`LedgerError`] for an empty key or value, for too many bytes, and in an evaluate-only function.
    pub fn put(&self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<(), LedgerError> {
        let value = value.into();
        if value.is_empty() {
            return Err(LedgerError::ValueEmpty);
        }
        self.write(Write { key: key.into(), value: Some(value) })
    }

    /// Deletes one key once the contract has succeeded; deleting an absent key is no error.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.write(Write { key: key.into(), value: None })
    }

    /// Scans the simple keys from `start` up to, not including, `end`; empty means from the first, to the last.
    ///
    /// The peer checks again at commit that the range reads the same, so that what was scanned to its
    /// end cannot gain or lose keys unnoticed. It stops silently at its `totalQueryLimit`
    /// (100,000 by default), which the scan reports as an error, see
    /// [`Limits::scan_entries`](crate::Limits::scan_entries).
    ///
    /// # Errors
    /// [`LedgerError`], also if a bound is a composite key.
    pub async fn range(&self, start: &str, end: &str) -> Result<Scan<'_, Entry>, LedgerError> {
        self.scan(KeyRange::simple(start, end)?).await
    }

    /// One page of [`range`](Self::range). Fabric refuses pages in a transaction that writes.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::BookmarkInvalid`] for a bookmark outside the range.
    pub async fn range_page(&self, start: &str, end: &str, page: &Page) -> Result<EntryPage, LedgerError> {
        self.page(KeyRange::simple(start, end)?, page).await
    }

    /// Scans the composite keys of a type whose first attributes are these.
    ///
    /// # Errors
    /// As [`range`](Self::range), and for parts that no composite key may hold.
    pub async fn partial_composite<A: AsRef<str>>(
        &self,
        object_type: &str,
        attributes: &[A],
    ) -> Result<Scan<'_, Entry>, LedgerError> {
        self.scan(KeyRange::partial_composite(object_type, attributes)?).await
    }

    /// One page of [`partial_composite`](Self::partial_composite). Fabric refuses pages in a transaction that writes.
    ///
    /// # Errors
    /// As [`range_page`](Self::range_page).
    pub async fn partial_composite_page<A: AsRef<str>>(
        &self,
        object_type: &str,
        attributes: &[A],
        page: &Page,
    ) -> Result<EntryPage, LedgerError> {
        self.page(KeyRange::partial_composite(object_type, attributes)?, page).await
    }

    /// The committed versions of a key, newest first. Needs the peer's history database.
    ///
    /// Peers that joined from a snapshot lack older versions, so nothing endorsed may depend on it.
    ///
    /// # Errors
    /// [`LedgerError`], also if the peer keeps no history.
    pub async fn history(&self, key: &str) -> Result<Scan<'_, Modification>, LedgerError> {
        if key.is_empty() {
            return Err(KeyError::Empty.into());
        }
        let ask = GetHistoryForKey { key: key.to_owned() };
        let payload = self.line.ask(Type::GetHistoryForKey, &ask).await?;
        Scan::open(&self.line, Type::GetHistoryForKey, &payload, self.rules.scan_entries_max)
    }

    /// Sets the one event that this transaction emits when it commits; a second call replaces the first.
    ///
    /// # Errors
    /// [`LedgerError::EventUnnamed`] for an empty name.
    pub fn set_event(&self, name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Result<(), LedgerError> {
        let name = name.into();
        if name.is_empty() {
            return Err(LedgerError::EventUnnamed);
        }
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, payload.into()));
        Ok(())
    }

    /// From now on writes are errors.
    pub(crate) fn forbid_writes(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    /// The function's name for logs: shortened, and only if it is text.
    pub(crate) fn call_label(&self) -> String {
        self.function().unwrap_or("").chars().take(64).collect()
    }

    pub(crate) fn take_event(&self) -> Option<ChaincodeEvent> {
        let (event_name, payload) = self.event.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(ChaincodeEvent { event_name, payload, ..ChaincodeEvent::default() })
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
        // Room for what surrounds each value on the wire.
        let bytes_max = self.rules.message_bytes_max / 2;
        for batch in batches(writes, size, bytes_max) {
            let rec = batch.into_iter().map(Write::into_record).collect();
            self.line.ask(Type::WriteBatchState, &WriteBatchState { rec }).await?;
        }
        Ok(())
    }

    async fn send_single(&self, write: Write) -> Result<(), LedgerError> {
        match write.value {
            Some(value) => {
                let put = PutState { key: write.key, value, ..PutState::default() };
                self.line.ask(Type::PutState, &put).await?;
            }
            None => {
                let delete = DelState { key: write.key, ..DelState::default() };
                self.line.ask(Type::DelState, &delete).await?;
            }
        }
        Ok(())
    }

    fn write(&self, write: Write) -> Result<(), LedgerError> {
        if self.read_only.load(Ordering::Relaxed) {
            return Err(LedgerError::ReadOnly);
        }
        if write.key.is_empty() {
            return Err(KeyError::Empty.into());
        }
        let bytes_max = self.rules.message_bytes_max / 2;
        self.writes().push(write, bytes_max).map_err(|bytes| LedgerError::TooLarge { bytes, bytes_max })
    }

    fn check_readable(&self, key: &str) -> Result<(), LedgerError> {
        if key.is_empty() {
            return Err(KeyError::Empty.into());
        }
        if self.rules.strict && self.writes().contains(key) {
            return Err(LedgerError::ReadAfterWrite);
        }
        Ok(())
    }

    fn check_range_readable(&self, range: &KeyRange) -> Result<(), LedgerError> {
        if self.rules.strict && self.writes().first_within(range).is_some() {
            return Err(LedgerError::ReadAfterWrite);
        }
        Ok(())
    }

    async fn scan(&self, range: KeyRange) -> Result<Scan<'_, Entry>, LedgerError> {
        self.check_range_readable(&range)?;
        let ask =
            GetStateByRange { start_key: range.start, end_key: range.end, ..GetStateByRange::default() };
        let payload = self.line.ask(Type::GetStateByRange, &ask).await?;
        Scan::open(&self.line, Type::GetStateByRange, &payload, self.rules.scan_entries_max)
    }

    async fn page(&self, range: KeyRange, page: &Page) -> Result<EntryPage, LedgerError> {
        self.check_range_readable(&range)?;
        if page.bookmark().is_some_and(|bookmark| !range.contains(bookmark)) {
            return Err(LedgerError::BookmarkInvalid);
        }
        let metadata = QueryMetadata {
            page_size: page.size(),
            bookmark: page.bookmark().unwrap_or_default().to_owned(),
        };
        let ask = GetStateByRange {
            start_key: range.start.clone(),
            end_key: range.end.clone(),
            metadata: metadata.encode_to_vec(),
            ..GetStateByRange::default()
        };
        let payload = self.line.ask(Type::GetStateByRange, &ask).await?;
        EntryPage::decode(&payload, &range)
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fabric tells an absent value from none by its length alone.
fn present(value: Vec<u8>) -> Option<Vec<u8>> {
    (!value.is_empty()).then_some(value)
}

pub(crate) fn undecodable(request: Type) -> LedgerError {
    LedgerError::ReplyInvalid { request: request.as_str_name(), reason: "it does not decode" }
}
