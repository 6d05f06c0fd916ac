//! What can be wrong, each told in its own way.

use std::time::{Duration, SystemTime};

use caretrail_tests::until::until;
use hlf_gateway::protos::common::{ChannelHeader, Envelope, Payload, Status};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::{
    BlockRequest, Code, ConnectError, Deadlines, DeliverError, EndorseError, Endorsed, EvaluateError,
    FailureCause, Gateway, KeySigner, MspFolder, MspFolderError, Signer as _, TransactionError,
};
use hlf_network::ca::Validity;
use hlf_network::spec::{NodeOu, User, UserKey};

use crate::world::{NOTES, Notes, certificate_and_key, told, unchecked};

/// Checks that a call is refused at both stages for a stated cause, with words that say what to do.
async fn assert_refused(
    gateway: &Gateway,
    channel: &str,
    chaincode: &str,
    cause: FailureCause,
    advice: &str,
) -> (EvaluateError, EndorseError) {
    let contract = gateway.contract(channel, chaincode);
    let proposal = contract.proposal("Put").args(["refused", "x"]).build().unwrap();
    let evaluated = proposal.evaluate().await.unwrap_err();
    let proposal = contract.proposal("Put").args(["refused", "x"]).build().unwrap();
    let endorsed = proposal.endorse().await.unwrap_err();
    assert_eq!(endorsed.tx_id(), proposal.tx_id());
    for failure in [evaluated.failure().unwrap(), endorsed.failure().unwrap()] {
        assert_eq!(failure.cause(), Some(cause), "{failure}");
        assert!(failure.advice().unwrap().contains(advice), "{failure}");
        assert!(failure.chaincode_response().is_none(), "{failure}");
    }
    (evaluated, endorsed)
}

pub(crate) async fn a_tls_name_that_differs_is_told(world: &mut Notes) {
    let endpoint = world.profile("north").gateway().unwrap().host_override("elsewhere.example.com");
    let credentials = world.credentials("north", "User1");
    let error = Gateway::connect(&endpoint, credentials.clone(), Deadlines::default()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Untrusted { .. }), "{}", told(&error));
    assert!(told(&error).contains("names this host"), "{}", told(&error));
    assert!(told(&error).contains("elsewhere.example.com"), "{}", told(&error));
    // Lazily connected, the call says so.
    let lazy = Gateway::connect_lazy(&endpoint, credentials, Deadlines::default()).unwrap();
    let proposal = lazy.contract(world.channel(), NOTES).proposal("Caller").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code(), Code::Unavailable, "{}", told(&error));
    assert!(told(&error).contains("elsewhere.example.com"), "{}", told(&error));
    // The other organisation's authority did not sign this peer's certificate.
    let roots = std::fs::read_to_string(world.profile("south").tls_ca).unwrap();
    let endpoint = hlf_gateway::Endpoint::tls(world.profile("north").peers[0].address.clone(), roots);
    let error = Gateway::connect(&endpoint, world.credentials("north", "User1"), Deadlines::default());
    assert!(matches!(error.await.unwrap_err(), ConnectError::Untrusted { .. }));
}

pub(crate) async fn a_wrong_msp_is_told(world: &mut Notes) {
    let msp = world.enrolled("P256", UserKey::P256);
    for msp_id in ["SouthMSP", "NowhereMSP"] {
        let gateway = world.gateway_as("north", unchecked(&msp, msp_id)).await;
        let cause = FailureCause::IdentityRefused;
        let (_, error) = assert_refused(&gateway, world.channel(), NOTES, cause, "MSP id").await;
        let [peer, others @ ..] = error.peers() else { panic!("{}", told(&error)) };
        assert_eq!(peer.address, world.profile("north").peers[0].address);
        // The gateway may have asked others of its organisation then.
        let refused = others.iter().chain([peer]);
        assert!(refused.into_iter().all(|peer| peer.msp_id == "NorthMSP"), "{}", told(&error));
    }
}

