//! JSON as lines and columns for people, in the order in which it was written.

use std::fmt;

use caretrail_model::time::UnixMs;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::arguments::shown;

/// Fields that hold an instant in Unix milliseconds.
const INSTANTS: [&str; 6] = ["at", "from", "until", "valid_until", "submit_by", "added"];

/// A JSON value whose fields keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Text(String),
    Items(Vec<Cell>),
    Fields(Vec<(String, Cell)>),
}

/// An object as lines of name and value, its lists of objects as columns below; a list as columns.
pub(crate) fn table(cell: &Cell) -> String {
    let fields = match cell {
        Cell::Fields(fields) => fields,
        Cell::Items(items) => return columns(items),
        Cell::Text(text) => return format!("{text}\n"),
    };
    let (mut lines, mut lists) = (Vec::new(), String::new());
    for (name, value) in fields {
        match value {
            Cell::Items(items) if items.iter().any(|item| matches!(item, Cell::Fields(_))) => {
                lists.push_str(&format!("\n{name}\n{}", columns(items)));
            }
            _ => flatten(name, value, &mut lines),
        }
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let text: String = lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect();
    text + &lists
}

/// One row an item, one column a field; fields of fields are named with dots.
pub(crate) fn columns(items: &[Cell]) -> String {
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
    if rows.is_empty() {
        return "nothing\n".to_owned();
    }
    let cells: Vec<Vec<String>> =
        rows.into_iter().map(|row| names.iter().map(|name| value_of(&row, name)).collect()).collect();
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let values = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            values.chain([name.len()]).max().unwrap_or(0)
        })
        .collect();
    std::iter::once(&names).chain(&cells).map(|row| line(row, &widths)).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn value_of(row: &[(String, String)], name: &str) -> String {
    row.iter().find(|(field, _)| field == name).map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
}

fn flatten(prefix: &str, cell: &Cell, row: &mut Vec<(String, String)>) {
    match cell {
        Cell::Fields(fields) => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, row);
            }
        }
        other => {
            let name = if prefix.is_empty() { "value" } else { prefix };
            row.push((name.to_owned(), for_people(name, other)));
        }
    }
}

fn for_people(name: &str, cell: &Cell) -> String {
    match cell {
        Cell::Items(items) if items.is_empty() => "-".to_owned(),
        Cell::Items(items) => items.iter().map(|item| for_people("", item)).collect::<Vec<_>>().join(" "),
        Cell::Fields(fields) => {
            let values = fields.iter().map(|(name, value)| format!("{name}={}", for_people(name, value)));
            values.collect::<Vec<_>>().join(" ")
        }
        Cell::Text(text) => {
            let field = name.rsplit('.').next().unwrap_or(name);
            match text.parse().ok().and_then(UnixMs::new) {
                Some(instant) if INSTANTS.contains(&field) => shown(instant),
                _ => text.clone(),
            }
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Text("-".to_owned()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Cell, S::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Cell::Items(items))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Cell, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Cell::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> Cell {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_object_is_lines_in_its_order_and_its_lists_are_columns() {
        let shown = table(&cell(
            r#"{"patient":"7f","at":1767225600123,"missing":[],"actor":{"msp_id":"NorthMSP"},"decisions":[
                {"record":"aa","effect":"permit"},{"record":"bbbb","effect":"deny","rule":"x"}]}"#,
        ));
        let expected = "patient       7f\n\
                        at            2026-01-01T00:00:00.123Z\n\
                        missing       -\n\
                        actor.msp_id  NorthMSP\n\
                        \n\
                        decisions\n\
                        record  effect  rule\n\
                        aa      permit  -\n\
                        bbbb    deny    x\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_name_fields_of_fields_with_dots() {
        let items = [cell(r#"{"actor":{"msp_id":"NorthMSP"},"purposes":["TREAT","HRESCH"],"version":null}"#)];
        assert_eq!(columns(&items), "actor.msp_id  purposes      version\nNorthMSP      TREAT HRESCH  -\n");
        assert_eq!(columns(&[]), "nothing\n");
    }
}
