//! What happened, line by line as it happens, so that a failed run can be looked into.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Outcome;
use crate::until::now_unix_ms;

/// A file of one JSON object a line: calls as they begin and as their callers are told, and faults.
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

    pub(super) fn begun(&self, call: &str, caller: &str, window: usize) {
        self.write(json!({ "begun": call, "caller": caller, "window": window }));
    }

    pub(super) fn proposed(&self, call: &str, tx_id: &str) {
        self.write(json!({ "proposed": call, "tx_id": tx_id }));
    }

    pub(super) fn told(&self, call: &str, outcome: &Outcome) {
        self.write(json!({ "ended": call, "told": outcome.to_string() }));
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
