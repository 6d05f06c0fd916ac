//! Where sealed blobs are kept, each under its own digest.

mod folder;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use caretrail_model::ids::Digest;

pub use folder::FolderVault;

/// A store of sealed blobs, addressed by their SHA-256.
///
/// A blob is there whole or not at all, and never changes. Calls block: make them from threads that may.
pub trait Vault: Send + Sync + 'static {
    /// Starts a blob; it is in the vault only when it is [kept](Staged::keep).
    ///
    /// # Errors
    /// When the vault takes nothing.
    fn stage(&self) -> Result<Box<dyn Staged>, VaultError>;

    /// Reads a blob from a byte on, 0 for its beginning.
    ///
    /// # Errors
    /// When there is no such blob, or it ends before `from_byte`.
    fn open(&self, digest: &Digest, from_byte: u64) -> Result<StoredBlob, VaultError>;

    /// Removes a blob, as when its record was refused; one that is not there is no error.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    fn remove(&self, digest: &Digest) -> Result<(), VaultError>;

    /// Writes and removes a byte, so that a vault that takes nothing is known before a document is sealed.
    ///
    /// # Errors
    /// When it does not work.
    fn probe(&self) -> Result<(), VaultError>;
}

/// A blob that is being written; nothing stays of it when it is dropped.
pub trait Staged: Write + Send {
    /// Puts the blob into the vault, on disk when this returns. A blob that is there already stays as it is.
    ///
    /// # Errors
    /// When what was written is not `digest`'s content, or cannot be stored; nothing stays then.
    fn keep(self: Box<Self>, digest: &Digest) -> Result<(), VaultError>;
}

/// A blob in the vault.
pub struct StoredBlob {
    /// Bytes of the whole blob.
    pub bytes: u64,
    /// Its content from the byte that was asked for.
    pub content: Box<dyn Read + Send>,
}

impl std::fmt::Debug for StoredBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredBlob").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What a vault could not do.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no room for it.
    #[error("vault `{}` is full: free space on its disk, then try again; nothing was kept", path.display())]
    Full {
        /// The vault's folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It takes nothing.
    #[error("vault `{}` cannot be written: check that it exists and is writable; nothing was kept", path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// What was written is not what it should be named by.
    #[error("the blob that was written is not the one of digest {expected}: nothing was kept")]
    OtherContent {
        /// What it should be.
        expected: Digest,
    },
    /// There is no such blob.
    #[error("the vault holds no blob {digest}: restore it from a backup of the vault")]
    Absent {
        /// Its digest.
        digest: Digest,
    },
    /// A range starts behind the blob's end.
    #[error("blob {digest} has {bytes} bytes: nothing starts at byte {from_byte}")]
    BeyondEnd {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        bytes: u64,
        /// What was asked for.
        from_byte: u64,
    },
    /// The blob cannot be removed.
    #[error("`{}` cannot be removed: check the vault's permissions", path.display())]
    Unremovable {
        /// Its file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The blob cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Its file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl VaultError {
    /// A failure to write, told apart by its reason.
    pub(crate) fn writing(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            _ => Self::Unwritable { path, source },
        }
    }
}
