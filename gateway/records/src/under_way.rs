//! Transactions whose outcome nobody has heard yet.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use caretrail_model::ids::TxId;

/// The transactions that were sent, or were about to be, and whose outcome is not told yet.
///
/// A call that is dropped stays in it: whoever ends a program early knows by it what to ask for.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<BTreeSet<TxId>>);

impl UnderWay {
    /// Their ids, ascending.
    pub fn tx_ids(&self) -> Vec<TxId> {
        self.known().iter().copied().collect()
    }

    pub(crate) fn begin(&self, tx_id: TxId) {
        self.known().insert(tx_id);
    }

    pub(crate) fn end(&self, tx_id: &TxId) {
        self.known().remove(tx_id);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<TxId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
