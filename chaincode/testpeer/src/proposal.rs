//! Proposals as a client would sign them.

use std::collections::BTreeMap;

use hlf_protos::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, Proposal as WireProposal, SignedProposal,
};
use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// One call: who asks, for which function, with which arguments.
///
/// What is not set comes from the peer: its channel, its chaincode name, its clock.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub(crate) creator: Vec<u8>,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) passed_args: Option<Vec<Vec<u8>>>,
    pub(crate) channel: Option<String>,
    pub(crate) chaincode: Option<String>,
    pub(crate) timestamp_unix_ms: Option<i64>,
    pub(crate) transient: BTreeMap<String, Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) init: bool,
}

impl Proposal {
    /// A call of `function` by `creator`: the bytes of a `msp.SerializedIdentity`.
    pub fn new(creator: impl Into<Vec<u8>>, function: impl Into<Vec<u8>>) -> Self {
        Self {
            creator: creator.into(),
            args: vec![function.into()],
            passed_args: None,
            channel: None,
            chaincode: None,
            timestamp_unix_ms: None,
            transient: BTreeMap::new(),
            nonce: None,
            init: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an argument as JSON.
    ///
    /// # Errors
    /// What `serde_json` cannot encode.
    pub fn json(self, arg: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(self.arg(serde_json::to_vec(arg)?))
    }

    /// The channel in the signed header.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// The chaincode name in the signed header.
    #[must_use]
    pub fn chaincode(mut self, name: impl Into<String>) -> Self {
        self.chaincode = Some(name.into());
        self
    }

    /// The timestamp in the signed header, Unix milliseconds.
    #[must_use]
    pub fn timestamp_unix_ms(mut self, at: i64) -> Self {
        self.timestamp_unix_ms = Some(at);
        self
    }

    /// Adds an entry to the transient map.
    #[must_use]
    pub fn transient(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.transient.insert(name.into(), value.into());
        self
    }

    /// The nonce, from which and the creator the transaction id follows. Each call gets its own otherwise.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<Vec<u8>>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// What the chaincode is called with in place of what was signed, as if by other chaincode.
    #[must_use]
    pub fn passed_args(mut self, args: Vec<Vec<u8>>) -> Self {
        self.passed_args = Some(args);
        self
    }

    /// Sends it as INIT, as for a chaincode committed with `--init-required`.
    #[must_use]
    pub fn init(mut self) -> Self {
        self.init = true;
        self
    }
}

/// What a peer fills in.
pub(crate) struct Defaults<'d> {
    pub(crate) channel: &'d str,
    pub(crate) chaincode: &'d str,
    pub(crate) clock_unix_ms: i64,
    pub(crate) nonce: Vec<u8>,
    pub(crate) decorations: &'d BTreeMap<String, Vec<u8>>,
}

/// A proposal as it goes to the chaincode.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) tx_id: String,
    pub(crate) channel: String,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) input: Vec<u8>,
    pub(crate) init: bool,
    /// What the creator names, empty if it does not decode.
    pub(crate) creator_msp_id: String,
    pub(crate) proposal: SignedProposal,
}

impl Signed {
    pub(crate) fn new(proposal: &Proposal, defaults: Defaults<'_>) -> Self {
        let nonce = proposal.nonce.clone().unwrap_or(defaults.nonce);
        let tx_id = hex::encode(Sha256::digest([nonce.as_slice(), &proposal.creator].concat()));
        let channel = proposal.channel.clone().unwrap_or_else(|| defaults.channel.to_owned());
        let timestamp_unix_ms = proposal.timestamp_unix_ms.unwrap_or(defaults.clock_unix_ms);
        let chaincode = ChaincodeId {
            name: proposal.chaincode.clone().unwrap_or_else(|| defaults.chaincode.to_owned()),
            ..ChaincodeId::default()
        };
        let input = ChaincodeInput {
            args: proposal.args.clone(),
            is_init: proposal.init,
            ..ChaincodeInput::default()
        };
        let passed = ChaincodeInput {
            args: proposal.passed_args.clone().unwrap_or_else(|| proposal.args.clone()),
            decorations: defaults.decorations.clone(),
            ..input.clone()
        };
        let extension = ChaincodeHeaderExtension { chaincode_id: Some(chaincode.clone()) };
        let channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction.into(),
            timestamp: Some(timestamp(timestamp_unix_ms)),
            channel_id: channel.clone(),
            tx_id: tx_id.clone(),
            extension: extension.encode_to_vec(),
            ..ChannelHeader::default()
        };
        let signature_header = SignatureHeader { creator: proposal.creator.clone(), nonce };
        let header = Header {
            channel_header: channel_header.encode_to_vec(),
            signature_header: signature_header.encode_to_vec(),
        };
        let invocation = ChaincodeInvocationSpec {
            chaincode_spec: Some(ChaincodeSpec {
                chaincode_id: Some(chaincode),
                input: Some(input),
                ..ChaincodeSpec::default()
            }),
        };
        let payload = ChaincodeProposalPayload {
            input: invocation.encode_to_vec(),
            transient_map: proposal.transient.clone(),
        };
        let proposal_bytes = WireProposal {
            header: header.encode_to_vec(),
            payload: payload.encode_to_vec(),
            extension: Vec::new(),
        }
        .encode_to_vec();
        Self {
            tx_id,
            channel,
            timestamp_unix_ms,
            input: passed.encode_to_vec(),
            init: proposal.init,
            creator_msp_id: SerializedIdentity::decode(proposal.creator.as_slice())
                .map(|identity| identity.mspid)
                .unwrap_or_default(),
            // Peers check signatures before they ask the chaincode; this one is not looked at.
            proposal: SignedProposal { proposal_bytes, signature: Vec::new() },
        }
    }
}

pub(crate) fn timestamp(unix_ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: unix_ms.div_euclid(1000),
        // Within 0..1_000_000_000.
        nanos: i32::try_from(unix_ms.rem_euclid(1000) * 1_000_000).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_id_follows_from_nonce_and_creator_and_the_header_says_what_was_asked() {
        let decorations = BTreeMap::new();
        let defaults = |number| Defaults {
            channel: "c",
            chaincode: "shop",
            clock_unix_ms: -1,
            nonce: vec![number],
            decorations: &decorations,
        };
        let proposal = Proposal::new("creator", "Fn").arg("1").channel("trade");
        let signed = Signed::new(&proposal, defaults(7));
        assert_eq!(signed.tx_id, hex::encode(Sha256::digest(b"\x07creator")));
        assert_ne!(signed.tx_id, Signed::new(&proposal, defaults(8)).tx_id);
        assert_eq!(signed.tx_id, Signed::new(&proposal.nonce([7]), defaults(8)).tx_id);

        let wire = WireProposal::decode(signed.proposal.proposal_bytes.as_slice()).unwrap();
        let header = Header::decode(wire.header.as_slice()).unwrap();
        let channel_header = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
        assert_eq!((channel_header.channel_id.as_str(), channel_header.tx_id), ("trade", signed.tx_id));
        let at = channel_header.timestamp.unwrap();
        assert_eq!((at.seconds, at.nanos), (-1, 999_000_000));
        let extension = ChaincodeHeaderExtension::decode(channel_header.extension.as_slice()).unwrap();
        assert_eq!(extension.chaincode_id.unwrap().name, "shop");
    }
}
