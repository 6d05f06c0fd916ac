//! Where endorsers differ that were sent the same signed proposal.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hlf_protos::kvrwset::{KvMetadataEntry, Version};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{ChaincodeAction, ProposalResponse, ProposalResponsePayload};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::transaction::{NamespaceSet, party, sets};
use crate::{Endorser, EndorserError, Proposal, SignError};

/// What several endorsers answered to the same signed proposal; `Display` says it in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The transaction's id.
    pub tx_id: String,
    /// The answers, in the order of the endorsers.
    pub answers: Vec<EndorserAnswer>,
    /// Where an answer first differs from the first one; absent when all that endorsed agree.
    pub difference: Option<Difference>,
}

/// What one endorser answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EndorserAnswer {
    /// The peer's address.
    pub peer: String,
    /// Its organisation, when it endorsed.
    pub msp_id: Option<String>,
    /// The chaincode's status, when it answered.
    pub status: Option<i32>,
    /// Why it did not endorse.
    pub refusal: Option<String>,
}

/// Where two answers differ. Of values, lengths and digests are told, and of private ones nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The two peers.
    pub peers: [String; 2],
    /// The part of the answers that differs.
    pub part: Part,
    /// The chaincode whose state it is about.
    pub namespace: Option<String>,
    /// The private collection that it is about.
    pub collection: Option<String>,
    /// The key; of a private one, SHA-256 of it in hex.
    pub key: Option<String>,
    /// What each of the two has there.
    pub sides: [String; 2],
}

/// A part of what endorsers sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// The version of a key that was read.
    Read,
    /// The result of a scan.
    Scan,
    /// The value that is written to a key.
    Write,
    /// The metadata that is written to a key, such as a policy of its own.
    Metadata,
    /// The event.
    Event,
    /// The chaincode's status.
    Status,
    /// The chaincode's message.
    Message,
    /// The chaincode's reply.
    Reply,
    /// The chaincode's name or version.
    Chaincode,
    /// The proposal that it was computed from.
    Proposal,
}

/// What two answers are compared by, in the order in which a difference is looked for.
type Aspects = BTreeMap<Aspect, String>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aspect {
    /// What belongs to no namespace comes last.
    apart: bool,
    namespace: Option<String>,
    part: Part,
    collection: Option<String>,
    key: Option<String>,
}

impl Proposal {
    /// Sends the proposal, as it was signed, to each endorser, and says where their answers first differ.
    ///
    /// A gateway that gathers different results says so and no more ("ProposalResponsePayloads do not match"), and
    /// they reach no block. The endorsers compute them anew here, so ask soon after the failure; nothing is written.
    ///
    /// ```no_run
    /// # async fn why(
    /// #     proposal: hlf_gateway::Proposal, north_and_south: hlf_gateway::Gateway,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use hlf_gateway::FailureCause;
    ///
    /// if let Err(error) = proposal.endorse().await {
    ///     if error.failure().and_then(|failure| failure.cause()) == Some(FailureCause::ResultsDiffer) {
    ///         println!("{error}: {}", proposal.compare(&north_and_south.endorsers()).await?);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compare(&self, endorsers: &[Endorser]) -> Result<Comparison, SignError> {
        let signed = self.signed().await?;
        let asked = endorsers.iter().map(|endorser| endorser.process(signed.clone()));
        let mut answers = Vec::new();
        let mut endorsed: Vec<(String, Aspects)> = Vec::new();
        for (endorser, answer) in endorsers.iter().zip(join_all(asked).await) {
            let (answer, aspects) = judged(endorser.address(), answer);
            if let Some(aspects) = aspects {
                endorsed.push((answer.peer.clone(), aspects));
            }
            answers.push(answer);
        }
        let difference = endorsed
            .split_first()
            .and_then(|(first, others)| others.iter().find_map(|other| difference(first, other)));
        Ok(Comparison { tx_id: self.tx_id().to_owned(), answers, difference })
    }
}

