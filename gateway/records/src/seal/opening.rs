//! Opening a sealed blob, and checking it against the channel.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use caretrail_model::ids::Digest;
use caretrail_model::limits::{DOCUMENT_BYTES_MAX, SEALED_BYTES_MAX};
use caretrail_model::record::Commitments;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::format::{ChunkCipher, HEADER_BYTES, Header, TAG_BYTES, parse_preamble, preamble};
use super::padding::size_class;
use crate::disk::{Draft, sweep_abandoned};
use crate::document::MediaType;
use crate::secret::VersionSecret;
use crate::version::VersionId;

/// How the names of files begin that documents are opened into, where such a file needs one.
const OPENING_PREFIX: &str = ".opening-";

/// A document that was opened and is, byte for byte, what the channel commits to.
///
/// It lies in a file that only its owner reads and that is gone unless it is [saved](Self::save). The file has no name
/// before, where the file system knows such files: nothing of the document is left of a process that is killed.
#[derive(Debug)]
pub struct Opened {
    /// The document's media type.
    pub media_type: MediaType,
    /// The document's bytes.
    pub document_bytes: u64,
    draft: Draft,
}

/// Where a blob shows the first trace of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its header.
    Header,
    /// In a chunk.
    Chunk {
        /// From 1.
        number: u32,
        /// Chunks of the blob.
        chunks: u32,
    },
    /// After its last chunk.
    End,
    /// Nowhere: every chunk opens, so it is a whole blob of this secret, but another one.
    Nowhere,
}

/// What does not fit, of a blob, a secret and the channel's commitments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The blob is shorter than the channel says.
    #[error("the sealed blob is truncated: it has {found} bytes and the channel holds {expected}")]
    Truncated {
        /// The channel's `sealed_bytes`.
        expected: u64,
        /// Bytes of the blob.
        found: u64,
    },
    /// The blob is longer than the channel says.
    #[error("the sealed blob has more than the {expected} bytes that the channel holds")]
    TooLong {
        /// The channel's `sealed_bytes`.
        expected: u64,
    },
    /// The blob's SHA-256 is not the channel's.
    #[error("the blob digest does not match the channel's: the sealed blob was changed{}", told(place))]
    BlobDigest {
        /// Where it shows.
        place: Place,
    },
    /// The blob is the channel's, but its header is not one that this build reads.
    #[error("the sealed blob's header {problem}")]
    Header {
        /// What is wrong.
        problem: &'static str,
    },
    /// The blob is the channel's, but a chunk does not open: the secret is another version's.
    #[error(
        "chunk {number} of {chunks} does not open with this secret: it is not the secret of this version"
    )]
    Chunk {
        /// From 1.
        number: u32,
        /// Chunks of the blob.
        chunks: u32,
    },
    /// Every chunk opens, but what is inside is not laid out as a sealed document.
    #[error("what is sealed inside {problem}")]
    Inside {
        /// What is wrong.
        problem: &'static str,
    },
    /// The document opens, but it is not the one that the channel commits to.
    #[error("the content commitment does not match the channel's: the document is not the committed one")]
    ContentCommitment,
}

fn told(place: &Place) -> String {
    match place {
        Place::Header => " in its header".to_owned(),
        Place::Chunk { number, chunks } => format!(" in chunk {number} of {chunks}"),
        Place::End => " after its last chunk".to_owned(),
        Place::Nowhere => " as a whole, it is another blob of the same secret".to_owned(),
    }
}

/// A blob that was not opened; nothing of it was left behind.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something does not match.
    #[error(transparent)]
    Mismatch(#[from] Misfit),
    /// The blob cannot be read.
    #[error("the sealed blob cannot be read")]
    Read(#[source] io::Error),
    /// The document cannot be written.
    #[error("the opened document cannot be written to `{}`: check that the folder is writable and has free space", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is a file at the place where the document was to be saved.
    #[error("`{}` exists: name another file, or remove this one", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl Opened {
    /// The document, from its beginning.
    ///
    /// # Errors
    /// When its file cannot be opened again.
    pub fn reader(&self) -> io::Result<File> {
        self.draft.reopen()
    }

    /// Keeps the document as a new file at `path`, with all of it on disk; never replaces one.
    ///
    /// # Errors
    /// When there is a file already, or the folder is another file system's or not writable.
    pub fn save(self, path: &Path) -> Result<(), OpenError> {
        self.draft.keep(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => OpenError::Exists { path: path.to_owned() },
            _ => OpenError::Write { path: path.to_owned(), source },
        })
    }
}

