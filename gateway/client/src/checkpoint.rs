//! How far a listener got, and where that is kept.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{self, BoxFuture};
use sha2::{Digest as _, Sha256};

use crate::durable;

/// The format's name and version.
const FORMAT: &str = "hlf-checkpoint 1";

/// How far a listener got: everything before a block, and so many items of that block.
///
/// As text ([`fmt::Display`], [`FromStr`]) it has five lines and a checksum, so that what is torn is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which stream, such as `events main assets`; a checkpoint is good for this stream alone.
    pub stream: String,
    /// The block to go on in.
    pub block_number: u64,
    /// How many of its items are done: always none for streams of blocks.
    pub done: u64,
    /// The transaction of the last of these; empty if none are done.
    pub tx_id: String,
}

/// Text that is no checkpoint, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text is no whole checkpoint of this version")]
pub struct NotACheckpoint;

/// Why a checkpoint can't be loaded or saved.
#[derive(Debug, thiserror::Error)]
#[error("checkpoint can't be kept: {what}")]
pub struct CheckpointError {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Keeps one checkpoint, for effects that don't keep it with themselves.
pub trait Checkpointer: Send + Sync {
    /// The last checkpoint that was saved.
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>>;

    /// Saves a checkpoint; when this returns, it outlives what the checkpointer promises to outlive. Of two saves at once,
    /// the one that was begun later wins.
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), CheckpointError>>;
}

/// Keeps a checkpoint for as long as this value lives.
#[derive(Debug, Default)]
pub struct CheckpointInMemory {
    checkpoint: Mutex<Option<Checkpoint>>,
}

/// Keeps a checkpoint in a file, across crashes, for one process at a time.
///
/// The file is written beside its place, flushed, and renamed; the one before it stays as `<path>.previous` and is gone
/// back to if the file is damaged, which repeats one item rather than losing any. A save whose future is dropped may
/// still be done, but never over a later one.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    /// How many saves were begun; each has its number.
    begun: AtomicU64,
    /// Held by each save as well, which goes on when its future is dropped.
    place: Arc<Place>,
}

/// A file's place, where one save at a time is done.
#[derive(Debug)]
struct Place {
    /// Held, so that no other process keeps the same checkpoint.
    _lock: File,
    /// The number of the newest save that was done.
    saved: Mutex<Option<u64>>,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        writeln!(formatter, "{text}sha256 {}", hex::encode(Sha256::digest(&text)))
    }
}

impl Checkpoint {
    fn text(&self) -> String {
        let Self { stream, block_number, done, tx_id } = self;
        format!("{FORMAT}\nstream {stream}\nblock {block_number}\ndone {done}\ntransaction {tx_id}\n")
    }
}

impl FromStr for Checkpoint {
    type Err = NotACheckpoint;

    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let mut lines = text.lines();
        let mut line = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)).ok_or(NotACheckpoint)?;
            Ok(line.to_owned())
        };
        line(FORMAT)?;
        let checkpoint = Self {
            stream: line("stream ")?,
            block_number: line("block ")?.parse().map_err(|_| NotACheckpoint)?,
            done: line("done ")?.parse().map_err(|_| NotACheckpoint)?,
            tx_id: line("transaction ")?,
        };
        // The checksum stands for every byte before it.
        if checkpoint.to_string() == text { Ok(checkpoint) } else { Err(NotACheckpoint) }
    }
}

impl CheckpointError {
    /// Says what went wrong, in lower case.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl Checkpointer for CheckpointInMemory {
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>> {
        let checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(future::ready(Ok(checkpoint)))
    }

    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), CheckpointError>> {
        *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint.clone());
        Box::pin(future::ready(Ok(())))
    }
}