fn judged(
    peer: String,
    answer: Result<ProposalResponse, EndorserError>,
) -> (EndorserAnswer, Option<Aspects>) {
    let mut judged = EndorserAnswer { peer, msp_id: None, status: None, refusal: None };
    let answer = match answer {
        Ok(answer) => answer,
        Err(EndorserError::Failed(failure)) => {
            judged.refusal = Some(failure.to_string());
            return (judged, None);
        }
        Err(error) => {
            judged.refusal = Some(error.to_string());
            return (judged, None);
        }
    };
    let response = answer.response.unwrap_or_default();
    judged.status = Some(response.status);
    let Some(endorsement) = answer.endorsement else {
        judged.refusal = Some(response.message);
        return (judged, None);
    };
    judged.msp_id = Some(party(&endorsement.endorser).msp_id);
    match aspects(&answer.payload) {
        Ok(aspects) => (judged, Some(aspects)),
        Err(error) => {
            judged.refusal = Some(format!("its answer can't be read: {error}"));
            (judged, None)
        }
    }
}

fn difference((first, one): &(String, Aspects), (second, other): &(String, Aspects)) -> Option<Difference> {
    let aspect =
        one.keys().chain(other.keys()).filter(|aspect| one.get(aspect) != other.get(aspect)).min()?;
    let private = aspect.collection.is_some();
    let side = |aspects: &Aspects| match aspects.get(aspect) {
        None => "nothing".to_owned(),
        Some(_) if private => "a private entry".to_owned(),
        Some(side) => side.clone(),
    };
    Some(Difference {
        peers: [first.clone(), second.clone()],
        part: aspect.part,
        namespace: aspect.namespace.clone(),
        collection: aspect.collection.clone(),
        key: aspect.key.clone(),
        sides: [side(one), side(other)],
    })
}

/// What an answer consists of, each part described so that different parts have different descriptions.
fn aspects(payload: &[u8]) -> Result<Aspects, hlf_protos::prost::DecodeError> {
    let payload = ProposalResponsePayload::decode(payload)?;
    let action = ChaincodeAction::decode(payload.extension.as_slice())?;
    let mut aspects = Aspects::new();
    for set in sets(&action.results)? {
        of_namespace(&mut aspects, &set);
    }
    let response = action.response.unwrap_or_default();
    let chaincode = action.chaincode_id.unwrap_or_default();
    for (part, side) in [
        (Part::Event, digest(&action.events)),
        (Part::Status, response.status.to_string()),
        (Part::Message, digest(response.message.as_bytes())),
        (Part::Reply, digest(&response.payload)),
        (Part::Chaincode, format!("{} {}", chaincode.name, chaincode.version)),
        (Part::Proposal, digest(&payload.proposal_hash)),
    ] {
        aspects.insert(Aspect { apart: true, namespace: None, part, collection: None, key: None }, side);
    }
    Ok(aspects)
}

/// Two answers of any content, compared.
#[cfg(any(fuzzing, test))]
pub(super) fn read_anything(bytes: &[u8]) {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let whole = aspects(bytes).map(|aspects| ("one".to_owned(), aspects));
    let half = aspects(other).or_else(|_| aspects(one)).map(|aspects| ("other".to_owned(), aspects));
    if let (Ok(whole), Ok(half)) = (whole, half) {
        assert_eq!(difference(&whole, &whole), None);
        let _ = difference(&whole, &half).map(|difference| difference.to_string());
    }
}