/// Opens a sealed blob of the version `id`, and checks all of it: size and digest of the blob, header,
/// every chunk's tag, the layout inside, and the content commitment.
///
/// The document is decrypted to a file in `folder`, one chunk in memory at a time, which has no name there if the file
/// system can do that; the file is gone unless everything fits and it is saved.
///
/// # Errors
/// Names exactly what does not match, or what cannot be read or written.
pub fn open(
    blob: impl Read,
    secret: &VersionSecret,
    id: &VersionId,
    commitments: &Commitments,
    folder: &Path,
) -> Result<Opened, OpenError> {
    let failed = |source| OpenError::Write { path: folder.to_owned(), source };
    sweep_abandoned(folder, OPENING_PREFIX);
    let draft = Draft::create(folder, OPENING_PREFIX).map_err(failed)?;

    let expected = commitments.sealed_bytes.min(SEALED_BYTES_MAX);
    // One byte more than expected shows a blob that is too long.
    let mut blob = Hashed { source: blob.take(expected + 1), hash: Sha256::new(), bytes: 0 };
    let mut content = Content { file: draft.file(), state: State::Preamble };
    let outcome = open_chunks(&mut blob, secret, id, expected, &mut content);
    io::copy(&mut blob, &mut io::sink()).map_err(OpenError::Read)?;
    let problem = match outcome {
        Ok(()) => None,
        Err(ChunksError::Read(error)) => return Err(OpenError::Read(error)),
        Err(ChunksError::Write(error)) => return Err(failed(error)),
        Err(ChunksError::Problem(problem)) => Some(problem),
    };

    if blob.bytes < commitments.sealed_bytes {
        return Err(Misfit::Truncated { expected: commitments.sealed_bytes, found: blob.bytes }.into());
    }
    if blob.bytes > commitments.sealed_bytes {
        return Err(Misfit::TooLong { expected: commitments.sealed_bytes }.into());
    }
    if Digest::from_bytes(blob.hash.finalize().into()) != commitments.blob_digest {
        let place = problem.map_or(Place::Nowhere, Problem::place);
        return Err(Misfit::BlobDigest { place }.into());
    }
    if let Some(problem) = problem {
        return Err(problem.misfit().into());
    }
    let document = content.finish().map_err(|problem| Misfit::Inside { problem })?;
    let commitment = secret.content_commitment(id, &document.digest, document.bytes);
    if commitment != commitments.content_commitment {
        return Err(Misfit::ContentCommitment.into());
    }
    Ok(Opened { media_type: document.media_type, document_bytes: document.bytes, draft })
}

