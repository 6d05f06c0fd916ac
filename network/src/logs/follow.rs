//! What processes say from now on.

use std::time::Duration;

use super::files::Kept;
use super::{LogEntry, LogQuery, LogsError};

const POLL: Duration = Duration::from_millis(200);
/// The most entries of one process that are taken in one turn.
const ENTRIES_MAX: usize = 500;

/// Entries as they are written, of processes that are started anew as well.
#[derive(Debug)]
pub struct Follow {
    query: LogQuery,
    sources: Vec<Kept>,
}

impl Follow {
    pub(super) fn new(query: LogQuery, sources: Vec<Kept>) -> Self {
        Self { query, sources }
    }

    /// The next entries, one at least, in the order of time; it waits until there are.
    ///
    /// # Errors
    /// [`LogsError::Read`].
    pub async fn next(&mut self) -> Result<Vec<LogEntry>, LogsError> {
        loop {
            let mut found = Vec::new();
            for source in &mut self.sources {
                found.extend(source.new_entries(ENTRIES_MAX)?);
            }
            found.retain(|entry| self.query.wants(entry));
            if !found.is_empty() {
                found.sort_by_key(|entry| entry.at);
                return Ok(found);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
