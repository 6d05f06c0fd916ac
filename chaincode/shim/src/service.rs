//! The service that peers dial: one per package id, for any number of peers.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_server::{Chaincode, ChaincodeServer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{Instrument, info, info_span, warn};

use crate::config::{Config, Limits};
use crate::health::Watched;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::response::{Response, code};
use crate::router::BoxFuture;
use crate::stream::PeerStream;
use crate::tls::{Certificates, TlsError};
use crate::transaction::Transaction;

/// HTTP/2 pings find a peer that is gone without having said so.
pub(crate) const PING_EVERY_S: u64 = 60;
pub(crate) const PING_WITHIN_S: u64 = 20;
/// A peer holds one stream on a connection; fixed windows spare the pings that adaptive ones need.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Connections that have shaken hands and wait to be served.
const ACCEPTED_CONNECTIONS: usize = 16;
/// The name that health is asked for by, beside the empty one for the whole server.
const HEALTH_SERVICE: &str = "protos.Chaincode";
/// Messages that wait for a peer to take them; transactions wait when it is full.
pub(crate) const OUTBOUND_MESSAGES: usize = 256;

/// What a service runs: one call for each transaction.
///
/// [`Router`](crate::Router) is the usual one. A panic ends its own transaction only, as a response
/// with status 500, provided that the program is built to unwind.
///
/// A contract that reads and writes costs least on tokio's runtime with a single thread, which serves far more than a
/// peer asks for. One that computes for milliseconds at a time needs the default runtime: on a single thread it would
/// keep every other transaction waiting. (Verifying a signature takes a tenth of one.)
pub trait Contract: Send + Sync + 'static {
    /// Runs one transaction. Its writes are sent only if the response is a success.
    fn invoke(&self, tx: &Transaction) -> impl Future<Output = Response> + Send;

    /// Runs the initialisation of a chaincode that was committed with `--init-required`, or instantiated in the lifecycle
    /// before Fabric 2.0.
    ///
    /// A response of 400 or more goes to the peer as an ERROR with its code: the former lifecycle reads no status.
    fn init(&self, tx: &Transaction) -> impl Future<Output = Response> + Send {
        let _ = tx;
        async { Response::error(404, code::INIT_UNSUPPORTED) }
    }

    /// The function that a transaction calls, for metrics; `None` if it is none of the contract's.
    ///
    /// Names come from callers, so only those of the contract's own functions may be answered: each
    /// becomes a label that is kept for good.
    fn function_label<'c>(&'c self, tx: &Transaction) -> Option<&'c str> {
        let _ = tx;
        None
    }
}

/// One contract behind several services.
impl<C: Contract> Contract for Arc<C> {
    fn invoke(&self, tx: &Transaction) -> impl Future<Output = Response> + Send {
        C::invoke(self, tx)
    }

    fn init(&self, tx: &Transaction) -> impl Future<Output = Response> + Send {
        C::init(self, tx)
    }

    fn function_label<'c>(&'c self, tx: &Transaction) -> Option<&'c str> {
        C::function_label(self, tx)
    }
}

