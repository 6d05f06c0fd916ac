//! An image of nodes' files, taken while the nodes stand still.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::block_files;
use crate::files::{self, FileError};

/// Folders of a node's data that it makes anew, or that are copies: built packages (with keys in them) and snapshots.
const REMADE: [&str; 2] = ["data/externalbuilder", "data/snapshots"];

/// A database's table that was written so long ago is whole.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// Takes an image of a node's folder into another one on the same disk.
///
/// Files that are never written again are linked, so the node stands still for as long as it takes to copy the others,
/// however much it holds.
pub(super) fn take(node: &Path, into: &Path) -> Result<(), FileError> {
    for folder in folders(node)? {
        let relative = folder.strip_prefix(node).unwrap_or(&folder);
        let target = into.join(relative);
        files::make_folder(&target)?;
        let newest = block_files::files(&folder)?.pop();
        for file in entries(&folder, fs::FileType::is_file)? {
            if is_to_come(&file) {
                continue;
            }
            let to = target.join(file.file_name().unwrap_or_default());
            let is_block_file =
                file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("blockfile_"));
            let is_table = file.extension().is_some_and(|end| end == "ldb" || end == "sst");
            let lasting =
                (is_table && is_settled(&file)?) || (is_block_file && newest.as_ref() != Some(&file));
            let taken = if lasting { link(&file, &to) } else { fs::copy(&file, &to).map(drop) };
            taken.map_err(|e| FileError::new(&file, "copied", e))?;
        }
    }
    Ok(())
}

/// Whether a file is room that a write-ahead log has set aside for later: 64 MiB of nothing.
fn is_to_come(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "tmp")
        && file.components().any(|part| part.as_os_str() == "wal")
}

/// Whether a table was written a while ago: one that was just being made goes on to be.
fn is_settled(table: &Path) -> Result<bool, FileError> {
    let unread = |e| FileError::new(table, "read", e);
    let written = fs::metadata(table).and_then(|found| found.modified()).map_err(unread)?;
    Ok(written.elapsed().is_ok_and(|since| since > SETTLED_AFTER))
}

/// A further name for the same file, or a copy where there can be none.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// A folder and all those in it that are kept, parents first.
fn folders(node: &Path) -> Result<Vec<PathBuf>, FileError> {
    let remade: Vec<PathBuf> = REMADE.iter().map(|name| node.join(name)).collect();
    let mut found = vec![node.to_owned()];
    let mut index = 0;
    while let Some(folder) = found.get(index).cloned() {
        let inside = entries(&folder, fs::FileType::is_dir)?;
        found.extend(inside.into_iter().filter(|inside| !remade.contains(inside)));
        index = index.saturating_add(1);
    }
    Ok(found)
}

/// What lies in a folder and is of a kind, in order.
pub(super) fn entries(
    folder: &Path,
    kind: impl Fn(&fs::FileType) -> bool,
) -> Result<Vec<PathBuf>, FileError> {
    let unread = |e| FileError::new(folder, "read", e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if kind(&entry.file_type().map_err(unread)?) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_may_be_written_again_is_copied_and_the_rest_is_linked() {
        let home = tempfile::tempdir().unwrap();
        let node = home.path().join("node");
        let chain = node.join("data/ledgersData/chains/chains/c");
        for folder in [&chain, &node.join("data/externalbuilder/builds"), &node.join("data/state")] {
            fs::create_dir_all(folder).unwrap();
        }
        for (name, content) in [("blockfile_000000", "old"), ("blockfile_000001", "new")] {
            fs::write(chain.join(name), content).unwrap();
        }
        fs::write(node.join("data/externalbuilder/builds/connection.json"), "a key").unwrap();
        let table = fs::File::create(node.join("data/state/000001.ldb")).unwrap();
        table.set_modified(std::time::SystemTime::now() - 2 * SETTLED_AFTER).unwrap();
        fs::write(node.join("data/state/000003.ldb"), "half a table").unwrap();
        fs::write(node.join("data/state/000002.log"), "log").unwrap();
        let image = home.path().join("image");
        take(&node, &image).unwrap();
        let same = |path: &str| {
            fs::metadata(node.join(path)).unwrap().ino() == fs::metadata(image.join(path)).unwrap().ino()
        };
        let chain = "data/ledgersData/chains/chains/c";
        assert!(same(&format!("{chain}/blockfile_000000")) && same("data/state/000001.ldb"));
        assert!(!same(&format!("{chain}/blockfile_000001")) && !same("data/state/000002.log"));
        assert!(!same("data/state/000003.ldb"));
        assert!(!image.join("data/externalbuilder").exists());
    }
}
