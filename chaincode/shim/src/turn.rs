//! Turns: how many transactions of a service run at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A transaction's turn, which it gives back while it waits for other chaincode.
///
/// What is called needs turns as well: of this service, when a call comes back on another channel, or of another one
/// whose transactions call this one. Since nobody holds a turn while waiting for somebody else's, none wait in a circle.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Semaphore>,
    held: Mutex<Held>,
    /// Held by whoever takes the turn back: a second one would wait for another turn, which only the first can free.
    taking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    turn: Option<OwnedSemaphorePermit>,
    /// Calls that are waited for.
    calls: usize,
}

impl Turn {
    /// Waits for a turn.
    pub(crate) async fn take(turns: Arc<Semaphore>) -> Self {
        let turn = Self { turns, held: Mutex::default(), taking: tokio::sync::Mutex::default() };
        turn.take_back().await;
        turn
    }

    /// Makes a call without a turn, and waits for one when it has come back.
    ///
    /// A transaction that stops waiting for a call goes on without a turn until it has made another one.
    pub(crate) async fn without<T>(&self, call: impl Future<Output = T>) -> T {
        let given_back = GivenBack::new(self);
        let called = call.await;
        drop(given_back);
        self.take_back().await;
        called
    }

    async fn take_back(&self) {
        let _taking = self.taking.lock().await;
        if !self.held().lacks_turn() {
            return;
        }
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let mut held = self.held();
        if held.lacks_turn() {
            held.turn = turn;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn lacks_turn(&self) -> bool {
        self.turn.is_none() && self.calls == 0
    }
}

/// A call that is waited for.
struct GivenBack<'t>(&'t Turn);

impl<'t> GivenBack<'t> {
    fn new(turn: &'t Turn) -> Self {
        let mut held = turn.held();
        held.calls += 1;
        held.turn = None;
        drop(held);
        Self(turn)
    }
}

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        self.0.held().calls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_turn_is_free_while_its_transaction_waits_for_a_call_and_taken_when_it_goes_on() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Turn::take(Arc::clone(&turns)).await;
        assert_eq!(turns.available_permits(), 0);
        {
            let (answer, answered) = oneshot::channel();
            let mut call = pin!(turn.without(answered));
            assert!(call.as_mut().now_or_never().is_none());
            let other = Turn::take(Arc::clone(&turns)).await;
            answer.send("called").unwrap();
            assert!(call.as_mut().now_or_never().is_none(), "there is no turn");
            drop(other);
            assert_eq!(call.await, Ok("called"));
        }
        assert_eq!(turns.available_permits(), 0);
        drop(turn);
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn of_calls_at_the_same_time_the_last_one_takes_the_only_turn_back_once() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Turn::take(Arc::clone(&turns)).await;
        {
            let (one, one_answered) = oneshot::channel();
            let (two, two_answered) = oneshot::channel();
            let mut first = pin!(turn.without(one_answered));
            let mut second = pin!(turn.without(two_answered));
            assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
            one.send(()).unwrap();
            assert_eq!(
                first.now_or_never(),
                Some(Ok(())),
                "it waits for no turn beside a call that may need it"
            );
            let other = Turn::take(Arc::clone(&turns)).await;
            two.send(()).unwrap();
            let mut third = pin!(turn.without(async {}));
            assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
            drop(other);
            let (second, ()) = tokio::join!(second, third);
            second.unwrap();
        }
        assert_eq!(turns.available_permits(), 0);
        drop(turn);
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_call_that_is_not_waited_for_any_more_keeps_no_later_one_from_its_turn() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Turn::take(Arc::clone(&turns)).await;
        assert!(turn.without(pending::<()>()).now_or_never().is_none());
        assert_eq!(turns.available_permits(), 1);
        turn.without(async {}).await;
        assert_eq!(turns.available_permits(), 0);
    }
}
