//! What items of a stream are for, done with the checkpoint that is kept for them.

use std::fmt;

use crate::{Checkpoint, CheckpointError, Checkpointer};

/// What items are for, and where the checkpoint is kept with it.
///
/// Each item is applied exactly once if effect and checkpoint are stored together, in one transaction of the caller's
/// own database.
pub trait Effect<T>: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The checkpoint that was stored last; none before the first.
    fn checkpoint(&mut self) -> impl Future<Output = Result<Option<Checkpoint>, Self::Error>> + Send;

    /// Stores an item's effect and its checkpoint, both or neither.
    fn apply(
        &mut self,
        item: T,
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// An effect whose checkpoint is kept apart from it, after it: a crash between the two repeats that item.
///
/// No item is lost. Effects that may be repeated, or that know an event by its transaction's id, need no more.
pub struct AtLeastOnce<C, F> {
    checkpointer: C,
    effect: F,
}

/// Why an effect at least once failed.
#[derive(Debug, thiserror::Error)]
pub enum AtLeastOnceError<E: std::error::Error + 'static> {
    /// The effect failed.
    #[error("effect failed")]
    Effect(#[source] E),
    /// The checkpoint can't be loaded or saved.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl<C, F> AtLeastOnce<C, F> {
    /// An effect, given as a function that returns a future, and where its checkpoint is kept.
    pub fn new(checkpointer: C, effect: F) -> Self {
        Self { checkpointer, effect }
    }
}

impl<T, C, F, A, E> Effect<T> for AtLeastOnce<C, F>
where
    T: Send,
    C: Checkpointer,
    F: FnMut(T) -> A + Send,
    A: Future<Output = Result<(), E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    type Error = AtLeastOnceError<E>;

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, Self::Error> {
        Ok(self.checkpointer.load().await?)
    }

    async fn apply(&mut self, item: T, checkpoint: &Checkpoint) -> Result<(), Self::Error> {
        (self.effect)(item).await.map_err(AtLeastOnceError::Effect)?;
        Ok(self.checkpointer.save(checkpoint).await?)
    }
}

impl<C, F> fmt::Debug for AtLeastOnce<C, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AtLeastOnce").finish_non_exhaustive()
    }
}
