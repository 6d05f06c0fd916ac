//! An HTTP server of one page.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::network::Network;
use crate::wait;

/// A request that takes longer, or whose head is larger, is none of a monitoring system.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Tells a network's metrics to whoever asks.
#[derive(Debug)]
pub struct Exporter {
    network: Network,
    listener: TcpListener,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The address is taken or none of this machine's.
    #[error("`{address}` cannot be listened on; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// No further caller can be taken.
    #[error("no connection is taken any more")]
    Accept(#[source] std::io::Error),
}

impl Exporter {
    /// Listens; the metrics are for everybody who reaches the address, so let it be one that only monitoring reaches.
    ///
    /// # Errors
    /// [`ExporterError::Listen`].
    pub async fn bind(network: Network, address: SocketAddr) -> Result<Self, ExporterError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ExporterError::Listen { address, source })?;
        Ok(Self { network, listener })
    }

    /// Where it listens; the port that was chosen when 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers `GET /metrics` until it is dropped, one caller after the other: every answer asks every node.
    ///
    /// # Errors
    /// [`ExporterError::Accept`].
    pub async fn serve(self) -> Result<(), ExporterError> {
        loop {
            let (caller, _) = self.listener.accept().await.map_err(ExporterError::Accept)?;
            // A caller that goes away or says nothing is nobody else's loss.
            let _ = tokio::time::timeout(REQUEST_LIMIT * 6, self.answer(caller)).await;
        }
    }

    async fn answer(&self, mut caller: TcpStream) -> std::io::Result<()> {
        let head = match tokio::time::timeout(REQUEST_LIMIT, head(&mut caller)).await {
            Ok(head) => head?,
            Err(_) => return Ok(()),
        };
        let asked = head.lines().next().unwrap_or_default().split(' ').take(2).collect::<Vec<_>>();
        let (status, body) = match asked.as_slice() {
            ["GET", "/metrics"] => match self.network.metrics().await {
                Ok(text) => ("200 OK", text),
                Err(error) => ("500 Internal Server Error", wait::chain(&error)),
            },
            _ => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        caller.write_all(head.as_bytes()).await?;
        caller.write_all(body.as_bytes()).await?;
        caller.shutdown().await
    }
}

/// A request's head, or what there is of it.
async fn head(caller: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while bytes.len() < HEAD_BYTES_MAX && !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        match caller.read(&mut buffer).await? {
            0 => break,
            read => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