/// Why a service could not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The TLS key and certificates do not make a server.
    #[error("TLS key and certificates are refused: check that the key belongs to the certificate")]
    Tls(#[source] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}`: choose a free port of this machine")]
    Bind {
        /// The address of the configuration.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The listener failed.
    #[error("the listener failed")]
    Transport(#[source] tonic::transport::Error),
}

/// A contract and its configuration, not yet listening.
#[derive(Debug)]
pub struct Service<C> {
    contract: C,
    config: Config,
    metrics: Metrics,
}

impl<C: Contract> Service<C> {
    /// A service for one contract, registered as one package id.
    ///
    /// A peer that connects is not known before it is told the package id, so each id has a service
    /// and an address of its own: several of them share a contract in an [`Arc`] and run side by
    /// side in one process, each for any number of peers.
    pub fn new(config: Config, contract: C) -> Self {
        Self { contract, config, metrics: Metrics::default() }
    }

    /// Counts together with other services.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Checks keys and certificates, then binds the port.
    ///
    /// # Errors
    /// [`ServeError::Tls`] before anything is bound, [`ServeError::Bind`].
    pub async fn bind(self) -> Result<Listening<C>, ServeError> {
        let Self { contract, config, metrics } = self;
        let certificates = Certificates::new(config.tls.as_ref()).map_err(ServeError::Tls)?;
        let tls_files = config.tls.clone().and_then(|tls| tls.files.clone().map(|files| (tls, files)));
        let reload = tls_files.map(|(tls, files)| Reload::new(tls, files, certificates.clone()));
        let server = Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(PING_EVERY_S)))
            .http2_keepalive_timeout(Some(Duration::from_secs(PING_WITHIN_S)))
            .initial_stream_window_size(Some(STREAM_WINDOW_BYTES))
            .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES));
        let (listener, local_address) = bind(&config.address).await?;
        let metrics_listener = match &config.metrics_address {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let limits = config.limits.clone();
        let shared = Arc::new(Shared::new(contract, config, metrics));
        let tracker = TaskTracker::new();
        let (draining, ended) = (shared.draining.clone(), shared.ended.clone());
        let metrics = shared.metrics.clone();
        let connections = Connections { shared, tracker: tracker.clone() };
        let grpc = ChaincodeServer::new(connections)
            .max_decoding_message_size(limits.message_bytes)
            .max_encoding_message_size(limits.message_bytes);
        Ok(Listening {
            server,
            grpc,
            listener,
            local_address,
            certificates,
            reload,
            metrics,
            metrics_listener,
            tracker,
            draining,
            ended,
            limits,
        })
    }
}

async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    listen(address).await.map_err(|source| ServeError::Bind { address: address.to_owned(), source })
}

pub(crate) async fn listen(address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let local_address = listener.local_addr()?;
    Ok((listener, local_address))
}

/// A service that has its port: peers may dial, and are answered once it [serves](Self::serve).
pub struct Listening<C> {
    server: Server,
    grpc: ChaincodeServer<Connections<C>>,
    listener: TcpListener,
    local_address: SocketAddr,
    certificates: Certificates,
    reload: Option<Reload>,
    metrics: Metrics,
    metrics_listener: Option<(TcpListener, SocketAddr)>,
    tracker: TaskTracker,
    draining: CancellationToken,
    ended: CancellationToken,
    limits: Limits,
}

impl<C: Contract> Listening<C> {
    /// The address that was bound.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The address of the HTTP endpoint, `GET /metrics` for Prometheus and `GET /healthz`, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().map(|(_, address)| *address)
    }

    /// The figures of this service.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// What replaces key and certificates while the service runs.
    #[must_use]
    pub fn certificates(&self) -> Certificates {
        self.certificates.clone()
    }

    /// Serves peers until `shutdown` completes, then lets running transactions finish.
    ///
    /// New transactions are answered with `SERVICE_DRAINING` meanwhile. What still runs at the end
    /// of [`Limits::drain`] is cancelled: its peer sees the stream end and endorses nothing.
    ///
    /// `grpc.health.v1.Health` on the same port says SERVING until then, under the empty name and
    /// as `protos.Chaincode`, and NOT_SERVING from then on, with which watches end; with mutual TLS it asks for a
    /// certificate as well.
    ///
    /// # Errors
    /// [`ServeError::Transport`] if the listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<Drained, ServeError> {
        let Self { mut server, grpc, listener, local_address, tracker, draining, ended, limits, .. } = self;
        let (metrics, metrics_listener, certificates) =
            (self.metrics, self.metrics_listener, self.certificates);
        let health = HealthReporter::new();
        let health_service = Watched::new(health.clone());
        health.set_service_status(HEALTH_SERVICE, ServingStatus::Serving).await;
        // Whoever drops this future ends every stream as well.
        let end_guard = ended.clone().drop_guard();
        // Dropped with this future: nobody is left to serve.
        let mut beside = JoinSet::new();
        if let Some((listener, _)) = metrics_listener {
            let draining = draining.clone();
            beside.spawn(metrics.serve(listener, move || !draining.is_cancelled()));
        }
        if let Some(reload) = self.reload {
            beside.spawn(reload.run());
        }
        info!(address = %local_address, "chaincode service is listening");
        let stopping = draining.clone();
        let stopping = async move { stopping.cancelled().await };
        let router = server.add_service(health_service).add_service(grpc);
        let mut serving: BoxFuture<'_, _> = if certificates.is_plain() {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            Box::pin(router.serve_with_incoming_shutdown(incoming, stopping))
        } else {
            let (accepted, incoming) = mpsc::channel(ACCEPTED_CONNECTIONS);
            beside.spawn(certificates.accept(listener, accepted, limits.clone()));
            Box::pin(router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopping))
        };
        tokio::select! {
            result = &mut serving => return result.map(|()| Drained { in_time: true }).map_err(ServeError::Transport),
            () = shutdown => info!("chaincode service is stopping"),
        }
        health.set_service_status("", ServingStatus::NotServing).await;
        health.set_service_status(HEALTH_SERVICE, ServingStatus::NotServing).await;
        draining.cancel();
        tracker.close();
        let drained = async {
            tracker.wait().await;
            (&mut serving).await
        };
        let in_time = match tokio::time::timeout(limits.drain, drained).await {
            Ok(result) => {
                result.map_err(ServeError::Transport)?;
                true
            }
            Err(_) => false,
        };
        drop(end_guard);
        if !in_time {
            warn!(within_ms = limits.drain.as_millis(), "transactions were still running and are cancelled");
        }
        Ok(Drained { in_time })
    }
}

