//! One process at a time in a folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// An exclusive lock, held until dropped or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("`{path}` is held by process {holder}; wait until it ends, or stop it")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that wrote itself into the file.
        holder: String,
    },
    /// The lock file could not be made or locked.
    #[error("`{path}` cannot be locked")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn try_take(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(failed)?;
                    return Err(LockError::Held { path: path.to_owned(), holder: holder.trim().to_owned() });
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = FolderLock::try_take(&path).unwrap();
        let Err(LockError::Held { holder, .. }) = FolderLock::try_take(&path) else { panic!("taken twice") };
        assert_eq!(holder, std::process::id().to_string());
        drop(held);
        FolderLock::try_take(&path).unwrap();
    }
}
