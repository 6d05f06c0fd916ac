//! Files that are there whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Readable by everybody.
pub(crate) const PUBLIC: u32 = 0o644;
/// Readable by the owner.
pub(crate) const SECRET: u32 = 0o600;
/// Runnable by everybody.
pub(crate) const PROGRAM: u32 = 0o755;

/// An operating system's refusal, and at which path.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be {what}")]
pub struct FileError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(path: &Path, what: &'static str, source: io::Error) -> Self {
        Self { path: path.to_owned(), what, source }
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|e| FileError::new(path, "read", e))
}

/// Makes a folder with its parents, readable by everybody.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|e| FileError::new(path, "made", e))
}

/// Makes a folder with its parents, for the owner alone.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| FileError::new(path, "made", e))
}

/// Writes a new file with its mode set before the first byte; its folder is made when absent.
pub(crate) fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
    let written = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|e| FileError::new(path, "written", e))
}

/// Replaces a file by rename, so that a reader sees the old or the new content and never a part.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
    let draft = draft_of(path);
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::new(&draft, "removed", e));
        }
        _ => {}
    }
    write_new(&draft, mode, bytes)?;
    fs::rename(&draft, path).map_err(|e| FileError::new(path, "replaced", e))
}

/// Replaces a public file by a value as JSON.
pub(crate) fn replace_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| FileError::new(path, "written", e.into()))?;
    replace(path, PUBLIC, &text)
}

/// Fills a folder that is not there yet and gives it its name last; false when it is there already.
///
/// What an interrupted run left under the draft's name is removed first.
pub(crate) fn make_whole<E: From<FileError>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<bool, E> {
    if folder.exists() {
        return Ok(false);
    }
    let draft = draft_of(folder);
    match fs::remove_dir_all(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::new(&draft, "removed", e).into());
        }
        _ => {}
    }
    make_folder(&draft)?;
    fill(&draft)?;
    fs::rename(&draft, folder).map_err(|e| FileError::new(folder, "made", e))?;
    Ok(true)
}

/// The hidden sibling in which something is made before it gets its name.
pub(crate) fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.draft"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_made_once_and_whole() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("made");
        let failed = make_whole(&folder, |draft| {
            write_new(&draft.join("a"), PUBLIC, b"half")?;
            Err(FileError::new(draft, "filled", io::Error::other("full")))
        });
        assert!(failed.is_err() && !folder.exists());
        let fill = |draft: &Path| write_new(&draft.join("a"), SECRET, b"whole");
        assert!(make_whole(&folder, fill).unwrap());
        assert!(!make_whole(&folder, fill).unwrap());
        assert_eq!(read(&folder.join("a")).unwrap(), "whole");
        let mode = fs::metadata(folder.join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SECRET);
    }

    #[test]
    fn replacing_leaves_one_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("f");
        replace(&file, PUBLIC, b"1").unwrap();
        replace(&file, PUBLIC, b"2").unwrap();
        assert_eq!(read(&file).unwrap(), "2");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
