//! The answer that is expected of Silver, written beside the records.
//!
//! Takes what each record means, in Bronze order, and works out histories by following each key through time. It
//! does not know DESIGN's rule for duplicates: it marks the keys whose rows came in the order of their sequence, for
//! which every sound rule gives the meant history, and leaves the rows of the others for a model to run over.

use std::collections::BTreeMap;

use serde::Serialize;

use super::meaning::{DimensionRow, FactRow, Operation, Outcome, Values};

/// What is expected of one tenant.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// The tenant.
    pub tenant: &'static str,
    /// Its source.
    pub source: &'static str,
    /// The seed of the story.
    pub seed: u64,
    /// How many records there are, and what became of them.
    pub records: Records,
    /// Records that mean nothing.
    pub filtered: Vec<Finding>,
    /// Records that are broken.
    pub quarantined: Vec<Finding>,
    /// Rows refused alone, by the plugin.
    pub refused_rows: Vec<RefusedRow>,
    /// By entity.
    pub dimensions: BTreeMap<&'static str, Dimension>,
    /// By entity.
    pub facts: BTreeMap<&'static str, Fact>,
}

/// Records by outcome.
#[derive(Debug, Default, Serialize)]
pub struct Records {
    /// All of them.
    pub received: u64,
    /// Those that give rows.
    pub transformed: u64,
    /// Records that mean nothing.
    pub filtered: u64,
    /// Records that are broken.
    pub quarantined: u64,
}

/// A record that gives no rows.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The running number of the record in its source, from 0, where files are read by name.
    pub record: u64,
    /// The name of its file.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// Why: a reason for filtered records, a code for quarantined ones.
    pub reason: &'static str,
}

/// A row refused alone, or a fact that contradicts one before it.
#[derive(Debug, Serialize)]
pub struct RefusedRow {
    /// The running number of the record.
    pub record: u64,
    /// The entity.
    pub entity: &'static str,
    /// Why.
    pub code: &'static str,
    /// The business key, where it is known; its parts are joined by `/`.
    pub key: Option<String>,
}

/// What is expected of a dimension.
#[derive(Debug, Default, Serialize)]
pub struct Dimension {
    /// Rows emitted.
    pub emitted: u64,
    /// By business key; its parts are joined by `/`.
    pub keys: BTreeMap<String, Key>,
}

/// What is expected of one key of a dimension.
#[derive(Debug, Default, Serialize)]
pub struct Key {
    /// The rows came in the order of their sequence, but for rows that say again what was said at theirs. Then
    /// `kept` holds under any rule; `history` does too. Else `history` holds where every row is kept.
    pub in_order: bool,
    /// Rows that say something new when they come; null where that is a matter of the rule.
    pub kept: Option<u64>,
    /// In Bronze order.
    pub rows: Vec<Row>,
    /// The versions, oldest first; the last is the current one.
    pub history: Vec<Version>,
}

/// A row as emitted.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The running number of the record.
    pub record: u64,
    /// What it does.
    pub operation: Operation,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub sequence: i64,
    /// What it says.
    pub values: Values,
}

/// A stretch in which nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub valid_from: i64,
    /// Whether the key has ended.
    pub deleted: bool,
    /// What it says.
    pub values: Values,
}

/// What is expected of a fact.
#[derive(Debug, Default, Serialize)]
pub struct Fact {
    /// Rows emitted.
    pub emitted: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows that repeat the one kept.
    pub duplicate: u64,
    /// Rows that contradict the one kept: same key, other values.
    pub conflicts: Vec<RefusedRow>,
    /// The rows kept, by business key; the parts of a key are joined by `/`.
    pub rows: BTreeMap<String, Values>,
}

impl Answer {
    /// The answer to no records yet.
    pub(crate) fn new(tenant: &'static str, source: &'static str, seed: u64) -> Self {
        Self { tenant, source, seed, ..Self::default() }
    }

    /// Takes up what the next record means. It stands in `file` at `line`.
    pub(crate) fn add(&mut self, file: &str, line: u64, outcome: Outcome) {
        let record = self.records.received;
        self.records.received += 1;
        let finding = |reason| Finding { record, file: file.to_owned(), line, reason };
        match outcome {
            Outcome::Filtered(reason) => {
                self.records.filtered += 1;
                self.filtered.push(finding(reason));
            }
            Outcome::Quarantined(code) => {
                self.records.quarantined += 1;
                self.quarantined.push(finding(code));
            }
            Outcome::Transformed { dimensions, facts, refused } => {
                self.records.transformed += 1;
                dimensions.into_iter().for_each(|row| self.dimension(record, row));
                facts.into_iter().for_each(|row| self.fact(record, row));
                let refused = refused.into_iter().map(|(entity, code)| RefusedRow { record, entity, code, key: None });
                self.refused_rows.extend(refused);
            }
        }
    }

    /// Works out the histories; call it once, after the last record.
    pub(crate) fn finish(&mut self) {
        for dimension in self.dimensions.values_mut() {
            for key in dimension.keys.values_mut() {
                key.finish();
            }
        }
    }

    fn dimension(&mut self, record: u64, row: DimensionRow) {
        let dimension = self.dimensions.entry(row.entity).or_default();
        dimension.emitted += 1;
        let DimensionRow { operation, sequence, values, .. } = row;
        dimension.keys.entry(row.key).or_default().rows.push(Row { record, operation, sequence, values });
    }

    fn fact(&mut self, record: u64, row: FactRow) {
        let fact = self.facts.entry(row.entity).or_default();
        fact.emitted += 1;
        match fact.rows.get(&row.key) {
            None => {
                fact.kept += 1;
                fact.rows.insert(row.key, row.values);
            }
            Some(known) if *known == row.values => fact.duplicate += 1,
            Some(_) => {
                fact.conflicts.push(RefusedRow { record, entity: row.entity, code: "conflict", key: Some(row.key) })
            }
        }
    }
}

