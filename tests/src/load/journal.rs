//! What happened, line by line as it happens, so that a failed run can be looked into.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Call, Outcome};
use crate::until::now_unix_ms;

/// A file of one JSON object a line: transactions as they begin and as their callers are told, and faults.
#[derive(Debug)]
pub struct Journal(Mutex<File>);

impl Journal {
    /// Opens a new journal.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn new(path: &Path) -> Self {
        Self(Mutex::new(File::create(path).expect("a journal")))
    }

    pub(super) fn begun(&self, tx_id: &str, peer: &str, window: usize, call: &Call) {
        let call = match call {
            Call::Put(entry) => json!({ "put": entry.key, "value": entry.value }),
            Call::Count(counter) => json!({ "count": counter }),
        };
        self.write(json!({ "begun": tx_id, "peer": peer, "window": window, "call": call }));
    }

    pub(super) fn told(&self, tx_id: &str, outcome: &Outcome) {
        self.write(json!({ "ended": tx_id, "told": outcome.to_string() }));
    }

    pub(super) fn sent_again(&self, tx_id: &str) {
        self.write(json!({ "sent_again": tx_id }));
    }

    /// Notes what the test itself does.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn note(&self, what: &str) {
        eprintln!("{what}");
        self.write(json!({ "note": what }));
    }

    fn write(&self, mut line: Value) {
        line["at_unix_ms"] = now_unix_ms().into();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}").expect("a line of the journal");
    }
}
