//! Blocks as peers and orderers keep them in files, read without Fabric.
//!
//! A channel's folder holds `blockfile_000000` and on, each a row of blocks, each with its length before it. A block is
//! its header (number, data hash, previous hash), its transactions, its metadata. Who has begun from a snapshot has no
//! blocks up to that one, and a note of it instead. Source: Fabric `common/ledger/blkstorage`.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use hlf_protos::common::{BlockHeader, BlockMetadataIndex};
use hlf_protos::prost::Message;
use sha2::{Digest as _, Sha256};

use crate::files::FileError;

/// A block longer than this is none: Fabric's own limit of a message is 100 MiB.
const BLOCK_BYTES_MAX: u64 = 128 << 20;

/// The name of a block file up to its number.
const PREFIX: &str = "blockfile_";

/// The note of a channel that was begun from a snapshot.
const BEGUN_FROM: &str = "bootstrappingSnapshot.info";

/// How far a channel's files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The number of the first block that is there.
    pub(crate) first: u64,
    /// The number of blocks, those before the first counted too.
    pub(crate) height: u64,
    /// Of the newest block: SHA-256 of its header.
    pub(crate) hash: Vec<u8>,
    /// Of the newest block: what the peer's commit says of all verdicts and writes so far; empty of orderers.
    pub(crate) commit_hash: Vec<u8>,
}

/// Why block files are not a chain.
#[derive(Debug, thiserror::Error)]
pub enum BlockFileError {
    /// A file cannot be read.
    #[error("a ledger cannot be read")]
    File(#[from] FileError),
    /// A file holds something else than blocks.
    #[error("`{path}` holds no readable block at byte {offset}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where the block should begin.
        offset: u64,
    },
    /// A block does not follow from the one before it, or its transactions are not those of its header.
    #[error("block {number} in `{path}` {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The block.
        number: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a snapshot leaves of the blocks that it stands for.
#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::hlf_protos::prost")]
struct BegunFrom {
    #[prost(uint64, tag = "1")]
    last_block: u64,
    #[prost(bytes = "vec", tag = "2")]
    last_hash: Vec<u8>,
}

/// SHA-256 of a block's header as Fabric hashes it: a DER sequence of number, previous hash and data hash.
pub(crate) fn hash_of(header: &BlockHeader) -> Vec<u8> {
    let digits = header.number.to_be_bytes();
    let significant = digits.iter().position(|byte| *byte != 0).unwrap_or(digits.len().saturating_sub(1));
    let mut number = digits.get(significant..).unwrap_or_default().to_vec();
    // A first bit of one would make it negative.
    if number.first().is_some_and(|first| *first >= 0x80) {
        number.insert(0, 0);
    }
    let mut content = der(0x02, &number);
    content.extend(der(0x04, &header.previous_hash));
    content.extend(der(0x04, &header.data_hash));
    Sha256::digest(der(0x30, &content)).to_vec()
}

/// SHA-256 over a block's transactions, as its header has it.
pub(crate) fn data_hash_of<B: AsRef<[u8]>>(transactions: &[B]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for transaction in transactions {
        hash.update(transaction.as_ref());
    }
    hash.finalize().to_vec()
}

/// A DER value of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let mut out = vec![tag];
    match length.as_slice() {
        [.., last] if content.len() < 0x80 => out.push(*last),
        [.., last] if content.len() < 0x100 => out.extend([0x81, *last]),
        [.., first, last] => out.extend([0x82, *first, *last]),
        _ => {}
    }
    out.extend(content);
    out
}

