//! Block streams and chaincode events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hlf_gateway::protos::common::{Block, BlockData, BlockHeader, ChannelHeader, Payload, Status};
use hlf_gateway::protos::gateway::{ChaincodeEventsRequest, ChaincodeEventsResponse};
use hlf_gateway::protos::orderer::seek_position::Type as Position;
use hlf_gateway::protos::orderer::{SeekInfo, SeekNewest, SeekSpecified};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::deliver_response::Type as Delivered;
use hlf_gateway::protos::protos::{ChaincodeEvent, DeliverResponse, FilteredBlock};
use hlf_gateway::{
    BlockRange, ChaincodeEventsError, Code, Deadlines, DeliverError, Endpoint, EventsFrom, Gateway, Start,
};

use crate::scripted::{Answer, Script, ScriptedPeer, chain, credentials};

fn filtered(number: u64) -> DeliverResponse {
    let block = FilteredBlock { channel_id: "main".into(), number, ..FilteredBlock::default() };
    DeliverResponse { r#type: Some(Delivered::FilteredBlock(block)) }
}

fn whole(number: u64, bytes: usize) -> DeliverResponse {
    let block = Block {
        header: Some(BlockHeader { number, ..BlockHeader::default() }),
        data: Some(BlockData { data: vec![vec![7; bytes]] }),
        metadata: None,
    };
    DeliverResponse { r#type: Some(Delivered::Block(block)) }
}

fn status(status: Status) -> DeliverResponse {
    DeliverResponse { r#type: Some(Delivered::Status(status.into())) }
}

/// A gateway whose peer delivers what is given, and the seek requests that it saw.
async fn delivering(responses: Vec<DeliverResponse>) -> (ScriptedPeer, Gateway, Arc<Mutex<Vec<SeekInfo>>>) {
    let seeks = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&seeks);
    let script = Script {
        deliver: Box::new(move |(envelope, _)| {
            let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
            let header = ChannelHeader::decode(payload.header.unwrap().channel_header.as_slice()).unwrap();
            assert_eq!((header.channel_id.as_str(), header.r#type), ("main", 5));
            seen.lock().unwrap().push(SeekInfo::decode(payload.data.as_slice()).unwrap());
            Answer::Reply(responses.clone())
        }),
        ..Script::default()
    };
    let (peer, gateway) = connected(script).await;
    (peer, gateway, seeks)
}

async fn connected(script: Script) -> (ScriptedPeer, Gateway) {
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    (peer, gateway)
}

fn specified(number: u64) -> Position {
    Position::Specified(SeekSpecified { number })
}

fn positions(seek: &SeekInfo) -> (Position, Position) {
    let position =
        |position: &Option<hlf_gateway::protos::orderer::SeekPosition>| position.unwrap().r#type.unwrap();
    (position(&seek.start), position(&seek.stop))
}

#[tokio::test]
async fn a_range_ends_after_its_last_block() {
    let (_peer, gateway, seeks) = delivering(vec![filtered(3), filtered(4), status(Status::Success)]).await;
    let mut blocks = gateway.filtered_blocks("main", 3..=4).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(block) = blocks.next().await.unwrap() {
        numbers.push(block.number);
    }
    assert_eq!(numbers, [3, 4]);
    assert_eq!(positions(&seeks.lock().unwrap()[0]), (specified(3), specified(4)));
}

#[tokio::test]
async fn a_refusal_is_an_error_of_its_own() {
    for refused in [Status::Forbidden, Status::NotFound, Status::ServiceUnavailable, Status::BadRequest] {
        let (_peer, gateway, _) = delivering(vec![status(refused)]).await;
        let mut blocks = gateway.blocks("main", ..).await.unwrap();
        let error = blocks.next().await.unwrap_err();
        assert!(matches!(&error, DeliverError::Refused { status, .. } if *status == refused), "{error}");
        assert!(error.to_string().contains(refused.as_str_name()), "{error}");
        assert_eq!(blocks.next().await.unwrap(), None, "an ended stream stays ended");
    }
}

#[tokio::test]
async fn a_stream_that_closes_early_is_not_taken_for_complete() {
    let (_peer, gateway, _) = delivering(vec![filtered(0)]).await;
    let mut blocks = gateway.filtered_blocks("main", 0..=1).await.unwrap();
    assert_eq!(blocks.next().await.unwrap().unwrap().number, 0);
    let error = blocks.next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_success_before_the_last_block_is_no_end() {
    let ranges = [BlockRange::from(0..=1), BlockRange::from(0..), BlockRange::to_newest(Start::Number(1))];
    let deliveries = [
        vec![filtered(0), status(Status::Success)],
        vec![filtered(0), status(Status::Success)],
        vec![status(Status::Success)],
    ];
    for (range, responses) in ranges.into_iter().zip(deliveries) {
        let blocks = responses.len() - 1;
        let (_peer, gateway, _) = delivering(responses).await;
        let mut stream = gateway.filtered_blocks("main", range).await.unwrap();
        for _ in 0..blocks {
            assert!(stream.next().await.unwrap().is_some());
        }
        let error = stream.next().await.unwrap_err();
        assert!(matches!(error, DeliverError::Closed { .. }), "{range:?}: {error}");
    }
}

#[tokio::test]
async fn a_stream_that_starts_elsewhere_is_refused() {
    let (_peer, gateway, _) = delivering(vec![filtered(4)]).await;
    let error = gateway.filtered_blocks("main", 3..).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a_gap_or_a_repetition_ends_the_stream() {
    for second in [1, 3] {
        let (_peer, gateway, _) =
            delivering(vec![filtered(1), filtered(second), status(Status::Success)]).await;
        let mut blocks = gateway.filtered_blocks("main", 1..).await.unwrap();
        assert!(blocks.next().await.unwrap().is_some());
        let error = blocks.next().await.unwrap_err();
        assert!(matches!(error, DeliverError::Unexpected { .. }), "{error}");
    }
}

#[tokio::test]
async fn whole_blocks_are_not_taken_for_filtered_ones() {
    let (_peer, gateway, _) = delivering(vec![whole(1, 1)]).await;
    let error = gateway.filtered_blocks("main", 1..).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a_block_may_be_larger_than_grpc_allows_by_default() {
    let bytes = 24 * 1024 * 1024;
    let (_peer, gateway, _) = delivering(vec![whole(5, bytes), status(Status::Success)]).await;
    let mut blocks = gateway.blocks("main", 5..=5).await.unwrap();
    let block = blocks.next().await.unwrap().unwrap();
    assert_eq!(block.data.unwrap().data[0].len(), bytes);
    assert_eq!(blocks.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_has_seen_all_blocks_gets_none() {
    let (_peer, gateway, seeks) = delivering(vec![filtered(4), status(Status::Success)]).await;
    let mut blocks = gateway.filtered_blocks("main", BlockRange::to_newest(Start::Number(5))).await.unwrap();
    assert_eq!(blocks.next().await.unwrap(), None);
    let seek = seeks.lock().unwrap()[0];
    assert_eq!(positions(&seek), (specified(4), Position::Newest(SeekNewest {})));
    assert_eq!(seek.behavior, 1, "the peer must not wait for a block");
}

#[tokio::test]
async fn a_reader_up_to_the_newest_block_gets_what_is_new() {
    let (_peer, gateway, _) =
        delivering(vec![filtered(4), filtered(5), filtered(6), status(Status::Success)]).await;
    let mut blocks = gateway.filtered_blocks("main", BlockRange::to_newest(Start::Number(5))).await.unwrap();
    assert_eq!(blocks.next().await.unwrap().unwrap().number, 5);
    assert_eq!(blocks.next().await.unwrap().unwrap().number, 6);
    assert_eq!(blocks.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_quiet_stream_is_open_without_a_first_block() {
    let script = Script { deliver: Box::new(|_| Answer::Stall), ..Script::default() };
    let (_peer, gateway) = connected(script).await;
    let mut blocks = gateway.blocks("main", BlockRange::next_commits()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), blocks.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn a_lost_peer_is_an_error_with_its_grpc_status() {
    let script = Script {
        deliver: Box::new(|_| Answer::Refuse(tonic::Status::unavailable("going down"))),
        ..Script::default()
    };
    let (_peer, gateway) = connected(script).await;
    let error = gateway.blocks("main", ..).await.unwrap().next().await.unwrap_err();
    assert!(
        matches!(&error, DeliverError::Failed { source, .. } if source.code() == Code::Unavailable),
        "{error}"
    );
    assert!(chain(&error).contains("UNAVAILABLE: going down"), "{}", chain(&error));
}

#[tokio::test]
async fn chaincode_events_come_by_block_until_the_gateway_closes() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let event = ChaincodeEvent {
        chaincode_id: "assets".into(),
        tx_id: "ab".into(),
        event_name: "moved".into(),
        payload: b"payload".to_vec(),
    };
    let sent = ChaincodeEventsResponse { events: vec![event.clone()], block_number: 12 };
    let script = Script {
        events: Box::new(move |request| {
            let request = ChaincodeEventsRequest::decode(request.request.as_slice()).unwrap();
            seen.lock().unwrap().push(request);
            Answer::Reply(vec![sent.clone()])
        }),
        ..Script::default()
    };
    let (_peer, gateway) = connected(script).await;

    let mut events = gateway.contract("main", "assets").events(EventsFrom::Block(12)).await.unwrap();

    let block = events.next().await.unwrap();
    assert_eq!((block.block_number, block.events), (12, vec![event]));
    let error = events.next().await.unwrap_err();
    assert!(matches!(error, ChaincodeEventsError::Closed { .. }), "{error}");
    let request = requests.lock().unwrap().pop().unwrap();
    assert_eq!((request.channel_id.as_str(), request.chaincode_id.as_str()), ("main", "assets"));
    assert_eq!(request.start_position.unwrap().r#type, Some(specified(12)));
}
