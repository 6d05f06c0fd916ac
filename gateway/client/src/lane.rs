//! The way of a stream to one peer: it takes a place among the peer's calls for as long as it is open.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, Bytes, Service};
use tonic::{Code, Status};

use crate::admission::{Admitted, refusal};
use crate::metrics::{Metrics, Observation, Operation, Outcome};
use crate::peer::Peer;

/// A peer as the transport of generated clients, for streams.
#[derive(Clone)]
pub(crate) struct Lane {
    peer: Arc<Peer>,
    operation: Operation,
    metrics: Arc<dyn Metrics>,
}

impl Lane {
    pub(crate) fn new(peer: Arc<Peer>, operation: Operation, metrics: Arc<dyn Metrics>) -> Self {
        Self { peer, operation, metrics }
    }

    async fn open(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let asked = Instant::now();
        let admission = self.peer.admission(self.operation);
        let admitted = admission.enter_stream(&self.peer.address).await?;
        let begun = Instant::now();
        let mut channel = self.peer.channel.clone();
        let response = async {
            std::future::poll_fn(|context| channel.poll_ready(context)).await?;
            channel.call(request).await
        }
        .await;
        let outcome = match &response {
            Err(_) => {
                self.peer.lost();
                Outcome::Unreachable
            }
            Ok(response) => {
                self.peer.answered();
                refused(response).map_or(Outcome::Answered, |status| match refusal(status.message()) {
                    Some(named) => {
                        admitted.refused(named);
                        Outcome::Busy
                    }
                    None => Outcome::Refused(status.code()),
                })
            }
        };
        self.metrics.observed(&Observation {
            operation: self.operation,
            peer: &self.peer.address,
            outcome,
            queued: begun - asked,
            duration: begun.elapsed(),
        });
        match response {
            Ok(response) => Ok(response.map(|body| Body::new(Held { body, _admitted: admitted }))),
            Err(error) => Err(Status::from_error(Box::new(error))),
        }
    }
}

impl Service<Request<Body>> for Lane {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().open(request))
    }
}

/// A response's body with the place that it takes.
struct Held {
    body: Body,
    _admitted: Admitted,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// What a peer says that refuses a stream before its first message.
fn refused(response: &Response<Body>) -> Option<Status> {
    Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
}
