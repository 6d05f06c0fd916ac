//! Reading a key that the same transaction wrote is reported in strict mode, whichever way it is read.

use hlf_chaincode::{Config, LedgerError, Response, SignaturePolicy, Transaction, composite_key};
use hlf_chaincode::{Contract, Page};
use hlf_testpeer::{PrivateCollection, Proposal, TestPeer};

use crate::support::{Running, clerk};

/// Writes as the function says, then reads as the argument says; the reply is what came of it.
struct WriteThenRead;

impl Contract for WriteThenRead {
    async fn invoke(&self, tx: &Transaction) -> Response {
        let how = tx.args().first().and_then(|how| std::str::from_utf8(how).ok()).unwrap_or_default();
        if let Err(error) = write(tx, tx.function().unwrap_or_default()) {
            return Response::error(500, error.to_string());
        }
        match read(tx, how).await {
            Ok(()) => Response::ok("read"),
            Err(LedgerError::ReadAfterWrite) => Response::ok("reported"),
            Err(LedgerError::QueriedAndWrote) => Response::ok("refused"),
            Err(error) => Response::error(500, error.to_string()),
        }
    }
}

fn key() -> Result<String, LedgerError> {
    Ok(composite_key("lot", &["north", "7"])?)
}

fn write(tx: &Transaction, how: &str) -> Result<(), LedgerError> {
    let prices = tx.collection("prices")?;
    match how {
        "put" => tx.put("k", "v"),
        "delete" => tx.delete("k"),
        "put composite" => tx.put(key()?, "v"),
        "policy" => tx.set_validation_parameter("k", &SignaturePolicy::peer("NorthMSP")),
        "private put" => prices.put("k", "v"),
        "private delete" => prices.delete("k"),
        "private purge" => prices.purge("k"),
        "private policy" => prices.clear_validation_parameter("k"),
        _ => Ok(()),
    }
}

async fn read(tx: &Transaction, how: &str) -> Result<(), LedgerError> {
    let prices = tx.collection("prices")?;
    match how {
        "get" => drop(tx.state("k").await?),
        "multi-get" => drop(tx.states(&["a", "k"]).await?),
        "range" => drop(tx.range("j", "l").await?),
        "other range" => drop(tx.range("l", "m").await?),
        "page" => drop(tx.range_page("", "", &Page::first(std::num::NonZeroU16::MIN)).await?),
        "partial" => drop(tx.partial_composite("lot", &["north"]).await?),
        "other partial" => drop(tx.partial_composite("lot", &["south"]).await?),
        "query" => drop(tx.query("{}").await?),
        "policy of" => drop(tx.validation_parameter("k").await?),
        "private get" => drop(prices.state("k").await?),
        "private multi-get" => drop(prices.states(&["a", "k"]).await?),
        "private hash" => drop(prices.hash("k").await?),
        "private range" => drop(prices.range("", "").await?),
        "private partial" => drop(prices.partial_composite("lot", &["north"]).await?),
        "private query" => drop(prices.query("{}").await?),
        "private policy of" => drop(prices.validation_parameter("k").await?),
        _ => unreachable!("{how}"),
    }
    Ok(())
}

#[tokio::test]
async fn every_way_to_read_what_was_written_is_reported_and_no_other() {
    const NO: &str = "read";
    const YES: &str = "reported";
    const REFUSED: &str = "refused";
    let table = [
        (
            "put",
            &[
                ("get", YES),
                ("multi-get", YES),
                ("range", YES),
                ("query", YES),
                ("page", REFUSED),
                ("other range", NO),
                ("partial", NO),
                ("policy of", NO),
                ("private get", NO),
                ("private range", REFUSED),
            ][..],
        ),
        ("delete", &[("get", YES), ("multi-get", YES), ("range", YES), ("query", YES), ("other range", NO)]),
        (
            "put composite",
            &[("partial", YES), ("other partial", NO), ("range", NO), ("query", YES), ("page", REFUSED)],
        ),
        ("policy", &[("policy of", YES), ("get", NO), ("range", NO), ("private policy of", NO)]),
        (
            "private put",
            &[
                ("private get", YES),
                ("private multi-get", YES),
                ("private hash", YES),
                ("private range", REFUSED),
                ("private partial", REFUSED),
                ("private query", REFUSED),
                ("private policy of", NO),
                ("get", NO),
                ("multi-get", NO),
                ("range", NO),
            ],
        ),
        (
            "private delete",
            &[("private get", YES), ("private multi-get", YES), ("private hash", YES), ("get", NO)],
        ),
        (
            "private purge",
            &[("private get", YES), ("private multi-get", YES), ("private hash", YES), ("get", NO)],
        ),
        ("private policy", &[("private policy of", YES), ("private get", NO), ("policy of", NO)]),
        (
            "nothing",
            &[
                ("get", NO),
                ("multi-get", NO),
                ("range", NO),
                ("query", NO),
                ("page", NO),
                ("partial", NO),
                ("private get", NO),
                ("private hash", NO),
                ("private range", NO),
                ("private query", NO),
            ],
        ),
    ];
    for strict in [true, false] {
        let service = Running::with(Config { strict, ..Config::for_tests("shop:1") }, WriteThenRead).await;
        for batching in [Some(10), None] {
            let peer = TestPeer::builder()
                .collection(PrivateCollection::new("prices"))
                .rich_query(|_, _, _| true)
                .write_batch(batching)
                .multi_get(batching);
            let peer = peer.connect(service.address).await.unwrap();
            for (write, reads) in table {
                for (read, expected) in reads {
                    let outcome = peer.invoke(&Proposal::new(clerk(), write).arg(*read)).await.unwrap();
                    // Peers refuse pages and private scans beside writes, strict or not.
                    let expected = if strict || *expected == REFUSED { *expected } else { NO };
                    let got = String::from_utf8_lossy(&outcome.payload).into_owned();
                    assert_eq!(got, expected, "{write}, then {read}: {outcome}");
                }
            }
        }
    }
}
