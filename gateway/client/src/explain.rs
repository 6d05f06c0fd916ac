//! What became of a transaction, and why: from the blocks of one peer.
//!
//! | verdict | what is told |
//! |---|---|
//! | VALID | what it was, who made and endorsed it |
//! | MVCC_READ_CONFLICT | each key that was changed after it was read, and the transaction that changed it |
//! | PHANTOM_READ_CONFLICT | the scan whose result changed, the key, and the transaction that changed it |
//! | ENDORSEMENT_POLICY_FAILURE | each policy that the endorsements don't satisfy, and which organisations are missing |
//! | in no block | that it is in none of this peer |
//!
//! An endorsement mismatch reaches no block: see [`Proposal::compare`](crate::Proposal::compare). Values are never
//! shown, and of private data neither keys: of those a block holds hashes alone.

mod conflict;
mod mismatch;
mod policy;
mod transaction;
mod words;

use hlf_protos::common::Block;
use hlf_protos::protos::TxValidationCode;
use serde::{Serialize, Serializer};

pub use mismatch::{Comparison, Difference, EndorserAnswer, Part};

use crate::block_range::{BlockRange, Start, Stop};
use crate::explain::transaction::{Decoded, NamespaceSet, transactions};
use crate::system::{Ledger, SystemChaincodeError};
use crate::verdict::weight;
use crate::{DeliverError, Endorser, Gateway};

/// How many blocks before a transaction are searched for what it lost against.
const BLOCKS_BEFORE_MAX: u64 = 1_000;

/// How many blocks after it are searched for further copies of it.
const BLOCKS_AFTER_MAX: u64 = 1_000;

/// What became of a transaction, and why; `Display` says it in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The transaction's id.
    pub tx_id: String,
    /// The channel's id.
    pub channel: String,
    /// What it was, if a block of the peer holds it.
    pub transaction: Option<InBlock>,
    /// Why its verdict is what it is.
    pub cause: Cause,
    /// What else is under its id, which had no effect: the same envelope was sent for ordering more than once, or somebody
    /// had another one ordered that carries the id.
    pub copies: Vec<Position>,
}

/// A transaction as its block holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InBlock {
    /// Where it stands.
    pub position: Position,
    /// The peer's verdict.
    #[serde(serialize_with = "by_name")]
    pub code: TxValidationCode,
    /// The chaincode that was called.
    pub chaincode: String,
    /// The function that was called; what is no text is replaced.
    pub function: String,
    /// Who made it.
    pub creator: Party,
    /// Whose peers endorsed it.
    pub endorsers: Vec<Party>,
    /// The time that its maker gave it, RFC 3339.
    pub timestamp: Option<String>,
}

/// A transaction's place on the chain: also the version of what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The block's number.
    pub block: u64,
    /// The transaction's index in its block, from 0.
    pub index: u64,
}

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Party {
    /// The organisation.
    pub msp_id: String,
    /// The common name in the certificate, if that can be read.
    pub name: Option<String>,
    /// The organisational units in the certificate, of which the organisation reads the role.
    pub units: Vec<String>,
}

/// Why a transaction's verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// No block of the peer holds it: it was never ordered, or is not yet there.
    InNoBlock,
    /// It took effect.
    Valid,
    /// What it had read was changed before it was validated.
    Conflict {
        /// The changes, in the order in which peers look; empty when they lie further back than was searched.
        conflicts: Vec<Conflict>,
    },
    /// What it had scanned was changed before it was validated.
    Phantom {
        /// The change; absent when it lies further back than was searched.
        scan: Option<Phantom>,
    },
    /// Its endorsements don't satisfy a policy.
    Policy {
        /// The policies in force that they don't satisfy. Empty when they satisfy all of those: then an endorser's
        /// certificate or signature was not valid, or the policy was another when the transaction was validated.
        unmet: Vec<UnmetPolicy>,
    },
    /// Peers found it malformed, not permitted, or otherwise not acceptable; the verdict's name says what.
    Unacceptable,
}

/// A key that was changed after a transaction had read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// The version that was read; absent when the key was not there.
    pub read: Option<Position>,
    /// The transaction that changed it.
    pub winner: Winner,
}

