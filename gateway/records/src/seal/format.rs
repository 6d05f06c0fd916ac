//! The layout of a sealed blob.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

use crate::document::{MEDIA_TYPE_BYTES_MAX, MediaType};

/// First bytes of every sealed blob.
const MAGIC: [u8; 8] = *b"\x89CTSEAL\n";
/// The format that is written, and the only one so far.
const FORMAT_VERSION: u8 = 1;
/// Bytes of the header: magic, format version, chunk size (four big-endian bytes), nonce prefix.
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of a nonce prefix.
pub(super) const PREFIX_BYTES: usize = 7;
/// Bytes of a chunk's tag.
pub(super) const TAG_BYTES: usize = 16;
/// Plain bytes of a chunk as it is written.
pub(super) const CHUNK_BYTES: u32 = 256 * 1024;
/// Plain bytes of a chunk that can be read: powers of two from 64 KiB to 1 MiB.
const CHUNK_BYTES_MIN: u32 = 64 * 1024;
const CHUNK_BYTES_MAX: u32 = 1024 * 1024;

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Plain bytes of every chunk but the last.
    pub(super) chunk_bytes: u32,
    /// First bytes of every chunk's nonce.
    pub(super) nonce_prefix: [u8; PREFIX_BYTES],
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let parts = MAGIC
            .into_iter()
            .chain([FORMAT_VERSION])
            .chain(self.chunk_bytes.to_be_bytes())
            .chain(self.nonce_prefix);
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// Parses a header, or says what is wrong with it.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or("is too short")?;
        let (format, rest) = rest.split_first().ok_or("is too short")?;
        let (chunk_bytes, prefix) = rest.split_first_chunk::<4>().ok_or("is too short")?;
        if *magic != MAGIC {
            return Err("does not start with the magic bytes of a sealed blob");
        }
        if *format != FORMAT_VERSION {
            return Err("names a format version that this build does not know");
        }
        let chunk_bytes = u32::from_be_bytes(*chunk_bytes);
        if !chunk_bytes.is_power_of_two() || !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk_bytes) {
            return Err("names a chunk size that is no power of two from 64 KiB to 1 MiB");
        }
        let nonce_prefix = prefix.try_into().map_err(|_| "is too short")?;
        Ok(Self { chunk_bytes, nonce_prefix })
    }
}

/// The cipher of one blob: every chunk's nonce is prefix ‖ counter (four big-endian bytes) ‖ last flag.
pub(super) struct ChunkCipher {
    cipher: Aes256Gcm,
    header: Header,
    additional_data: [u8; HEADER_BYTES],
}

/// A chunk that cannot be sealed, or does not open.
#[derive(Debug)]
pub(super) struct ChunkError;

impl ChunkCipher {
    pub(super) fn new(data_key: &[u8; 32], header: Header) -> Self {
        Self { cipher: Aes256Gcm::new(data_key.into()), header, additional_data: header.to_bytes() }
    }

    /// Encrypts a chunk in place and returns its tag.
    pub(super) fn seal(
        &self,
        counter: u32,
        last: bool,
        chunk: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], ChunkError> {
        self.cipher
            .encrypt_inout_detached(
                &self.nonce(counter, last).into(),
                &self.additional_data,
                InOutBuf::from(chunk),
            )
            .map(Into::into)
            .map_err(|_| ChunkError)
    }

    /// Decrypts a chunk in place, and leaves it as it is if the tag is not its own.
    pub(super) fn open(
        &self,
        counter: u32,
        last: bool,
        chunk: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), ChunkError> {
        self.cipher
            .decrypt_inout_detached(
                &self.nonce(counter, last).into(),
                &self.additional_data,
                InOutBuf::from(chunk),
                tag.into(),
            )
            .map_err(|_| ChunkError)
    }

    fn nonce(&self, counter: u32, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        let parts = self.header.nonce_prefix.into_iter().chain(counter.to_be_bytes()).chain([u8::from(last)]);
        nonce.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        nonce
    }
}

/// What stands before the document inside the blob: its length (eight big-endian bytes), its media type
/// preceded by its own length (two big-endian bytes).
pub(super) fn preamble(document_bytes: u64, media_type: &MediaType) -> Vec<u8> {
    // A media type is at most 127 bytes long.
    let media_type_bytes = u16::try_from(media_type.as_str().len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(10 + media_type.as_str().len());
    bytes.extend_from_slice(&document_bytes.to_be_bytes());
    bytes.extend_from_slice(&media_type_bytes.to_be_bytes());
    bytes.extend_from_slice(media_type.as_str().as_bytes());
    bytes
}

/// Parses the preamble at the start of the first chunk: document length, media type, and what follows.
pub(super) fn parse_preamble(chunk: &[u8]) -> Option<(u64, MediaType, &[u8])> {
    let (document_bytes, rest) = chunk.split_first_chunk::<8>()?;
    let (media_type_bytes, rest) = rest.split_first_chunk::<2>()?;
    let media_type_bytes = usize::from(u16::from_be_bytes(*media_type_bytes));
    if media_type_bytes > MEDIA_TYPE_BYTES_MAX {
        return None;
    }
    let (media_type, rest) = rest.split_at_checked(media_type_bytes)?;
    let media_type = std::str::from_utf8(media_type).ok()?.parse().ok()?;
    Some((u64::from_be_bytes(*document_bytes), media_type, rest))
}