fn of_namespace(aspects: &mut Aspects, set: &NamespaceSet) {
    let mut add = |part, collection: Option<&String>, key: String, side| {
        let aspect = Aspect {
            apart: false,
            namespace: Some(set.namespace.clone()),
            part,
            collection: collection.cloned(),
            key: Some(key),
        };
        aspects.insert(aspect, side);
    };
    for read in &set.public.reads {
        add(Part::Read, None, read.key.clone(), version(read.version.as_ref()));
    }
    for scan in &set.public.range_queries_info {
        let range = format!("{}..{}", scan.start_key, scan.end_key);
        add(Part::Scan, None, range, format!("a result of {}", digest(&scan.encode_to_vec())));
    }
    for write in &set.public.writes {
        let side = if write.is_delete { "its deletion".to_owned() } else { digest(&write.value) };
        add(Part::Write, None, write.key.clone(), side);
    }
    for write in &set.public.metadata_writes {
        add(Part::Metadata, None, write.key.clone(), entries(&write.entries));
    }
    for (collection, hashed) in &set.private {
        let collection = Some(collection);
        for read in &hashed.hashed_reads {
            add(Part::Read, collection, hex::encode(&read.key_hash), version(read.version.as_ref()));
        }
        for write in &hashed.hashed_writes {
            let side = format!("{} {} {}", write.is_delete, write.is_purge, hex::encode(&write.value_hash));
            add(Part::Write, collection, hex::encode(&write.key_hash), side);
        }
        for write in &hashed.metadata_writes {
            add(Part::Metadata, collection, hex::encode(&write.key_hash), entries(&write.entries));
        }
    }
}

fn version(version: Option<&Version>) -> String {
    version.map_or("no value".to_owned(), |version| {
        format!("the value of block {}, transaction {}", version.block_num, version.tx_num)
    })
}

fn entries(entries: &[KvMetadataEntry]) -> String {
    let entries: Vec<_> =
        entries.iter().map(|entry| format!("{} of {}", entry.name, digest(&entry.value))).collect();
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}

/// Length and digest of a value.
fn digest(value: &[u8]) -> String {
    match value.len() {
        0 => "0 bytes".to_owned(),
        length => format!("{length} bytes, SHA-256 {}", hex::encode(Sha256::digest(value))),
    }
}

#[cfg(test)]
mod tests {
    use hlf_protos::kvrwset::{HashedRwSet, KvWriteHash};
    use hlf_protos::rwset::{CollectionHashedReadWriteSet, NsReadWriteSet, TxReadWriteSet};

    use super::*;

    /// An answer that writes a private value.
    fn answer(value: &[u8]) -> (String, Aspects) {
        let write = KvWriteHash {
            key_hash: Sha256::digest(b"plan").to_vec(),
            value_hash: Sha256::digest(value).to_vec(),
            ..KvWriteHash::default()
        };
        let hashed = HashedRwSet { hashed_writes: vec![write], ..HashedRwSet::default() };
        let collection = CollectionHashedReadWriteSet {
            collection_name: "of_north".into(),
            hashed_rwset: hashed.encode_to_vec(),
            ..CollectionHashedReadWriteSet::default()
        };
        let set = NsReadWriteSet {
            namespace: "notes".into(),
            collection_hashed_rwset: vec![collection],
            ..NsReadWriteSet::default()
        };
        let results = TxReadWriteSet { ns_rwset: vec![set], ..TxReadWriteSet::default() }.encode_to_vec();
        let extension = ChaincodeAction { results, ..ChaincodeAction::default() }.encode_to_vec();
        let payload = ProposalResponsePayload { extension, ..ProposalResponsePayload::default() };
        ("peer0:7051".to_owned(), aspects(&payload.encode_to_vec()).unwrap())
    }

    #[test]
    fn of_private_values_that_differ_not_even_their_digests_are_told() {
        let (one, other) = (answer(b"guessable"), answer(b"other"));
        assert_eq!(difference(&one, &answer(b"guessable")), None);
        let difference = difference(&one, &other).unwrap();
        assert_eq!((difference.part, difference.collection.as_deref()), (Part::Write, Some("of_north")));
        let text = format!("{difference} {}", serde_json::to_string(&difference).unwrap());
        for value in ["guessable", "other"] {
            assert!(!text.contains(&hex::encode(Sha256::digest(value))), "{text}");
        }
    }
}