/// Reads all blocks in a channel's folder, demands that each follows from the one before, and says how far they go.
/// `None` when there is no block.
///
/// A last block that is not whole is none: whoever wrote it was stopped meanwhile, and cuts it off at the next start.
pub(crate) fn tip(folder: &Path) -> Result<Option<Tip>, BlockFileError> {
    let mut found = None;
    let note = folder.join(BEGUN_FROM);
    if note.exists() {
        let bytes = fs::read(&note).map_err(|e| FileError::new(&note, "read", e))?;
        let begun = BegunFrom::decode(bytes.as_slice())
            .map_err(|_| BlockFileError::Unreadable { path: note.clone(), offset: 0 })?;
        let first = begun.last_block.saturating_add(1);
        found = Some(Tip { first, height: first, hash: begun.last_hash, commit_hash: Vec::new() });
    }
    let files = files(folder)?;
    for (index, path) in files.iter().enumerate() {
        let is_last = index.saturating_add(1) == files.len();
        read_file(path, is_last, &mut found)?;
    }
    Ok(found)
}

/// A channel's block files, in order.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unread = |e| FileError::new(folder, "read", e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path, is_last: bool, found: &mut Option<Tip>) -> Result<(), BlockFileError> {
    let unread = |e| FileError::new(path, "read", e);
    let file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    let mut file = BufReader::new(file);
    let mut offset = 0_u64;
    while offset < length {
        let unreadable = || BlockFileError::Unreadable { path: path.to_owned(), offset };
        let Some((prefix, size)) = length_prefix(&mut file).map_err(unread)? else {
            return if is_last { Ok(()) } else { Err(unreadable()) };
        };
        let end = offset.saturating_add(prefix).saturating_add(size);
        if size > BLOCK_BYTES_MAX {
            return Err(unreadable());
        }
        if end > length {
            return if is_last { Ok(()) } else { Err(unreadable()) };
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact(&mut bytes).map_err(unread)?;
        let block = Block::parse(&bytes).ok_or_else(unreadable)?;
        *found = Some(block.follow(found.as_ref(), path)?);
        offset = end;
    }
    Ok(())
}

/// A number of seven bits a byte, and how many bytes it takes; `None` at the end of the file.
fn length_prefix(from: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let mut value = 0_u64;
    for (taken, shift) in (1_u64..).zip((0_u32..64).step_by(7)) {
        let mut byte = [0];
        if from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(Some((taken, value)));
        }
    }
    Ok(Some((10, u64::MAX)))
}

/// A block in its file's own encoding.
struct Block<'a> {
    header: BlockHeader,
    data: Vec<&'a [u8]>,
    metadata: Vec<&'a [u8]>,
}

impl<'a> Block<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let number = take_number(&mut rest)?;
        let data_hash = take_bytes(&mut rest)?.to_vec();
        let previous_hash = take_bytes(&mut rest)?.to_vec();
        let data = take_list(&mut rest)?;
        let metadata = take_list(&mut rest)?;
        let header = BlockHeader { number, previous_hash, data_hash };
        rest.is_empty().then_some(Self { header, data, metadata })
    }

    fn follow(&self, before: Option<&Tip>, path: &Path) -> Result<Tip, BlockFileError> {
        let number = self.header.number;
        let broken = |what| BlockFileError::Broken { path: path.to_owned(), number, what };
        if number != before.map_or(0, |tip| tip.height) {
            return Err(broken("is not the next one"));
        }
        if before.is_some_and(|tip| tip.hash != self.header.previous_hash) {
            return Err(broken("does not name the hash of the one before it"));
        }
        if data_hash_of(&self.data) != self.header.data_hash {
            return Err(broken("holds other transactions than its header says"));
        }
        let commit = self.metadata.get(BlockMetadataIndex::CommitHash as usize).copied().unwrap_or_default();
        Ok(Tip {
            first: before.map_or(number, |tip| tip.first),
            height: number.saturating_add(1),
            hash: hash_of(&self.header),
            commit_hash: commit_hash_of(commit),
        })
    }
}

