//! How many transactions a second a contract runs on the test peer: 64 at a time, each one multi-get of two
//! keys and one batch of two writes, simulated only and committed as well.
//!
//! `cargo run --release -p hlf-chaincode --example transactions_a_second`

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use hlf_chaincode::{Config, Failure, Router, Service, Transaction};
use hlf_testpeer::{Creator, Proposal, TestPeer};

const TRANSACTIONS: u32 = 10_000;
const CALLERS: u32 = 64;

async fn touch(tx: &Transaction, (from, to): (String, String)) -> Result<(), Failure> {
    let [_, seen] = tx.states_of([&from, &to]).await?;
    tx.put(from, "from")?;
    tx.put(to, seen.unwrap_or_else(|| b"to".to_vec()))?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contract = Router::builder("bench", "1").submit("Touch", touch).build()?;
    let config = Config { strict: false, ..Config::for_tests("bench:1") };
    let listening = Service::new(config, contract).bind().await?;
    let address = listening.local_address();
    let service = tokio::spawn(listening.serve(std::future::pending()));
    let clerk = Creator::builder("NorthMSP").common_name("clerk").build()?.serialized();
    for (what, commit) in [("simulated", false), ("simulated and committed", true)] {
        let peer = TestPeer::builder().connect(address).await?;
        let next = AtomicU32::new(0);
        let begun = Instant::now();
        try_join_all((0..CALLERS).map(async |_| -> Result<(), Box<dyn std::error::Error>> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= TRANSACTIONS {
                    return Ok(());
                }
                let keys = (format!("a{}", number % 1000), format!("b{}", number % 1000));
                let proposal = Proposal::new(clerk.clone(), "Touch").json(&keys)?;
                if commit { drop(peer.submit(&proposal).await?) } else { drop(peer.invoke(&proposal).await?) }
            }
        }))
        .await?;
        let a_second = f64::from(TRANSACTIONS) / begun.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "{a_second:>8.0} transactions a second, {what}")?;
    }
    service.abort();
    Ok(())
}