impl<C> std::fmt::Debug for Listening<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("local_address", &self.local_address).finish_non_exhaustive()
    }
}

/// How a service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether every transaction finished within [`Limits::drain`], its reply included where the chaincode dials.
    pub in_time: bool,
}

/// Completes when the process is asked to stop: SIGTERM or SIGINT (Ctrl-C).
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // An error means that no signal can ever arrive.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What all streams of a service share: nothing that one peer could see of another.
pub(crate) struct Shared<C> {
    pub(crate) contract: C,
    pub(crate) package_id: String,
    pub(crate) strict: bool,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// Room for streams.
    pub(crate) streams: Semaphore,
    /// Room for transactions that run.
    pub(crate) turns: Arc<Semaphore>,
    /// A peer has registered the chaincode.
    pub(crate) ready: CancellationToken,
    /// No new transactions.
    pub(crate) draining: CancellationToken,
    /// No transactions at all.
    pub(crate) ended: CancellationToken,
}

impl<C> Shared<C> {
    pub(crate) fn new(contract: C, config: Config, metrics: Metrics) -> Self {
        let Config { package_id, limits, strict, .. } = config;
        Self {
            streams: Semaphore::new(limits.streams),
            turns: Arc::new(Semaphore::new(limits.transactions)),
            contract,
            package_id,
            strict,
            limits,
            metrics,
            ready: CancellationToken::new(),
            draining: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }
}

struct Connections<C> {
    shared: Arc<Shared<C>>,
    tracker: TaskTracker,
}

#[tonic::async_trait]
impl<C: Contract> Chaincode for Connections<C> {
    type ConnectStream = ReceiverStream<Result<ChaincodeMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<tonic::Response<Self::ConnectStream>, Status> {
        if self.shared.draining.is_cancelled() {
            return Err(Status::unavailable("the chaincode service is stopping"));
        }
        let span = match request.remote_addr() {
            Some(peer) => info_span!("stream", %peer),
            None => info_span!("stream"),
        };
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let shared = Arc::clone(&self.shared);
        let inbound = request.into_inner();
        if shared.streams.available_permits() == 0 {
            return Err(Status::resource_exhausted("the chaincode service has as many streams as it allows"));
        }
        let stream = PeerStream::new(shared, outbound);
        self.tracker.spawn(stream.run(inbound).instrument(span));
        Ok(tonic::Response::new(ReceiverStream::new(messages)))
    }
}
