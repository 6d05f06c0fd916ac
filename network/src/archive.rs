//! An archive of files whose every byte is accounted for.
//!
//! It is a `.tar.gz` that any tool unpacks. The first entry is a manifest, which names every other file with its size
//! and SHA-256, in order. At its very end stands an empty gzip member whose comment is the SHA-256 of all bytes before
//! it: a flipped byte anywhere is found, in headers and padding too. It is a guard against damage, not against somebody
//! who writes another archive.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::files::{self, FileError};

/// The manifest's name, of the first entry.
const MANIFEST: &str = "manifest.json";
/// A manifest longer than this is none.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// An empty gzip member with a comment: what stands before the comment and after it. Flags, no time, unknown system;
/// then one empty block of data, its checksum and its length.
const SEAL_BEGIN: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0xff];
const SEAL_END: [u8; 11] = [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const SEAL_WORD: &str = "sha256:";
const SEAL_BYTES: u64 = 10 + 7 + 64 + 11;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArchivedFile {
    /// Its path in the state folder.
    pub path: String,
    /// Its permissions, such as 384 for `rw-------`.
    pub mode: u32,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// A file that is to be archived, and where it lies meanwhile.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: ArchivedFile,
    pub(crate) lies: PathBuf,
}

/// Why an archive was not written, or does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is a file of that name already.
    #[error("`{0}` is there already; name another file, no archive is ever written over")]
    Exists(PathBuf),
    /// Bytes of it are not those that were written, or are missing.
    #[error("`{path}` is damaged: {what}; take another copy of it")]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It is no archive of this program.
    #[error("`{path}` is no backup: {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file changed while it was archived.
    #[error("`{0}` changed while it was read; make the backup anew")]
    Changed(PathBuf),
    /// A file cannot be read or written.
    #[error("a file cannot be read or written")]
    File(#[from] FileError),
}

impl Source {
    /// Looks at a file that lies somewhere, and is to have a path in the archive.
    pub(crate) fn of(lies: &Path, path: &str) -> Result<Self, FileError> {
        let unread = |e| FileError::new(lies, "read", e);
        let mode = fs::metadata(lies).map_err(unread)?.permissions().mode() & 0o777;
        let mut hash = Hashing::new(io::sink());
        let size_bytes = io::copy(&mut File::open(lies).map_err(unread)?, &mut hash).map_err(unread)?;
        let file = ArchivedFile { path: path.to_owned(), mode, size_bytes, sha256: hash.hex() };
        Ok(Self { file, lies: lies.to_owned() })
    }
}

/// Writes an archive, readable by its owner, whole or not at all.
pub(crate) fn write(to: &Path, manifest: &[u8], sources: &[Source]) -> Result<(), ArchiveError> {
    if to.exists() {
        return Err(ArchiveError::Exists(to.to_owned()));
    }
    files_parent(to)?;
    let draft = files::draft_of(to);
    let unwritten = |e| FileError::new(&draft, "written", e);
    // Of an interrupted run.
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(unwritten(e).into()),
        _ => {}
    }
    let file =
        File::options().write(true).create_new(true).mode(files::SECRET).open(&draft).map_err(unwritten)?;
    let written = fill(file, manifest, sources, &draft).and_then(|()| {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, &draft, CWD, to, RenameFlags::NOREPLACE).map_err(|error| match error {
            rustix::io::Errno::EXIST => ArchiveError::Exists(to.to_owned()),
            error => FileError::new(to, "written", error.into()).into(),
        })
    });
    if written.is_err() {
        // What stands there is of no use; that it could not be removed changes nothing about the error.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn files_parent(to: &Path) -> Result<(), FileError> {
    match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => files::make_folder(parent),
        _ => Ok(()),
    }
}

