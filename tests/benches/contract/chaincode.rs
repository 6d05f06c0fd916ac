//! The contract as it is served, and beside it a call that does nothing: on the same shim, in the same process.

use caretrail_contract::{Admission, contract};
use caretrail_model::time::DurationMs;
use caretrail_tests::measure::contract::serve_contract;
use hlf_chaincode::{Contract, Response, Router, Transaction};
use tracing_subscriber::EnvFilter;

/// Reads nothing, writes nothing, answers nothing.
pub(crate) const NO_OP: &str = "NoOp";

struct WithNoOp(Router);

impl Contract for WithNoOp {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match tx.function() {
            Some(NO_OP) => Response::ok(Vec::new()),
            _ => self.0.invoke(tx).await,
        }
    }
}

/// Serves as `caretrail-chaincode` does: the same window of admission, runtime and log.
pub(crate) fn serve() {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info")).with_writer(std::io::stderr).init();
    let window = DurationMs::from_secs(120);
    serve_contract(WithNoOp(contract(Admission::system(window)).expect("the contract")));
}
