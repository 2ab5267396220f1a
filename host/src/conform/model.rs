//! The rule for dimension rows as a model, against which the index and the fold are tested.
//!
//! A port, line by line, of the project's runnable model of the rule. Added, as the design words it: stubs, and entities
//! whose rows are ordered by arrival alone. A row's values are by column; an upsert holds every column, absent ones as null.

use std::collections::BTreeMap;

use crate::entity::Operation;

/// The state columns of the tests, in the order of the contract.
pub(super) const COLUMNS: [&str; 3] = ["a", "b", "c"];

const DELETED: &str = "_deleted";

/// Column → value; the model's own flag among them.
pub(super) type State = BTreeMap<&'static str, Option<i64>>;

/// One row; a list of rows is in arrival order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelRow {
    pub(super) operation: Operation,
    pub(super) sequence: i64,
    pub(super) values: BTreeMap<&'static str, Option<i64>>,
}

fn asserted(row: &ModelRow) -> State {
    let mut state = match row.operation {
        Operation::Upsert | Operation::Stub => {
            COLUMNS.iter().map(|column| (*column, row.values.get(column).copied().flatten())).collect()
        }
        Operation::Patch => row.values.clone(),
        Operation::Delete => State::new(),
    };
    state.insert(DELETED, Some(i64::from(row.operation == Operation::Delete)));
    state
}

/// Column → value in force at a sequence. A stub counts only while there is nothing else.
fn state_at(rows: &[ModelRow], sequence: i64) -> State {
    let mut before: Vec<&ModelRow> =
        rows.iter().filter(|row| row.sequence <= sequence && row.operation != Operation::Stub).collect();
    before.sort_by_key(|row| row.sequence);
    before.into_iter().flat_map(asserted).collect()
}

/// Versions as (valid from, state): neighbours that are equal are one; of equal sequences the last arrival counts.
pub(super) fn fold(rows: &[ModelRow]) -> Vec<(i64, State)> {
    let mut sequences: Vec<i64> =
        rows.iter().filter(|row| row.operation != Operation::Stub).map(|row| row.sequence).collect();
    if sequences.is_empty() {
        let first = rows.iter().min_by_key(|row| row.sequence);
        return first.map(|stub| (stub.sequence, asserted(stub))).into_iter().collect();
    }
    sequences.sort_unstable();
    sequences.dedup();
    let mut versions: Vec<(i64, State)> = Vec::new();
    for sequence in sequences {
        let state = state_at(rows, sequence);
        if versions.last().is_none_or(|(_, last)| *last != state) {
            versions.push((sequence, state));
        }
    }
    versions
}

/// Which rows go into the log: those that change what the log so far says at their sequence, and are not in it already.
pub(super) fn kept(rows: &[ModelRow]) -> Vec<bool> {
    let mut log: Vec<ModelRow> = Vec::new();
    rows.iter()
        .map(|row| {
            let keep = if row.operation == Operation::Stub {
                log.is_empty()
            } else {
                let before = state_at(&log, row.sequence);
                !log.contains(row) && asserted(row).iter().any(|(column, value)| before.get(column) != Some(value))
            };
            if keep {
                log.push(row.clone());
            }
            keep
        })
        .collect()
}
