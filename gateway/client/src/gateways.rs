//! Several peers' gateways as one.

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::peer::Peer;
use crate::route::Route;
use crate::session::Session;
use crate::{
    Concurrency, ConnectError, Credentials, Deadlines, Endorser, Endpoint, Gateway, Metrics, PeerStatus,
};

/// Why none of several peers can be connected to.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoGateway {
    /// What failed, one for each endpoint, in their order; empty when no endpoint was given.
    pub failures: Vec<ConnectError>,
}

impl Gateway {
    /// Connects to several peers, of one organisation or of several, the preferred first; fails when none can be
    /// reached and trusted.
    ///
    /// A call goes to the first peer that answers and has room for it. Where that one can't be reached, does not
    /// answer, or says that others may serve, an evaluation or an endorsement goes to the next; a submission goes
    /// there as the identical envelope, and its outcome stays as it is; a commit status is asked for at one peer after
    /// the other. A peer that does not answer is left out, and asked in the background until it does again.
    ///
    /// A stream stays with its peer. To read what a transaction wrote, at a peer that has it, see
    /// [`crate::Proposal::evaluate_after`].
    ///
    /// ```no_run
    /// # use hlf_gateway::{Credentials, Deadlines, Endpoint, Gateway, NoGateway};
    /// # async fn connect(roots: &str, credentials: Credentials) -> Result<Gateway, NoGateway> {
    /// let peers = ["peer0.north.example.com:7051", "peer1.north.example.com:7051"];
    /// let endpoints = peers.map(|address| Endpoint::tls(address, roots));
    /// Gateway::connect_any(&endpoints, credentials, Deadlines::default()).await
    /// # }
    /// ```
    pub async fn connect_any(
        endpoints: &[Endpoint],
        credentials: Credentials,
        deadlines: Deadlines,
    ) -> Result<Self, NoGateway> {
        let one = |source| NoGateway { failures: vec![source] };
        let hash = match endpoints.first() {
            Some(first) => first.client_certificate_hash().map_err(one)?,
            None => return Err(NoGateway { failures: Vec::new() }),
        };
        for endpoint in endpoints {
            if endpoint.client_certificate_hash().map_err(one)? != hash {
                return Err(one(ConnectError::BadTls {
                    address: endpoint.address().to_owned(),
                    reason: "it is given another client certificate than the first endpoint".to_owned(),
                }));
            }
        }
        let connections = endpoints.iter().map(|endpoint| endpoint.connect(deadlines.connect));
        let (mut peers, mut failures) = (Vec::new(), Vec::new());
        for (endpoint, connected) in endpoints.iter().zip(join_all(connections).await) {
            match connected {
                Ok(channel) => peers.push(Peer::among_others(endpoint.address(), channel)),
                Err(failure) => {
                    let channel = endpoint.connect_lazy(deadlines.connect).map_err(one)?;
                    let peer = Peer::among_others(endpoint.address(), channel);
                    peer.lost();
                    peers.push(peer);
                    failures.push(failure);
                }
            }
        }
        if failures.len() == peers.len() {
            return Err(NoGateway { failures });
        }
        let Some(route) = Route::over(peers) else { return Err(NoGateway { failures }) };
        Ok(Self::of(Session::of(route, hash, credentials, deadlines)))
    }

    /// The peers in their order, whether they answer, and the calls that they run and that wait for them.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.session.route.peers().iter().map(|peer| peer.status()).collect()
    }

    /// The same connection to one of the peers alone, by its address as given.
    pub fn at(&self, address: &str) -> Option<Self> {
        let peer = self.session.route.peers().iter().find(|peer| peer.address == address)?;
        Some(self.at_peer(Arc::clone(peer)))
    }

    /// The endorsers of all the peers, in their order: for [`crate::Proposal::compare`].
    pub fn endorsers(&self) -> Vec<Endorser> {
        let peers = self.session.route.peers().iter();
        peers.map(|peer| self.at_peer(Arc::clone(peer)).endorser()).collect()
    }

    /// The same connections with other bounds on calls at once, and limits that are learnt anew.
    #[must_use]
    pub fn with_concurrency(&self, concurrency: Concurrency) -> Self {
        let peers =
            self.session.route.peers().iter().map(|peer| peer.with_concurrency(concurrency)).collect();
        match Route::over(peers) {
            Some(route) => self.with_session(self.session.on(route)),
            None => self.clone(),
        }
    }

    /// The same connections, observed.
    #[must_use]
    pub fn with_metrics(&self, metrics: Arc<dyn Metrics>) -> Self {
        self.with_session(self.session.with_metrics(metrics))
    }

    pub(crate) fn at_preferred(&self) -> Self {
        match self.session.route.peers() {
            [_] => self.clone(),
            _ => self.at_peer(self.session.route.preferred()),
        }
    }

    pub(crate) fn at_peer(&self, peer: Arc<Peer>) -> Self {
        Self::of(self.session.on(Route::to(peer)))
    }
}

impl fmt::Display for NoGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return formatter.write_str("no endpoint is given to connect to");
        }
        formatter.write_str("no peer can be connected to")?;
        for failure in &self.failures {
            write!(formatter, "; {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoGateway {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failures.first().map(|failure| failure as _)
    }
}
