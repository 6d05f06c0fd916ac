//! A request for blocks, signed here or elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hlf_protos::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use hlf_protos::orderer::SeekInfo;
use hlf_protos::prost::Message as _;

use crate::block_range::{BlockRange, Seek};
use crate::blocks::{BlockStream, DeliverError, Deliveries, FilteredBlockStream, PrivateDataBlockStream};
use crate::deadlines::{left, opened, until};
use crate::proposal_builder::now;
use crate::responses::Responses;
use crate::session::Session;
use crate::to_sign::{ToSign, part};
use crate::{Deadlines, Gateway, ImportError, SignatureError};

/// A request for a channel's blocks: signed once, when it is first sent, or elsewhere.
///
/// One request serves any of the three streams. Peers refuse one that is older than their time window, 15 minutes by
/// default, and under mutual TLS one that was made for another client certificate.
pub struct BlockRequest {
    session: Arc<Session>,
    channel: String,
    seek: Seek,
    to_sign: ToSign,
}

impl BlockRequest {
    pub(crate) fn new(session: Arc<Session>, channel: &str, range: BlockRange) -> Self {
        let seek = range.seek();
        let header = Header {
            channel_header: ChannelHeader {
                r#type: HeaderType::DeliverSeekInfo.into(),
                timestamp: Some(now()),
                channel_id: channel.to_owned(),
                tls_cert_hash: session.client_certificate_hash.clone(),
                ..ChannelHeader::default()
            }
            .encode_to_vec(),
            signature_header: SignatureHeader { creator: session.creator.clone(), nonce: Vec::new() }
                .encode_to_vec(),
        };
        let payload = Payload { header: Some(header), data: seek.request.encode_to_vec() };
        let to_sign = ToSign::new(session.creator.clone(), payload.encode_to_vec());
        Self { session, channel: channel.to_owned(), seek, to_sign }
    }

    /// Reads what [`Self::to_bytes`] of any client gave, to be sent by a gateway; signed if it was.
    ///
    /// The streams deliver what the bytes ask for. A range from a number to the newest block is asked for from one
    /// block earlier, so it begins there when it is read back.
    pub fn from_bytes(gateway: &Gateway, bytes: &[u8]) -> Result<Self, ImportError> {
        const WHAT: &str = "a request for blocks";
        let bad = |reason| ImportError::Bytes { what: WHAT, reason };
        let envelope: Envelope = part(WHAT, bytes, "it is no `common.Envelope`")?;
        let payload: Payload = part(WHAT, &envelope.payload, "its payload can't be read")?;
        let header = payload.header.unwrap_or_default();
        let channel: ChannelHeader = part(WHAT, &header.channel_header, "its channel header can't be read")?;
        let signer: SignatureHeader =
            part(WHAT, &header.signature_header, "its signature header can't be read")?;
        if channel.r#type != i32::from(HeaderType::DeliverSeekInfo) {
            return Err(bad("it is another kind of envelope"));
        }
        let seek: SeekInfo = part(WHAT, &payload.data, "its range can't be read")?;
        Ok(Self {
            session: Arc::clone(gateway.session()),
            channel: channel.channel_id,
            seek: Seek::of(seek).ok_or_else(|| bad("it has no range"))?,
            to_sign: ToSign::imported(WHAT, signer.creator, envelope.payload, &envelope.signature)?,
        })
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What is signed: the encoding of `common.Payload`.
    pub fn message(&self) -> &[u8] {
        self.to_sign.message()
    }

    /// SHA-256 of [`Self::message`], for signers that take a digest.
    pub fn digest(&self) -> [u8; 32] {
        self.to_sign.digest()
    }

    /// The request for another process: the encoding of `common.Envelope`, as the official clients write and read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (payload, signature) = (self.message().to_vec(), self.to_sign.signature());
        Envelope { payload, signature }.encode_to_vec()
    }

    /// Attaches a signature that was made elsewhere over [`Self::message`].
    ///
    /// It is checked as a peer would check it; an ECDSA signature may have any S.
    pub fn with_signature(self, signature: &[u8]) -> Result<Self, SignatureError> {
        Ok(Self { to_sign: self.to_sign.with_signature(signature)?, ..self })
    }

    /// The same request with deadlines of its own.
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { session: Arc::new(self.session.with_deadlines(deadlines)), ..self }
    }

    /// Streams whole blocks.
    pub async fn blocks(&self) -> Result<BlockStream, DeliverError> {
        let until = self.session.deadlines.open_stream.map(until);
        let request = tokio_stream::once(self.envelope(until).await?);
        let mut client = self.session.deliver();
        let limit = until.map(left);
        let call = async move { opened(limit, client.deliver(request)).await };
        Ok(BlockStream(Deliveries::new(&self.channel, &self.seek, Responses::open(call))))
    }

    /// Streams blocks reduced to transaction ids, verdicts and events without payload.
    pub async fn filtered_blocks(&self) -> Result<FilteredBlockStream, DeliverError> {
        let until = self.session.deadlines.open_stream.map(until);
        let request = tokio_stream::once(self.envelope(until).await?);
        let mut client = self.session.deliver();
        let limit = until.map(left);
        let call = async move { opened(limit, client.deliver_filtered(request)).await };
        Ok(FilteredBlockStream(Deliveries::new(&self.channel, &self.seek, Responses::open(call))))
    }

    /// Streams whole blocks with the private data that the peer holds for them and the identity's organisation may see.
    pub async fn blocks_with_private_data(&self) -> Result<PrivateDataBlockStream, DeliverError> {
        let until = self.session.deadlines.open_stream.map(until);
        let request = tokio_stream::once(self.envelope(until).await?);
        let mut client = self.session.deliver();
        let limit = until.map(left);
        let call = async move { opened(limit, client.deliver_with_private_data(request)).await };
        Ok(PrivateDataBlockStream(Deliveries::new(&self.channel, &self.seek, Responses::open(call))))
    }

    async fn envelope(&self, until: Option<Instant>) -> Result<Envelope, DeliverError> {
        match self.to_sign.signed_by_any(&self.session, until).await {
            Ok(signature) => Ok(Envelope { payload: self.message().to_vec(), signature }),
            Err(source) => Err(DeliverError::Sign { channel: self.channel.clone(), source }),
        }
    }
}

impl fmt::Debug for BlockRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlockRequest").field("channel", &self.channel).finish_non_exhaustive()
    }
}
