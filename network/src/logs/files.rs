//! One process's log files as one sequence of entries.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::LogsError;
use super::entry::{LogEntry, read, without_colours};

/// Longer lines are cut: a log is not trusted to have line ends.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Most bytes of one entry; further lines of it are dropped.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// The files that are left of one process's log, and how far they are read.
#[derive(Debug)]
pub(super) struct Kept {
    node: String,
    /// The newest file's path.
    log: PathBuf,
    /// Files that come after the open one, the oldest last.
    later: Vec<PathBuf>,
    open: Option<BufReader<File>>,
    /// A line that was read and begins the next entry.
    begun: Option<LogEntry>,
    /// A line that has no end yet.
    partial: Vec<u8>,
    at: Option<i64>,
}

impl Kept {
    /// A process's log from the oldest file that was kept.
    pub(super) fn open(log: &Path, node: String) -> Result<Self, LogsError> {
        let mut later = vec![log.to_owned()];
        later.extend(
            (1..)
                .map(|number| PathBuf::from(format!("{}.{number}", log.display())))
                .take_while(|path| path.exists()),
        );
        let mut kept =
            Self { node, log: log.to_owned(), later, open: None, begun: None, partial: Vec::new(), at: None };
        kept.open_next()?;
        Ok(kept)
    }

    /// The next whole entry, or what there is of the last one; `None` at the end of the newest file.
    pub(super) fn next_entry(&mut self) -> Result<Option<LogEntry>, LogsError> {
        loop {
            let Some(line) = self.line()? else {
                if !self.partial.is_empty() && self.later.is_empty() {
                    let rest = std::mem::take(&mut self.partial);
                    if let Some(entry) = self.take(&rest) {
                        return Ok(Some(entry));
                    }
                }
                if self.later.is_empty() {
                    return Ok(self.begun.take());
                }
                self.open_next()?;
                continue;
            };
            if let Some(entry) = self.take(&line) {
                return Ok(Some(entry));
            }
        }
    }

    /// Entries that were said since, at most so many; the log may have been turned.
    pub(super) fn new_entries(&mut self, most: usize) -> Result<Vec<LogEntry>, LogsError> {
        let mut found = Vec::new();
        while found.len() < most {
            match self.line()? {
                Some(line) => found.extend(self.take(&line)),
                None if self.was_turned() => {
                    let rest = std::mem::take(&mut self.partial);
                    found.extend(self.take(&rest));
                    self.later = vec![self.log.clone()];
                    self.open_next()?;
                }
                None => {
                    found.extend(self.begun.take());
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Whether the newest file is another one than the open one.
    fn was_turned(&self) -> bool {
        let Ok(newest) = std::fs::metadata(&self.log) else { return false };
        match self.open.as_ref().map(|open| open.get_ref().metadata()) {
            Some(Ok(open)) => open.ino() != newest.ino(),
            _ => true,
        }
    }

    fn open_next(&mut self) -> Result<(), LogsError> {
        let Some(path) = self.later.pop() else { return Ok(()) };
        match File::open(&path) {
            Ok(file) => self.open = Some(BufReader::new(file)),
            // It was turned away between the look and the opening.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.open = None,
            Err(source) => return Err(LogsError::Read { path, source }),
        }
        Ok(())
    }

    /// The next line that has an end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, LogsError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let room = LINE_BYTES_MAX.saturating_sub(self.partial.len() as u64);
        let read = open.by_ref().take(room).read_until(b'\n', &mut self.partial);
        read.map_err(|source| LogsError::Read { path: self.log.clone(), source })?;
        let whole = self.partial.last() == Some(&b'\n') || self.partial.len() as u64 >= LINE_BYTES_MAX;
        Ok(whole.then(|| std::mem::take(&mut self.partial)))
    }

    /// Takes a line; an entry is whole when the next one begins.
    fn take(&mut self, line: &[u8]) -> Option<LogEntry> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return None;
        }
        let node = self.node.clone();
        if let Some((at, level, text)) = read(line) {
            self.at = Some(at);
            return self.begun.replace(LogEntry { at: Some(at), node, level, text });
        }
        let plain = without_colours(line);
        match &mut self.begun {
            Some(begun) if begun.text.len().saturating_add(plain.len()) < ENTRY_BYTES_MAX => {
                begun.text.push('\n');
                begun.text.push_str(&plain);
            }
            Some(_) => {}
            None => self.begun = Some(LogEntry { at: self.at, node, level: None, text: plain }),
        }
        None
    }
}
