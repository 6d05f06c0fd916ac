//! Files that are replaced whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes a file, for its owner alone, so that after a crash it holds either what it held or the new bytes: written beside it, flushed,
/// renamed, and the rename flushed.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::rename(written_beside(path, bytes, true)?, path)?;
    sync_folder(path)
}

/// As [`replace_private`], but for whom the process's files are for; keeps what the file held. A crash between the two
/// renames leaves that alone.
pub(crate) fn replace_keeping(path: &Path, previous: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = written_beside(path, bytes, false)?;
    match fs::rename(path, previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    fs::rename(beside, path)?;
    sync_folder(path)
}

fn written_beside(path: &Path, bytes: &[u8], private: bool) -> io::Result<PathBuf> {
    let beside = path.with_added_extension("new");
    if private {
        // What a crash left there keeps its mode when it is written again.
        remove(&beside)?;
    }
    let mut file = created(&beside, private)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(beside)
}

fn created(path: &Path, private: bool) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    options.open(path)
}

/// Makes a folder with all above it, for good.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let above = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let made: Vec<_> = above.collect();
    fs::create_dir_all(folder)?;
    made.into_iter().rev().try_for_each(sync_folder)
}

/// Removes a file for good, if it's there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Does file work on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Flushes what the folder of a file or folder says of it.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
