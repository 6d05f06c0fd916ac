//! Every message of the schema carries all fields of the official one.
//!
//! `official.hex` holds, for each message, the encoding that the official Go types give to an instance
//! with every field set, and one instance per alternative of a `oneof`. A field that the schema misses or
//! numbers otherwise would be lost on the way through.

use std::collections::{BTreeMap, BTreeSet};

use hlf_protos::prost::{Message, Name};
use hlf_protos::*;

const OFFICIAL: &str = include_str!("official.hex");

/// What somebody signs or hashes: identical to the last byte.
const SIGNED: [&str; 19] = [
    "common.ChannelHeader",
    "common.ConfigUpdate",
    "common.Envelope",
    "common.Header",
    "common.Payload",
    "common.SignatureHeader",
    "gateway.CommitStatusRequest",
    "msp.SerializedIdentity",
    "protos.ChaincodeAction",
    "protos.ChaincodeActionPayload",
    "protos.ChaincodeEndorsedAction",
    "protos.ChaincodeHeaderExtension",
    "protos.ChaincodeInvocationSpec",
    "protos.ChaincodeProposalPayload",
    "protos.Proposal",
    "protos.ProposalResponsePayload",
    "protos.SignedProposal",
    "protos.Transaction",
    "protos.TransactionAction",
];

type Reencode = fn(&[u8]) -> Vec<u8>;

#[test]
fn every_message_keeps_every_official_field() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for line in OFFICIAL.lines() {
        let (name, encoded) = line.split_once(' ').unwrap();
        let official = hex::decode(encoded).unwrap();
        let reencode = schema.get(name).unwrap_or_else(|| panic!("no message `{name}`"));
        let again = reencode(&official);
        assert_eq!(sorted(&again), sorted(&official), "{name} loses a field");
        if SIGNED.contains(&name) {
            assert_eq!(hex::encode(&again), encoded, "{name}");
        }
        seen.insert(name.to_owned());
    }
    let unseen: Vec<_> = schema.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "no official encoding for {unseen:?}");
}

#[test]
fn a_capability_is_its_name_alone() {
    // The official encoder writes the empty value of a map entry, prost leaves it out.
    let official = hex::decode("0a080a0456335f301200").unwrap();
    let capabilities = common::Capabilities::decode(official.as_slice()).unwrap();
    assert_eq!(capabilities.capabilities.keys().collect::<Vec<_>>(), ["V3_0"]);
    let again = common::Capabilities::decode(capabilities.encode_to_vec().as_slice()).unwrap();
    assert_eq!(again, capabilities);
}

/// The official encoder writes the alternatives of a `oneof` last, prost in the order of numbers: the bytes
/// are the same, their order need not be.
fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut sorted = bytes.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Panics unless the official encoding decodes.
#[allow(clippy::unwrap_used)]
fn reencode<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

macro_rules! messages {
    ($($message:path),* $(,)?) => {
        BTreeMap::from([$((<$message as Name>::full_name(), reencode::<$message> as Reencode)),*])
    };
}

