//! Where transactions are kept under idempotency keys.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures_util::future::{self, BoxFuture};
use sha2::{Digest as _, Sha256};

use crate::durable;
use crate::{Committed, SignedTransaction};

/// The format's name and version, with which every value begins.
const MAGIC: &[u8; 8] = b"hlfkept1";
const DIGEST_BYTES: usize = 32;
const SENT: u8 = b's';
const COMMITTED: u8 = b'c';

/// Keeps one value under each key, across crashes as far as it promises to.
///
/// Values are opaque bytes of some kilobytes, with a checksum of their own.
pub trait TransactionStore: Send + Sync {
    /// What is kept under a key.
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// Replaces what is kept under a key if it still is `expected`, in one step, and says whether it was.
    ///
    /// When this returns true, the new value outlives a crash: a transaction is sent right after.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    what: String,
    taken: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Keeps transactions in memory: for calls that are repeated within a process.
///
/// It grows with every key until that is forgotten ([`Self::forget`]).
#[derive(Default)]
pub struct KeptInMemory {
    values: Mutex<HashMap<String, Vec<u8>>>,
}

/// Keeps transactions in a folder, one file a key, across crashes.
///
/// Each file is replaced whole (written beside it, flushed, renamed). It holds the call's arguments and is for its owner
/// alone to read. Processes that share the folder exclude each other by a lock on a file in it.
#[derive(Debug)]
pub struct KeptInFolder {
    folder: PathBuf,
}

/// What a store keeps: a call, and its transaction or what that came to.
pub(crate) struct Kept {
    /// Digest of the call.
    pub(crate) call: [u8; DIGEST_BYTES],
    state: State,
}

enum State {
    Sent(SignedTransaction),
    Committed(Committed),
}

impl StoreError {
    /// Says what went wrong, in lower case.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), taken: false, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn taken() -> Self {
        Self { taken: true, ..Self::new("a concurrent call replaced what is kept") }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }
}

impl KeptInMemory {
    /// Forgets a key; a later call under it makes a new transaction, even if the forgotten one was never settled.
    pub fn forget(&self, key: &str) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Shows how many keys there are: arguments and results stay out of logs.
impl fmt::Debug for KeptInMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.values.lock().unwrap_or_else(PoisonError::into_inner).len();
        formatter.debug_struct("KeptInMemory").field("keys", &keys).finish_non_exhaustive()
    }
}

impl TransactionStore for KeptInMemory {
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(future::ready(Ok(values.get(key).cloned())))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let as_expected = values.get(key).map(Vec::as_slice) == expected;
        if as_expected {
            values.insert(key.to_owned(), new.to_vec());
        }
        Box::pin(future::ready(Ok(as_expected)))
    }
}

impl KeptInFolder {
    /// Opens a folder; makes it if it isn't there.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        durable::make_folder(&folder).map_err(|source| unusable(&folder, source))?;
        Ok(Self { folder })
    }

    /// The transactions whose outcome was not known when they were last seen, with their keys: to be settled after
    /// a restart.
    pub fn pending(&self) -> Result<Vec<(String, SignedTransaction)>, StoreError> {
        let _lock = self.lock()?;
        let mut pending = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|source| unusable(&self.folder, source))? {
            let path = entry.map_err(|source| unusable(&self.folder, source))?.path();
            if path.extension().is_none_or(|extension| extension != "kept") {
                continue;
            }
            let Some((key, value)) = read(&path)? else { continue };
            if let State::Sent(transaction) = Kept::from_bytes(&value)?.state {
                pending.push((key, transaction));
            }
        }
        Ok(pending)
    }

    /// Forgets a key; a later call under it makes a new transaction, even if the forgotten one was never settled.
    pub fn forget(&self, key: &str) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let path = self.path(key);
        durable::remove(&path).map_err(|source| unusable(&path, source))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{}.kept", hex::encode(Sha256::digest(key))))
    }

    /// Held until the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.folder.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|source| unusable(&path, source))?;
        lock.lock().map_err(|source| unusable(&path, source))?;
        Ok(lock)
    }

    fn replaced(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<bool, StoreError> {
        let _lock = self.lock()?;
        let path = self.path(key);
        if read(&path)?.as_ref().map(|(_, value)| value.as_slice()) != expected {
            return Ok(false);
        }
        let mut file = Vec::with_capacity(4 + key.len() + new.len());
        file.extend(u32::try_from(key.len()).map_err(|_| StoreError::new("key is too long"))?.to_be_bytes());
        file.extend(key.as_bytes());
        file.extend(new);
        durable::replace_private(&path, &file).map_err(|source| unusable(&path, source))?;
        Ok(true)
    }
}

impl TransactionStore for KeptInFolder {
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let path = self.path(key);
        Box::pin(durable::blocking(move || Ok(read(&path)?.map(|(_, value)| value))))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let this = Self { folder: self.folder.clone() };
        let (key, expected, new) = (key.to_owned(), expected.map(<[u8]>::to_vec), new.to_vec());
        Box::pin(durable::blocking(move || this.replaced(&key, expected.as_deref(), &new)))
    }
}