/// A key of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Key {
    /// The chaincode whose key it is.
    pub namespace: String,
    /// The private collection, if it is one's.
    pub collection: Option<String>,
    /// The key; of a private one, SHA-256 of it in hex.
    pub key: String,
}

/// The transaction that changed what another one had read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Winner {
    /// Its id.
    pub tx_id: String,
    /// Where it stands.
    pub position: Position,
    /// Whether it deleted the key.
    pub deleted: bool,
}

/// A scan whose result was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Phantom {
    /// The chaincode whose keys were scanned.
    pub namespace: String,
    /// The first key of the range.
    pub start_key: String,
    /// The key behind the range, or the last key read if the scan was not read to its end; empty for no end.
    pub end_key: String,
    /// The key that was changed.
    pub key: String,
    /// What happened to it.
    pub change: Change,
    /// The transaction that changed it.
    pub winner: Winner,
}

/// What happened to a key in a scanned range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there, and now is.
    Appeared,
    /// It was there, with another value.
    Changed,
    /// It was there, and now is not.
    Vanished,
    /// It was written; whether it had been there, a scan this long does not tell.
    Written,
}

/// A policy that a transaction's endorsements don't satisfy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnmetPolicy {
    /// The chaincode that was written to.
    pub namespace: String,
    /// The collection whose own policy it is.
    pub collection: Option<String>,
    /// The key whose own policy it is; of a private one, SHA-256 of it in hex.
    pub key: Option<String>,
    /// The policy as Fabric's tools write it.
    pub policy: String,
    /// The organisations whose peers endorsed.
    pub endorsed: Vec<String>,
    /// What would have been enough besides: any one of these lists, `MSP.role` each.
    pub missing: Vec<Vec<String>>,
}

/// Why a transaction can't be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The channel's ACLs keep the identity from reading whole blocks.
    #[error(
        "transaction `{tx_id}` can't be explained: this identity may not read whole blocks; ask as one whom the channel's ACL `qscc/GetBlockByTxID` admits, such as an admin"
    )]
    Denied {
        /// The transaction's id.
        tx_id: String,
        /// What the peer said.
        source: SystemChaincodeError,
    },
    /// The peer could not be asked.
    #[error("transaction `{tx_id}` can't be explained")]
    Peer {
        /// The transaction's id.
        tx_id: String,
        /// What it said.
        source: SystemChaincodeError,
    },
    /// The blocks after it could not be looked through.
    #[error("transaction `{tx_id}` can't be explained: further copies of it can't be looked for")]
    Blocks {
        /// The transaction's id.
        tx_id: String,
        /// What the peer said.
        source: DeliverError,
    },
    /// The block that the peer gave for it does not hold it.
    #[error("transaction `{tx_id}` can't be explained: the block that the peer gave for it does not hold it")]
    Missing {
        /// The transaction's id.
        tx_id: String,
    },
}

impl Gateway {
    /// Explains what became of a transaction, from the blocks of one peer.
    ///
    /// Whole blocks must be readable for the identity: by default they are for every member, and a channel's ACLs
    /// (`qscc/GetBlockByTxID`, `qscc/GetBlockByNumber`) may restrict them to some. Policies are those in force now.
    ///
    /// ```no_run
    /// # async fn why(gateway: hlf_gateway::Gateway) -> Result<(), hlf_gateway::ExplainError> {
    /// let explanation = gateway.explain("main", "8c21…").await?;
    /// println!("{explanation}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self, channel: &str, tx_id: &str) -> Result<Explanation, ExplainError> {
        let gateway = self.at_preferred();
        let endorser = gateway.endorser();
        let ledger = endorser.ledger(channel);
        let mut explanation = Explanation {
            tx_id: tx_id.to_owned(),
            channel: channel.to_owned(),
            transaction: None,
            cause: Cause::InNoBlock,
            copies: Vec::new(),
        };
        let block = match ledger.block_of(tx_id).await {
            Ok(block) => block,
            Err(error) if error.is_not_found() => return Ok(explanation),
            Err(source) => return Err(refused(tx_id, source)),
        };
        let in_block = transactions(&block);
        let Some(decoded) = itself(&in_block, tx_id) else {
            return Err(ExplainError::Missing { tx_id: tx_id.to_owned() });
        };
        explanation.cause = Explainer { endorser: &endorser, ledger: &ledger, channel }
            .cause(decoded, &in_block)
            .await
            .map_err(|source| refused(tx_id, source))?;
        explanation.transaction = Some(decoded.described());
        explanation.copies = copies(&gateway, channel, tx_id, decoded.position)
            .await
            .map_err(|source| ExplainError::Blocks { tx_id: tx_id.to_owned(), source })?;
        Ok(explanation)
    }
}

