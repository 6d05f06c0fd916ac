//! What the processes of a network said, merged by time.
//!
//! Logs are read as they lie, from the oldest that was kept to the newest, one entry of each process at a time: memory
//! does not grow with them.

mod entry;
mod files;
mod follow;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::path::PathBuf;

use crate::network::Network;

pub use entry::{Level, LevelError, LogEntry};
pub use follow::Follow;

use files::Kept;

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LogQuery {
    /// Names of processes; all when there is none.
    pub nodes: Vec<String>,
    /// The earliest moment, Unix milliseconds.
    pub since: Option<i64>,
    /// The least severe level; entries that tell no level are wanted when it is absent or `info`, or lower.
    pub level: Option<Level>,
    /// Texts of which an entry has to hold one, whatever the case of letters; all entries when there is none.
    pub containing: Vec<String>,
}

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// There is no such process.
    #[error("there is no log of `{name}`; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A file cannot be read.
    #[error("`{path}` cannot be read")]
    Read {
        /// The log.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// Entries of several processes, the earliest first.
#[derive(Debug)]
pub struct Logs {
    query: LogQuery,
    sources: Vec<Kept>,
    /// The next entry of each source, by its time and the source's number.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    waiting: Vec<Option<LogEntry>>,
    /// The latest time of each source so far: a process may write two lines of one moment in the wrong order, and
    /// they stay as they lie.
    latest: Vec<i64>,
}

impl Network {
    /// What the network's processes said, those of earlier runs that were kept included.
    ///
    /// # Errors
    /// [`LogsError`] when a name is not known, or a file cannot be read.
    pub fn logs(&self, query: LogQuery) -> Result<Logs, LogsError> {
        let folder = self.layout().logs();
        let known = names(&folder);
        let unknown = query.nodes.iter().find(|name| !known.contains(*name));
        if let Some(name) = unknown {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(LogsError::Unknown { name: name.clone(), known });
        }
        let wanted = known.into_iter().filter(|name| query.nodes.is_empty() || query.nodes.contains(name));
        let sources =
            wanted.map(|name| Kept::open(&self.layout().log(&name), name)).collect::<Result<_, _>>()?;
        Logs::new(query, sources)
    }
}

impl Logs {
    fn new(query: LogQuery, sources: Vec<Kept>) -> Result<Self, LogsError> {
        let count = sources.len();
        let mut logs = Self {
            query,
            sources,
            next: BinaryHeap::new(),
            waiting: (0..count).map(|_| None).collect(),
            latest: vec![i64::MIN; count],
        };
        for number in 0..count {
            logs.refill(number)?;
        }
        Ok(logs)
    }

    /// The next entry that is wanted; `None` at the end of what was said so far.
    ///
    /// # Errors
    /// [`LogsError::Read`].
    pub fn next_entry(&mut self) -> Result<Option<LogEntry>, LogsError> {
        while let Some(Reverse((_, number))) = self.next.pop() {
            let entry = self.waiting.get_mut(number).and_then(Option::take);
            self.refill(number)?;
            if let Some(entry) = entry.filter(|entry| self.query.wants(entry)) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// What is said from where these entries end.
    pub fn follow(self) -> Follow {
        Follow::new(self.query, self.sources)
    }

    fn refill(&mut self, number: usize) -> Result<(), LogsError> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        if let Some(entry) = source.next_entry()? {
            if let Some(latest) = self.latest.get_mut(number) {
                *latest = entry.at.unwrap_or_default().max(*latest);
                self.next.push(Reverse((*latest, number)));
            }
            if let Some(place) = self.waiting.get_mut(number) {
                *place = Some(entry);
            }
        }
        Ok(())
    }
}

impl LogQuery {
    pub(crate) fn wants(&self, entry: &LogEntry) -> bool {
        let text = || entry.text.to_lowercase();
        self.since.is_none_or(|since| entry.at.is_some_and(|at| at >= since))
            && self.level.is_none_or(|least| entry.level.unwrap_or(Level::Info) >= least)
            && (self.containing.is_empty()
                || self.containing.iter().any(|wanted| text().contains(&wanted.to_lowercase())))
    }
}

/// The processes that have a log.
fn names(folder: &std::path::Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(ToOwned::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn source(folder: &std::path::Path, name: &str) -> Kept {
        Kept::open(&folder.join(format!("{name}.log")), name.to_owned()).unwrap()
    }

    fn told(logs: &mut Logs) -> Vec<String> {
        std::iter::from_fn(|| logs.next_entry().unwrap())
            .map(|entry| format!("{} {}", entry.node, entry.text))
            .collect()
    }

    #[test]
    fn entries_of_all_runs_and_processes_come_in_the_order_of_time() {
        let home = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(home.path().join(file), text).unwrap();
        write("a.log.1", "2026-01-01 10:00:00.000 UTC 0001 INFO [x] f -> a1\n");
        write(
            "a.log",
            "2026-01-01 10:00:02.000 UTC 0001 WARN [x] f -> a2\npanic: out\n\n\tat line 7\n\
             2026-01-01 10:00:04.000 UTC 0002 DEBU [x] f -> a3",
        );
        write("b.log", "2026-01-01T10:00:01.000Z  INFO b1\n2026-01-01T10:00:03.5Z ERROR b2\n");
        let query = |query: LogQuery| {
            Logs::new(query, vec![source(home.path(), "a"), source(home.path(), "b")]).unwrap()
        };
        let all = told(&mut query(LogQuery::default()));
        assert_eq!(
            all,
            ["a [x] f -> a1", "b b1", "a [x] f -> a2\npanic: out\n\tat line 7", "b b2", "a [x] f -> a3"]
        );
        let severe = told(&mut query(LogQuery { level: Some(Level::Warn), ..LogQuery::default() }));
        assert_eq!(severe.len(), 2, "{severe:?}");
        let found =
            told(&mut query(LogQuery { containing: vec!["PANIC".to_owned()], ..LogQuery::default() }));
        assert_eq!(found.len(), 1, "{found:?}");
        let at = |text: &str| entry::time_of(text).unwrap().0;
        let since = at("2026-01-01T10:00:03Z x");
        let late = told(&mut query(LogQuery { since: Some(since), ..LogQuery::default() }));
        assert_eq!(late, ["b b2", "a [x] f -> a3"]);
    }

    #[tokio::test]
    async fn what_is_said_later_is_followed_over_a_turn_of_the_log() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("a.log");
        let line = |second: u32, word: &str| format!("2026-01-01T10:00:{second:02}Z INFO {word}\n");
        fs::write(&log, line(1, "before")).unwrap();
        let mut logs = Logs::new(LogQuery::default(), vec![source(home.path(), "a")]).unwrap();
        assert_eq!(told(&mut logs), ["a before"]);
        let mut follow = logs.follow();
        let append = |path: &std::path::Path, text: &str| {
            use std::io::Write as _;
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append(&log, &line(2, "last of the old"));
        fs::rename(&log, home.path().join("a.log.1")).unwrap();
        append(&log, &line(3, "first of the new"));
        let mut heard = Vec::new();
        while heard.len() < 2 {
            heard.extend(follow.next().await.unwrap().into_iter().map(|entry| entry.text));
        }
        assert_eq!(heard, ["last of the old", "first of the new"]);
    }
}
