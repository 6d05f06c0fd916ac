//! Listening, accepting, and stopping.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::{Extension, Router};
use caretrail_records::{CallError, Custody, Records};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, Limits};
use crate::health;
use crate::membership::{Current, Membership};
use crate::places::Places;
use crate::release::{Asker, Daemon, routes};
use crate::tls::OwnTls;
use crate::trust::TrustError;
use crate::write_deadline::WriteDeadline;

/// A daemon that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    health: Option<TcpListener>,
    daemon: Arc<Daemon>,
    limits: Limits,
}

/// How a daemon stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether every open request was answered in time.
    pub in_time: bool,
}

/// A daemon that does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The policy cannot be read.
    #[error("the consortium's policy cannot be read")]
    Policy(#[from] CallError),
    /// The authorities do not fit the policy.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A PEM file cannot be read.
    #[error("`{}` cannot be read as PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The daemon's certificate and key cannot be used.
    #[error("the daemon's TLS certificate and key cannot be used together")]
    Tls {
        /// What rustls reports.
        source: rustls::Error,
    },
    /// The address cannot be listened on.
    #[error(
        "`{address}` cannot be listened on: check that no other program does, and that the address is this machine's"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Serves until `stop` completes, then lets open requests finish.
///
/// # Errors
/// When the daemon does not start.
pub async fn serve(
    config: Config,
    records: Records,
    custody: Custody,
    stop: impl Future<Output = ()> + Send,
) -> Result<Drained, ServeError> {
    Ok(Server::bind(config, records, custody).await?.run(stop).await)
}

impl Server {
    /// Reads certificates, checks them against the policy in force, and opens the listeners.
    ///
    /// `records` acts as the hospital's service: the contract lets only a service of the custodian disclose.
    ///
    /// # Errors
    /// When a file, the policy or an address is not as it should be; nothing listens then.
    pub async fn bind(config: Config, records: Records, custody: Custody) -> Result<Self, ServeError> {
        let tls = OwnTls::read(&config.certificate, &config.key, &config.authorities)?;
        let membership = Arc::new(Membership::read(records.clone(), tls).await?);
        let listener = listen(config.listen).await?;
        let health = match config.health_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok(Self {
            listener,
            health,
            daemon: Arc::new(Daemon::new(records, custody, membership, config.limits)),
            limits: config.limits,
        })
    }

    /// Where other hospitals reach the daemon.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where `/livez` and `/readyz` are answered in plain HTTP, if they are.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn health_address(&self) -> io::Result<Option<SocketAddr>> {
        self.health.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Answers until `stop` completes; then takes no more connections and lets open requests finish, at most
    /// for the time that the limits give.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Drained {
        let limits = self.limits;
        let mut newcomers = Newcomers { max: limits.connections_max, at_it: VecDeque::new() };
        // Of its own, so that the machine's monitoring is answered however many other hospitals ask.
        let health_places = Arc::new(Semaphore::new(limits.health_connections_max));
        let shares = Places::new(limits.connections_max, limits.hospital_connections_max);
        let routes = routes(&self.daemon);
        let health_routes = health::routes().with_state(Arc::clone(&self.daemon));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let membership = &self.daemon.membership;
        let mut refreshing = JoinSet::new();
        refreshing.spawn(Arc::clone(membership).keep_fresh(limits.policy_refresh));

        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                stream = accept(&self.listener) => {
                    let (current, routes) = (membership.current(), routes.clone());
                    let (shares, watcher) = (Arc::clone(&shares), graceful.watcher());
                    let known = Arc::new(AtomicBool::new(false));
                    let connection = Connection { stream, limits };
                    let serving = connection.serve_tls(current, Arc::clone(&known), shares, routes, watcher);
                    newcomers.admit(connections.spawn(serving), known);
                }
                (stream, place) = accept_health(self.health.as_ref(), &health_places) => {
                    let connection = Connection { stream, limits };
                    let watcher = graceful.watcher();
                    connections.spawn(connection.serve_plain(place, health_routes.clone(), watcher));
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }

        drop((self.listener, self.health));
        let drained = async { while connections.join_next().await.is_some() {} };
        let finished = async { tokio::join!(graceful.shutdown(), drained) };
        let in_time = tokio::time::timeout(limits.drain, finished).await.is_ok();
        refreshing.shutdown().await;
        Drained { in_time }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Connections that have not shown yet whose they are.
///
/// Anybody can open some and say nothing. When there are too many, the one that has been at it longest makes room: a
/// member's handshake takes milliseconds.
struct Newcomers {
    max: usize,
    at_it: VecDeque<(AbortHandle, Arc<AtomicBool>)>,
}

impl Newcomers {
    fn admit(&mut self, connection: AbortHandle, known: Arc<AtomicBool>) {
        self.at_it.retain(|(other, known)| !known.load(Ordering::Relaxed) && !other.is_finished());
        if self.at_it.len() >= self.max
            && let Some((longest, _)) = self.at_it.pop_front()
        {
            longest.abort();
        }
        self.at_it.push_back((connection, known));
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // A connection that was reset before it was accepted, or too many open files: the next may do.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn accept_health(
    listener: Option<&TcpListener>,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    match listener {
        Some(listener) => {
            let Ok(place) = Arc::clone(places).acquire_owned().await else {
                unreachable!("the semaphore is never closed")
            };
            (accept(listener).await, place)
        }
        None => std::future::pending().await,
    }
}

/// An accepted connection.
struct Connection {
    stream: TcpStream,
    limits: Limits,
}

impl Connection {
    async fn serve_tls(
        self,
        current: Arc<Current>,
        known: Arc<AtomicBool>,
        shares: Arc<Places>,
        routes: Router,
        watcher: Watcher,
    ) {
        let Self { stream, limits } = self;
        let Some(config) = current.config() else {
            tracing::debug!("a connection was closed: nobody is trusted");
            return;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(config));
        let stream = WriteDeadline::new(stream, limits.send_timeout);
        let stream = match tokio::time::timeout(limits.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(%error, "a TLS handshake failed");
                return;
            }
            Err(_) => return,
        };
        known.store(true, Ordering::Relaxed);
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Arc<[_]> = chain.iter().cloned().map(CertificateDer::into_owned).collect();
        let hospitals = current.hospitals(&chain);
        let Some(_share) = shares.take(&hospitals) else {
            tracing::warn!(?hospitals, "a connection was closed: its hospital has as many as it may");
            return;
        };
        serve_http(TokioIo::new(stream), routes.layer(Extension(Asker { chain })), limits, watcher).await;
    }

    async fn serve_plain(self, _place: OwnedSemaphorePermit, routes: Router, watcher: Watcher) {
        let Self { stream, limits } = self;
        let stream = WriteDeadline::new(stream, limits.send_timeout);
        serve_http(TokioIo::new(stream), routes, limits, watcher).await;
    }
}

/// Answers the requests of one connection, one after the other, until it closes or the daemon stops.
async fn serve_http<S>(stream: TokioIo<S>, routes: Router, limits: Limits, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .serve_connection(stream, TowerToHyperService::new(routes));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
