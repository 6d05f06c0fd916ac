//! From a function's name to its handler.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::for_each_call;
use caretrail_model::limits::ARGUMENT_BYTES_MAX;
use hlf_chaincode::{Failure, Router, RouterBuilder, RouterError, Transaction};

use crate::admission::Admission;
use crate::failure::require;
use crate::handlers::Handle;
use crate::invocation::Invocation;

/// The contract with all its calls, behind the admission gate.
///
/// # Errors
/// When two calls have one name.
pub fn contract(admission: Admission) -> Result<Router, RouterError> {
    let mut router = Router::builder("caretrail", env!("CARGO_PKG_VERSION"))
        .before(|tx, _| {
            require(tx.args().iter().all(|arg| arg.len() <= ARGUMENT_BYTES_MAX), Code::ArgumentOutOfBounds)
        })
        .before(move |tx, _| admission.admit(tx));
    macro_rules! register {
        ($call:ident) => {
            router = register::<$call>(router);
        };
    }
    for_each_call!(register);
    router.build()
}

fn register<C: Handle>(router: RouterBuilder) -> RouterBuilder {
    if C::WRITES { router.submit(C::NAME, answer::<C>) } else { router.evaluate(C::NAME, answer::<C>) }
}

async fn answer<C: Handle>(tx: &Transaction, call: C) -> Result<C::Reply, Failure> {
    let invocation = Invocation::open(tx)?;
    call.handle(&invocation).await
}
