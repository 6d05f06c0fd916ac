//! One transaction as a contract sees it: who asks for what, and the state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hlf_protos::protos::{ChaincodeEvent, ChaincodeInput};
use prost::Message;
use tracing::debug;

use crate::call;
use crate::collection::Collection;
use crate::identity::{ClientIdentity, IdentityError};
use crate::key::KeyRange;
use crate::ledger::{LedgerError, Line, Offer};
use crate::policy::SignaturePolicy;
use crate::proposal::{ProposalError, ProposalFacts};
use crate::response::Response;
use crate::scan::{Entry, EntryPage, Modification, Page, Scan};
use crate::state::{Rules, State};
use crate::turn::Turn;
use crate::writes::Change;

/// The name of the public state among collections.
const PUBLIC: &str = "";

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
    state: State,
    turn: Turn,
    facts: ProposalFacts,
    args: Vec<Vec<u8>>,
    decorations: BTreeMap<String, Vec<u8>>,
    event: Mutex<Option<(String, Vec<u8>)>>,
}

/// What the client signed, as the peer received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedProposal<'t> {
    /// A serialised `protos.Proposal`, exactly the bytes that were signed.
    pub proposal_bytes: &'t [u8],
    /// The creator's signature over them, which the peer has verified.
    pub signature: &'t [u8],
}

impl Transaction {
    pub(crate) fn start(
        line: Line,
        turn: Turn,
        facts: ProposalFacts,
        input: &[u8],
        offer: Offer,
        rules: Rules,
    ) -> Result<Self, ProposalError> {
        let input = ChaincodeInput::decode(input).map_err(|source| ProposalError::Arguments { source })?;
        Ok(Self {
            state: State::new(line, offer, rules),
            turn,
            facts,
            args: input.args,
            decorations: input.decorations,
            event: Mutex::default(),
        })
    }

    /// The transaction id: 64 lower-case hex characters.
    #[must_use]
    pub fn id(&self) -> &str {
        self.state.line().tx_id()
    }

    /// The channel whose state is read and written.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.state.line().channel()
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

    /// One entry of the proposal's transient data, `None` if it is absent.
    ///
    /// Transient data never reaches a block, and **the hash of the proposal that peers endorse does
    /// not cover it**: two organisations may be given different values, and nothing on the ledger
    /// tells what was passed. Use it for secrets and private values, not for what decides.
    #[must_use]
    pub fn transient(&self, name: &str) -> Option<&[u8]> {
        self.facts.transient.get(name).map(Vec::as_slice)
    }

    /// All transient data by name; what [`transient`](Self::transient) says holds for each.
    #[must_use]
    pub fn transient_data(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.facts.transient
    }

    /// What the peer's decorators added to the input, by name. Peers may differ in it.
    #[must_use]
    pub fn decorations(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.decorations
    }

    /// SHA-256 of nonce, creator and epoch (little-endian, 8 bytes) of the signed headers.
    ///
    /// It ties what was signed elsewhere for this transaction to this proposal. Fabric's other shims give the same.
    #[must_use]
    pub fn binding(&self) -> [u8; 32] {
        self.facts.binding()
    }

