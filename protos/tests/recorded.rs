//! What real Fabric 3.1.1 nodes produced comes through unchanged.
//!
//! `genesis.block` and `transaction.block` are blocks 0 and 1 of a channel as its peer returns them;
//! `query.proposal` is what Fabric's command line client signs for a query with a transient value.

use hlf_protos::common::{
    Block, ChannelHeader, ConfigEnvelope, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::msp::{FabricMspConfig, MspConfig, SerializedIdentity};
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeHeaderExtension, ChaincodeInvocationSpec,
    ChaincodeProposalPayload, Proposal, ProposalResponsePayload, SignedProposal, Transaction,
};
use hlf_protos::rwset::TxReadWriteSet;
use sha2::{Digest, Sha256};

const GENESIS: &[u8] = include_bytes!("fabric/genesis.block");
const TRANSACTION: &[u8] = include_bytes!("fabric/transaction.block");
const PROPOSAL: &[u8] = include_bytes!("fabric/query.proposal");

/// Decodes a message, which must encode again to the very same bytes.
#[allow(clippy::unwrap_used)]
fn same<M: Message + Default>(bytes: &[u8]) -> M {
    let message = M::decode(bytes).unwrap();
    assert_eq!(message.encode_to_vec(), bytes);
    message
}

#[test]
fn a_signed_proposal_keeps_every_byte() {
    let signed: SignedProposal = same(PROPOSAL);
    let proposal: Proposal = same(&signed.proposal_bytes);
    let header: Header = same(&proposal.header);
    let channel_header: ChannelHeader = same(&header.channel_header);
    let extension: ChaincodeHeaderExtension = same(&channel_header.extension);
    let payload: ChaincodeProposalPayload = same(&proposal.payload);
    let spec: ChaincodeInvocationSpec = same(&payload.input);

    assert_eq!(channel_header.r#type, i32::from(HeaderType::EndorserTransaction));
    assert_eq!(extension.chaincode_id.unwrap().name, "assets");
    assert_eq!(payload.transient_map["secret"], b"value");
    assert_eq!(spec.chaincode_spec.unwrap().input.unwrap().args, [b"Read".to_vec(), b"asset1".to_vec()]);
    assert_eq!(channel_header.tx_id, transaction_id(&header));
}

#[test]
fn an_endorsed_transaction_keeps_every_byte() {
    let block: Block = same(TRANSACTION);
    let envelope: Envelope = same(&block.data.unwrap().data[0]);
    let payload: Payload = same(&envelope.payload);
    let header = payload.header.unwrap();
    let channel_header: ChannelHeader = same(&header.channel_header);
    let transaction: Transaction = same(&payload.data);
    let action: ChaincodeActionPayload = same(&transaction.actions[0].payload);
    let call: ChaincodeProposalPayload = same(&action.chaincode_proposal_payload);
    let _: ChaincodeInvocationSpec = same(&call.input);
    let endorsed = action.action.unwrap();
    let endorser: SerializedIdentity = same(&endorsed.endorsements[0].endorser);
    let response: ProposalResponsePayload = same(&endorsed.proposal_response_payload);
    let result: ChaincodeAction = same(&response.extension);
    let written: TxReadWriteSet = same(&result.results);
    let sets: Vec<KvrwSet> = written.ns_rwset.iter().map(|namespace| same(&namespace.rwset)).collect();

    assert_eq!(endorser.mspid, "NorthMSP");
    assert_eq!(channel_header.tx_id, transaction_id(&header));
    assert_eq!(transaction.actions[0].header, header.signature_header);
    let hash = Sha256::new()
        .chain_update(&header.channel_header)
        .chain_update(&header.signature_header)
        .chain_update(&action.chaincode_proposal_payload)
        .finalize();
    assert_eq!(response.proposal_hash, hash.as_slice());
    assert!(sets.iter().all(|set| !set.reads.is_empty()));
}

#[test]
fn a_configuration_keeps_its_meaning() {
    let block: Block = same(GENESIS);
    let envelope: Envelope = same(&block.data.unwrap().data[0]);
    let payload: Payload = same(&envelope.payload);
    let channel_header: ChannelHeader = same(&payload.header.unwrap().channel_header);
    assert_eq!(channel_header.r#type, i32::from(HeaderType::Config));

    // Fabric writes maps in no certain order: equal is what is decoded, not the bytes.
    let config = ConfigEnvelope::decode(payload.data.as_slice()).unwrap();
    assert_eq!(ConfigEnvelope::decode(config.encode_to_vec().as_slice()).unwrap(), config);

    let application = &config.config.unwrap().channel_group.unwrap().groups["Application"];
    let msp: MspConfig = same(&application.groups["NorthMSP"].values["MSP"].value);
    let msp: FabricMspConfig = same(&msp.config);
    assert_eq!(msp.name, "NorthMSP");
    assert!(msp.fabric_node_ous.unwrap().enable);
}

#[test]
fn a_block_hashes_as_the_next_one_says() {
    let genesis = Block::decode(GENESIS).unwrap();
    let next = Block::decode(TRANSACTION).unwrap();
    let data = genesis.data.unwrap().data.concat();
    assert_eq!(genesis.header.as_ref().unwrap().data_hash, Sha256::digest(data).as_slice());
    let header = genesis.header.unwrap();
    assert_eq!(next.header.unwrap().previous_hash, Sha256::digest(asn1(&header)).as_slice());
}

/// SHA-256 of nonce and creator, in hex.
#[allow(clippy::unwrap_used)]
fn transaction_id(header: &Header) -> String {
    let header = SignatureHeader::decode(header.signature_header.as_slice()).unwrap();
    hex::encode(Sha256::new().chain_update(header.nonce).chain_update(header.creator).finalize())
}

/// The hashed form of a header with number 0: an ASN.1 sequence of number, previous hash and data hash.
fn asn1(header: &hlf_protos::common::BlockHeader) -> Vec<u8> {
    assert_eq!((header.number, header.previous_hash.len(), header.data_hash.len()), (0, 0, 32));
    let mut encoded = vec![0x30, 39, 0x02, 1, 0, 0x04, 0, 0x04, 32];
    encoded.extend(&header.data_hash);
    encoded
}
