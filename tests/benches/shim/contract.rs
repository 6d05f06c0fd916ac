//! The benchmark's contract on this workspace's shim: the counterpart of tests/go/bench-chaincode, call by call.

use hlf_chaincode::{Config, Contract, Failure, Response, Service, Transaction, stop_signal};

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
    let count: usize = text(count)?.parse().map_err(|_| Failure::new(400, "ARGUMENTS"))?;
    Ok((0..count).map(move |number| format!("{prefix}{number:06}")))
}

fn text(argument: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(argument).map_err(|_| Failure::new(400, "ARGUMENTS"))
}

/// The chaincode's process, on tokio's default runtime or on the one that has a single thread.
pub(crate) fn serve() {
    let one_thread = std::env::var("BENCH_ONE_THREAD").is_ok_and(|value| value == "true");
    let mut runtime = match one_thread {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build().expect("a runtime").block_on(async {
        let config = Config::from_env().expect("CHAINCODE_*");
        let service = Service::new(config, Bench).bind().await.expect("a port");
        service.serve(stop_signal()).await.expect("served");
    });
}
