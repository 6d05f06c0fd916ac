//! The vault in a folder: `<digest's first two hex characters>/<digest>`, and `staging/` for what is being written.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use caretrail_model::ids::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{Staged, StoredBlob, Vault, VaultError};
use crate::disk::{sweep_abandoned, sync_parent};

/// A vault in a folder of this machine.
///
/// A blob is written to `staging/`, synced, renamed to its digest, and the name synced: a crash or a full
/// disk at any point leaves either the whole blob or a file in `staging/` that nothing refers to.
#[derive(Clone, Debug)]
pub struct FolderVault {
    folder: PathBuf,
}

impl FolderVault {
    /// Opens the vault, and makes its folder, readable by its owner alone, when there is none. What a process
    /// that was killed left in `staging/` more than a day ago is removed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, VaultError> {
        let vault = Self { folder: folder.into() };
        make_folder(&vault.staging())?;
        sweep_abandoned(&vault.staging(), "");
        Ok(vault)
    }

    /// Where a blob lies, whether it is there or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(name.get(..2).unwrap_or_default()).join(&name)
    }

    fn staging(&self) -> PathBuf {
        self.folder.join("staging")
    }
}

impl Vault for FolderVault {
    fn stage(&self) -> Result<Box<dyn Staged>, VaultError> {
        let staging = self.staging();
        let file = NamedTempFile::new_in(&staging).map_err(|source| VaultError::writing(staging, source))?;
        Ok(Box::new(StagedFile { vault: self.clone(), file, hash: Sha256::new() }))
    }

    fn open(&self, digest: &Digest, from_byte: u64) -> Result<StoredBlob, VaultError> {
        let path = self.path(digest);
        let unreadable = |source| VaultError::Unreadable { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VaultError::Absent { digest: *digest });
            }
            Err(error) => return Err(unreadable(error)),
        };
        let bytes = file.metadata().map_err(unreadable)?.len();
        if from_byte > bytes {
            return Err(VaultError::BeyondEnd { digest: *digest, bytes, from_byte });
        }
        file.seek(SeekFrom::Start(from_byte)).map_err(unreadable)?;
        Ok(StoredBlob { bytes, content: Box::new(file) })
    }

    fn remove(&self, digest: &Digest) -> Result<(), VaultError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(VaultError::Unremovable { path, source }),
        }
    }

    fn probe(&self) -> Result<(), VaultError> {
        let mut staged = self.stage()?;
        staged.write_all(b"\n").map_err(|source| VaultError::writing(self.staging(), source))
    }
}

struct StagedFile {
    vault: FolderVault,
    file: NamedTempFile,
    hash: Sha256,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Staged for StagedFile {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<(), VaultError> {
        if Digest::from_bytes(self.hash.finalize().into()) != *digest {
            return Err(VaultError::OtherContent { expected: *digest });
        }
        let path = self.vault.path(digest);
        let failed = |source| VaultError::writing(path.clone(), source);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        self.file.as_file().sync_all().map_err(failed)?;
        match self.file.persist_noclobber(&path) {
            Ok(_) => {}
            // A blob is named by its content: the one that is there is this one.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error.error)),
        }
        sync_parent(&path).map_err(failed)
    }
}

/// Makes a folder and those above it, each readable by its owner alone, with their names on disk.
fn make_folder(folder: &Path) -> Result<(), VaultError> {
    if folder.is_dir() {
        return Ok(());
    }
    let failed = |source| VaultError::writing(folder.to_owned(), source);
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_parent(folder).map_err(failed),
        Err(_) if fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir()) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use caretrail_model::hash::sha256;

    use super::*;

    fn keep(vault: &FolderVault, content: &[u8]) -> Digest {
        let mut staged = vault.stage().unwrap();
        staged.write_all(content).unwrap();
        let digest = sha256(content);
        staged.keep(&digest).unwrap();
        digest
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_blob_is_found_by_its_digest_and_read_from_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let vault = FolderVault::open(folder.path().join("north/vault")).unwrap();
        let digest = keep(&vault, b"sealed");
        assert_eq!(keep(&vault, b"sealed"), digest, "kept twice is kept once");
        for from in 0..=6 {
            let mut blob = vault.open(&digest, from).unwrap();
            let mut content = Vec::new();
            blob.content.read_to_end(&mut content).unwrap();
            assert_eq!((blob.bytes, content.as_slice()), (6, &b"sealed"[from as usize..]));
        }
        assert!(matches!(vault.open(&digest, 7), Err(VaultError::BeyondEnd { bytes: 6, .. })));
        assert!(matches!(vault.open(&sha256(b"other"), 0), Err(VaultError::Absent { .. })));
        vault.remove(&digest).unwrap();
        vault.remove(&digest).unwrap();
        assert!(matches!(vault.open(&digest, 0), Err(VaultError::Absent { .. })));
        assert_eq!(files(&vault.staging()), 0);
    }

    #[test]
    fn what_is_not_kept_or_not_the_content_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let vault = FolderVault::open(folder.path()).unwrap();
        let mut staged = vault.stage().unwrap();
        staged.write_all(b"half").unwrap();
        assert_eq!(files(&vault.staging()), 1);
        drop(staged);

        let mut staged = vault.stage().unwrap();
        staged.write_all(b"half").unwrap();
        let whole = sha256(b"whole");
        assert!(
            matches!(staged.keep(&whole), Err(VaultError::OtherContent { expected }) if expected == whole)
        );
        assert_eq!(files(&vault.staging()), 0);
        assert_eq!(files(folder.path()), 1, "only the staging folder");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_a_day_later() {
        let folder = tempfile::tempdir().unwrap();
        let vault = FolderVault::open(folder.path()).unwrap();
        let (left, fresh) = (vault.staging().join(".left"), vault.staging().join(".fresh"));
        let two_days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
        File::create(&left).unwrap().set_modified(two_days_ago).unwrap();
        File::create(&fresh).unwrap();
        let kept = keep(&vault, b"sealed");
        File::options().append(true).open(vault.path(&kept)).unwrap().set_modified(two_days_ago).unwrap();
        FolderVault::open(folder.path()).unwrap();
        assert!(!left.exists() && fresh.exists() && vault.path(&kept).exists());
    }

    #[test]
    fn a_vault_that_takes_nothing_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let vault = FolderVault::open(folder.path()).unwrap();
        vault.probe().unwrap();
        assert_eq!(files(&vault.staging()), 0);
        fs::remove_dir(vault.staging()).unwrap();
        fs::write(vault.staging(), b"a file in the way").unwrap();
        assert!(matches!(vault.probe(), Err(VaultError::Unwritable { .. })));
        let blocked = FolderVault::open(vault.staging().join("below"));
        assert!(matches!(blocked, Err(VaultError::Unwritable { .. })));
    }
}
