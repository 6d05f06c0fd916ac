//! gRPC health (`grpc.health.v1.Health`) of a service that comes to an end.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

/// tonic's health service, with watches that end when what they watch no longer serves: a service that stops waits
/// for all that it still answers, and a watch of tonic's own only ends when its client leaves.
pub(crate) struct Watched(HealthService);

impl Watched {
    pub(crate) fn new(reporter: HealthReporter) -> HealthServer<Self> {
        HealthServer::new(Self(HealthService::from_health_reporter(reporter)))
    }
}

type Answer = Result<HealthCheckResponse, Status>;

#[tonic::async_trait]
impl Health for Watched {
    type WatchStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let statuses = self.0.watch(request).await?.into_inner();
        let until_it_ends = stream::unfold(Some(statuses), async |statuses| {
            let mut statuses = statuses?;
            let answer = statuses.next().await?;
            let serves = matches!(&answer, Ok(answer) if answer.status() == ServingStatus::Serving);
            Some((answer, serves.then_some(statuses)))
        });
        Ok(Response::new(Box::pin(until_it_ends)))
    }
}
