//! What lies unread on a connection is no trouble for the calls beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hlf_gateway::protos::common::{Block, BlockData, BlockHeader};
use hlf_gateway::protos::gateway::EvaluateResponse;
use hlf_gateway::protos::protos::deliver_response::Type as Delivered;
use hlf_gateway::protos::protos::{DeliverResponse, Response};
use hlf_gateway::{Deadlines, Endpoint, Gateway};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::scripted::{Answer, Script, ScriptedPeer, credentials};

async fn connected(address: String) -> Gateway {
    let deadlines = Deadlines { evaluate: Duration::from_secs(300), ..Deadlines::default() };
    Gateway::connect(&Endpoint::plaintext(address), credentials(), deadlines).await.unwrap()
}

async fn evaluate(gateway: &Gateway) -> Vec<u8> {
    gateway.contract("main", "assets").proposal("Read").build().unwrap().evaluate().await.unwrap()
}

fn value() -> EvaluateResponse {
    EvaluateResponse { result: Some(Response { payload: b"value".to_vec(), ..Response::default() }) }
}

#[tokio::test]
async fn short_answers_that_come_all_at_once_break_no_connection() {
    const CALLS: usize = 450;
    let (open, gate) = watch::channel(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let script = Script {
        evaluate: Box::new(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
            0..CALLS => Answer::Held(gate.clone(), value()),
            _ => Answer::Reply(value()),
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let gateway = connected(peer.address.to_string()).await;

    let calls = join_all((0..CALLS).map(|_| evaluate(&gateway)));
    let answered = async {
        while asked.load(Ordering::Relaxed) < CALLS {
            tokio::task::yield_now().await;
        }
        // This thread reads nothing until the peer, which does one thing after the other, has answered all of these
        // and another caller's call after them.
        open.send(true).unwrap();
        let address = peer.address.to_string();
        let other = std::thread::spawn(move || {
            Runtime::new().unwrap().block_on(async move { evaluate(&connected(address).await).await })
        });
        assert_eq!(other.join().unwrap(), b"value");
    };
    let (answers, ()) = tokio::join!(calls, answered);

    assert_eq!(answers.len(), CALLS);
    assert_eq!(asked.load(Ordering::Relaxed), CALLS + 1, "none was asked for twice");
}

#[tokio::test]
async fn streams_that_are_not_read_hold_up_no_other_call() {
    let block = |number| {
        let data = Some(BlockData { data: vec![vec![7; 64 * 1024]] });
        let header = Some(BlockHeader { number, ..BlockHeader::default() });
        DeliverResponse { r#type: Some(Delivered::Block(Block { header, data, metadata: None })) }
    };
    let script = Script {
        deliver: Box::new(move |_| Answer::Reply((0..40).map(block).collect())),
        evaluate: Box::new(|_| Answer::Reply(value())),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let gateway = connected(peer.address.to_string()).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut blocks = gateway.blocks("main", ..).await.unwrap();
        assert_eq!(blocks.next().await.unwrap().unwrap().header.unwrap().number, 0);
        streams.push(blocks);
    }

    for _ in 0..10 {
        assert_eq!(evaluate(&gateway).await, b"value");
    }

    // And what was left lying is still there, whole.
    for blocks in &mut streams {
        for number in 1..40 {
            assert_eq!(blocks.next().await.unwrap().unwrap().header.unwrap().number, number);
        }
    }
}