impl CheckpointFile {
    /// Takes a file, which is made by the first save; its folder must be there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = path.into();
        let lock_path = path.with_added_extension("lock");
        let unusable = |source: io::Error| unusable(&lock_path, source);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {
                let place = Arc::new(Place { _lock: lock, saved: Mutex::default() });
                Ok(Self { path, begun: AtomicU64::new(0), place })
            }
            Err(TryLockError::WouldBlock) => {
                let taken = format!("another process keeps `{}`: one listener, one file", path.display());
                Err(CheckpointError::new(taken))
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl Checkpointer for CheckpointFile {
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>> {
        let path = self.path.clone();
        Box::pin(durable::blocking(move || {
            let previous = previous(&path);
            match (read(&path)?, read(&previous)?) {
                (Found::Whole(checkpoint), _) | (_, Found::Whole(checkpoint)) => Ok(Some(checkpoint)),
                (Found::Nothing, Found::Nothing) => Ok(None),
                _ => Err(CheckpointError::new(format!(
                    "`{}` is damaged, and so is the one before it: find out how far the effects got, and write that",
                    path.display()
                ))),
            }
        }))
    }

    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), CheckpointError>> {
        let (path, text, place) = (self.path.clone(), checkpoint.to_string(), Arc::clone(&self.place));
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        Box::pin(durable::blocking(move || {
            let mut saved = place.saved.lock().unwrap_or_else(PoisonError::into_inner);
            // One that was begun later is there already: its items come after these.
            if saved.is_some_and(|saved| saved > number) {
                return Ok(());
            }
            durable::replace_keeping(&path, &previous(&path), text.as_bytes())
                .map_err(|source| unusable(&path, source))?;
            *saved = Some(number);
            Ok(())
        }))
    }
}

enum Found {
    Nothing,
    Damaged,
    Whole(Checkpoint),
}

fn read(path: &Path) -> Result<Found, CheckpointError> {
    match fs::read(path) {
        Ok(bytes) => {
            let checkpoint = str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
            Ok(checkpoint.map_or(Found::Damaged, Found::Whole))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(unusable(path, error)),
    }
}

fn previous(path: &Path) -> PathBuf {
    path.with_added_extension("previous")
}

fn unusable(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::new(format!("`{}` can't be used", path.display())).because(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(block_number: u64) -> Checkpoint {
        let tx_id = "ab".repeat(32);
        Checkpoint { stream: "events main assets".to_owned(), block_number, done: 2, tx_id }
    }

    #[test]
    fn text_that_is_cut_or_changed_is_no_checkpoint() {
        let text = at(12).to_string();
        assert_eq!(text.parse(), Ok(at(12)));
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<Checkpoint>(), Err(NotACheckpoint), "{end}");
        }
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert!(String::from_utf8(bytes).unwrap().parse::<Checkpoint>().is_err(), "{place}");
        }
    }

    #[tokio::test]
    async fn a_crash_at_any_step_of_saving_leaves_the_checkpoint_before_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = at(2).to_string();
        // As far as the steps got: written beside in part or in whole, the old one renamed, the new one renamed.
        type Crash = Box<dyn Fn(&Path)>;
        let mut crashes: Vec<(String, Crash)> = Vec::new();
        for end in (0..text.len()).step_by(13).chain([text.len()]) {
            let part = text[..end].to_owned();
            crashes.push((
                format!("{end} bytes written"),
                Box::new(move |path| fs::write(path.with_added_extension("new"), &part).unwrap()),
            ));
            // A file system that doesn't keep the order of flush and rename leaves a torn file in place.
            let part = text[..end].to_owned();
            crashes.push((
                format!("{end} bytes renamed"),
                Box::new(move |path| {
                    fs::rename(path, previous(path)).unwrap();
                    fs::write(path, &part).unwrap();
                }),
            ));
        }
        crashes.push((
            "between the renames".to_owned(),
            Box::new(|path| fs::rename(path, previous(path)).unwrap()),
        ));
        for (index, (what, crash)) in crashes.into_iter().enumerate() {
            let path = folder.path().join(index.to_string());
            let file = CheckpointFile::open(&path).unwrap();
            assert_eq!(file.load().await.unwrap(), None);
            file.save(&at(0)).await.unwrap();
            file.save(&at(1)).await.unwrap();
            drop(file);
            crash(&path);
            let file = CheckpointFile::open(&path).unwrap();
            let loaded = file.load().await.unwrap().unwrap();
            let allowed = if what == format!("{} bytes renamed", text.len()) { 2 } else { 1 };
            assert_eq!(loaded, at(allowed), "{what}");
            file.save(&at(3)).await.unwrap();
            assert_eq!(file.load().await.unwrap(), Some(at(3)), "{what}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_kept_by_another_is_refused_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let file = CheckpointFile::open(&path).unwrap();
        assert!(CheckpointFile::open(&path).unwrap_err().to_string().contains("another process"));
        fs::write(&path, "torn").unwrap();
        assert!(file.load().await.unwrap_err().to_string().contains("is damaged"));
    }

    #[tokio::test]
    async fn saves_that_overlap_are_done_one_by_one_and_the_later_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::open(folder.path().join("checkpoint")).unwrap();
        for round in 0..50 {
            let (first, second) = (at(2 * round), at(2 * round + 1));
            let (first, second) = (file.save(&first), file.save(&second));
            // As when the first one's thread is late.
            second.await.unwrap();
            first.await.unwrap();
            assert_eq!(file.load().await.unwrap(), Some(at(2 * round + 1)));
        }
        let all: Vec<_> = (100..140).map(at).collect();
        let saves = futures_util::future::join_all(all.iter().map(|checkpoint| file.save(checkpoint)));
        for saved in saves.await {
            saved.unwrap();
        }
        assert_eq!(file.load().await.unwrap(), Some(at(139)));
    }
}
