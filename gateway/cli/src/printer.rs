//! The one printer: data on stdout, talk on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::table::{Cell, columns, table};

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON document; a stream is one document a line.
    Json,
    /// Columns for people.
    Table,
}

/// Prints what a command has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Whether progress can be drawn over itself.
    pub(crate) fn draws(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Data: one document.
    pub(crate) fn data<T: Serialize>(&self, data: &T) -> anyhow::Result<()> {
        let json = serde_json::to_string(data)?;
        let text = match self.format {
            Format::Json => json + "\n",
            Format::Table => table(&serde_json::from_str(&json)?),
        };
        self.out(&text)
    }

    /// Data: a list, one document a line as JSON, one row each as a table.
    pub(crate) fn rows<T: Serialize>(&self, rows: &[T]) -> anyhow::Result<()> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            lines.push(serde_json::to_string(row)?);
        }
        let text = match self.format {
            Format::Json => lines.iter().map(|line| format!("{line}\n")).collect(),
            Format::Table => {
                let cells: Vec<Cell> =
                    lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
                columns(&cells)
            }
        };
        self.out(&text)
    }

    /// Text that is data as it is, such as a generated document.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        self.out(text)
    }

    /// Talk: what is going on.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            // Nobody listens to stderr any more: nothing can be said about that either.
            let _ = writeln!(io::stderr(), "{}", text.as_ref());
        }
    }

    /// Why a command failed; said also when quiet.
    pub(crate) fn error(&self, text: &str) {
        // Nobody listens to stderr any more: nothing can be said about that either.
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn out(&self, text: &str) -> anyhow::Result<()> {
        match io::stdout().write_all(text.as_bytes()) {
            // A reader such as `head` has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }
}
