//! The one printer: data on stdout, talk on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

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
        let value = serde_json::to_value(data)?;
        let text = match self.format {
            Format::Json => format!("{value}\n"),
            Format::Table => table(&value),
        };
        self.out(&text)
    }

    /// Data: a list, one document a line as JSON, one row each as a table.
    pub(crate) fn rows<T: Serialize>(&self, rows: &[T]) -> anyhow::Result<()> {
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            values.push(serde_json::to_value(row)?);
        }
        let text = match self.format {
            Format::Json => values.iter().map(|value| format!("{value}\n")).collect(),
            Format::Table => columns(&values),
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

/// An object as lines of name and value, a list as columns.
fn table(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut text = String::new();
            let width = fields.keys().map(|name| name.len()).max().unwrap_or(0);
            let mut nested = String::new();
            for (name, value) in fields {
                match value {
                    Value::Array(items) if items.iter().any(Value::is_object) => {
                        nested.push_str(&format!("\n{name}\n{}", columns(items)));
                    }
                    _ => text.push_str(&format!("{name:width$}  {}\n", cell(value))),
                }
            }
            text + &nested
        }
        Value::Array(items) => columns(items),
        other => format!("{}\n", cell(other)),
    }
}

/// One row an item, one column a field; nested fields are named with dots.
fn columns(items: &[Value]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<(String, String)>> = Vec::with_capacity(items.len());
    for item in items {
        let mut row = Vec::new();
        flatten("", item, &mut row);
        for (name, _) in &row {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        rows.push(row);
    }
    let value_of = |row: &[(String, String)], name: &String| {
        row.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let widths: Vec<usize> = names
        .iter()
        .map(|name| {
            rows.iter().map(|row| value_of(row, name).chars().count()).chain([name.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    if rows.is_empty() {
        return "nothing\n".to_owned();
    }
    let mut text = line(names.clone());
    for row in &rows {
        text.push_str(&line(names.iter().map(|name| value_of(row, name)).collect()));
    }
    text
}

fn flatten(prefix: &str, value: &Value, row: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, row);
            }
        }
        other => {
            let name = if prefix.is_empty() { "value".to_owned() } else { prefix.to_owned() };
            row.push((name, cell(other)));
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_lines_and_its_lists_are_columns() {
        let value = json!({ "patient": "7f", "at": 5, "decisions": [
            { "record": "aa", "effect": "permit" },
            { "record": "bbbb", "effect": "deny", "rule": "x" }
        ] });
        assert_eq!(
            table(&value),
            "at       5\npatient  7f\n\ndecisions\neffect  record  rule\npermit  aa\ndeny    bbbb    x\n"
        );
    }

    #[test]
    fn nested_fields_are_named_with_dots() {
        let items = [json!({ "actor": { "msp_id": "NorthMSP" }, "purposes": ["TREAT", "HRESCH"] })];
        assert_eq!(columns(&items), "actor.msp_id  purposes\nNorthMSP      TREAT HRESCH\n");
        assert_eq!(columns(&[]), "nothing\n");
    }
}