pub(crate) async fn an_expired_certificate_is_told(world: &mut Notes) {
    let user = User {
        name: "expired".to_owned(),
        node_ou: NodeOu::Client,
        common_name: None,
        attributes: Default::default(),
        key: UserKey::P256,
    };
    let msp = world.ca("north").issue_user(&user, Some(Validity::expired())).unwrap().join("msp");
    let error = MspFolder::open(&msp, "NorthMSP").unwrap_err();
    assert!(matches!(&error, MspFolderError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("enrol again"), "{error}");
    // Who does not look is told by the peer, or of Fabric 2.5, whose peers say less, by this client.
    let gateway = world.gateway_as("north", unchecked(&msp, "NorthMSP")).await;
    let cause = FailureCause::IdentityExpired;
    assert_refused(&gateway, world.channel(), NOTES, cause, "expired: enrol again").await;
}

pub(crate) async fn a_clock_that_is_off_is_told(world: &mut Notes) {
    let notes = world.notes().await;
    for time in
        [SystemTime::now() + Duration::from_secs(1_200), SystemTime::now() - Duration::from_secs(1_200)]
    {
        let put = notes.proposal("Put").args(["clock", "x"]).timestamp(time).build().unwrap();
        let endorsed = put.endorse().await;
        if !world.is_v3() {
            // Fabric 2.5 does not look at a proposal's time.
            assert!(endorsed.is_ok());
            continue;
        }
        let error = endorsed.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.cause(), Some(FailureCause::ClockOff), "{failure}");
        assert!(failure.advice().unwrap().contains("set this machine's clock"), "{failure}");
    }
}

/// A request for blocks whose time is off, as a client on another machine would make it.
pub(crate) async fn a_request_for_blocks_of_another_time_is_told(world: &mut Notes) {
    let (credentials, key) = (world.credentials("north", "User1"), world.profile("north"));
    let (_, key) = certificate_and_key(&key.msp_folder("User1").unwrap());
    let gateway = world.gateway_as("north", credentials).await;
    let request = gateway.block_request(world.channel(), 0..=0);
    let mut payload = Payload::decode(request.message()).unwrap();
    let header = payload.header.as_mut().unwrap();
    let mut channel = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
    channel.timestamp.as_mut().unwrap().seconds -= 1_200;
    header.channel_header = channel.encode_to_vec();
    let payload = payload.encode_to_vec();
    let signature = KeySigner::from_pem(&key).unwrap().sign(&payload).await.unwrap();
    let bytes = Envelope { payload, signature }.encode_to_vec();
    let request = BlockRequest::from_bytes(&gateway, &bytes).unwrap();
    let error = request.filtered_blocks().await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Refused { status: Status::BadRequest, .. }), "{}", told(&error));
    assert!(error.to_string().contains("this machine's clock"), "{error}");
}

pub(crate) async fn an_unknown_channel_is_told(world: &mut Notes) {
    let gateway = world.gateway("north", "User1").await;
    let cause = FailureCause::UnknownChannel;
    let contract = gateway.contract("nowhere", NOTES);
    let error = contract.proposal("Caller").build().unwrap().evaluate().await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.cause(), Some(cause), "{failure}");
    assert!(failure.advice().unwrap().contains("check the channel's name"), "{failure}");
    // At endorsement, the peer speaks of the chaincode first.
    let error = contract.proposal("Caller").build().unwrap().endorse().await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.cause(), Some(FailureCause::UnknownChaincode), "{failure}");
    assert!(failure.to_string().contains("in channel nowhere"), "{failure}");
    assert!(failure.advice().unwrap().contains("check both names"), "{failure}");
    let deadlines = Deadlines { commit_status: Duration::from_secs(5), ..Deadlines::default() };
    let error =
        gateway.with_deadlines(deadlines).commit_status("nowhere", &"0".repeat(64)).await.unwrap_err();
    assert_eq!(error.failure().unwrap().cause(), Some(cause), "{}", told(&error));
}

pub(crate) async fn an_unknown_chaincode_is_told(world: &mut Notes) {
    let gateway = world.gateway("north", "User1").await;
    let cause = FailureCause::UnknownChaincode;
    assert_refused(&gateway, world.channel(), "nothing", cause, "committed").await;
}

pub(crate) async fn a_message_over_the_limit_is_told(world: &mut Notes) {
    let small = world.gateway("north", "Admin").await.with_received_bytes_max(4 * 1024 * 1024);
    let notes = small.contract(world.channel(), NOTES);
    let zeros = notes.proposal("Zeros").arg((5 * 1024 * 1024).to_string()).build().unwrap();
    let error = zeros.evaluate().await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.cause(), Some(FailureCause::MessageTooLarge), "{failure}");
    assert!(failure.advice().unwrap().contains("with_received_bytes_max"), "{failure}");
    assert!(!failure.is_retryable());

    // What orderers do not take was endorsed: to the rule that a failed submission is an unknown outcome there is no
    // exception, but its cause is told.
    let whole = world.notes().await;
    let put = whole.proposal("Put").arg("too large").arg(vec![7; 5 * 1024 * 1024]).build().unwrap();
    let error = put.endorse().await.unwrap().submit().await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.cause(), Some(FailureCause::MessageTooLarge), "{failure}");
    assert!(failure.advice().unwrap().contains("AbsoluteMaxBytes"), "{failure}");

    // A block that is larger ends its stream, and says so.
    let put = whole.proposal("Put").arg("large").arg(vec![7; 2 * 1024 * 1024]).build().unwrap();
    let done = whole.submit(put).await.unwrap();
    let mut blocks = small.blocks(world.channel(), done.block_number..=done.block_number).await.unwrap();
    let error = blocks.next().await.unwrap_err();
    assert!(told(&error).contains("with_received_bytes_max"), "{}", told(&error));
}