fn fill(file: File, manifest: &[u8], sources: &[Source], draft: &Path) -> Result<(), ArchiveError> {
    let unwritten = |e| FileError::new(draft, "written", e);
    let hashing = Hashing::new(BufWriter::new(file));
    let gzip = GzBuilder::new().mtime(0).operating_system(0xff).write(hashing, Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let size = manifest.len() as u64;
    tar.append_data(&mut header(files::SECRET, size), MANIFEST, manifest).map_err(unwritten)?;
    for Source { file, lies } in sources {
        let unread = |e| FileError::new(lies, "archived", e);
        let opened = File::open(lies).map_err(unread)?;
        // A file that grew would shift what comes after it, and one that shrank leave a gap.
        let mut content = HashingRead { from: opened.take(file.size_bytes), hash: Sha256::new(), read: 0 };
        tar.append_data(&mut header(file.mode, file.size_bytes), &file.path, &mut content).map_err(unread)?;
        if content.read != file.size_bytes || hex::encode(content.hash.finalize()) != file.sha256 {
            return Err(ArchiveError::Changed(lies.clone()));
        }
    }
    let hashing = tar.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(unwritten)?;
    let seal = seal(&hashing.hash.clone().finalize());
    let mut to = hashing.to;
    to.write_all(&seal).map_err(unwritten)?;
    let file = to.into_inner().map_err(|e| unwritten(e.into_error()))?;
    Ok(file.sync_all().map_err(unwritten)?)
}

fn header(mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn seal(hash: &[u8]) -> Vec<u8> {
    [&SEAL_BEGIN[..], SEAL_WORD.as_bytes(), hex::encode(hash).as_bytes(), &SEAL_END].concat()
}

/// An archive that is whole to its last byte.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    manifest: Vec<u8>,
}

impl Archive {
    /// Reads a file and demands that every byte is as it was written.
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let unread = |e| FileError::new(path, "read", e);
        let damaged = |what: &str| ArchiveError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let mut file = File::open(path).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        let mut begin = [0; 4];
        if file.read_exact(&mut begin).is_err() || begin != [0x1f, 0x8b, 8, 0] {
            let what = "it does not begin as one (it may be damaged)".to_owned();
            return Err(ArchiveError::Foreign { path: path.to_owned(), what });
        }
        let body = length.checked_sub(SEAL_BYTES).ok_or_else(|| damaged("it is cut off"))?;
        file.seek(SeekFrom::Start(0)).map_err(unread)?;
        let mut hash = Hashing::new(io::sink());
        io::copy(&mut (&mut file).take(body), &mut hash).map_err(unread)?;
        let mut found = Vec::new();
        file.read_to_end(&mut found).map_err(unread)?;
        if found != seal(&hash.hash.finalize()) {
            return Err(damaged("its bytes are not those that its end speaks of, or its end is missing"));
        }
        let mut archive = Self { path: path.to_owned(), manifest: Vec::new() };
        let mut tar = archive.tar()?;
        let mut entries = tar.entries().map_err(unread)?;
        let foreign = |what: &str| ArchiveError::Foreign { path: path.to_owned(), what: what.to_owned() };
        let first = entries.next().ok_or_else(|| foreign("it is empty"))?.map_err(unread)?;
        if first.path().map_err(unread)? != Path::new(MANIFEST) || first.size() > MANIFEST_BYTES_MAX {
            return Err(foreign("it does not begin with a manifest"));
        }
        let mut manifest = Vec::new();
        first.take(MANIFEST_BYTES_MAX).read_to_end(&mut manifest).map_err(unread)?;
        archive.manifest = manifest;
        Ok(archive)
    }

    /// The manifest's bytes.
    pub(crate) fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Demands that the archive holds exactly these files, in order, and hands each one's content on: it is written
    /// below a folder, or only looked at.
    pub(crate) fn unpack(&self, files: &[ArchivedFile], below: Option<&Path>) -> Result<(), ArchiveError> {
        let unread = |e| FileError::new(&self.path, "unpacked", e);
        let damaged = |what: String| ArchiveError::Damaged { path: self.path.clone(), what };
        let mut tar = self.tar()?;
        let mut entries = tar.entries().map_err(unread)?.skip(1);
        for file in files {
            let mut entry = entries
                .next()
                .ok_or_else(|| damaged(format!("`{}` is missing", file.path)))?
                .map_err(unread)?;
            let found = entry.path().map_err(unread)?.into_owned();
            if found != Path::new(&file.path) || entry.header().entry_type() != EntryType::Regular {
                return Err(damaged(format!("`{}` stands where `{}` should", found.display(), file.path)));
            }
            if !is_inside(&found) {
                return Err(damaged(format!("`{}` would lie outside of the folder", file.path)));
            }
            let (read, digest) = match below {
                None => copy(&mut entry, io::sink()).map_err(unread)?,
                Some(folder) => {
                    let target = folder.join(&found);
                    files_parent(&target)?;
                    let unwritten = |e| FileError::new(&target, "written", e);
                    let to = File::options()
                        .write(true)
                        .create_new(true)
                        .mode(file.mode & 0o777)
                        .open(&target)
                        .map_err(unwritten)?;
                    let copied = copy(&mut entry, &to).map_err(unwritten)?;
                    to.sync_all().map_err(unwritten)?;
                    copied
                }
            };
            if read != file.size_bytes || digest != file.sha256 {
                return Err(damaged(format!("`{}` is not what the manifest says", file.path)));
            }
        }
        match entries.next() {
            None => Ok(()),
            Some(_) => Err(damaged("it holds files that its manifest does not name".to_owned())),
        }
    }

    fn tar(&self) -> Result<tar::Archive<GzDecoder<BufReader<File>>>, FileError> {
        let file = File::open(&self.path).map_err(|e| FileError::new(&self.path, "read", e))?;
        Ok(tar::Archive::new(GzDecoder::new(BufReader::new(file))))
    }
}

/// Whether a path leads down from where it starts, and nowhere else.
pub(crate) fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

fn copy(from: &mut impl Read, to: impl Write) -> io::Result<(u64, String)> {
    let mut hashing = Hashing::new(to);
    let read = io::copy(from, &mut hashing)?;
    Ok((read, hashing.hex()))
}

/// Writes on, and hashes what it writes.
struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Self {
        Self { to, hash: Sha256::new() }
    }

    fn hex(self) -> String {
        hex::encode(self.hash.finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads on, and hashes what it reads.
struct HashingRead<R> {
    from: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for HashingRead<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.hash.update(into.get(..count).unwrap_or_default());
        self.read = self.read.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
