//! The peer's end of a chaincode stream, message by message: for scripts that a real peer would never play.

use std::net::SocketAddr;

use hlf_protos::protos::chaincode_client::ChaincodeClient;
use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeAdditionalParams, ChaincodeId, ChaincodeMessage};
use prost::Message;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Fabric's own limit on messages.
pub(crate) const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;
pub(crate) const OUTBOUND_MESSAGES: usize = 1024;

/// Why a peer and a chaincode service did not come together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens there, or TLS failed.
    #[error("cannot connect to the chaincode service: check that it listens and that TLS settings agree")]
    Transport(#[from] tonic::transport::Error),
    /// No port is free to listen on.
    #[error("cannot listen on the loopback interface")]
    Bind(#[source] std::io::Error),
    /// The service refused or ended the stream.
    #[error("the chaincode service refused the stream")]
    Refused(#[from] Status),
    /// The service did not send REGISTER with its package id first.
    #[error("the chaincode service did not register: {0}")]
    NotRegistered(&'static str),
}

/// An open stream to a chaincode service.
#[derive(Debug)]
pub struct Wire {
    outbound: mpsc::Sender<ChaincodeMessage>,
    inbound: Streaming<ChaincodeMessage>,
}

impl Wire {
    pub(crate) fn new(
        outbound: mpsc::Sender<ChaincodeMessage>,
        inbound: Streaming<ChaincodeMessage>,
    ) -> Self {
        Self { outbound, inbound }
    }

    /// Dials a plain service.
    ///
    /// # Errors
    /// [`ConnectError::Transport`] or [`ConnectError::Refused`].
    pub async fn connect(address: SocketAddr) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        Self::over(endpoint.connect().await?).await
    }

    /// Opens a stream over a channel, for example one with TLS.
    ///
    /// # Errors
    /// [`ConnectError::Refused`].
    pub async fn over(channel: Channel) -> Result<Self, ConnectError> {
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let inbound = ChaincodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .connect(ReceiverStream::new(messages))
            .await?
            .into_inner();
        Ok(Self { outbound, inbound })
    }

    /// Takes REGISTER, answers REGISTERED and READY; gives the package id.
    ///
    /// # Errors
    /// [`ConnectError::NotRegistered`] if something else comes first.
    pub async fn register(&mut self, params: &ChaincodeAdditionalParams) -> Result<String, ConnectError> {
        let first = self.next().await?.ok_or(ConnectError::NotRegistered("the stream ended"))?;
        if first.r#type != i32::from(Type::Register) {
            return Err(ConnectError::NotRegistered("its first message is not REGISTER"));
        }
        let id = ChaincodeId::decode(first.payload.as_slice())
            .map_err(|_| ConnectError::NotRegistered("its package id does not decode"))?;
        if id.name.is_empty() {
            return Err(ConnectError::NotRegistered("its package id is empty"));
        }
        self.send(Type::Registered, Vec::new()).await;
        self.send(Type::Ready, params.encode_to_vec()).await;
        Ok(id.name)
    }

    /// Sends a message without transaction.
    pub async fn send(&self, kind: Type, payload: Vec<u8>) {
        self.send_message(ChaincodeMessage { r#type: kind.into(), payload, ..ChaincodeMessage::default() })
            .await;
    }

    /// Sends any message. A stream that has ended swallows it; [`next`](Self::next) tells.
    pub async fn send_message(&self, message: ChaincodeMessage) {
        let _ = self.outbound.send(message).await;
    }

    /// The next message of the chaincode, `None` when it ends the stream.
    ///
    /// # Errors
    /// The status that the stream ended with.
    pub async fn next(&mut self) -> Result<Option<ChaincodeMessage>, Status> {
        self.inbound.message().await
    }

    pub(crate) fn split(self) -> (mpsc::Sender<ChaincodeMessage>, Streaming<ChaincodeMessage>) {
        (self.outbound, self.inbound)
    }
}