    /// The signed proposal that started the transaction.
    #[must_use]
    pub fn signed_proposal(&self) -> SignedProposal<'_> {
        let signed = &self.facts.signed;
        SignedProposal { proposal_bytes: &signed.proposal_bytes, signature: &signed.signature }
    }

    /// Whether the client made this very call, or other chaincode did.
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.facts.channel == self.state.line().channel() && self.facts.args == self.args {
            Origin::Client
        } else {
            Origin::OtherChaincode
        }
    }

    /// Requests sent to the peer so far; each waited for one answer.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.state.line().round_trips()
    }

    /// Reads one key; `None` if it is absent. One round trip.
    ///
    /// # Errors
    /// [`LedgerError`] if the peer fails or is lost, or in strict mode if the key was written before.
    pub async fn state(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.state.value(PUBLIC, key).await
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
        self.state.values(PUBLIC, keys).await
    }

    /// [`states`](Self::states) for a fixed number of keys: `let [lot, owner] = tx.states_of([a, b]).await?;`
    ///
    /// # Errors
    /// As [`states`](Self::states).
    pub async fn states_of<K: AsRef<str>, const N: usize>(
        &self,
        keys: [K; N],
    ) -> Result<[Option<Vec<u8>>; N], LedgerError> {
        self.state.values_of(PUBLIC, keys).await
    }

    /// Writes one key once the contract has succeeded. No round trip of its own where the peer takes batches.
    ///
    /// The last write to a key wins. A read in the same transaction does not see it.
    ///
    /// # Errors
    /// [`LedgerError`] for an empty key or value, for too many bytes, after a page was read, and in
    /// an evaluate-only function.
    pub fn put(&self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<(), LedgerError> {
        self.state.write(PUBLIC, key.into(), Change::Put(value.into()))
    }

    /// Deletes one key once the contract has succeeded; deleting an absent key is no error.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.state.write(PUBLIC, key.into(), Change::Delete)
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
        self.state.scan(PUBLIC, KeyRange::simple(start, end)?).await
    }

    /// One page of [`range`](Self::range). Fabric refuses pages in a transaction that writes.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::BookmarkInvalid`] for a bookmark outside the range,
    /// [`LedgerError::QueriedAndWrote`] if the transaction has written.
    pub async fn range_page(&self, start: &str, end: &str, page: &Page) -> Result<EntryPage, LedgerError> {
        self.state.page(KeyRange::simple(start, end)?, page).await
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
        self.state.scan(PUBLIC, KeyRange::partial_composite(object_type, attributes)?).await
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
        self.state.page(KeyRange::partial_composite(object_type, attributes)?, page).await
    }

    /// One page of all composite keys, whatever their type. Fabric refuses pages in a transaction that writes.
    ///
    /// # Errors
    /// As [`range_page`](Self::range_page).
    pub async fn all_composite_page(&self, page: &Page) -> Result<EntryPage, LedgerError> {
        self.state.page(KeyRange::all_composite(), page).await
    }

    /// Runs a rich query in the syntax of the peer's state database, such as a CouchDB selector.
    ///
    /// Results are not checked again at commit: entries that come to match are missed, unnoticed. A
    /// peer on LevelDB refuses it. In strict mode it is an error after a write, which it would not see.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn query(&self, query: &str) -> Result<Scan<'_, Entry>, LedgerError> {
        self.state.query(PUBLIC, query).await
    }

    /// One page of [`query`](Self::query). Fabric refuses pages in a transaction that writes.
    ///
    /// The bookmark is the database's own and unchecked. CouchDB gives one with every page: the last
    /// page is the one that is not full.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn query_page(&self, query: &str, page: &Page) -> Result<EntryPage, LedgerError> {
        self.state.query_page(query, page).await
    }

    /// The committed versions of a key, newest first. Needs the peer's history database.
    ///
    /// Peers that joined from a snapshot lack older versions, so nothing endorsed may depend on it.
    ///
    /// # Errors
    /// [`LedgerError`], also if the peer keeps no history.
    pub async fn history(&self, key: &str) -> Result<Scan<'_, Modification>, LedgerError> {
        self.state.history(key).await
    }

    /// A private collection, named as in the chaincode's definition.
    ///
    /// # Errors
    /// [`LedgerError::CollectionUnnamed`] for an empty name, which would be the public state.
    pub fn collection(&self, name: impl Into<String>) -> Result<Collection<'_>, LedgerError> {
        Collection::new(&self.state, name)
    }

    /// The implicit collection of an organisation, which needs no definition: its own peers keep it.
    ///
    /// # Errors
    /// [`LedgerError::CollectionUnnamed`] for an empty MSP id.
    pub fn organization_collection(&self, msp_id: &str) -> Result<Collection<'_>, LedgerError> {
        Collection::of_organization(&self.state, msp_id)
    }

    /// The endorsement policy of one key, `None` if the chaincode's holds.
    ///
    /// It comes as the bytes of a `common.SignaturePolicyEnvelope`, which may say more than
    /// [`SignaturePolicy::from_bytes`] understands.
    ///
    /// # Errors
    /// [`LedgerError`]; in strict mode also if the policy was set before.
    pub async fn validation_parameter(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.state.policy(PUBLIC, key).await
    }

    /// Gives one key an endorsement policy of its own, which **replaces** the chaincode's for that key.
    ///
    /// It holds from the next block on and is checked for later writes to the key and to its policy.
    /// A key that does not exist, neither before nor by a write of this transaction, loses it.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`LedgerError::Policy`] if the policy has no encoding.
    pub fn set_validation_parameter(
        &self,
        key: impl Into<String>,
        policy: &SignaturePolicy,
    ) -> Result<(), LedgerError> {
        self.state.write(PUBLIC, key.into(), Change::Policy(policy.to_bytes()?))
    }

    /// Puts one key under the chaincode's policy again.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn clear_validation_parameter(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.state.write(PUBLIC, key.into(), Change::Policy(Vec::new()))
    }

    /// Calls other chaincode on this channel within this transaction. The function's name comes first.
    ///
    /// It sees the same creator and signed proposal. What it writes joins this transaction as soon as
    /// it succeeds, also if this one goes on to ignore its reply. Its event is dropped. A failure of
    /// it is a reply with a status of 400 or more.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] if there is no such chaincode, or it is not to be called.
    pub async fn call<A: AsRef<[u8]>>(&self, chaincode: &str, args: &[A]) -> Result<Response, LedgerError> {
        self.turn.without(call::call(self.state.line(), chaincode, "", args)).await
    }

    /// Calls other chaincode on another channel that the peer has joined: it can only read, its writes are dropped.
    ///
    /// Nothing of what it read is checked again at commit.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_on<A: AsRef<[u8]>>(
        &self,
        channel: &str,
        chaincode: &str,
        args: &[A],
    ) -> Result<Response, LedgerError> {
        self.turn.without(call::call(self.state.line(), chaincode, channel, args)).await
    }

    /// Sets the one event that this transaction emits when it commits; a second call replaces the first.
    ///
    /// # Errors
    /// [`LedgerError::EventUnnamed`] for an empty name, [`LedgerError::TooLarge`] if name and payload alone are more than
    /// [half a message](crate::Limits::message_bytes). With the reply they may still be: the call then fails with
    /// [`REPLY_TOO_LARGE`](crate::code::REPLY_TOO_LARGE).
    pub fn set_event(&self, name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Result<(), LedgerError> {
        let (name, payload) = (name.into(), payload.into());
        if name.is_empty() {
            return Err(LedgerError::EventUnnamed);
        }
        let (bytes, bytes_max) = (name.len() + payload.len(), self.state.bytes_max());
        if bytes > bytes_max {
            return Err(LedgerError::TooLarge { bytes, bytes_max });
        }
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, payload));
        Ok(())
    }

    /// From now on writes are errors.
    pub(crate) fn forbid_writes(&self) {
        self.state.forbid_writes();
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
        self.state.flush().await
    }

    /// Closes the scans that the contract has left open.
    pub(crate) async fn close_scans(&self) {
        let line = self.state.line();
        if line.peer_is_silent() {
            return;
        }
        if let Err(error) = line.close_scans().await {
            // The peer closes them itself when it has the response.
            debug!(%error, "scans were left open");
        }
    }
}
