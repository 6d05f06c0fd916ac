//! From a function's name to its handler.

use std::marker::PhantomData;
use std::sync::Arc;

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::for_each_call;
use caretrail_model::json::is_said_in_its_shape;
use caretrail_model::limits::ARGUMENT_BYTES_MAX;
use hlf_chaincode::{BoxFuture, Failure, Function, Router, RouterBuilder, RouterError, Transaction};

use crate::admission::Admission;
use crate::epochs::Epochs;
use crate::failure::require;
use crate::handlers::Handle;
use crate::invocation::Invocation;
use crate::policy::ENGINES;

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
    let epochs = Arc::new(Epochs::default());
    macro_rules! register {
        ($call:ident) => {
            router = register::<$call>(router, Arc::clone(&epochs));
        };
    }
    for_each_call!(register);
    router.build()
}

fn register<C: Handle>(router: RouterBuilder, epochs: Arc<Epochs>) -> RouterBuilder {
    // A call of an engine that this build does not have is no call of it.
    if !ENGINES.contains(&C::SINCE_EPOCH) {
        return router;
    }
    let answer = Answer::<C> { epochs, call: PhantomData };
    if C::WRITES { router.submit(C::NAME, answer) } else { router.evaluate(C::NAME, answer) }
}

/// Answers one call.
struct Answer<C> {
    epochs: Arc<Epochs>,
    call: PhantomData<fn(C)>,
}

impl<'t, C: Handle> Function<'t, C, C::Reply> for Answer<C> {
    fn call(&self, tx: &'t Transaction, call: C) -> BoxFuture<'t, Result<C::Reply, Failure>> {
        let epochs = Arc::clone(&self.epochs);
        Box::pin(async move {
            // Serde also takes a list in place of an object: what its items are would follow from their order alone.
            let said = tx.args().first().map(Vec::as_slice).unwrap_or_default();
            require(is_said_in_its_shape(said, &call).unwrap_or(false), Code::ArgumentInvalid)?;
            let invocation = Invocation::open(tx, &epochs, C::SINCE_EPOCH)?;
            require(C::ROLES.contains(&invocation.role), Code::RoleNotAllowed)?;
            call.handle(&invocation).await
        })
    }
}
