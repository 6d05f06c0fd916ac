//! Transactions as a block holds them.

use hlf_protos::common::{
    Block, BlockMetadataIndex, ChannelHeader, Envelope, HeaderType, Payload, SignatureHeader,
};
use hlf_protos::kvrwset::{HashedRwSet, KvrwSet};
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::{DecodeError, Message};
use hlf_protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeHeaderExtension, ChaincodeInvocationSpec,
    ChaincodeProposalPayload, ProposalResponsePayload, Transaction, TxValidationCode,
};
use hlf_protos::rwset::TxReadWriteSet;

use super::{InBlock, Party, Position};

/// A transaction of a block; of what can't be read, nothing is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    pub(super) tx_id: String,
    pub(super) position: Position,
    pub(super) code: TxValidationCode,
    pub(super) chaincode: String,
    pub(super) function: String,
    pub(super) creator: Vec<u8>,
    pub(super) endorsers: Vec<Vec<u8>>,
    pub(super) timestamp: Option<String>,
    pub(super) sets: Vec<NamespaceSet>,
}

/// What a transaction read and wrote in one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NamespaceSet {
    pub(super) namespace: String,
    pub(super) public: KvrwSet,
    /// By collection.
    pub(super) private: Vec<(String, HashedRwSet)>,
}

/// The transactions of a block, in their order.
pub(super) fn transactions(block: &Block) -> Vec<Decoded> {
    let number = block.header.as_ref().map_or(0, |header| header.number);
    let codes = block
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.metadata.get(BlockMetadataIndex::TransactionsFilter as usize));
    let envelopes = block.data.iter().flat_map(|data| &data.data);
    (0_u64..)
        .zip(envelopes)
        .enumerate()
        .map(|(at, (index, envelope))| {
            let mut decoded = Decoded { position: Position { block: number, index }, ..Decoded::default() };
            // A malformed transaction, which peers found invalid, keeps what was read of it until there.
            let _ = decoded.read(envelope);
            decoded.code = codes
                .and_then(|codes| codes.get(at))
                .and_then(|code| TxValidationCode::try_from(i32::from(*code)).ok())
                .unwrap_or(TxValidationCode::NotValidated);
            decoded
        })
        .collect()
}

/// What a serialised read-write set holds, by namespace.
pub(super) fn sets(results: &[u8]) -> Result<Vec<NamespaceSet>, DecodeError> {
    let sets = TxReadWriteSet::decode(results)?.ns_rwset.into_iter();
    sets.map(|set| {
        let private = set.collection_hashed_rwset.into_iter().map(|collection| {
            let hashed = HashedRwSet::decode(collection.hashed_rwset.as_slice())?;
            Ok((collection.collection_name, hashed))
        });
        Ok(NamespaceSet {
            namespace: set.namespace,
            public: KvrwSet::decode(set.rwset.as_slice())?,
            private: private.collect::<Result<_, DecodeError>>()?,
        })
    })
    .collect()
}

impl Decoded {
    fn read(&mut self, envelope: &[u8]) -> Result<(), DecodeError> {
        let payload = Payload::decode(Envelope::decode(envelope)?.payload.as_slice())?;
        let header = payload.header.unwrap_or_default();
        let channel = ChannelHeader::decode(header.channel_header.as_slice())?;
        self.tx_id = channel.tx_id;
        self.timestamp = channel.timestamp.map(|timestamp| timestamp.to_string());
        self.creator = SignatureHeader::decode(header.signature_header.as_slice())?.creator;
        if channel.r#type != i32::from(HeaderType::EndorserTransaction) {
            return Ok(());
        }
        let extension = ChaincodeHeaderExtension::decode(channel.extension.as_slice())?;
        self.chaincode = extension.chaincode_id.unwrap_or_default().name;
        for action in Transaction::decode(payload.data.as_slice())?.actions {
            let action = ChaincodeActionPayload::decode(action.payload.as_slice())?;
            let call = ChaincodeProposalPayload::decode(action.chaincode_proposal_payload.as_slice())?;
            let spec = ChaincodeInvocationSpec::decode(call.input.as_slice())?.chaincode_spec;
            if let Some(function) = spec.and_then(|spec| spec.input?.args.into_iter().next()) {
                self.function = String::from_utf8_lossy(&function).into_owned();
            }
            let endorsed = action.action.unwrap_or_default();
            self.endorsers.extend(endorsed.endorsements.into_iter().map(|endorsement| endorsement.endorser));
            let response = ProposalResponsePayload::decode(endorsed.proposal_response_payload.as_slice())?;
            let action = ChaincodeAction::decode(response.extension.as_slice())?;
            self.sets.extend(sets(&action.results)?);
        }
        Ok(())
    }

    pub(super) fn described(&self) -> InBlock {
        InBlock {
            position: self.position,
            code: self.code,
            chaincode: self.chaincode.clone(),
            function: self.function.clone(),
            creator: party(&self.creator),
            endorsers: self.endorsers.iter().map(|endorser| party(endorser)).collect(),
            timestamp: self.timestamp.clone(),
        }
    }
}

/// Who an encoded `msp.SerializedIdentity` is.
pub(super) fn party(identity: &[u8]) -> Party {
    let identity = SerializedIdentity::decode(identity).unwrap_or_default();
    let mut party = Party { msp_id: identity.mspid, name: None, units: Vec::new() };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&identity.id_bytes) else { return party };
    let Ok(certificate) = pem.parse_x509() else { return party };
    let subject = certificate.subject();
    party.name = subject.iter_common_name().find_map(|name| name.as_str().ok().map(str::to_owned));
    party.units =
        subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok().map(str::to_owned)).collect();
    party
}