/// The hash in a block's metadata of its commit: a `common.Metadata` whose value it is.
pub(crate) fn commit_hash_of(metadata: &[u8]) -> Vec<u8> {
    hlf_protos::common::Metadata::decode(metadata).map(|found| found.value).unwrap_or_default()
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (_, value) = length_prefix(rest).ok()??;
    Some(value)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn take_list<'a>(rest: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let count = take_number(rest)?;
    // Each takes one byte at least: a count beyond that is none.
    (count <= rest.len() as u64).then_some(())?;
    (0..count).map(|_| take_bytes(rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut Vec<u8>, bytes: &[u8]) {
        hlf_protos::prost::encoding::encode_varint(bytes.len() as u64, out);
        out.extend(bytes);
    }

    /// A block in its file's encoding, and its hash.
    fn block(number: u64, previous: &[u8], transactions: &[&[u8]], commit: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let data_hash = data_hash_of(transactions);
        let header = BlockHeader { number, previous_hash: previous.to_vec(), data_hash: data_hash.clone() };
        let mut body = Vec::new();
        hlf_protos::prost::encoding::encode_varint(number, &mut body);
        put(&mut body, &data_hash);
        put(&mut body, previous);
        body.push(u8::try_from(transactions.len()).unwrap());
        transactions.iter().for_each(|transaction| put(&mut body, transaction));
        let commit = hlf_protos::common::Metadata { value: commit.to_vec(), signatures: Vec::new() };
        body.push(5);
        for metadata in [&[][..], &[], &[0], &[], &commit.encode_to_vec()] {
            put(&mut body, metadata);
        }
        let mut whole = Vec::new();
        put(&mut whole, &body);
        (whole, hash_of(&header))
    }

    fn chain(count: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut blocks, mut hash) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (bytes, next) = block(number, &hash, &[b"one", b"two"], &[u8::try_from(number).unwrap()]);
            blocks.push(bytes);
            hash = next;
        }
        (blocks, hash)
    }

    #[test]
    fn a_chain_is_read_over_several_files_to_its_last_whole_block() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(tip(home.path()).unwrap(), None);
        let (blocks, hash) = chain(5);
        fs::write(home.path().join("blockfile_000000"), blocks[..3].concat()).unwrap();
        let mut torn = blocks[3..].concat();
        torn.extend(&blocks[4][..blocks[4].len() - 1]);
        fs::write(home.path().join("blockfile_000001"), torn).unwrap();
        let wanted = Tip { first: 0, height: 5, hash, commit_hash: vec![4] };
        assert_eq!(tip(home.path()).unwrap(), Some(wanted));
    }

    #[test]
    fn every_changed_byte_of_header_and_transactions_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("blockfile_000000");
        let (blocks, hash) = chain(3);
        let whole = blocks.concat();
        let metadata = 12;
        for at in 0..blocks[0].len() + blocks[1].len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            let read = tip(home.path());
            let within = if at < blocks[0].len() { at } else { at - blocks[0].len() };
            // What is said of a block after it was ordered is in no header.
            if within + metadata < blocks[0].len() {
                let seen = read.as_ref().map_or(true, |tip| tip.as_ref().is_none_or(|tip| tip.hash != hash));
                assert!(seen, "byte {at}: {read:?}");
            }
        }
    }

    #[test]
    fn who_began_from_a_snapshot_has_the_blocks_after_it() {
        let home = tempfile::tempdir().unwrap();
        let begun = BegunFrom { last_block: 6, last_hash: vec![7; 32] };
        fs::write(home.path().join(BEGUN_FROM), begun.encode_to_vec()).unwrap();
        let bare = tip(home.path()).unwrap().unwrap();
        assert_eq!((bare.first, bare.height, bare.hash), (7, 7, vec![7; 32]));
        let (bytes, hash) = block(7, &[7; 32], &[b"x"], b"c");
        fs::write(home.path().join("blockfile_000000"), bytes).unwrap();
        let more = tip(home.path()).unwrap().unwrap();
        assert_eq!((more.first, more.height, more.hash), (7, 8, hash));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("blockfile_000000");
        for bytes in [&[0xff; 40][..], &[0], &[1, 1], &[5, 0, 0, 0, 0xff, 0xff], &[3, 0, 0, 0]] {
            fs::write(&file, bytes).unwrap();
            let _ = tip(home.path());
        }
    }
}
