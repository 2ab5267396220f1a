//! DESIGN's rule for dimension rows as a model, for tests: what is kept, and what the fold makes of it.
//!
//! Written from the rule, without regard for speed and without `answer`, so that the two can be held against
//! each other.

use std::collections::BTreeMap;

use super::answer::{Row, Version};
use super::meaning::{Operation, Values};

/// The column that says whether the key has ended.
const DELETED: &str = "_deleted";

/// What a row asserts. A stub asserts that the key exists, and nothing of its columns.
fn asserted(row: &Row) -> BTreeMap<&'static str, Option<String>> {
    let mut asserted = match row.operation {
        Operation::Upsert | Operation::Patch => row.values.clone(),
        Operation::Stub | Operation::Delete => Values::new(),
    };
    if row.operation != Operation::Stub {
        asserted.insert(DELETED, Some((row.operation == Operation::Delete).to_string()));
    }
    asserted
}

fn state_at(rows: &[&Row], sequence: i64) -> Values {
    let mut rows: Vec<_> = rows.iter().filter(|row| row.sequence <= sequence).collect();
    rows.sort_by_key(|row| row.sequence);
    rows.into_iter().flat_map(|row| asserted(row)).collect()
}

/// The rows that go into the log: those that change what the log so far says at their sequence, and are not in it.
pub fn kept(rows: &[Row]) -> Vec<&Row> {
    let mut log: Vec<&Row> = vec![];
    for row in rows {
        let same = |known: &&Row| {
            (known.operation, known.sequence, &known.values) == (row.operation, row.sequence, &row.values)
        };
        let said = match row.operation {
            Operation::Stub => log.iter().any(|known| known.sequence <= row.sequence),
            _ => {
                let before = state_at(&log, row.sequence);
                asserted(row).iter().all(|(name, value)| before.get(name) == Some(value))
            }
        };
        if !said && !log.iter().any(same) {
            log.push(row);
        }
    }
    log
}

/// The versions that rows make, oldest first.
pub fn fold(rows: &[&Row]) -> Vec<Version> {
    let others: Vec<&Row> = rows.iter().copied().filter(|row| row.operation != Operation::Stub).collect();
    if others.is_empty() {
        let first = rows.iter().min_by_key(|row| row.sequence);
        return first
            .map(|row| Version { valid_from: row.sequence, deleted: false, values: row.values.clone() })
            .into_iter()
            .collect();
    }
    let mut sequences: Vec<i64> = others.iter().map(|row| row.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let mut versions: Vec<Version> = vec![];
    for valid_from in sequences {
        let mut values = state_at(&others, valid_from);
        let deleted = values.remove(DELETED) == Some(Some("true".to_owned()));
        if !versions.last().is_some_and(|last| last.deleted == deleted && last.values == values) {
            versions.push(Version { valid_from, deleted, values });
        }
    }
    versions
}
