//! What the daemon is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the daemon listens, and how it proves itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where other hospitals reach it, over mutual TLS; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/livez` and `/readyz` are answered in plain HTTP as well, for the machine's own monitoring.
    pub health_listen: Option<SocketAddr>,
    /// The daemon's TLS certificate in PEM, its chain after it.
    pub certificate: PathBuf,
    /// The certificate's private key in PEM.
    pub key: PathBuf,
    /// TLS authorities of the consortium's members in PEM, one or more a file: those that the consortium's
    /// policy names by their digests.
    pub authorities: Vec<PathBuf>,
    /// How much it takes on.
    pub limits: Limits,
}

/// How much the daemon takes on at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of other hospitals; more are closed. As many may be about to show whose they are; of more, the
    /// one that has been at it longest is closed. 256 by default.
    pub connections_max: usize,
    /// Those of one hospital; more are closed. 64 by default.
    pub hospital_connections_max: usize,
    /// Open connections of the machine's own monitoring. 16 by default.
    pub health_connections_max: usize,
    /// Releases at work, and checks of readiness that other hospitals ask for; more are told to come again. 32 by default.
    pub releases_max: usize,
    /// Those for one hospital. 8 by default.
    pub hospital_releases_max: usize,
    /// Bytes of a release request. 32 KiB by default.
    pub request_bytes_max: usize,
    /// For a TLS handshake, the head of a request, and its body; idle connections end after it. 10 s by default.
    pub handshake_timeout: Duration,
    /// How long the other side may take no byte of an answer. 60 s by default.
    pub send_timeout: Duration,
    /// For one release, its disclosure's block included. 140 s by default.
    pub release_timeout: Duration,
    /// How long a decision that is in no block of this hospital's peer yet is waited for, if its actor is
    /// authorised at the asking hospital. 5 s by default.
    pub decision_wait: Duration,
    /// How long after the end of its permit a released blob may still be fetched, for downloads that were begun before.
    /// 15 minutes by default.
    pub resume: Duration,
    /// How often the consortium's policy is read again for changed members. 60 s by default.
    pub policy_refresh: Duration,
    /// How long open requests may go on once the daemon is told to stop. 30 s by default.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            hospital_connections_max: 64,
            health_connections_max: 16,
            releases_max: 32,
            hospital_releases_max: 8,
            request_bytes_max: 32 * 1024,
            handshake_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(60),
            release_timeout: Duration::from_secs(140),
            decision_wait: Duration::from_secs(5),
            resume: Duration::from_secs(15 * 60),
            policy_refresh: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}