fn refused(tx_id: &str, source: SystemChaincodeError) -> ExplainError {
    let tx_id = tx_id.to_owned();
    if source.is_denied() {
        ExplainError::Denied { tx_id, source }
    } else {
        ExplainError::Peer { tx_id, source }
    }
}

/// Of all that a block holds under one id, the transaction itself: others may have had envelopes ordered that carry its
/// id, and of its copies the first is the one that counts.
fn itself<'a>(in_block: &'a [Decoded], tx_id: &str) -> Option<&'a Decoded> {
    let under_id = in_block.iter().filter(|decoded| decoded.tx_id == tx_id);
    under_id.reduce(|best, decoded| if weight(decoded.code) > weight(best.code) { decoded } else { best })
}

/// The ids of a block's transactions, in their order.
pub(crate) fn tx_ids(block: &Block) -> Vec<String> {
    transactions(block).into_iter().map(|decoded| decoded.tx_id).collect()
}

/// A transaction's verdict in a whole block, if the block holds it and its verdict.
pub(crate) fn verdict_in(block: &Block, tx_id: &str) -> Option<TxValidationCode> {
    let code = itself(&transactions(block), tx_id)?.code;
    Some(code).filter(|code| *code != TxValidationCode::NotValidated)
}

/// What else is under a transaction's id, from its block on.
async fn copies(
    gateway: &Gateway,
    channel: &str,
    tx_id: &str,
    first: Position,
) -> Result<Vec<Position>, DeliverError> {
    let range = BlockRange { start: Start::Number(first.block), stop: Stop::Newest };
    let mut blocks = gateway.filtered_blocks(channel, range).await?;
    let mut copies = Vec::new();
    while let Some(block) = blocks.next().await? {
        for (index, transaction) in (0_u64..).zip(&block.filtered_transactions) {
            let position = Position { block: block.number, index };
            if transaction.txid == tx_id && position != first {
                copies.push(position);
            }
        }
        if block.number >= first.block.saturating_add(BLOCKS_AFTER_MAX) {
            break;
        }
    }
    Ok(copies)
}

/// One peer, asked for what explains a verdict.
struct Explainer<'a> {
    endorser: &'a Endorser,
    ledger: &'a Ledger,
    channel: &'a str,
}

