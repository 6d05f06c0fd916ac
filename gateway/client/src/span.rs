//! The span of a transaction, from its proposal to the end of the last of its stages.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Span;

/// A transaction's span, shared by its stages. What became of the transaction is recorded once, when the last of them is
/// gone: exporters keep every value that a field was ever given.
#[derive(Clone)]
pub(crate) struct TransactionSpan(Arc<Ending>);

struct Ending {
    span: Span,
    outcome: Mutex<Option<&'static str>>,
}

impl TransactionSpan {
    pub(crate) fn of(span: Span) -> Self {
        Self(Arc::new(Ending { span, outcome: Mutex::default() }))
    }

    /// The span itself, for what is done within it.
    pub(crate) fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// Says what became of the transaction, as far as that is known now.
    pub(crate) fn ends(&self, outcome: &'static str) {
        *self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner) {
            self.span.record("outcome", *outcome);
        }
    }
}

impl fmt::Debug for TransactionSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.span.fmt(formatter)
    }
}
