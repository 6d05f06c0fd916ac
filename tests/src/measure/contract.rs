//! The benchmarks' contract on this workspace's shim: the counterpart of tests/go/bench-chaincode, call by call.

use hlf_chaincode::{Config, Contract, Failure, Response, Service, Transaction, stop_signal};
use tokio::runtime::{Builder, Runtime};

/// `true` for a process on tokio's runtime with a thread for each processor.
pub const MANY_THREADS: &str = "BENCH_MANY_THREADS";
/// `true` for the Go chaincode that batches its writes.
pub const BATCH: &str = "BENCH_BATCH";

struct Bench;

impl Contract for Bench {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match answer(tx).await {
            Ok(payload) => Response::ok(payload),
            Err(failure) => failure.into(),
        }
    }
}

async fn answer(tx: &Transaction) -> Result<Vec<u8>, Failure> {
    match (tx.function(), tx.args()) {
        // Whoever stands a network up asks for a description to see that the chaincode answers.
        (Some("NoOp" | "org.hyperledger.fabric:GetMetadata"), []) => Ok(Vec::new()),
        (Some("Get"), [key]) => Ok(tx.state(text(key)?).await?.unwrap_or_default()),
        (Some("Put"), [key, value]) => {
            tx.put(text(key)?, value.as_slice())?;
            Ok(Vec::new())
        }
        (Some("Create"), [key, value]) => {
            if tx.state(text(key)?).await?.is_some() {
                return Err(Failure::new(409, "KEY_TAKEN"));
            }
            tx.put(text(key)?, value.as_slice())?;
            Ok(Vec::new())
        }
        // Who counts is an argument only so that the transaction is known again in its block.
        (Some("Count"), [counter, _who]) => {
            let before = tx.state(text(counter)?).await?.unwrap_or_default();
            let count = if before.is_empty() { 0 } else { number(&before)? };
            let more = (count + 1).to_string().into_bytes();
            tx.put(text(counter)?, more.as_slice())?;
            Ok(more)
        }
        (Some("GetMany"), [prefix, count]) => {
            let keys: Vec<_> = keys(prefix, count)?.collect();
            let values = tx.states(&keys).await?;
            let length: usize = values.iter().flatten().map(Vec::len).sum();
            Ok((length as u64).to_be_bytes().to_vec())
        }
        (Some("PutMany"), [prefix, count, value]) => {
            for key in keys(prefix, count)? {
                tx.put(key, value.as_slice())?;
            }
            Ok(Vec::new())
        }
        _ => Err(Failure::new(404, "CALL_UNKNOWN")),
    }
}

fn keys<'a>(prefix: &'a [u8], count: &[u8]) -> Result<impl Iterator<Item = String> + 'a, Failure> {
    let prefix = text(prefix)?;
    Ok((0..number(count)?).map(move |number| format!("{prefix}{number:06}")))
}

fn number(argument: &[u8]) -> Result<u64, Failure> {
    text(argument)?.parse().map_err(|_| Failure::new(400, "ARGUMENTS"))
}

fn text(argument: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(argument).map_err(|_| Failure::new(400, "ARGUMENTS"))
}

/// The chaincode's process.
///
/// # Panics
/// When the environment does not say what it serves, or it cannot serve that.
pub fn serve() {
    serve_contract(Bench);
}

/// The process of any contract, on a single thread or, where `BENCH_MANY_THREADS` says `true`, on tokio's default
/// runtime.
///
/// # Panics
/// As [`serve`].
pub fn serve_contract(contract: impl Contract) {
    runtime().block_on(async {
        let config = Config::from_env().expect("CHAINCODE_*");
        let service = Service::new(config, contract).bind().await.expect("a port");
        service.serve(stop_signal()).await.expect("served");
    });
}

fn runtime() -> Runtime {
    let many_threads = std::env::var(MANY_THREADS).is_ok_and(|value| value == "true");
    let mut runtime = match many_threads {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    runtime.enable_all().build().expect("a runtime")
}
