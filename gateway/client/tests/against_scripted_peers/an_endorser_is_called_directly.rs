//! Calls to one endorser, with and without a channel.

use hlf_gateway::protos::common::{ChannelHeader, Header};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::{
    ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal, ProposalResponse, Response,
};
use hlf_gateway::{Code, Deadlines, Endorser, EndorserError, Endpoint};
use tonic::Status;

use crate::scripted::{Answer, Script, ScriptedPeer, chain, credentials};

async fn endorser(script: Script) -> (ScriptedPeer, Endorser) {
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let endorser = Endorser::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    (peer, endorser)
}

fn answer(status: i32, message: &str, payload: &[u8]) -> ProposalResponse {
    let response = Response { status, message: message.into(), payload: payload.to_vec() };
    ProposalResponse { response: Some(response), ..ProposalResponse::default() }
}

#[tokio::test]
async fn a_call_that_concerns_the_peer_names_no_channel() {
    let script = Script {
        process: Box::new(|signed| {
            let proposal = Proposal::decode(signed.proposal_bytes.as_slice()).unwrap();
            let header = Header::decode(proposal.header.as_slice()).unwrap();
            let header = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
            assert_eq!(header.channel_id, "");
            assert_eq!(header.tx_id.len(), 64);
            let payload = ChaincodeProposalPayload::decode(proposal.payload.as_slice()).unwrap();
            let spec =
                ChaincodeInvocationSpec::decode(payload.input.as_slice()).unwrap().chaincode_spec.unwrap();
            assert_eq!(spec.chaincode_id.unwrap().name, "cscc");
            let args = spec.input.unwrap().args;
            assert_eq!(args, [b"JoinChain".to_vec(), b"block".to_vec()]);
            Answer::Reply(answer(200, "", b"joined"))
        }),
        ..Script::default()
    };
    let (_peer, endorser) = endorser(script).await;
    let payload = endorser.call("", "cscc", "JoinChain").arg("block").send().await.unwrap();
    assert_eq!(payload, b"joined");
}

#[tokio::test]
async fn an_answer_of_400_or_more_is_a_refusal_with_status_and_message() {
    let script = Script {
        process: Box::new(|_| Answer::Reply(answer(500, "already installed", b""))),
        ..Script::default()
    };
    let (_peer, endorser) = endorser(script).await;
    let error = endorser.call("main", "_lifecycle", "InstallChaincode").send().await.unwrap_err();
    let response = error.chaincode_response().unwrap();
    assert_eq!((response.status, response.message.as_str()), (500, "already installed"));
}

#[tokio::test]
async fn an_answer_without_a_response_is_no_success() {
    let script =
        Script { process: Box::new(|_| Answer::Reply(ProposalResponse::default())), ..Script::default() };
    let (_peer, endorser) = endorser(script).await;
    let error = endorser.call("main", "qscc", "GetChainInfo").send().await.unwrap_err();
    assert!(matches!(error, EndorserError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_refuses_the_proposal_says_why() {
    let script = Script {
        process: Box::new(|_| {
            Answer::Refuse(Status::unknown("error validating proposal: client identity expired"))
        }),
        ..Script::default()
    };
    let (_peer, endorser) = endorser(script).await;
    let error = endorser.call("main", "qscc", "GetChainInfo").send().await.unwrap_err();
    assert!(matches!(&error, EndorserError::Failed(failure) if failure.code() == Code::Unknown), "{error}");
    assert!(chain(&error).contains("enrol again"), "{}", chain(&error));
}

#[tokio::test]
async fn a_call_needs_a_chaincode() {
    let (_peer, endorser) = endorser(Script::default()).await;
    let error = endorser.call("", "", "Do").send().await.unwrap_err();
    assert!(matches!(error, EndorserError::Proposal { .. }), "{error}");
}
