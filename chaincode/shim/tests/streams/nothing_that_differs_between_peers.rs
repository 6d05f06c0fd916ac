//! A contract that would not be endorsed alike by two peers is caught by a peer that runs it twice.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt};
use hlf_chaincode::{Failure, Router, Transaction};
use hlf_testpeer::{InvokeError, Proposal, TestPeer};

use crate::support::{Running, clerk};

/// In the reply.
async fn hash_order(_tx: &Transaction, (): ()) -> Result<Vec<u32>, Failure> {
    Ok((0..64).collect::<HashSet<_>>().into_iter().collect())
}

/// In the read-write set: the last of these writes wins.
async fn hash_order_of_writes(tx: &Transaction, (): ()) -> Result<(), Failure> {
    let values: HashMap<_, _> = (0..64).map(|n| (n, n.to_string())).collect();
    for value in values.into_values() {
        tx.put("k", value)?;
    }
    Ok(())
}

async fn clock(tx: &Transaction, (): ()) -> Result<(), Failure> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| Failure::new(500, "CLOCK").caused_by(error))?;
    tx.put("at", now.as_millis().to_string())?;
    Ok(())
}

/// In the event: the standard library's hashers are seeded at random.
async fn randomness(tx: &Transaction, (): ()) -> Result<(), Failure> {
    use std::hash::{BuildHasher, RandomState};
    tx.set_event("drawn", RandomState::new().hash_one(1).to_string())?;
    Ok(())
}

async fn counter(tx: &Transaction, (): ()) -> Result<(), Failure> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    tx.put("calls", CALLS.fetch_add(1, Ordering::Relaxed).to_string())?;
    Ok(())
}

/// What is read first comes first.
async fn first_come(tx: &Transaction, (): ()) -> Result<Vec<String>, Failure> {
    let reads = ["a", "b", "c", "d"].map(async |key| tx.state(key).await.map(|_| key.to_owned()));
    let mut order = Vec::new();
    let mut reads: FuturesUnordered<_> = reads.into_iter().collect();
    while let Some(key) = reads.next().await {
        order.push(key?);
    }
    Ok(order)
}

/// The reads that a race abandons, or not, are in the read set.
async fn race(tx: &Transaction, (): ()) -> Result<(), Failure> {
    tokio::select! {
        read = tx.state("a") => drop(read?),
        read = tx.state("b") => drop(read?),
    }
    Ok(())
}

/// Reads at the same time, and nothing that depends on which one came first.
async fn joined(tx: &Transaction, (): ()) -> Result<Vec<bool>, Failure> {
    let reads = ["a", "b", "c", "d"].map(async |key| tx.state(key).await.map(|value| value.is_some()));
    let found = futures_util::future::try_join_all(reads).await?;
    for (key, found) in ["a", "b", "c", "d"].iter().zip(&found) {
        tx.put(*key, found.to_string())?;
    }
    tx.set_event("joined", format!("{found:?}"))?;
    Ok(found)
}

fn contract() -> Router {
    Router::builder("chance", "1")
        .evaluate("HashOrder", hash_order)
        .submit("HashOrderOfWrites", hash_order_of_writes)
        .submit("Clock", clock)
        .submit("Randomness", randomness)
        .submit("Counter", counter)
        .evaluate("FirstCome", first_come)
        .evaluate("Race", race)
        .submit("Joined", joined)
        .build()
        .unwrap()
}

#[tokio::test]
async fn what_depends_on_chance_is_caught_at_once() {
    let service = Running::start(contract()).await;
    let peer = TestPeer::builder().run_twice().connect(service.address).await.unwrap();
    for function in ["HashOrder", "HashOrderOfWrites", "Clock", "Randomness", "Counter", "FirstCome"] {
        let differs = peer.invoke(&Proposal::new(clerk(), function)).await;
        assert!(matches!(differs, Err(InvokeError::NotDeterministic { .. })), "{function}: {differs:?}");
    }
}

#[tokio::test]
async fn a_race_of_two_reads_is_caught_in_more_runs_than_two() {
    let service = Running::start(contract()).await;
    let peer = TestPeer::builder().runs(64).connect(service.address).await.unwrap();
    let differs = peer.invoke(&Proposal::new(clerk(), "Race")).await;
    assert!(matches!(differs, Err(InvokeError::NotDeterministic { .. })), "{differs:?}");
}

#[tokio::test]
async fn reads_at_the_same_time_are_no_matter_if_their_order_is_none() {
    let service = Running::start(contract()).await;
    for builder in [TestPeer::builder(), TestPeer::builder().write_batch(None).multi_get(None)] {
        let peer = builder.runs(16).connect(service.address).await.unwrap();
        for found in ["[false,false,false,false]", "[true,true,true,true]"] {
            let joined = peer.submit(&Proposal::new(clerk(), "Joined")).await.unwrap();
            assert!(joined.is_valid());
            assert_eq!(joined.outcome.payload, found.as_bytes());
        }
    }
}

#[tokio::test]
async fn what_differs_is_readable() {
    let service = Running::start(contract()).await;
    let peer = TestPeer::builder().run_twice().connect(service.address).await.unwrap();
    let differs = peer.invoke(&Proposal::new(clerk(), "Counter")).await.unwrap_err();
    let expected = "two runs of one transaction differ\n\
        first:\nstatus 200 \nreply  null\nasked  WRITE_BATCH_STATE\nwrite  \"calls\" = 0\n\
        second:\nstatus 200 \nreply  null\nasked  WRITE_BATCH_STATE\nwrite  \"calls\" = 1\n";
    // Another test of this program may have counted as well.
    let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(shape(&differs.to_string()), shape(expected));
    let differs = peer.invoke(&Proposal::new(clerk(), "FirstCome")).await.unwrap_err().to_string();
    let lines: Vec<_> =
        differs.lines().filter(|line| line.starts_with("read") || line.starts_with("asked")).collect();
    let run = [
        "asked  GET_STATE, GET_STATE, GET_STATE, GET_STATE",
        "read   \"a\" absent",
        "read   \"b\" absent",
        "read   \"c\" absent",
        "read   \"d\" absent",
    ];
    assert_eq!(lines, [run, run].concat());
}