fn schema() -> BTreeMap<String, Reencode> {
    messages![
        common::Block,
        common::BlockHeader,
        common::BlockData,
        common::BlockMetadata,
        common::Metadata,
        common::MetadataSignature,
        common::IdentifierHeader,
        common::LastConfig,
        common::OrdererBlockMetadata,
        common::BlockchainInfo,
        common::BootstrappingSnapshotInfo,
        common::Envelope,
        common::Payload,
        common::Header,
        common::ChannelHeader,
        common::SignatureHeader,
        common::MspPrincipal,
        common::OrganizationUnit,
        common::MspRole,
        common::MspIdentityAnonymity,
        common::CombinedPrincipal,
        common::Policy,
        common::SignaturePolicyEnvelope,
        common::signature_policy::NOutOf,
        common::SignaturePolicy,
        common::ImplicitMetaPolicy,
        common::ConfigEnvelope,
        common::Config,
        common::ConfigUpdateEnvelope,
        common::ConfigUpdate,
        common::ConfigGroup,
        common::ConfigValue,
        common::ConfigPolicy,
        common::ConfigSignature,
        common::HashingAlgorithm,
        common::BlockDataHashingStructure,
        common::OrdererAddresses,
        common::Consenter,
        common::Orderers,
        common::Consortium,
        common::Capabilities,
        common::Capability,
        etcdraft::ConfigMetadata,
        etcdraft::Consenter,
        etcdraft::Options,
        etcdraft::BlockMetadata,
        gateway::EndorseRequest,
        gateway::EndorseResponse,
        gateway::SubmitRequest,
        gateway::SubmitResponse,
        gateway::SignedCommitStatusRequest,
        gateway::CommitStatusRequest,
        gateway::CommitStatusResponse,
        gateway::EvaluateRequest,
        gateway::EvaluateResponse,
        gateway::SignedChaincodeEventsRequest,
        gateway::ChaincodeEventsRequest,
        gateway::ChaincodeEventsResponse,
        gateway::ErrorDetail,
        gateway::ProposedTransaction,
        gateway::PreparedTransaction,
        google::rpc::Status,
        kvrwset::KvrwSet,
        kvrwset::HashedRwSet,
        kvrwset::KvRead,
        kvrwset::KvWrite,
        kvrwset::KvMetadataWrite,
        kvrwset::KvReadHash,
        kvrwset::KvWriteHash,
        kvrwset::KvMetadataWriteHash,
        kvrwset::KvMetadataEntry,
        kvrwset::Version,
        kvrwset::RangeQueryInfo,
        kvrwset::QueryReads,
        kvrwset::QueryReadsMerkleSummary,
        lifecycle::ApproveChaincodeDefinitionForMyOrgArgs,
        lifecycle::ApproveChaincodeDefinitionForMyOrgResult,
        lifecycle::chaincode_source::Unavailable,
        lifecycle::chaincode_source::Local,
        lifecycle::ChaincodeSource,
        lifecycle::CheckCommitReadinessArgs,
        lifecycle::check_commit_readiness_result::Mismatches,
        lifecycle::CheckCommitReadinessResult,
        lifecycle::QueryApprovedChaincodeDefinitionArgs,
        lifecycle::QueryApprovedChaincodeDefinitionResult,
        lifecycle::QueryApprovedChaincodeDefinitionsArgs,
        lifecycle::query_approved_chaincode_definitions_result::ApprovedChaincodeDefinition,
        lifecycle::QueryApprovedChaincodeDefinitionsResult,
        lifecycle::CommitChaincodeDefinitionArgs,
        lifecycle::CommitChaincodeDefinitionResult,
        lifecycle::QueryChaincodeDefinitionArgs,
        lifecycle::QueryChaincodeDefinitionResult,
        lifecycle::QueryChaincodeDefinitionsArgs,
        lifecycle::query_chaincode_definitions_result::ChaincodeDefinition,
        lifecycle::QueryChaincodeDefinitionsResult,
        lifecycle::InstallChaincodeArgs,
        lifecycle::InstallChaincodeResult,
        lifecycle::QueryInstalledChaincodeArgs,
        lifecycle::query_installed_chaincode_result::References,
        lifecycle::query_installed_chaincode_result::Chaincode,
        lifecycle::QueryInstalledChaincodeResult,
        lifecycle::GetInstalledChaincodePackageArgs,
        lifecycle::GetInstalledChaincodePackageResult,
        lifecycle::QueryInstalledChaincodesArgs,
        lifecycle::query_installed_chaincodes_result::InstalledChaincode,
        lifecycle::query_installed_chaincodes_result::References,
        lifecycle::query_installed_chaincodes_result::Chaincode,
        lifecycle::QueryInstalledChaincodesResult,
        msp::MspConfig,
        msp::FabricMspConfig,
        msp::FabricCryptoConfig,
        msp::SigningIdentityInfo,
        msp::KeyInfo,
        msp::FabricOuIdentifier,
        msp::FabricNodeOUs,
        msp::SerializedIdentity,
        orderer::BroadcastResponse,
        orderer::DeliverResponse,
        orderer::SeekInfo,
        orderer::SeekPosition,
        orderer::SeekNewest,
        orderer::SeekOldest,
        orderer::SeekSpecified,
        orderer::SeekNextCommit,
        orderer::ConsensusType,
        orderer::BatchSize,
        orderer::BatchTimeout,
        orderer::ChannelRestrictions,
        orderer::smartbft::Options,
        protos::ChaincodeId,
        protos::ChaincodeInput,
        protos::ChaincodeSpec,
        protos::ChaincodeInvocationSpec,
        protos::ChaincodeDeploymentSpec,
        protos::ChaincodeEvent,
        protos::ChaincodeAdditionalParams,
        protos::SignedProposal,
        protos::Proposal,
        protos::ChaincodeHeaderExtension,
        protos::ChaincodeProposalPayload,
        protos::ProposalResponse,
        protos::Response,
        protos::ProposalResponsePayload,
        protos::ChaincodeAction,
        protos::Endorsement,
        protos::ChaincodeInterest,
        protos::ChaincodeCall,
        protos::Transaction,
        protos::TransactionAction,
        protos::ChaincodeActionPayload,
        protos::ChaincodeEndorsedAction,
        protos::ProcessedTransaction,
        protos::CollectionConfigPackage,
        protos::CollectionConfig,
        protos::StaticCollectionConfig,
        protos::CollectionPolicyConfig,
        protos::ApplicationPolicy,
        protos::DeliverResponse,
        protos::FilteredBlock,
        protos::FilteredTransaction,
        protos::FilteredTransactionActions,
        protos::FilteredChaincodeAction,
        protos::BlockAndPrivateData,
        protos::ChaincodeQueryResponse,
        protos::ChaincodeInfo,
        protos::ChannelQueryResponse,
        protos::ChannelInfo,
        protos::JoinBySnapshotStatus,
        protos::SnapshotRequest,
        protos::SnapshotQuery,
        protos::SignedSnapshotRequest,
        protos::QueryPendingSnapshotsResponse,
        protos::AnchorPeers,
        protos::AnchorPeer,
        protos::AcLs,
        protos::ApiResource,
        protos::ChaincodeMessage,
        protos::GetState,
        protos::GetStateMetadata,
        protos::GetStateMultiple,
        protos::GetStateMultipleResult,
        protos::PutState,
        protos::PutStateMetadata,
        protos::DelState,
        protos::PurgePrivateState,
        protos::WriteBatchState,
        protos::WriteRecord,
        protos::StateMetadata,
        protos::StateMetadataResult,
        protos::GetStateByRange,
        protos::GetQueryResult,
        protos::QueryMetadata,
        protos::GetHistoryForKey,
        protos::QueryStateNext,
        protos::QueryStateClose,
        protos::QueryResultBytes,
        protos::QueryResponse,
        protos::QueryResponseMetadata,
        queryresult::Kv,
        queryresult::KeyModification,
        rwset::TxReadWriteSet,
        rwset::NsReadWriteSet,
        rwset::CollectionHashedReadWriteSet,
        rwset::TxPvtReadWriteSet,
        rwset::NsPvtReadWriteSet,
        rwset::CollectionPvtReadWriteSet,
    ]
}
