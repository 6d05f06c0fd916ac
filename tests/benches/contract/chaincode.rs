//! The contract as it is served, and beside it a call that does nothing, and one that touches the keys that the
//! contract's call touches and does nothing else: on the same shim, in the same process.

use std::sync::{Arc, RwLock};

use caretrail_contract::{Admission, contract};
use caretrail_model::time::DurationMs;
use caretrail_tests::measure::contract::serve_contract;
use hlf_chaincode::{Contract, Failure, Response, Router, Transaction};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// Reads nothing, writes nothing, answers nothing.
pub(crate) const NO_OP: &str = "NoOp";
/// Reads, writes, tells and answers as much as the contract's call of which the process was told the [`Shape`].
pub(crate) const KEYS: &str = "Keys";
/// Tells the process a [`Shape`].
pub(crate) const SHAPE: &str = "Shape";

/// What a call of the contract asks of the peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The keys that it reads, all in one request.
    pub(crate) reads: Vec<String>,
    /// The lengths of each key and value that it writes, in bytes.
    pub(crate) writes: Vec<(usize, usize)>,
    /// The length of its event, if it has one.
    pub(crate) event: Option<usize>,
    /// The length of its reply.
    pub(crate) reply: usize,
}

struct Beside {
    contract: Router,
    shape: RwLock<Arc<Shape>>,
}

impl Contract for Beside {
    async fn invoke(&self, tx: &Transaction) -> Response {
        let answered = match (tx.function(), tx.args()) {
            (Some(NO_OP), _) => Ok(Vec::new()),
            (Some(KEYS), _) => {
                let shape = Arc::clone(&self.shape.read().expect("no writer failed"));
                touch(tx, &shape).await
            }
            (Some(SHAPE), [told]) => {
                let shape = serde_json::from_slice(told).expect("a shape");
                *self.shape.write().expect("no writer failed") = Arc::new(shape);
                Ok(Vec::new())
            }
            _ => return self.contract.invoke(tx).await,
        };
        answered.map_or_else(Response::from, Response::ok)
    }
}

/// Fresh keys, for the transaction's id is in each.
async fn touch(tx: &Transaction, shape: &Shape) -> Result<Vec<u8>, Failure> {
    let read = tx.states(&shape.reads).await?;
    assert_eq!(read.len(), shape.reads.len());
    for (number, (key, value)) in shape.writes.iter().enumerate() {
        let mut name = format!("{number}{}", tx.id());
        name.truncate(*key);
        tx.put(name, vec![b' '; *value])?;
    }
    if let Some(length) = shape.event {
        tx.set_event("Touched", vec![b' '; length])?;
    }
    Ok(vec![b' '; shape.reply])
}

/// Serves as `caretrail-chaincode` does: the same window of admission, runtime and log.
pub(crate) fn serve() {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info")).with_writer(std::io::stderr).init();
    let window = DurationMs::from_secs(120);
    let contract = contract(Admission::system(window)).expect("the contract");
    serve_contract(Beside { contract, shape: RwLock::default() });
}
