//! Response streams whose opening is not waited for.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Response, Status, Streaming};

/// The responses to a request that is on its way.
///
/// A peer answers a streaming call with its first message, which may be long in coming. So the call is made by a
/// task of its own, which ends with this value.
#[derive(Debug)]
pub(crate) enum Responses<T> {
    Opening(AbortOnDropHandle<Result<Response<Streaming<T>>, Status>>),
    Open(Box<Streaming<T>>),
}

impl<T: Send + 'static> Responses<T> {
    /// Sends the request; must be called within a Tokio runtime.
    pub(crate) fn open(
        call: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
    ) -> Self {
        Self::Opening(AbortOnDropHandle::new(tokio::spawn(call)))
    }
}

impl<T> Stream for Responses<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut *self {
                Self::Open(responses) => return responses.poll_next_unpin(context),
                Self::Opening(call) => {
                    let Poll::Ready(opened) = call.poll_unpin(context) else { return Poll::Pending };
                    match opened {
                        Ok(Ok(response)) => *self = Self::Open(Box::new(response.into_inner())),
                        Ok(Err(status)) => return Poll::Ready(Some(Err(status))),
                        Err(_) => {
                            return Poll::Ready(Some(Err(Status::cancelled("the runtime is shutting down"))));
                        }
                    }
                }
            }
        }
    }
}