/// What is wrong with a blob by itself, before it is known whether it is the channel's.
enum Problem {
    Header(&'static str),
    Chunk { number: u32, chunks: u32 },
    End,
    Inside(&'static str),
}

impl Problem {
    fn place(self) -> Place {
        match self {
            Self::Header(_) => Place::Header,
            Self::Chunk { number, chunks } => Place::Chunk { number, chunks },
            Self::End => Place::End,
            Self::Inside(_) => Place::Nowhere,
        }
    }

    fn misfit(self) -> Misfit {
        match self {
            Self::Header(problem) => Misfit::Header { problem },
            Self::Chunk { number, chunks } => Misfit::Chunk { number, chunks },
            Self::End => Misfit::Inside { problem: "has no chunk, or a part of one at its end" },
            Self::Inside(problem) => Misfit::Inside { problem },
        }
    }
}

enum ChunksError {
    Read(io::Error),
    Write(io::Error),
    Problem(Problem),
}

/// Opens chunk after chunk into `content`, up to the first problem.
fn open_chunks(
    blob: &mut impl Read,
    secret: &VersionSecret,
    id: &VersionId,
    blob_bytes: u64,
    content: &mut Content<'_>,
) -> Result<(), ChunksError> {
    let mut header = [0; HEADER_BYTES];
    if read_full(blob, &mut header).map_err(ChunksError::Read)? < HEADER_BYTES {
        return Err(ChunksError::Problem(Problem::Header("is cut off")));
    }
    let header = Header::parse(&header).map_err(|problem| ChunksError::Problem(Problem::Header(problem)))?;
    let cipher = ChunkCipher::new(&secret.data_key(id), header);

    let sealed_chunk_bytes = header.chunk_bytes as usize + TAG_BYTES;
    let chunks = blob_bytes.saturating_sub(HEADER_BYTES as u64).div_ceil(sealed_chunk_bytes as u64);
    let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
    let mut chunk = Zeroizing::new(vec![0; sealed_chunk_bytes]);
    for number in 1..=chunks {
        let last = number == chunks;
        let count = read_full(blob, &mut chunk).map_err(ChunksError::Read)?;
        let mismatch = || ChunksError::Problem(Problem::Chunk { number, chunks });
        let sealed = chunk.get_mut(..count).ok_or_else(mismatch)?;
        let (plain, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or_else(mismatch)?;
        cipher.open(number - 1, last, plain, tag).map_err(|_| mismatch())?;
        content.take(plain)?;
    }
    if chunks == 0 {
        return Err(ChunksError::Problem(Problem::End));
    }
    Ok(())
}

/// The content of a blob as it comes out of its chunks: preamble, document, padding.
struct Content<'a> {
    file: &'a File,
    state: State,
}

enum State {
    Preamble,
    Document { document: Document, remaining_bytes: u64, padding_bytes: u64 },
}

/// What came out.
struct Document {
    media_type: MediaType,
    bytes: u64,
    hash: Sha256,
}

/// What came out whole.
struct WholeDocument {
    media_type: MediaType,
    bytes: u64,
    digest: Digest,
}

impl Content<'_> {
    fn take(&mut self, plain: &[u8]) -> Result<(), ChunksError> {
        let inside = |problem| ChunksError::Problem(Problem::Inside(problem));
        let plain = match &self.state {
            // The smallest size class is longer than the longest preamble: it is never split.
            State::Preamble => {
                let (bytes, media_type, rest) = parse_preamble(plain)
                    .ok_or_else(|| inside("does not start with a length and a media type"))?;
                if bytes == 0 || bytes > DOCUMENT_BYTES_MAX {
                    return Err(inside("names a length outside 1 byte to 64 MiB"));
                }
                let content_bytes = preamble(bytes, &media_type).len() as u64 + bytes;
                self.state = State::Document {
                    document: Document { media_type, bytes, hash: Sha256::new() },
                    remaining_bytes: bytes,
                    padding_bytes: size_class(content_bytes) - content_bytes,
                };
                rest
            }
            State::Document { .. } => plain,
        };
        let State::Document { document, remaining_bytes, padding_bytes } = &mut self.state else {
            return Ok(());
        };
        let document_part = usize::try_from(*remaining_bytes).unwrap_or(usize::MAX).min(plain.len());
        let (part, padding) = plain.split_at(document_part);
        self.file.write_all(part).map_err(ChunksError::Write)?;
        document.hash.update(part);
        *remaining_bytes -= part.len() as u64;

        *padding_bytes = padding_bytes
            .checked_sub(padding.len() as u64)
            .ok_or_else(|| inside("is padded beyond its size class"))?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(inside("is padded with something else than zeros"));
        }
        Ok(())
    }

    fn finish(self) -> Result<WholeDocument, &'static str> {
        match self.state {
            State::Document { document, remaining_bytes: 0, padding_bytes: 0 } => Ok(WholeDocument {
                media_type: document.media_type,
                bytes: document.bytes,
                digest: Digest::from_bytes(document.hash.finalize().into()),
            }),
            State::Document { .. } | State::Preamble => Err("is shorter than the length that it names"),
        }
    }
}

/// A reader that hashes and counts what passes.
struct Hashed<R> {
    source: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let part = buffer.get(..count).unwrap_or_default();
        self.hash.update(part);
        self.bytes += part.len() as u64;
        Ok(count)
    }
}

/// Reads until the buffer is full or the source ends.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
