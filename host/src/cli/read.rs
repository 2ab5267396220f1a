//! Reading tables for people: what `status`, `show`, `quarantine` and `manifests` share.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::CliError;
use super::output::Listing;
use crate::lake::{DataFile, Filter, Lake, LakeError, Scan, Table};

/// Opens an existing lake.
pub(super) fn open(folder: &Path) -> Result<Lake, CliError> {
    if !folder.is_dir() {
        return Err(CliError::Usage(format!(
            "found no lake at `{}`, expected a folder that `silversmith run TENANTS --lake {}` made",
            folder.display(),
            folder.display()
        )));
    }
    Lake::open(folder)
        .map_err(|error| CliError::caused(format!("failed to open the lake at `{}`", folder.display()), error))
}

/// The tenants in the lake, or the one that `only` names.
pub(super) async fn tenants(lake: &Lake, only: Option<&str>) -> Result<Vec<String>, CliError> {
    let mut tenants = lake.tenants().await.map_err(|error| failed("the lake", error))?;
    let Some(only) = only else { return Ok(tenants) };
    if !tenants.iter().any(|tenant| tenant == only) {
        let known = tenants.join(", ");
        return Err(CliError::Usage(format!("found no tenant `{only}` in the lake, expected one of {known}")));
    }
    tenants.retain(|tenant| tenant == only);
    Ok(tenants)
}

/// An existing table; the error names what there is instead.
pub(super) async fn table(lake: &Lake, tenant: &str, name: &str) -> Result<Table, CliError> {
    let path = format!("{tenant}/{name}");
    match lake.find(&path).await.map_err(|error| failed(&path, error))? {
        Some(table) => Ok(table),
        None => {
            let known = lake.tables(tenant).await.map_err(|error| failed(tenant, error))?;
            Err(CliError::Usage(if known.is_empty() {
                format!("found no tenant `{tenant}` in the lake; `silversmith status --lake …` lists those there are")
            } else {
                format!("found no table `{name}` of tenant `{tenant}`, expected one of {}", known.join(", "))
            }))
        }
    }
}

pub(super) fn failed(table: &str, error: LakeError) -> CliError {
    CliError::caused(format!("failed to read `{table}`"), error)
}

/// How many rows the active files have, as the log says.
pub(super) async fn count(table: &Table) -> Result<u64, CliError> {
    let files = table.files().await.map_err(|error| failed(table.name(), error))?;
    Ok(files.iter().filter_map(DataFile::statistics).map(|statistics| statistics.num_records).sum())
}

/// Rows in which `column` has the text `value`; all rows where it is none.
pub(super) fn matching(column: &str, value: Option<String>) -> Option<Filter> {
    value.map(|value| all_matching(vec![column.to_owned()], vec![Some(value)]))
}

/// Rows in which each of `columns` has the text of the same place in `values`, or is null where that is none.
pub(super) fn all_matching(columns: Vec<String>, values: Vec<Option<String>>) -> Filter {
    let keep = move |rows: &RecordBatch| {
        let texts: Vec<Texts<'_>> = rows.columns().iter().map(Texts::new).collect();
        let matches = |row| texts.iter().zip(&values).all(|(texts, value)| texts.get(row) == *value);
        Ok((0..rows.num_rows()).map(|row| Some(matches(row))).collect::<BooleanArray>())
    };
    Filter { columns, keep: Arc::new(keep) }
}

/// The first `limit` rows of a table, newest file last, of those that `filter` keeps.
pub(super) async fn rows(
    table: &Table,
    columns: Option<&[&str]>,
    filter: Option<Filter>,
    limit: usize,
) -> Result<Vec<RecordBatch>, CliError> {
    let mut files = table.files().await.map_err(|error| failed(table.name(), error))?;
    files.sort_by(|a, b| (a.modification_time, &a.path).cmp(&(b.modification_time, &b.path)));
    let mut found = Vec::new();
    let mut left = limit;
    for file in files {
        let mut scan = columns.map(Scan::columns).unwrap_or_default();
        scan.filter.clone_from(&filter);
        let mut batches = table.reader().scan(&file, scan);
        while left > 0 {
            let Some(rows) = batches.try_next().await.map_err(|error| failed(table.name(), error))? else { break };
            let rows = rows.slice(0, rows.num_rows().min(left));
            left -= rows.num_rows();
            found.push(rows);
        }
    }
    Ok(found)
}

/// The rows as a listing, all columns but those in `without`.
pub(super) fn listing(batches: &[RecordBatch], without: &[&str]) -> Listing {
    let Some(first) = batches.first() else { return Listing::new(Vec::<String>::new()) };
    let schema = first.schema();
    let shown: Vec<usize> =
        (0..schema.fields().len()).filter(|i| !without.contains(&schema.field(*i).name().as_str())).collect();
    let mut listing = Listing::new(shown.iter().map(|i| schema.field(*i).name().clone()));
    for rows in batches {
        let texts: Vec<Texts<'_>> = shown.iter().map(|i| Texts::new(rows.column(*i))).collect();
        for row in 0..rows.num_rows() {
            listing.push(texts.iter().map(|column| column.value(row)).collect());
        }
    }
    listing
}

/// The cells of a column as people read them: bytes in hexadecimal, times in RFC 3339.
pub(super) struct Texts<'a> {
    array: &'a ArrayRef,
    formatter: Option<ArrayFormatter<'a>>,
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));

impl<'a> Texts<'a> {
    pub(super) fn new(array: &'a ArrayRef) -> Self {
        Self { array, formatter: ArrayFormatter::try_new(array, &OPTIONS).ok() }
    }

    /// The text of a cell; none for null.
    pub(super) fn get(&self, row: usize) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        match self.array.data_type() {
            DataType::Binary => {
                Some(self.array.as_binary::<i32>().value(row).iter().map(|byte| format!("{byte:02x}")).collect())
            }
            _ => self.formatter.as_ref().map(|formatter| formatter.value(row).to_string()),
        }
    }

    /// The cell as JSON: numbers and booleans as such, all else as text.
    fn value(&self, row: usize) -> Value {
        let Some(text) = self.get(row) else { return Value::Null };
        match self.array.data_type() {
            DataType::Boolean => json!(text == "true"),
            data_type if data_type.is_integer() => text.parse::<i64>().map_or(json!(text), |number| json!(number)),
            _ => json!(text),
        }
    }
}
