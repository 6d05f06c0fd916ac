//! Files that appear whole or not at all, and that only their owner reads.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// How long a temporary file has not been written to before it counts as left behind.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A key file that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("key file `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("key file `{}` cannot be written: check that its folder exists and is writable", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is a file already, and a key is never replaced.
    #[error("key file `{}` exists and is never overwritten: name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error("key file `{}` can be read by others: run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold the kind of key that it should.
    #[error("key file `{}` does not hold {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
}

/// Makes a key file with mode 0600, whole or not at all, with its name on disk when this returns.
pub(crate) fn create_key_file(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    let unwritable = |source| KeyFileError::Unwritable { path: path.to_owned(), source };
    let draft = Draft::create(parent(path), ".key-").map_err(unwritable)?;
    draft.file().write_all(content).map_err(unwritable)?;
    draft.keep(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => unwritable(source),
    })
}

/// Reads a key file that nobody but its owner can read.
pub(crate) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned() });
    }
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

/// A file that only its owner reads, and that is gone with this value unless it is [kept](Self::keep).
///
/// It has no name meanwhile (`O_TMPFILE`), so that nothing of it is left of a process that is killed. Where the platform
/// or the file system knows no such files, its name begins with the prefix that it was made with.
#[derive(Debug)]
pub(crate) struct Draft(Place);

#[derive(Debug)]
enum Place {
    #[cfg(target_os = "linux")]
    Nowhere(File),
    Named(NamedTempFile),
}

impl Draft {
    /// Makes an empty one in the folder, or at least on the file system, where it may be kept.
    pub(crate) fn create(folder: &Path, prefix: &str) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::create(folder)? {
            return Ok(Self(Place::Nowhere(file)));
        }
        Self::create_named(folder, prefix)
    }

    fn create_named(folder: &Path, prefix: &str) -> io::Result<Self> {
        NamedTempFile::with_prefix_in(prefix, folder).map(Place::Named).map(Self)
    }

    /// The file, to be written.
    pub(crate) fn file(&self) -> &File {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Place::Nowhere(file) => file,
            Place::Named(file) => file.as_file(),
        }
    }

    /// The file from its beginning, with a position of its own.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Place::Nowhere(file) => File::open(unnamed::path(file)),
            Place::Named(file) => file.reopen(),
        }
    }

    /// Gives it its name, with all of it on disk when this returns; an error of the kind `AlreadyExists` says that
    /// something has the name, which is never replaced.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.file().sync_all()?;
        match self.0 {
            #[cfg(target_os = "linux")]
            Place::Nowhere(file) => unnamed::link(&file, path)?,
            Place::Named(file) => {
                file.persist_noclobber(path).map_err(|error| error.error)?;
            }
        }
        sync_parent(path)
    }
}

/// Files without a name, which Linux has.
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
    use rustix::io::Errno;

    /// None where the file system knows no such files, or where one could not be reached again to be named: that takes
    /// `/proc`.
    pub(super) fn create(folder: &Path) -> io::Result<Option<File>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Some(File::from(file)).filter(|file| path(file).exists())),
            // What kernels and file systems say that do not know them; a folder that is not there is found out after.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn path(file: &File) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    pub(super) fn link(file: &File, name: &Path) -> io::Result<()> {
        Ok(linkat(CWD, path(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }
}

/// Removes the temporary files that a process which was killed left in a folder: those whose names start with
/// `prefix` and that nobody has written to for a day. What cannot be removed stays, and is logged.
pub(crate) fn sweep_abandoned(folder: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let abandoned = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.metadata().is_ok_and(|metadata| metadata.is_file() && is_abandoned(&metadata));
        if abandoned {
            let removed = std::fs::remove_file(entry.path());
            tracing::info!(path = %entry.path().display(), ?removed, "a temporary file was left behind");
        }
    }
}

fn is_abandoned(metadata: &std::fs::Metadata) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|written| SystemTime::now().duration_since(written).ok())
        .is_some_and(|age| age > ABANDONED_AFTER)
}

/// Puts the names in a file's folder on disk: a file that was synced can still lose its name.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_left_behind_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - ABANDONED_AFTER - Duration::from_secs(60);
        let file = |name: &str, written: SystemTime| {
            let path = folder.path().join(name);
            File::create(&path).unwrap().set_modified(written).unwrap();
            path
        };
        let abandoned = file(".opening-1", long_ago);
        let kept = [
            file(".opening-2", SystemTime::now()),
            file(".opening-3", SystemTime::now() + 2 * ABANDONED_AFTER),
            file("document", long_ago),
        ];
        sweep_abandoned(folder.path(), ".opening-");
        assert!(!abandoned.exists());
        assert!(kept.iter().all(|path| path.exists()));
        sweep_abandoned(&folder.path().join("none"), "");
    }

    #[test]
    fn a_draft_is_nowhere_until_it_is_kept_and_replaces_nothing() {
        type Create = fn(&Path, &str) -> io::Result<Draft>;
        // A file system without unnamed files has the other way.
        for (create, names) in [(Draft::create as Create, 0), (Draft::create_named, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let files = || std::fs::read_dir(folder.path()).unwrap().count();
            let draft = || {
                let draft = create(folder.path(), ".draft-").unwrap();
                draft.file().write_all(b"flu").unwrap();
                assert_eq!(std::fs::read(folder.path().join("kept")).ok(), None);
                draft
            };
            let first = draft();
            assert_eq!(files(), names, "what a process that is killed now would leave");
            assert_eq!(io::read_to_string(first.reopen().unwrap()).unwrap(), "flu");
            assert_eq!(
                io::read_to_string(first.reopen().unwrap()).unwrap(),
                "flu",
                "from its beginning again"
            );
            drop(first);
            assert_eq!(files(), 0);

            let path = folder.path().join("kept");
            let (first, second) = (draft(), draft());
            first.keep(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            second.file().write_all(b"another").unwrap();
            assert_eq!(second.keep(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&path).unwrap(), b"flu");
            assert_eq!(files(), 1);

            let nowhere = create(&folder.path().join("none"), ".draft-").unwrap_err();
            assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create_key_file(&path, b"first").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create_key_file(&path, b"second"), Err(KeyFileError::Exists { .. })));
        assert_eq!(read_key_file(&path).unwrap().as_slice(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_key_file(&path), Err(KeyFileError::Exposed { .. })));
        assert!(matches!(
            create_key_file(&folder.path().join("none/key"), b""),
            Err(KeyFileError::Unwritable { .. })
        ));
    }
}
