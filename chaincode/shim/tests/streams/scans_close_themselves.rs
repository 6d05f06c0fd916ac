//! Scans dropped anywhere: each that the peer holds open is closed there exactly once.

use futures_util::FutureExt;
use hlf_chaincode::{Contract, LedgerError, Response, Transaction};
use hlf_testpeer::{Fault, Outcome, Proposal, TestPeer};

use crate::support::{Running, clerk};

const RANGE: &str = "GET_STATE_BY_RANGE";
const NEXT: &str = "QUERY_STATE_NEXT";
const CLOSE: &str = "QUERY_STATE_CLOSE";
const GET: &str = "GET_STATE";
const BATCH: &str = "WRITE_BATCH_STATE";

/// Does what its function is called.
struct Scans;

impl Contract for Scans {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match run(tx, tx.function().unwrap_or_default()).await {
            Ok(text) => Response::ok(text),
            Err(error) => Response::error(500, error.to_string()),
        }
    }
}

async fn run(tx: &Transaction, function: &str) -> Result<String, LedgerError> {
    let mut text = String::new();
    match function {
        "Fill" => (0..250).try_for_each(|n| tx.put(format!("k{n:03}"), "v"))?,
        "before the first" => drop(tx.range("", "").await?),
        "in a page" | "in a page and write" => {
            let mut scan = tx.range("", "").await?;
            text = scan.next().await?.map(|entry| entry.key).unwrap_or_default();
            if function.ends_with("write") {
                tx.put("w", "v")?;
            }
        }
        "at the end of a page" | "in the second page" | "in the last page" => {
            let mut scan = tx.range("", "").await?;
            let count = match function {
                "at the end of a page" => 99,
                "in the second page" => 100,
                _ => 200,
            };
            for _ in 0..count {
                scan.next().await?;
            }
        }
        "to the end" => text = tx.range("", "").await?.collect().await?.len().to_string(),
        "closed" => {
            let mut scan = tx.range("", "").await?;
            scan.next().await?;
            scan.close().await?;
            tx.state("k000").await?;
        }
        "a close that is not waited for" => {
            let scan = tx.range("", "").await?;
            assert!(scan.close().now_or_never().is_none());
            tx.state("k000").await?;
        }
        "two, and a read between" => {
            let one = tx.range("", "").await?;
            drop(tx.range("k1", "").await?);
            tx.state("k000").await?;
            drop(one);
        }
        "while others ask" => {
            let scan = tx.range("", "").await?;
            let dropped = async {
                tokio::task::yield_now().await;
                drop(scan);
                Ok::<_, LedgerError>(())
            };
            tokio::try_join!(tx.state("k000"), dropped, tx.state("k001"))?;
        }
        "a next that is not waited for" => {
            let mut scan = tx.range("", "").await?;
            for _ in 0..99 {
                scan.next().await?;
            }
            assert!(scan.next().now_or_never().is_none());
            text = scan.next().await.expect_err("the page is lost").to_string();
        }
        "and fail" => {
            let _scan = tx.range("", "").await?;
            tx.put("", "a key without characters")?;
        }
        "and panic" => {
            let _scan = tx.range("", "").await?;
            panic!("the test wants it");
        }
        "after an error" => {
            let mut scan = tx.range("", "").await?;
            while let Ok(Some(_)) = scan.next().await {}
            text = scan.next().await.expect_err("it is over").to_string();
        }
        _ => unreachable!("{function}"),
    }
    Ok(text)
}

async fn filled(service: &Running) -> TestPeer {
    let peer = TestPeer::builder().record_messages().connect(service.address).await.unwrap();
    assert!(peer.submit(&Proposal::new(clerk(), "Fill")).await.unwrap().is_valid());
    peer
}

async fn invoke(peer: &TestPeer, function: &str) -> Outcome {
    let outcome = peer.invoke(&Proposal::new(clerk(), function)).await.unwrap();
    let completed = outcome.requests.len();
    assert_eq!(outcome.messages.len(), completed + 1, "nothing follows the completion");
    outcome
}

#[tokio::test]
async fn scans_dropped_anywhere_are_closed_exactly_once_and_those_at_their_end_not_at_all() {
    let service = Running::start(Scans).await;
    let peer = filled(&service).await;
    let table: [(&str, i32, &[&str]); 14] = [
        ("before the first", 200, &[RANGE, CLOSE]),
        ("in a page", 200, &[RANGE, CLOSE]),
        ("in a page and write", 200, &[RANGE, CLOSE, BATCH]),
        ("at the end of a page", 200, &[RANGE, CLOSE]),
        ("in the second page", 200, &[RANGE, NEXT, CLOSE]),
        ("in the last page", 200, &[RANGE, NEXT, NEXT]),
        ("to the end", 200, &[RANGE, NEXT, NEXT]),
        ("closed", 200, &[RANGE, CLOSE, GET]),
        ("a close that is not waited for", 200, &[RANGE, CLOSE, GET]),
        ("two, and a read between", 200, &[RANGE, RANGE, CLOSE, GET, CLOSE]),
        ("while others ask", 200, &[RANGE, GET, CLOSE, GET]),
        ("a next that is not waited for", 200, &[RANGE, NEXT, CLOSE]),
        ("and fail", 500, &[RANGE, CLOSE]),
        ("and panic", 500, &[RANGE, CLOSE]),
    ];
    for (function, status, requests) in table {
        let outcome = invoke(&peer, function).await;
        assert_eq!(outcome.status, status, "{function}: {outcome}");
        assert_eq!(outcome.requests, requests, "{function}");
    }
    service.idle().await;
}

#[tokio::test]
async fn a_scan_whose_peer_refuses_more_is_closed_and_says_so_from_then_on() {
    let service = Running::start(Scans).await;
    let peer = filled(&service).await;
    peer.inject(Some(Fault::RefuseOnly { request: NEXT.into(), words: "disk full".into() }));
    let outcome = invoke(&peer, "after an error").await;
    assert_eq!(outcome.requests, [RANGE, NEXT, CLOSE]);
    assert!(String::from_utf8_lossy(&outcome.payload).contains("scan again"), "{outcome}");
    // A close that is refused is nobody else's failure.
    peer.inject(Some(Fault::RefuseOnly { request: CLOSE.into(), words: "no such scan".into() }));
    let outcome = invoke(&peer, "two, and a read between").await;
    assert_eq!((outcome.status, outcome.requests.len()), (200, 5));
}