impl Explainer<'_> {
    async fn cause(
        &self,
        transaction: &Decoded,
        in_block: &[Decoded],
    ) -> Result<Cause, SystemChaincodeError> {
        Ok(match transaction.code {
            TxValidationCode::Valid => Cause::Valid,
            TxValidationCode::MvccReadConflict => {
                let mut search = conflict::Conflicts::of(transaction);
                self.back(transaction, in_block, |earlier| search.look(earlier)).await?;
                Cause::Conflict { conflicts: search.found() }
            }
            TxValidationCode::PhantomReadConflict => {
                let mut search = conflict::Phantoms::of(transaction);
                self.back(transaction, in_block, |earlier| search.look(earlier)).await?;
                Cause::Phantom { scan: search.found() }
            }
            TxValidationCode::EndorsementPolicyFailure => {
                let mut parameters = policy::KeyParameters::of(transaction);
                self.back(transaction, in_block, |earlier| parameters.look(earlier)).await?;
                let unmet = policy::unmet(self, transaction, &parameters).await?;
                Cause::Policy { unmet }
            }
            _ => Cause::Unacceptable,
        })
    }

    /// Shows the VALID transactions before one, the newest first and block by block, until enough is seen.
    async fn back(
        &self,
        transaction: &Decoded,
        in_block: &[Decoded],
        mut enough: impl FnMut(&[&Decoded]) -> bool,
    ) -> Result<(), SystemChaincodeError> {
        let valid = |decoded: &&Decoded| decoded.code == TxValidationCode::Valid;
        let before: Vec<_> = in_block
            .iter()
            .filter(valid)
            .filter(|other| other.position < transaction.position)
            .rev()
            .collect();
        if enough(&before) {
            return Ok(());
        }
        let first = transaction.position.block.saturating_sub(BLOCKS_BEFORE_MAX);
        for number in (first..transaction.position.block).rev() {
            let block: Block = match self.ledger.block(number).await {
                Ok(block) => block,
                // A peer that began from a snapshot has no older blocks.
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
            let decoded = transactions(&block);
            let earlier: Vec<_> = decoded.iter().filter(valid).rev().collect();
            if enough(&earlier) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Key {
    fn public(namespace: &str, key: &str) -> Self {
        Self { namespace: namespace.to_owned(), collection: None, key: key.to_owned() }
    }

    fn private(namespace: &str, collection: &str, key_hash: &[u8]) -> Self {
        Self {
            namespace: namespace.to_owned(),
            collection: Some(collection.to_owned()),
            key: hex::encode(key_hash),
        }
    }
}

impl NamespaceSet {
    /// Every key that is written, or whose metadata is, and whether it is deleted.
    fn written(&self) -> Vec<(Key, bool)> {
        let public = |key: &str| Key::public(&self.namespace, key);
        let mut written: Vec<_> =
            self.public.writes.iter().map(|write| (public(&write.key), write.is_delete)).collect();
        written.extend(self.public.metadata_writes.iter().map(|write| (public(&write.key), false)));
        for (collection, set) in &self.private {
            let private = |hash: &[u8]| Key::private(&self.namespace, collection, hash);
            written.extend(
                set.hashed_writes
                    .iter()
                    .map(|write| (private(&write.key_hash), write.is_delete || write.is_purge)),
            );
            written.extend(set.metadata_writes.iter().map(|write| (private(&write.key_hash), false)));
        }
        written
    }
}

/// All that is read of blocks, endorsers' answers and policies, whatever it is.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_anything(bytes: &[u8]) {
    use hlf_protos::prost::Message as _;
    let mut signers = vec![transaction::party(bytes)];
    if let Ok(block) = Block::decode(bytes) {
        let decoded = transactions(&block);
        let newest_first: Vec<_> = decoded.iter().rev().collect();
        for transaction in &decoded {
            let described = transaction.described();
            signers.extend(described.endorsers);
            let mut conflicts = conflict::Conflicts::of(transaction);
            conflicts.look(&newest_first);
            for conflict in conflicts.found() {
                assert!(!conflict.to_string().is_empty());
            }
            let mut phantoms = conflict::Phantoms::of(transaction);
            phantoms.look(&newest_first);
            let _ = phantoms.found().map(|phantom| phantom.to_string());
            policy::KeyParameters::of(transaction).look(&newest_first);
        }
    }
    policy::read_anything(bytes, &signers);
    mismatch::read_anything(bytes);
}

fn by_name<S: Serializer>(code: &TxValidationCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(code.as_str_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_s_envelope_under_an_id_is_not_taken_for_the_transaction() {
        use TxValidationCode::{BadProposalTxid, DuplicateTxid, Valid};
        let entries = [("mine", BadProposalTxid), ("other", Valid), ("mine", Valid), ("mine", DuplicateTxid)];
        let in_block: Vec<_> = (0..)
            .zip(entries)
            .map(|(index, (tx_id, code))| Decoded {
                tx_id: tx_id.to_owned(),
                code,
                position: Position { block: 7, index },
                ..Decoded::default()
            })
            .collect();
        assert_eq!(itself(&in_block, "mine").unwrap().position.index, 2);
        assert!(itself(&in_block, "none").is_none());
    }
}
