//! Private collections: data that only some organisations keep, with its hashes on the ledger.

use crate::key::KeyRange;
use crate::ledger::LedgerError;
use crate::policy::SignaturePolicy;
use crate::scan::{Entry, Scan};
use crate::state::State;
use crate::writes::Change;

/// What starts the name of an organisation's implicit collection.
const IMPLICIT: &str = "_implicit_org_";

/// A private collection as one transaction sees it, from [`Transaction::collection`](crate::Transaction::collection).
///
/// Peers of the collection's members keep the values; every peer keeps SHA-256 hashes of keys and
/// values, which is what is validated at commit. Fabric refuses all of it in `Init`. Values belong
/// into the transient data of a proposal, since its arguments are in the block for all to read.
#[derive(Clone, Debug)]
pub struct Collection<'t> {
    state: &'t State,
    name: String,
}

impl<'t> Collection<'t> {
    pub(crate) fn new(state: &'t State, name: impl Into<String>) -> Result<Self, LedgerError> {
        let name = name.into();
        if name.is_empty() {
            return Err(LedgerError::CollectionUnnamed);
        }
        Ok(Self { state, name })
    }

    pub(crate) fn of_organization(state: &'t State, msp_id: &str) -> Result<Self, LedgerError> {
        if msp_id.is_empty() {
            return Err(LedgerError::CollectionUnnamed);
        }
        Self::new(state, format!("{IMPLICIT}{msp_id}"))
    }

    /// Its name, `_implicit_org_<MSP id>` for an organisation's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one key; `None` if it is absent. One round trip.
    ///
    /// # Errors
    /// [`LedgerError`], also if the endorsing peer does not keep the collection and the key exists.
    pub async fn state(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.state.value(&self.name, key).await
    }

    /// Reads many keys and answers in their order; `None` for those absent. One round trip for each key.
    ///
    /// Fabric 3.1's multi-get is not used: it answers with values that the hashes on the ledger do not bear out, so that
    /// one which the endorsing peer lacks would be absent.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn states<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        self.state.values(&self.name, keys).await
    }

    /// [`states`](Self::states) for a fixed number of keys.
    ///
    /// # Errors
    /// As [`states`](Self::states).
    pub async fn states_of<K: AsRef<str>, const N: usize>(
        &self,
        keys: [K; N],
    ) -> Result<[Option<Vec<u8>>; N], LedgerError> {
        self.state.values_of(&self.name, keys).await
    }

    /// The SHA-256 of a value, which every peer of the channel knows; `None` if the key is absent.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn hash(&self, key: &str) -> Result<Option<[u8; 32]>, LedgerError> {
        self.state.hash(&self.name, key).await
    }

    /// Writes one key once the contract has succeeded, like [`Transaction::put`](crate::Transaction::put).
    ///
    /// # Errors
    /// [`LedgerError`] for an empty key or value, for too many bytes, after a scan of private data,
    /// and in an evaluate-only function.
    pub fn put(&self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<(), LedgerError> {
        self.state.write(&self.name, key.into(), Change::Put(value.into()))
    }

    /// Deletes one key once the contract has succeeded. Peers may keep its earlier values.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.state.write(&self.name, key.into(), Change::Delete)
    }

    /// Deletes one key with all its earlier values from the members' peers; the hashes stay in the blocks.
    ///
    /// Needs the channel's application capability `V2_5`.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn purge(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.state.write(&self.name, key.into(), Change::Purge)
    }

    /// Scans the simple keys from `start` up to, not including, `end`; empty means from the first, to the last.
    ///
    /// Nothing is checked again at commit, so Fabric refuses it in a transaction that writes. A peer
    /// that does not keep the collection finds nothing.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::QueriedAndWrote`] if the transaction has written.
    pub async fn range(&self, start: &str, end: &str) -> Result<Scan<'t, Entry>, LedgerError> {
        self.state.scan(&self.name, KeyRange::simple(start, end)?).await
    }

    /// Scans the composite keys of a type whose first attributes are these.
    ///
    /// # Errors
    /// As [`range`](Self::range), and for parts that no composite key may hold.
    pub async fn partial_composite<A: AsRef<str>>(
        &self,
        object_type: &str,
        attributes: &[A],
    ) -> Result<Scan<'t, Entry>, LedgerError> {
        self.state.scan(&self.name, KeyRange::partial_composite(object_type, attributes)?).await
    }

    /// Runs a rich query in the syntax of the peer's state database, see [`Transaction::query`](crate::Transaction::query).
    ///
    /// # Errors
    /// As [`range`](Self::range), and from a peer on LevelDB.
    pub async fn query(&self, query: &str) -> Result<Scan<'t, Entry>, LedgerError> {
        self.state.query(&self.name, query).await
    }

    /// The endorsement policy of one key: the bytes of a `common.SignaturePolicyEnvelope`, see
    /// [`Transaction::validation_parameter`](crate::Transaction::validation_parameter).
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn validation_parameter(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.state.policy(&self.name, key).await
    }

    /// Gives one key an endorsement policy of its own, see
    /// [`Transaction::set_validation_parameter`](crate::Transaction::set_validation_parameter).
    ///
    /// # Errors
    /// As [`put`](Self::put), and if the policy has no encoding.
    pub fn set_validation_parameter(
        &self,
        key: impl Into<String>,
        policy: &SignaturePolicy,
    ) -> Result<(), LedgerError> {
        self.state.write(&self.name, key.into(), Change::Policy(policy.to_bytes()?))
    }

    /// Puts one key under the collection's or chaincode's policy again.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn clear_validation_parameter(&self, key: impl Into<String>) -> Result<(), LedgerError> {
        self.state.write(&self.name, key.into(), Change::Policy(Vec::new()))
    }
}
