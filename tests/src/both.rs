//! Both hospitals' peers, asked for the same: a transaction counts when both endorsed it alike.

use caretrail_model::calls::Call;
use hlf_gateway::{Endorsed, Endorser, Gateway, Proposal};
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ChaincodeAction, ProposalResponse, ProposalResponsePayload, SignedProposal, TxValidationCode,
};

use crate::hospitals::Hospitals;

/// The peers of North and of South.
#[derive(Clone, Debug)]
pub struct Both {
    gateways: [Gateway; 2],
}

/// A transaction that reached a block, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// The channel.
    pub channel: String,
    /// Its id.
    pub tx_id: String,
    /// The verdict of both peers.
    pub code: TxValidationCode,
}

impl Both {
    /// Reaches both peers.
    ///
    /// # Panics
    /// When one is not reached.
    pub async fn of(hospitals: &Hospitals) -> Self {
        let (north, south) =
            tokio::join!(hospitals.gateway("north/service"), hospitals.gateway("south/service"));
        Self { gateways: [north, south] }
    }

    /// Each peer's own endorser.
    pub fn endorsers(&self) -> [Endorser; 2] {
        self.gateways.each_ref().map(Gateway::endorser)
    }

    /// Each peer's own answer to a proposal, North's first.
    ///
    /// # Panics
    /// When one does not answer.
    pub async fn answers(&self, proposal: &Proposal) -> [ProposalResponse; 2] {
        let signed = proposal.signed().await.expect("a signed proposal");
        let [north, south] = self.endorsers();
        let (north, south) = tokio::join!(answer(&north, &signed), answer(&south, &signed));
        [north, south]
    }

    /// What both peers endorse of a proposal, or answer to an evaluation: the same to the byte, read and write sets, event
    /// and reply.
    ///
    /// # Panics
    /// When one refuses, or they differ.
    #[track_caller]
    pub fn alike(&self, proposal: &Proposal) -> impl Future<Output = ProposalResponse> {
        let place = std::panic::Location::caller();
        async move {
            let [north, south] = self.answers(proposal).await;
            for answer in [&north, &south] {
                let said = answer.response.clone().unwrap_or_default();
                assert_eq!((said.status, said.message.as_str()), (200, ""), "{place}: {answer:?}");
                assert!(answer.endorsement.is_some(), "{place}");
            }
            if north.payload != south.payload {
                panic!("{place}: they do not answer alike\nNorth: {}\nSouth: {}", told(&north), told(&south));
            }
            assert_eq!(north.response, south.response, "{place}");
            assert!(!north.payload.is_empty(), "{place}");
            north
        }
    }

    /// What both peers refuse a proposal with, the same: status and message. Neither endorses anything.
    ///
    /// # Panics
    /// When one does not refuse, or they differ.
    #[track_caller]
    pub fn refused(&self, proposal: &Proposal) -> impl Future<Output = (i32, String)> {
        let place = std::panic::Location::caller();
        async move {
            let [north, south] = self.answers(proposal).await.map(|answer| refusal(&answer, place));
            assert_eq!(north, south, "{place}");
            north
        }
    }

    /// Hands a transaction to the orderer, and gives the verdict of both peers.
    ///
    /// # Panics
    /// When it is not taken, or the peers disagree.
    pub async fn order(&self, endorsed: &Endorsed) -> Sent {
        endorsed.submit().await.expect("an orderer that takes it");
        self.verdict(endorsed.channel(), endorsed.tx_id()).await
    }

    /// The verdict of both peers on a transaction, once both have it in a block.
    ///
    /// # Panics
    /// When one does not get it, or they disagree.
    pub async fn verdict(&self, channel: &str, tx_id: &str) -> Sent {
        let [north, south] = self.gateways.each_ref().map(|gateway| gateway.commit_status(channel, tx_id));
        let (north, south) = tokio::join!(north, south);
        let (north, south) = (north.expect("a verdict").code, south.expect("a verdict").code);
        assert_eq!(north, south, "the peers disagree on {tx_id}");
        Sent { channel: channel.to_owned(), tx_id: tx_id.to_owned(), code: north }
    }
}

/// What a peer refuses with: nothing of it is endorsed.
#[track_caller]
fn refusal(answer: &ProposalResponse, place: &std::panic::Location<'_>) -> (i32, String) {
    let said = answer.response.clone().unwrap_or_default();
    assert!(said.status >= 400, "{place}: endorsed {answer:?}");
    assert!(said.payload.is_empty() && answer.endorsement.is_none(), "{place}: {answer:?}");
    (said.status, said.message)
}

/// A call as a proposal.
///
/// # Panics
/// When it cannot be proposed.
pub fn propose<C: Call>(gateway: &Gateway, channel: &str, chaincode: &str, call: &C) -> Proposal {
    let argument = serde_json::to_vec(call).expect("an argument");
    let proposal = gateway.contract(channel, chaincode).proposal(C::NAME).arg(argument);
    proposal.endorsing_organizations(["NorthMSP", "SouthMSP"]).build().expect("a proposal")
}

/// What a peer says that a transaction would do.
///
/// # Panics
/// When it cannot be read.
pub fn action(answer: &ProposalResponse) -> ChaincodeAction {
    let payload = ProposalResponsePayload::decode(answer.payload.as_slice()).expect("a payload");
    ChaincodeAction::decode(payload.extension.as_slice()).expect("an action")
}

async fn answer(endorser: &Endorser, signed: &SignedProposal) -> ProposalResponse {
    endorser.process(signed.clone()).await.unwrap_or_else(|error| panic!("{error:?}"))
}

fn told(answer: &ProposalResponse) -> String {
    let action = action(answer);
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    let reply = answer.response.clone().unwrap_or_default().payload;
    format!("reply {}\nresults {}\nevent {}", of(&reply), of(&action.results), of(&action.events))
}