pub(crate) async fn a_failure_names_stage_status_transaction_and_peers(world: &mut Notes) {
    let notes = world.notes().await;
    let proposal = notes.proposal("Nothing").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert_eq!((error.tx_id(), error.failure().unwrap().code()), (proposal.tx_id(), Code::Unknown));
    assert_eq!(error.chaincode_response().unwrap().message, "NO_SUCH_CALL");

    let proposal = notes.proposal("Nothing").build().unwrap();
    let error = proposal.endorse().await.unwrap_err();
    assert_eq!((error.tx_id(), error.failure().unwrap().code()), (proposal.tx_id(), Code::Aborted));
    assert_eq!(error.chaincode_response().unwrap().status, 404);
    let addresses: Vec<String> = ["north", "south"]
        .iter()
        .flat_map(|organization| world.profile(organization).peers)
        .map(|peer| peer.address)
        .collect();
    assert!(!error.peers().is_empty());
    for peer in error.peers() {
        assert!(addresses.contains(&peer.address), "{peer}");
        assert!(["NorthMSP", "SouthMSP"].contains(&peer.msp_id.as_str()), "{peer}");
        assert!(peer.message.contains("NO_SUCH_CALL"), "{peer}");
        assert!(told(&error).contains(&peer.address), "{}", told(&error));
    }

    // A read of the same key by two who do not know of each other: one is too late.
    let one = notes.proposal("Put").args(["same", "1"]).build().unwrap().endorse().await.unwrap();
    let status = one.submit().await.unwrap().commit_status().await.unwrap();
    let again = one.submit().await;
    let error = match again {
        // A peer that has the transaction refuses it, or an orderer takes it once more: it has no second effect.
        Ok(submitted) => return assert_eq!(submitted.commit_status().await.unwrap(), status),
        Err(error) => error,
    };
    assert_eq!(error.tx_id(), one.tx_id());
    let unknown = TransactionError::Unknown {
        tx_id: error.tx_id().to_owned(),
        stage: hlf_gateway::Stage::Submit,
        source: hlf_gateway::UnknownCause::Submit(Box::new(error)),
        transaction: Box::new(one.signed().await.unwrap()),
    };
    assert!(told(&unknown).contains("unknown"), "{}", told(&unknown));
}

pub(crate) async fn orderers_that_are_down_are_named_and_the_same_transaction_sent_again(world: &mut Notes) {
    let notes = world.notes().await;
    let proposal = notes.proposal("Put").args(["down", "x"]).build().unwrap();
    let endorsed = proposal.endorse().await.unwrap();
    let orderer = &world.network.spec().orderer;
    for consenter in &orderer.consenters {
        let host = format!("{consenter}.{}", orderer.domain);
        assert!(world.network.supervisor().stop(&host).await.unwrap(), "{host}");
    }
    let error = endorsed.submit().await.unwrap_err();
    assert_eq!(error.tx_id(), proposal.tx_id());
    assert_eq!(error.failure().unwrap().code(), Code::Unavailable, "{}", told(&error));
    assert_eq!(error.peers().len(), orderer.consenters.len(), "{}", told(&error));
    for down in error.peers() {
        assert_eq!(down.msp_id, orderer.msp_id);
        assert!(told(&error).contains(&down.address), "{}", told(&error));
    }

    // Kept as bytes meanwhile, signature and all, it is sent once more: the same transaction, with one outcome.
    let kept = endorsed.to_bytes();
    world.up().await;
    let again = Endorsed::from_bytes(notes.gateway(), &kept).unwrap();
    let submitted =
        until("the orderers to take it", Duration::from_secs(120), async || again.submit().await.ok());
    let status = submitted.await.commit_status().await.unwrap();
    assert!(status.is_valid(), "{status:?}");
    assert_eq!(status.tx_id, proposal.tx_id());
}
