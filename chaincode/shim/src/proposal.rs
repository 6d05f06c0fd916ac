//! The facts of a signed proposal, as the peer passes it with every transaction.

use std::collections::BTreeMap;

use hlf_protos::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::protos::{
    ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal, SignedProposal,
};
use prost::Message;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why a transaction could not be started.
#[derive(Debug, Error)]
pub(crate) enum ProposalError {
    #[error("the peer sent no signed proposal")]
    Missing,
    #[error("the {part} of the signed proposal does not decode")]
    Undecodable { part: &'static str, source: prost::DecodeError },
    #[error("the signed proposal has no {part}")]
    Absent { part: &'static str },
    #[error("the signed proposal is of kind {kind}, which starts no transaction")]
    KindInvalid { kind: i32 },
    #[error("the timestamp of the signed proposal is out of range")]
    TimestampOutOfRange,
    #[error("the arguments of the transaction do not decode")]
    Arguments { source: prost::DecodeError },
}

/// What a client signed, decoded once.
#[derive(Debug)]
pub(crate) struct ProposalFacts {
    pub(crate) creator: Vec<u8>,
    pub(crate) msp_id: String,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) channel: String,
    pub(crate) chaincode: String,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) transient: BTreeMap<String, Vec<u8>>,
    nonce: Vec<u8>,
    epoch: u64,
    pub(crate) signed: SignedProposal,
}

impl ProposalFacts {
    pub(crate) fn decode(signed: Option<SignedProposal>) -> Result<Self, ProposalError> {
        let signed = signed.ok_or(ProposalError::Missing)?;
        let proposal: Proposal = part("proposal", &signed.proposal_bytes)?;
        let header: Header = part("header", &proposal.header)?;
        let channel_header: ChannelHeader = part("channel header", &header.channel_header)?;
        let signature_header: SignatureHeader = part("signature header", &header.signature_header)?;
        let kind = channel_header.r#type;
        if ![HeaderType::EndorserTransaction, HeaderType::Config].map(i32::from).contains(&kind) {
            return Err(ProposalError::KindInvalid { kind });
        }
        let identity: SerializedIdentity = part("creator", &signature_header.creator)?;
        let extension: ChaincodeHeaderExtension = part("header extension", &channel_header.extension)?;
        let payload: ChaincodeProposalPayload = part("payload", &proposal.payload)?;
        let invocation: ChaincodeInvocationSpec = part("invocation", &payload.input)?;

        let timestamp = channel_header.timestamp.ok_or(ProposalError::Absent { part: "timestamp" })?;
        let chaincode = extension.chaincode_id.ok_or(ProposalError::Absent { part: "chaincode name" })?;
        let input = invocation
            .chaincode_spec
            .and_then(|spec| spec.input)
            .ok_or(ProposalError::Absent { part: "arguments" })?;
        if signature_header.creator.is_empty() {
            return Err(ProposalError::Absent { part: "creator" });
        }
        Ok(Self {
            transient: payload.transient_map,
            nonce: signature_header.nonce,
            epoch: channel_header.epoch,
            timestamp_unix_ms: unix_ms(timestamp.seconds, timestamp.nanos)
                .ok_or(ProposalError::TimestampOutOfRange)?,
            creator: signature_header.creator,
            msp_id: identity.mspid,
            channel: channel_header.channel_id,
            chaincode: chaincode.name,
            args: input.args,
            signed,
        })
    }

    /// SHA-256 of what ties things signed elsewhere to this proposal; few contracts ask for it.
    pub(crate) fn binding(&self) -> [u8; 32] {
        let hash = Sha256::new().chain_update(&self.nonce).chain_update(&self.creator);
        hash.chain_update(self.epoch.to_le_bytes()).finalize().into()
    }
}

fn part<M: Message + Default>(part: &'static str, bytes: &[u8]) -> Result<M, ProposalError> {
    M::decode(bytes).map_err(|source| ProposalError::Undecodable { part, source })
}

/// Whole milliseconds since 1970, rounded down; `None` outside protobuf's range for nanoseconds or i64.
pub(crate) fn unix_ms(seconds: i64, nanos: i32) -> Option<i64> {
    if !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    seconds.checked_mul(1000)?.checked_add(i64::from(nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rounded_down_and_bounded() {
        assert_eq!(unix_ms(1, 999_999_999), Some(1999));
        assert_eq!(unix_ms(-1, 1_000_000), Some(-999));
        assert_eq!(unix_ms(0, 1_000_000_000), None);
        assert_eq!(unix_ms(0, -1), None);
        assert_eq!(unix_ms(i64::MAX, 0), None);
        assert_eq!(unix_ms(i64::MIN, 0), None);
    }

    #[test]
    fn a_proposal_without_its_parts_is_an_error() {
        assert!(matches!(ProposalFacts::decode(None), Err(ProposalError::Missing)));
        let garbage = SignedProposal { proposal_bytes: vec![0xff; 9], signature: Vec::new() };
        assert!(matches!(
            ProposalFacts::decode(Some(garbage)),
            Err(ProposalError::Undecodable { part: "proposal", .. })
        ));
        let empty = SignedProposal::default();
        assert!(matches!(ProposalFacts::decode(Some(empty)), Err(ProposalError::KindInvalid { kind: 0 })));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_a_panic(proposal_bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let signed = SignedProposal { proposal_bytes, signature: Vec::new() };
            let _ = ProposalFacts::decode(Some(signed));
        }
    }
}
