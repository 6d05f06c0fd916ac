//! A peer that chaincode dials, as it does when the peer launches it and in development mode.

use std::net::SocketAddr;

use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_support_server::{ChaincodeSupport, ChaincodeSupportServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::builder::TestPeerBuilder;
use crate::peer::TestPeer;
use crate::wire::{ConnectError, MESSAGE_BYTES_MAX, OUTBOUND_MESSAGES, Wire};

/// A peer that waits for its chaincode.
#[derive(Debug)]
pub struct ListeningPeer {
    builder: TestPeerBuilder,
    address: SocketAddr,
    dialled: mpsc::Receiver<Wire>,
    serving: Serving,
}

/// The server's task, which ends with its peer.
#[derive(Debug)]
pub(crate) struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ListeningPeer {
    pub(crate) async fn bind(
        builder: TestPeerBuilder,
        tls: Option<ServerTlsConfig>,
    ) -> Result<Self, ConnectError> {
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls)?;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(ConnectError::Bind)?;
        let address = listener.local_addr().map_err(ConnectError::Bind)?;
        let (arrived, dialled) = mpsc::channel(1);
        let support = ChaincodeSupportServer::new(Support { arrived })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let serving =
            server.serve_with_incoming(support, TcpIncoming::from(listener).with_nodelay(Some(true)));
        let serving = tokio::spawn(async move {
            // The test sees its streams end.
            let _ = serving.await;
        });
        Ok(Self { builder, address, dialled, serving: Serving(serving) })
    }

    /// Where it listens, a free port of the loopback interface.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for chaincode to dial and registers it.
    ///
    /// # Errors
    /// [`ConnectError::NotRegistered`] if it sends something else first.
    pub async fn accept(mut self) -> Result<TestPeer, ConnectError> {
        let wire = self.dialled.recv().await;
        let wire = wire.ok_or(ConnectError::NotRegistered("nobody dialled"))?;
        TestPeer::register(self.builder, wire, Some(self.serving)).await
    }
}

struct Support {
    arrived: mpsc::Sender<Wire>,
}

#[tonic::async_trait]
impl ChaincodeSupport for Support {
    type RegisterStream =
        std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<ChaincodeMessage, Status>> + Send>>;

    async fn register(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let wire = Wire::new(outbound, request.into_inner());
        self.arrived
            .try_send(wire)
            .map_err(|_| Status::already_exists("the chaincode has dialled already"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(Ok))))
    }
}
