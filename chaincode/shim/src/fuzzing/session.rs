//! A whole stream: registration, transactions and answers in any order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{
    ChaincodeAdditionalParams, ChaincodeInput, ChaincodeMessage, QueryResponse, QueryResultBytes,
};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Cut, creator_bytes, run, signed};
use crate::config::{Config, Limits};
use crate::ledger::LedgerError;
use crate::metrics::Metrics;
use crate::response::{Failure, Response};
use crate::scan::Page;
use crate::service::{Contract, Shared};
use crate::stream::PeerStream;
use crate::transaction::Transaction;

/// Messages of a peer, one after the other, to a service that runs a contract of reads and writes.
///
/// However they come, the stream ends with them, nothing of it is left, nothing but registration, requests
/// and completions was sent, and no transaction completed more often than it was asked for.
pub fn session(bytes: &[u8]) {
    let mut cut = Cut(bytes);
    let mut messages = Vec::new();
    if !cut.byte().is_multiple_of(8) {
        let offer = ChaincodeAdditionalParams {
            use_write_batch: true,
            max_size_write_batch: cut.byte().into(),
            use_get_multiple_keys: true,
            max_size_get_multiple_keys: cut.byte().into(),
        };
        let registered = [(Type::Registered, Vec::new()), (Type::Ready, offer.encode_to_vec())];
        messages.extend(registered.map(|(kind, payload)| (0, message(kind.into(), 0, payload))));
    }
    while !cut.is_empty() && messages.len() < 200 {
        messages.push((cut.byte() % 8, next(&mut cut)));
    }
    run(play(messages));
}

/// One message of a script.
fn next(cut: &mut Cut<'_>) -> ChaincodeMessage {
    let (kind, tx) = (cut.byte(), cut.byte());
    match kind % 8 {
        // A transaction as a peer would send it.
        0..=2 => {
            let args = vec![vec![cut.byte() % 10], cut.chunk()];
            let input = ChaincodeInput { args, ..ChaincodeInput::default() };
            let kind = if kind == 16 { Type::Init } else { Type::Transaction };
            ChaincodeMessage {
                proposal: Some(signed(creator_bytes(), b"f", Vec::new())),
                ..message(kind.into(), tx, input.encode_to_vec())
            }
        }
        3 => message(Type::Response.into(), tx, cut.chunk()),
        // Results of a scan that may go on.
        4 => {
            let has_more = cut.byte().is_multiple_of(2);
            let results = vec![QueryResultBytes { result_bytes: cut.chunk() }];
            let response = QueryResponse { results, has_more, id: "1".into(), metadata: Vec::new() };
            message(Type::Response.into(), tx, response.encode_to_vec())
        }
        5 => message(Type::Error.into(), tx, b"no".to_vec()),
        _ => ChaincodeMessage::decode(cut.chunk().as_slice())
            .unwrap_or_else(|_| message(i32::from(cut.byte()), tx, cut.chunk())),
    }
}

fn message(kind: i32, tx: u8, payload: Vec<u8>) -> ChaincodeMessage {
    ChaincodeMessage {
        r#type: kind,
        payload,
        txid: format!("tx{}", tx % 4),
        channel_id: "channel".into(),
        ..ChaincodeMessage::default()
    }
}

async fn play(messages: Vec<(u8, ChaincodeMessage)>) {
    let mut asked: HashMap<(String, String), usize> = HashMap::new();
    let mut initialised = HashSet::new();
    for (_, message) in &messages {
        let key = (message.channel_id.clone(), message.txid.clone());
        match message.r#type() {
            Type::Init => {
                initialised.insert(key.clone());
            }
            Type::Transaction => {}
            _ => continue,
        }
        *asked.entry(key).or_default() += 1;
    }
    let metrics = Metrics::default();
    let limits =
        Limits { transactions: 2, transactions_per_stream: 3, message_bytes: 1 << 16, ..Limits::default() };
    let config = Config { limits, ..Config::for_tests("fuzz:1") };
    let shared = Arc::new(Shared::new(Everything, config, metrics.clone()));
    let (outbound, mut sent) = mpsc::channel::<Result<ChaincodeMessage, Status>>(4);
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(message) = sent.recv().await {
            all.extend(message.ok());
        }
        all
    });
    let inbound = futures_util::stream::iter(messages).then(async |(turns, message)| {
        // Lets what runs ask and answer in between.
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        Ok(message)
    });
    PeerStream::new(shared, outbound).run(Box::pin(inbound)).await;
    let sent = reading.await.unwrap_or_default();

    assert_eq!(sent.first().map(ChaincodeMessage::r#type), Some(Type::Register));
    for message in &sent {
        let key = (message.channel_id.clone(), message.txid.clone());
        if message.r#type == i32::from(Type::Error) {
            assert!(initialised.contains(&key), "a peer would take it for its own fault");
        } else if message.r#type != i32::from(Type::Completed) {
            continue;
        }
        let left = asked.get_mut(&key);
        assert!(left.is_some_and(|left| left.checked_sub(1).map(|less| *left = less).is_some()));
    }
    let figures = metrics.text();
    for line in ["chaincode_transactions_in_flight 0", "chaincode_streams 0"] {
        assert!(figures.lines().any(|found| found == line), "{figures}");
    }
}

/// Does what its first argument says.
struct Everything;

impl Contract for Everything {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match everything(tx).await {
            Ok(()) => Response::ok("done"),
            Err(error) => Failure::from(error).into(),
        }
    }
}

async fn everything(tx: &Transaction) -> Result<(), LedgerError> {
    let text = tx.args().first().map(|arg| String::from_utf8_lossy(arg).into_owned()).unwrap_or_default();
    match tx.function().and_then(|function| function.bytes().next()).unwrap_or_default() {
        0 => tx.put(text, "value")?,
        1 => drop(tx.state(&text).await?),
        2 => drop(tx.states(&[text.as_str(), "b", "c"]).await?),
        3 => {
            let mut scan = tx.range("", "").await?;
            scan.next().await?;
        }
        4 => {
            // Asked at once, dropped in the middle.
            let (one, other) = futures_util::future::join(tx.range("", ""), tx.query("{}")).await;
            one?.next().await?;
            other?.next().await?;
            tx.put("a", "1")?;
        }
        5 => drop(tx.range_page("", "", &Page::at(std::num::NonZeroU16::MIN, text)).await?),
        6 => drop(tx.collection("prices")?.hash("k").await?),
        7 => {
            tx.set_event("event", "payload")?;
            for n in 0..300 {
                tx.put(format!("{n}"), "value")?;
            }
        }
        8 => drop(tx.call("other", &[text]).await?),
        _ => drop(tx.history("k").await?.collect().await?),
    }
    Ok(())
}
