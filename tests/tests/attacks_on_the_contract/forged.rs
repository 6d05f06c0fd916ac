//! Transactions that are put together by hand: whoever has keys can sign what he likes.

use std::path::PathBuf;

use hlf_gateway::{Credentials, Endorsed, Gateway, MspFolder, Proposal};
use hlf_protos::common::{Envelope, Header, Payload};
use hlf_protos::gateway::PreparedTransaction;
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    self, ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeProposalPayload,
    Endorsement, ProposalResponsePayload, Transaction, TransactionAction,
};
use hlf_protos::rwset::TxReadWriteSet;

use crate::world::Siege;

/// Keys that an attacker holds.
pub(crate) struct Keys {
    /// Of a hospital's peer.
    pub(crate) peer: Credentials,
    /// Of the orderer.
    pub(crate) orderer: Credentials,
}

impl Keys {
    /// What a hospital that gives itself up to an attack has: its peer's key, and the ordering node's that it runs.
    pub(crate) fn of_north(siege: &Siege) -> Self {
        let (network, north) = (siege.hospitals.network(), siege.hospitals.organization("north"));
        let peer = network.layout().organization(north).join("peers").join(north.host("peer0"));
        let orderer = &network.spec().orderer;
        let node = network.layout().ordering_organization(orderer).join("orderers");
        let node = node.join(orderer.host("orderer0"));
        Self { peer: credentials(peer, &north.msp_id), orderer: credentials(node, &orderer.msp_id) }
    }
}

/// An identity of an organisation's folder.
pub(crate) fn credentials(folder: PathBuf, msp_id: &str) -> Credentials {
    MspFolder::open(folder.join("msp"), msp_id).unwrap().into_credentials()
}

/// A user's key, as the user has it.
pub(crate) fn client(siege: &Siege, identity: &str) -> Credentials {
    siege.gateway(identity).credentials().clone()
}

/// What an endorser signs, changed in the contract's part of its read and write sets.
pub(crate) fn rewritten(payload: &[u8], change: impl FnOnce(&mut KvrwSet)) -> Vec<u8> {
    let mut response: ProposalResponsePayload = read(payload);
    let mut action: ChaincodeAction = read(&response.extension);
    let mut results: TxReadWriteSet = read(&action.results);
    let of_contract = results.ns_rwset.iter_mut().find(|of| of.namespace == "caretrail").unwrap();
    let mut sets: KvrwSet = read(&of_contract.rwset);
    change(&mut sets);
    of_contract.rwset = sets.encode_to_vec();
    action.results = results.encode_to_vec();
    response.extension = action.encode_to_vec();
    response.encode_to_vec()
}

/// The transaction of a proposal with a result, endorsed by whoever signs it.
pub(crate) async fn transaction(
    gateway: &Gateway,
    proposal: &Proposal,
    result: &[u8],
    endorsers: &[&Credentials],
) -> Endorsed {
    let mut endorsements = Vec::new();
    for endorser in endorsers {
        let creator = endorser.identity().creator();
        let signature = endorser.sign(&[result, &creator].concat()).await.unwrap();
        endorsements.push(Endorsement { endorser: creator, signature });
    }
    assembled(gateway, proposal, result, endorsements)
}

/// The transaction of a proposal with a result and endorsements.
pub(crate) fn assembled(
    gateway: &Gateway,
    proposal: &Proposal,
    result: &[u8],
    endorsements: Vec<Endorsement>,
) -> Endorsed {
    let proposed: protos::Proposal = read(proposal.message());
    let header: Header = read(&proposed.header);
    let mut call: ChaincodeProposalPayload = read(&proposed.payload);
    call.transient_map.clear();
    let action = ChaincodeActionPayload {
        chaincode_proposal_payload: call.encode_to_vec(),
        action: Some(ChaincodeEndorsedAction { proposal_response_payload: result.to_vec(), endorsements }),
    };
    let action =
        TransactionAction { header: header.signature_header.clone(), payload: action.encode_to_vec() };
    let data = Transaction { actions: vec![action] }.encode_to_vec();
    let payload = Payload { header: Some(header), data }.encode_to_vec();
    let prepared = PreparedTransaction {
        transaction_id: proposal.tx_id().to_owned(),
        envelope: Some(Envelope { payload, signature: Vec::new() }),
    };
    Endorsed::from_bytes(gateway, &prepared.encode_to_vec()).unwrap()
}

fn read<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).unwrap()
}
