//! What a custodian keeps at home: the vault and the hospital store.

use std::sync::Arc;

use crate::hospital::HospitalStore;
use crate::vault::Vault;

/// A hospital's vault and store. Cheap to clone.
#[derive(Clone)]
pub struct Custody {
    /// Where sealed blobs are.
    pub vault: Arc<dyn Vault>,
    /// Where hospital numbers and secrets are.
    pub store: Arc<HospitalStore>,
}

impl Custody {
    /// Joins a vault and a store.
    pub fn new(vault: impl Vault, store: HospitalStore) -> Self {
        Self { vault: Arc::new(vault), store: Arc::new(store) }
    }
}

impl std::fmt::Debug for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custody").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The thread that did blocking work was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program is being stopped: run it again")]
pub struct Stopped;

/// Runs work that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stopped)
}
