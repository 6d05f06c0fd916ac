//! Blocks asked of the ordering service itself, by those who have no peer on the channel, or not yet.

use std::time::Duration;

use hlf_gateway::{ConnectError, Credentials, Endpoint, SignError};
use hlf_protos::common::{
    Block, BlockMetadataIndex, ChannelHeader, Envelope, Header, HeaderType, LastConfig, Metadata,
    OrdererBlockMetadata, Payload, SignatureHeader, Status,
};
use hlf_protos::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use hlf_protos::orderer::deliver_response::Type as Delivered;
use hlf_protos::orderer::seek_info::{SeekBehavior, SeekContentType, SeekErrorResponse};
use hlf_protos::orderer::seek_position::Type as Seek;
use hlf_protos::orderer::{SeekInfo, SeekNewest, SeekPosition, SeekSpecified};
use hlf_protos::prost::Message as _;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// How long one orderer may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// A block of the largest allowed size, with room for its frame.
const BYTES_MAX: usize = 100 << 20;

/// Why no block came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderedError {
    /// No orderer is known.
    #[error("no orderer is known")]
    Nobody,
    /// The orderer cannot be reached.
    #[error("the orderer cannot be reached")]
    Connect(#[from] ConnectError),
    /// The orderer does not answer, or ends the stream.
    #[error("the orderer does not deliver")]
    Stream(#[source] Box<tonic::Status>),
    /// The orderer refuses.
    #[error("the orderer refuses with {}", .0.as_str_name())]
    Refused(Status),
    /// What came is no block as orderers write them.
    #[error("the orderer's answer cannot be read: {0}")]
    Unreadable(String),
    /// The request could not be signed.
    #[error("the request for a block was not signed")]
    Sign(#[from] SignError),
}

impl OrderedError {
    /// Whether the orderer answered that the caller may not read the channel.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self, Self::Refused(Status::Forbidden))
    }
}

/// A channel as an orderer has it.
#[derive(Debug)]
pub(crate) struct Newest {
    /// Number of blocks.
    pub(crate) height: u64,
    /// The newest configuration block.
    pub(crate) config: Block,
}

/// The channel, of the orderer that has most of it: one that is cut off from the others answers too, and is behind.
pub(crate) async fn newest(
    orderers: &[Endpoint],
    credentials: &Credentials,
    channel: &str,
) -> Result<Newest, OrderedError> {
    // All at once: one behind a cut link takes its time.
    let mut asked = JoinSet::new();
    for orderer in orderers {
        let (orderer, credentials, channel) = (orderer.clone(), credentials.clone(), channel.to_owned());
        asked.spawn(async move { newest_of(&orderer, &credentials, &channel).await });
    }
    highest(asked.join_all().await)
}

/// The most that anybody has. Who has nothing to give is told of only when nobody has, a refusal first: it is an answer.
fn highest(answers: Vec<Result<Newest, OrderedError>>) -> Result<Newest, OrderedError> {
    let mut most: Result<Newest, _> = Err(OrderedError::Nobody);
    for answer in answers {
        most = match (most, answer) {
            (Ok(most), Ok(newest)) if newest.height <= most.height => Ok(most),
            (_, Ok(newest)) => Ok(newest),
            (Ok(most), Err(_)) => Ok(most),
            (Err(error), Err(_)) if error.is_stranger() => Err(error),
            (Err(_), Err(error)) => Err(error),
        };
    }
    most
}

/// The number of blocks that one orderer has of a channel.
pub(crate) async fn height_of(
    orderer: &Endpoint,
    credentials: &Credentials,
    channel: &str,
) -> Result<u64, OrderedError> {
    // Over a slow link a whole block would take its time; Fabric 2.5 knows no other answer.
    let seek = Seek::Newest(SeekNewest {});
    let request = request(credentials, channel, seek, SeekContentType::HeaderWithSig).await?;
    Ok(height_with(&answer(&mut client(orderer).await?, request).await?))
}

async fn newest_of(
    orderer: &Endpoint,
    credentials: &Credentials,
    channel: &str,
) -> Result<Newest, OrderedError> {
    let mut client = client(orderer).await?;
    let newest = fetch(&mut client, credentials, channel, Seek::Newest(SeekNewest {})).await?;
    let height = height_with(&newest);
    let number = last_config(&newest)?;
    if number.saturating_add(1) == height {
        return Ok(Newest { height, config: newest });
    }
    let at = Seek::Specified(SeekSpecified { number });
    Ok(Newest { height, config: fetch(&mut client, credentials, channel, at).await? })
}

async fn client(orderer: &Endpoint) -> Result<AtomicBroadcastClient<Channel>, OrderedError> {
    Ok(AtomicBroadcastClient::new(orderer.connect(LIMIT).await?).max_decoding_message_size(BYTES_MAX))
}

fn height_with(newest: &Block) -> u64 {
    newest.header.as_ref().map_or(0, |header| header.number.saturating_add(1))
}

async fn fetch(
    client: &mut AtomicBroadcastClient<Channel>,
    credentials: &Credentials,
    channel: &str,
    at: Seek,
) -> Result<Block, OrderedError> {
    answer(client, request(credentials, channel, at, SeekContentType::Block).await?).await
}

async fn answer(
    client: &mut AtomicBroadcastClient<Channel>,
    request: Envelope,
) -> Result<Block, OrderedError> {
    let failed = |status: tonic::Status| OrderedError::Stream(Box::new(status));
    let asked = async {
        let mut answers = client.deliver(tokio_stream::once(request)).await.map_err(failed)?.into_inner();
        match answers.message().await.map_err(failed)?.and_then(|answer| answer.r#type) {
            Some(Delivered::Block(block)) => Ok(block),
            Some(Delivered::Status(status)) => {
                Err(OrderedError::Refused(Status::try_from(status).unwrap_or_default()))
            }
            None => Err(OrderedError::Unreadable("it is empty".to_owned())),
        }
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(failed(tonic::Status::deadline_exceeded("no block came in time"))),
    }
}

async fn request(
    credentials: &Credentials,
    channel: &str,
    at: Seek,
    content: SeekContentType,
) -> Result<Envelope, OrderedError> {
    let now = std::time::SystemTime::now();
    let position = Some(SeekPosition { r#type: Some(at) });
    let seek = SeekInfo {
        start: position,
        stop: position,
        behavior: SeekBehavior::FailIfNotReady.into(),
        error_response: SeekErrorResponse::BestEffort.into(),
        content_type: content.into(),
    };
    let header = ChannelHeader {
        r#type: HeaderType::DeliverSeekInfo.into(),
        timestamp: Some(now.into()),
        channel_id: channel.to_owned(),
        ..ChannelHeader::default()
    };
    let signer = SignatureHeader { creator: credentials.identity().creator(), nonce: Vec::new() };
    let header = Header { channel_header: header.encode_to_vec(), signature_header: signer.encode_to_vec() };
    let payload = Payload { header: Some(header), data: seek.encode_to_vec() }.encode_to_vec();
    let signature = credentials.sign(&payload).await?;
    Ok(Envelope { payload, signature })
}

/// The number of the newest configuration block, as a block says: its orderers sign it with the block.
fn last_config(block: &Block) -> Result<u64, OrderedError> {
    let unreadable = |error: hlf_protos::prost::DecodeError| OrderedError::Unreadable(error.to_string());
    let entry = |index: BlockMetadataIndex| {
        let all = block.metadata.as_ref().map(|metadata| metadata.metadata.as_slice()).unwrap_or_default();
        let bytes = usize::try_from(i32::from(index)).ok().and_then(|index| all.get(index));
        Metadata::decode(bytes.map(Vec::as_slice).unwrap_or_default()).map_err(unreadable)
    };
    let signed = entry(BlockMetadataIndex::Signatures)?;
    let signed = OrdererBlockMetadata::decode(signed.value.as_slice()).map_err(unreadable)?;
    if let Some(config) = signed.last_config {
        return Ok(config.index);
    }
    // Older blocks have it in a place of its own; a first block has neither.
    let apart = entry(BlockMetadataIndex::LastConfig)?;
    Ok(LastConfig::decode(apart.value.as_slice()).map_err(unreadable)?.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_a_channel_counts_and_a_refusal_only_when_nobody_gives_it() {
        let has = |height| Ok(Newest { height, config: Block::default() });
        let refuses = || Err(OrderedError::Refused(Status::Forbidden));
        let away = || Err(OrderedError::Unreadable("nothing".to_owned()));
        let height = |answers| highest(answers).unwrap().height;
        assert_eq!(height(vec![has(3), has(9), has(7)]), 9);
        // The first one is behind: it knows nothing of who asks.
        assert_eq!(height(vec![refuses(), away(), has(2), away()]), 2);
        assert!(highest(vec![away(), refuses(), away()]).unwrap_err().is_stranger());
        assert!(matches!(highest(vec![away(), away()]), Err(OrderedError::Unreadable(_))));
        assert!(matches!(highest(Vec::new()), Err(OrderedError::Nobody)));
    }
}
