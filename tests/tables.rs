//! The tables of a lake as tests compare them: rows of text, read through the host's own library.
//!
//! Another program's view of the same tables is `readers`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};
use silversmith::conform::canonical::{Cells, KeyHasher};
use silversmith::lake::{Lake, LakeError};

/// A row by column: bytes in hexadecimal, times in microseconds since the epoch, all else as text; none for null.
pub(crate) type Row = BTreeMap<String, Option<String>>;

/// What differs between two lakes of one input, whatever was done right: when records were taken in, and what names the
/// commit that they came in.
const ACCIDENTAL: [&str; 4] = ["ingestion_timestamp", "ingestion_date", "_manifest_id", "bronze_version"];

/// All rows of a table, such as `acme/silver/order`, in no order.
pub(crate) fn rows(lake: &Path, table: &str) -> Vec<Row> {
    let found = wait(async { read(&Lake::open(lake).expect("the lake is there"), table).await });
    let found = found.unwrap_or_else(|error| panic!("{table}: {error}"));
    found.unwrap_or_else(|| panic!("the lake has no table {table}"))
}

/// The same of a lake that may be damaged; none if it has no such table.
pub(crate) async fn read(lake: &Lake, table: &str) -> Result<Option<Vec<Row>>, LakeError> {
    let Some(opened) = lake.find(table).await? else { return Ok(None) };
    let mut rows = vec![];
    for file in opened.files().await? {
        for batch in opened.reader().read(&file, None).await? {
            let first = rows.len();
            rows.resize(first + batch.num_rows(), Row::new());
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                for (row, value) in rows[first..].iter_mut().zip(texts(column)) {
                    row.insert(field.name().clone(), value);
                }
            }
        }
    }
    Ok(Some(rows))
}

/// Every Bronze and Silver table of a tenant and its quarantine, without what is accidental, each in one order.
pub(crate) fn contents(lake: &Path, tenant: &str) -> BTreeMap<String, Vec<Row>> {
    let opened = Lake::open(lake).expect("the lake is there");
    let mut tables = wait(opened.tables(tenant)).expect("the lake can be listed");
    tables.retain(|table| table != "manifests");
    assert!(tables.len() > 2, "{tenant} has the tables {tables:?} only");
    let read = |table: &String| comparable(rows(lake, &format!("{tenant}/{table}")));
    tables.iter().map(|table| (table.clone(), read(table))).collect()
}

/// The rows without what is accidental, in one order.
pub(crate) fn comparable(mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.retain(|column, _| !ACCIDENTAL.contains(&column.as_str()));
    }
    rows.sort();
    rows
}

/// Fails on the first row that the two do not share.
pub(crate) fn assert_same(found: &BTreeMap<String, Vec<Row>>, expected: &BTreeMap<String, Vec<Row>>, what: &str) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?} and {:?}", found.keys(), expected.keys());
    for ((table, found), expected) in found.iter().zip(expected.values()) {
        assert_same_rows(found, expected, &format!("{what}: {table}"));
    }
}

/// The same, of the rows of one table in one order.
pub(crate) fn assert_same_rows(found: &[Row], expected: &[Row], what: &str) {
    let other = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(other, None, "{what} differs");
    assert_eq!(found.len(), expected.len(), "rows of {what}");
}

/// A cell that must not be null.
pub(crate) fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Option::as_deref).unwrap_or_else(|| panic!("{column} of {row:?}"))
}

/// The number after `#` in a row's position: the running number of its record.
pub(crate) fn record(row: &Row) -> u64 {
    let position = text(row, "_position");
    position.rsplit_once('#').and_then(|(_, number)| number.parse().ok()).unwrap_or_else(|| panic!("{position}"))
}

/// Runs to the end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime can be started").block_on(future)
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(column: &dyn Array) -> Vec<Option<String>> {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::new()).expect("every type of a table has a text");
    let value = |row: usize| match column.data_type() {
        DataType::Binary => hex(column.as_binary::<i32>().value(row)),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        _ => formatter.value(row).to_string(),
    };
    (0..column.len()).map(|row| column.is_valid(row).then(|| value(row))).collect()
}

/// Fails unless a row says what a count by another program says, column by column.
pub(crate) fn assert_says(row: &Row, meant: &Map<String, Value>, what: &str) {
    for (column, meant) in meant {
        let found = row.get(column).unwrap_or_else(|| panic!("{what} has no column {column}")).as_deref();
        let same = match (found, meant) {
            (None, Value::Null) => true,
            (Some(found), Value::String(meant)) => found == meant,
            (Some(found), meant) => serde_json::from_str(found).is_ok_and(|found: Value| found == *meant),
            (None, _) => false,
        };
        assert!(same, "{column} of {what}: found {found:?}, expected {meant}");
    }
}

/// The `_key` of the row whose business key is one text, by the published encoding.
pub(crate) fn key(tenant: &str, entity: &str, business_key: &str) -> String {
    let column: ArrayRef = Arc::new(StringArray::from(vec![business_key]));
    hex(&KeyHasher::new(tenant, entity).hash(&[Cells::new(silversmith::entity::DataType::Text, &column)], 0))
}