impl Row {
    /// Whether the two are one row, met in whichever records.
    fn repeats(&self, other: &Self) -> bool {
        (self.operation, self.sequence, &self.values) == (other.operation, other.sequence, &other.values)
    }
}

impl Key {
    fn finish(&mut self) {
        let mut arrived = Told::default();
        self.in_order = true;
        let mut kept = 0;
        let mut latest = i64::MIN;
        for row in &self.rows {
            let late = row.sequence < latest;
            latest = latest.max(row.sequence);
            if arrived.says(row) {
                continue;
            }
            // A row repeated within its instant may be meant or delivered twice: nobody can tell.
            let repeated = arrived.instant.iter().any(|known| known.repeats(row));
            if late || repeated {
                self.in_order = false;
                break;
            }
            kept += 1;
            arrived.tell(row);
        }
        self.kept = self.in_order.then_some(kept);

        // Whatever the order of arrival, this is the history: of equal sequences the last arrival counts.
        let mut sorted: Vec<&Row> = self.rows.iter().collect();
        sorted.sort_by_key(|row| row.sequence);
        let more = sorted.iter().any(|row| row.operation != Operation::Stub);
        let mut told = Told::default();
        for row in sorted.into_iter().filter(|row| !more || row.operation != Operation::Stub) {
            told.tell(row);
        }
        self.history = told.versions();
    }
}

/// What was told of a key, followed through time.
#[derive(Default)]
struct Told<'r> {
    /// What held from each sequence on, oldest first, one for each sequence.
    states: Vec<Version>,
    /// The rows that said something new at the last sequence.
    instant: Vec<&'r Row>,
    /// All that is known so far came from stubs.
    stub: bool,
}

impl<'r> Told<'r> {
    fn latest(&self) -> i64 {
        self.states.last().map_or(i64::MIN, |state| state.valid_from)
    }

    /// Whether what was told already says, at the sequence of `row`, all that `row` asserts.
    fn says(&self, row: &Row) -> bool {
        let Some(state) = self.states.iter().rev().find(|state| state.valid_from <= row.sequence) else { return false };
        match row.operation {
            Operation::Stub => true,
            Operation::Delete => state.deleted && !self.stub,
            Operation::Upsert | Operation::Patch => {
                !state.deleted
                    && !self.stub
                    && row.values.iter().all(|(name, value)| state.values.get(name) == Some(value))
            }
        }
    }

    /// `row` is told; its sequence is not before the last one.
    fn tell(&mut self, row: &'r Row) {
        let mut state = match self.states.last() {
            Some(state) if !self.stub => state.clone(),
            _ => Version { valid_from: row.sequence, deleted: false, values: Values::new() },
        };
        self.stub = row.operation == Operation::Stub;
        state.deleted = row.operation == Operation::Delete;
        state.values.extend(row.values.clone());
        if self.latest() < row.sequence {
            self.instant.clear();
            state.valid_from = row.sequence;
            self.states.push(state);
        } else if let Some(last) = self.states.last_mut() {
            *last = Version { valid_from: last.valid_from, ..state };
        }
        self.instant.push(row);
    }

    /// The states, where neighbours that are equal are one.
    fn versions(self) -> Vec<Version> {
        let mut versions: Vec<Version> = vec![];
        for state in self.states {
            let same = |last: &Version| last.deleted == state.deleted && last.values == state.values;
            if !versions.last().is_some_and(same) {
                versions.push(state);
            }
        }
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: Operation, sequence: i64, values: &[(&'static str, &str)]) -> Row {
        let values = values.iter().map(|(name, value)| (*name, Some((*value).to_owned()))).collect();
        Row { record: 0, operation, sequence, values }
    }

    fn key(rows: &[Row]) -> Key {
        let mut key = Key { rows: rows.to_vec(), ..Key::default() };
        key.finish();
        key
    }

    #[test]
    fn a_key_in_order_has_the_history_it_was_told() {
        use Operation::*;
        let a = [("id", "1"), ("name", "a")];
        let told = key(&[
            row(Stub, 1, &[("id", "1")]),
            row(Upsert, 2, &a),
            row(Upsert, 3, &a),
            row(Patch, 4, &[("name", "b")]),
            row(Upsert, 2, &a),
            row(Delete, 5, &[]),
            row(Upsert, 6, &a),
        ]);
        assert_eq!((told.in_order, told.kept), (true, Some(5)));
        let versions: Vec<_> =
            told.history.iter().map(|v| (v.valid_from, v.deleted, v.values["name"].as_deref())).collect();
        assert_eq!(
            versions,
            [(2, false, Some("a")), (4, false, Some("b")), (5, true, Some("b")), (6, false, Some("a"))]
        );
    }

    #[test]
    fn a_late_row_that_says_something_new_is_out_of_order() {
        use Operation::*;
        let told = key(&[row(Upsert, 1, &[("n", "a")]), row(Upsert, 3, &[("n", "a")]), row(Upsert, 2, &[("n", "b")])]);
        assert_eq!((told.in_order, told.kept), (false, None));
        let versions: Vec<_> = told.history.iter().map(|v| (v.valid_from, v.values["n"].as_deref())).collect();
        assert_eq!(versions, [(1, Some("a")), (2, Some("b")), (3, Some("a"))]);
    }

    #[test]
    fn a_return_within_one_instant_is_out_of_order() {
        use Operation::*;
        let [a, b] = ["a", "b"].map(|name| row(Upsert, 1, &[("n", name)]));
        assert!(key(&[a.clone(), b.clone(), b.clone()]).in_order);
        assert!(!key(&[a.clone(), b, a]).in_order);
    }
}