impl Kept {
    pub(crate) fn sent(call: [u8; DIGEST_BYTES], transaction: SignedTransaction) -> Self {
        Self { call, state: State::Sent(transaction) }
    }

    pub(crate) fn committed(call: [u8; DIGEST_BYTES], committed: Committed) -> Self {
        Self { call, state: State::Committed(committed) }
    }

    pub(crate) fn tx_id(&self) -> &str {
        match &self.state {
            State::Sent(transaction) => transaction.tx_id(),
            State::Committed(committed) => &committed.tx_id,
        }
    }

    /// What it came to, or the transaction that is to be settled.
    pub(crate) fn outcome(&self) -> Result<Committed, &SignedTransaction> {
        match &self.state {
            State::Committed(committed) => Ok(committed.clone()),
            State::Sent(transaction) => Err(transaction),
        }
    }

    /// Magic, digest of the call, kind, content, and SHA-256 of all that.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.call);
        match &self.state {
            State::Sent(transaction) => {
                bytes.push(SENT);
                bytes.extend(transaction.to_bytes());
            }
            State::Committed(committed) => {
                bytes.push(COMMITTED);
                bytes.extend(committed.block_number.to_be_bytes());
                bytes.extend((committed.tx_id.len() as u64).to_be_bytes());
                bytes.extend(committed.tx_id.as_bytes());
                bytes.extend(&committed.result);
            }
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::new("what is kept is damaged or of another version");
        let (content, checksum) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err(damaged());
        }
        let content = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (call, content) = content.split_first_chunk().ok_or_else(damaged)?;
        let (kind, content) = content.split_first().ok_or_else(damaged)?;
        let state = match *kind {
            SENT => State::Sent(
                SignedTransaction::from_bytes(content).map_err(|source| damaged().because(source))?,
            ),
            COMMITTED => {
                let (block_number, content) = content.split_first_chunk().ok_or_else(damaged)?;
                let (length, content) = content.split_first_chunk().ok_or_else(damaged)?;
                let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| damaged())?;
                let (tx_id, result) = content.split_at_checked(length).ok_or_else(damaged)?;
                State::Committed(Committed {
                    tx_id: String::from_utf8(tx_id.to_vec()).map_err(|_| damaged())?,
                    block_number: u64::from_be_bytes(*block_number),
                    result: result.to_vec(),
                })
            }
            _ => return Err(damaged()),
        };
        Ok(Self { call: *call, state })
    }
}

/// A file's key and value.
fn read(path: &Path) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let damaged = || StoreError::new(format!("`{}` is damaged", path.display()));
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error)),
    };
    let (length, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
    let (key, value) = rest.split_at_checked(length).ok_or_else(damaged)?;
    Ok(Some((String::from_utf8(key.to_vec()).map_err(|_| damaged())?, value.to_vec())))
}

fn unusable(path: &Path, source: io::Error) -> StoreError {
    StoreError::new(format!("`{}` can't be used", path.display())).because(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> Kept {
        let committed = Committed { tx_id: "ab".repeat(32), block_number: 7, result: b"done".to_vec() };
        Kept::committed([3; 32], committed)
    }

    #[test]
    fn what_is_kept_is_read_again_and_damage_is_seen() {
        let bytes = committed().to_bytes();
        let kept = Kept::from_bytes(&bytes).unwrap();
        assert_eq!(kept.call, [3; 32]);
        assert_eq!(kept.outcome().unwrap().result, b"done");
        for end in 0..bytes.len() {
            assert!(Kept::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Kept::from_bytes(&flipped).is_err(), "{at}");
        }
    }

    #[tokio::test]
    async fn of_two_who_replace_the_same_value_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let stores: [Box<dyn TransactionStore>; 2] =
            [Box::new(KeptInMemory::default()), Box::new(KeptInFolder::open(folder.path()).unwrap())];
        for store in stores {
            assert!(store.replace("key", None, b"first").await.unwrap());
            assert!(!store.replace("key", None, b"second").await.unwrap());
            assert!(store.replace("key", Some(b"first"), b"second").await.unwrap());
            assert!(!store.replace("key", Some(b"first"), b"third").await.unwrap());
            assert_eq!(store.load("key").await.unwrap().unwrap(), b"second");
            assert_eq!(store.load("other").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_in_memory_is_not_shown_and_can_be_forgotten() {
        let store = KeptInMemory::default();
        assert!(store.replace("order 17", None, b"argument").await.unwrap());
        let shown = format!("{store:?}");
        assert!(shown.contains("keys: 1") && !shown.contains("97"), "{shown}");
        store.forget("order 17");
        assert_eq!(store.load("order 17").await.unwrap(), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_in_a_folder_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let store = KeptInFolder::open(folder.path().join("made").join("here")).unwrap();
        let path = store.path("key");
        // As a crash of an older build would have left it.
        let beside = path.with_added_extension("new");
        fs::write(&beside, "torn").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        for (expected, new) in [(None, b"first".as_slice()), (Some(b"first".as_slice()), b"second")] {
            assert!(store.replace("key", expected, new).await.unwrap());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
