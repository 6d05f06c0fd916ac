//! Sealing a document.

use std::io::{self, Read, Write};

use caretrail_model::ids::Digest;
use caretrail_model::record::Commitments;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::format::{CHUNK_BYTES, ChunkCipher, HEADER_BYTES, Header, PREFIX_BYTES, TAG_BYTES, preamble};
use super::padding::size_class;
use crate::document::Document;
use crate::secret::{RandomnessError, VersionSecret, fill_random};
use crate::version::VersionId;

/// Bytes of zeros or of the document that are moved at once.
const MOVED_BYTES: usize = 64 * 1024;

/// What sealing a document gives.
#[derive(Debug)]
pub struct Sealed {
    /// The fresh secret of this version: whoever loses it loses the document.
    pub secret: VersionSecret,
    /// What goes to the channel.
    pub commitments: Commitments,
}

/// A document that was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no secret without randomness.
    #[error("the document was not sealed")]
    Randomness(#[from] RandomnessError),
    /// The document cannot be read.
    #[error("the document cannot be read to its end")]
    Read(#[source] io::Error),
    /// The document changed its length while it was read.
    #[error("the document had {expected} bytes and gave {found}: seal it again when nothing writes to it")]
    LengthChanged {
        /// Its bytes when it was opened.
        expected: u64,
        /// Its bytes as read; one more than expected stands for any number more.
        found: u64,
    },
    /// The blob cannot be written.
    #[error("the sealed blob cannot be written: check the vault's free space")]
    Write(#[source] io::Error),
}

/// Seals `document` as the version `id` under a fresh secret, and writes the blob to `blob`.
///
/// One pass, one chunk in memory at a time. What was written is worth nothing if an error is returned.
///
/// # Errors
/// Says whether the document, the blob or the randomness failed.
pub fn seal(document: &mut Document, id: &VersionId, blob: impl Write) -> Result<Sealed, SealError> {
    let secret = VersionSecret::random()?;
    let mut nonce_prefix = [0; PREFIX_BYTES];
    fill_random(&mut nonce_prefix)?;
    let header = Header { chunk_bytes: CHUNK_BYTES, nonce_prefix };
    let commitments = seal_with(document, id, &secret, header, blob)?;
    Ok(Sealed { secret, commitments })
}

/// Seals under a given secret and header: the same inputs give the same bytes.
pub(super) fn seal_with(
    document: &mut Document,
    id: &VersionId,
    secret: &VersionSecret,
    header: Header,
    blob: impl Write,
) -> Result<Commitments, SealError> {
    let mut chunks = ChunkWriter::start(blob, secret, id, header).map_err(SealError::Write)?;
    let preamble = preamble(document.bytes(), document.media_type());
    let content_bytes = preamble.len() as u64 + document.bytes();
    chunks.write(&preamble).map_err(SealError::Write)?;

    let plaintext_digest = copy_document(document, &mut chunks)?;

    let mut padding_bytes = size_class(content_bytes) - content_bytes;
    let zeros = [0; MOVED_BYTES];
    while padding_bytes > 0 {
        let count = padding_bytes.min(MOVED_BYTES as u64);
        let part = zeros.get(..usize::try_from(count).unwrap_or(MOVED_BYTES)).unwrap_or(&zeros);
        chunks.write(part).map_err(SealError::Write)?;
        padding_bytes -= count;
    }

    let (blob_digest, sealed_bytes) = chunks.finish().map_err(SealError::Write)?;
    let content_commitment = secret.content_commitment(id, &plaintext_digest, document.bytes());
    Ok(Commitments { content_commitment, blob_digest, sealed_bytes })
}

/// Copies exactly the document's bytes, and returns their SHA-256.
fn copy_document<W: Write>(
    document: &mut Document,
    chunks: &mut ChunkWriter<W>,
) -> Result<Digest, SealError> {
    let expected = document.bytes();
    let mut hash = Sha256::new();
    let mut buffer = Zeroizing::new(vec![0; MOVED_BYTES]);
    let mut found = 0;
    // One byte more than expected shows a document that grew.
    let mut content = document.content().take(expected + 1);
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SealError::Read(error)),
        };
        let part = buffer.get(..count).unwrap_or_default();
        found += part.len() as u64;
        if found > expected {
            break;
        }
        hash.update(part);
        chunks.write(part).map_err(SealError::Write)?;
    }
    if found != expected {
        return Err(SealError::LengthChanged { expected, found });
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// Gathers plain bytes into chunks, and writes each sealed; the last one is known only at the end.
struct ChunkWriter<W> {
    blob: W,
    hash: Sha256,
    written_bytes: u64,
    cipher: ChunkCipher,
    chunk_bytes: usize,
    chunk: Zeroizing<Vec<u8>>,
    counter: u32,
}

impl<W: Write> ChunkWriter<W> {
    fn start(blob: W, secret: &VersionSecret, id: &VersionId, header: Header) -> io::Result<Self> {
        let chunk_bytes = header.chunk_bytes as usize;
        let mut writer = Self {
            blob,
            hash: Sha256::new(),
            written_bytes: 0,
            cipher: ChunkCipher::new(&secret.data_key(id), header),
            chunk_bytes,
            chunk: Zeroizing::new(Vec::with_capacity(chunk_bytes)),
            counter: 0,
        };
        let header: [u8; HEADER_BYTES] = header.to_bytes();
        writer.put(&header)?;
        Ok(writer)
    }

    fn write(&mut self, mut plain: &[u8]) -> io::Result<()> {
        while !plain.is_empty() {
            if self.chunk.len() == self.chunk_bytes {
                self.flush_chunk(false)?;
            }
            let room = self.chunk_bytes - self.chunk.len();
            let (part, rest) = plain.split_at(room.min(plain.len()));
            self.chunk.extend_from_slice(part);
            plain = rest;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.flush_chunk(true)?;
        self.blob.flush()?;
        Ok((Digest::from_bytes(self.hash.finalize().into()), self.written_bytes))
    }

    fn flush_chunk(&mut self, last: bool) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut *self.chunk);
        let tag: [u8; TAG_BYTES] = self
            .cipher
            .seal(self.counter, last, &mut chunk)
            .map_err(|_| io::Error::other("a chunk is longer than AES-GCM allows"))?;
        self.counter += 1;
        self.put(&chunk)?;
        self.put(&tag)?;
        chunk.clear();
        *self.chunk = chunk;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.blob.write_all(bytes)?;
        self.hash.update(bytes);
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }
}
