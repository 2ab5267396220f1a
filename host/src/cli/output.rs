//! Printing results: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use super::Format;

/// Rows under named columns; the names are the keys in JSON and, in capitals, the heads of the table.
#[derive(Debug)]
pub(super) struct Listing {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Listing {
    pub(super) fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Appends a row: one value a column.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as a JSON array of objects.
    pub(super) fn to_json(&self) -> Value {
        let object =
            |row: &Vec<Value>| Value::Object(Map::from_iter(self.columns.iter().cloned().zip(row.iter().cloned())));
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// The rows as a table, as wide as the terminal or, elsewhere, as wide as they are.
    pub(super) fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(if io::stdout().is_terminal() {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        table.set_header(self.columns.iter().map(|name| name.to_uppercase().replace('_', " ")));
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        let lines = table
            .lines()
            .map(|line| line.trim_end().strip_prefix(' ').map(str::to_owned).unwrap_or(line.trim_end().to_owned()));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn print(&self, format: Format) -> io::Result<()> {
        match format {
            Format::Text => print_text(&self.to_text()),
            Format::Json => print_json(&self.to_json()),
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key} {}", cell(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Prints text and a newline. A reader that closed the pipe is not an error.
pub(super) fn print_text(text: &str) -> io::Result<()> {
    quiet_on_closed_pipe(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints JSON, indented.
pub(super) fn print_json(value: &Value) -> io::Result<()> {
    quiet_on_closed_pipe(writeln!(io::stdout().lock(), "{value:#}"))
}

fn quiet_on_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listing_is_a_table_and_an_array_of_objects() {
        let mut listing = Listing::new(["entity", "rows_kept"]);
        listing.push(vec![json!("order"), json!(12)]);
        listing.push(vec![json!("customer"), Value::Null]);
        assert_eq!(listing.to_text(), "ENTITY    ROWS KEPT\norder     12\ncustomer");
        assert_eq!(
            listing.to_json(),
            json!([{"entity": "order", "rows_kept": 12}, {"entity": "customer", "rows_kept": null}])
        );
    }
}
